"""What is counted of a file, part by part, while its rows go by."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import chain, islice, zip_longest

from llavakit.synth.report import answers as said
from llavakit.synth.report import reading
from llavakit.synth.report.counting import Distinct, Lengths, Sample, Tally, hashed
from llavakit.synth.report.findings import Asked, Example, KindFindings, Letter, Refused
from llavakit.synth.report.phrases import Options, is_word, root_and_noun
from llavakit.synth.report.reading import Kept, Rejected, UnreadableError

LISTED = 200  # pairs, things and words that findings hold
_OTHERS = "others"
_MOST_SORTS = 24  # a file with more kinds, or reasons, says something else in that field
_MOST_TEXT = 8000  # characters of an example
_MOST_TURNS = 16
_LONGEST_WORD = 40  # letters that are kept of a word


def one_of(sort: str, known: Collection[str]) -> str:
    """The sort itself, as long as there are not too many of them."""
    return sort if sort in known or len(known) < _MOST_SORTS else _OTHERS


class KindCounts:
    """Of one kind of rows, or of all."""

    def __init__(self) -> None:
        self.rows = self.named = self.unsupported = 0
        self.turns, self.questions, self.answers = Lengths(), Lengths(), Lengths()
        self.vocabulary = Distinct(1 << 15)
        self.polar: Counter[str] = Counter()

    def merge(self, other: "KindCounts") -> None:
        self.rows += other.rows
        self.named += other.named
        self.unsupported += other.unsupported
        self.turns.merge(other.turns)
        self.questions.merge(other.questions)
        self.answers.merge(other.answers)
        self.polar.update(other.polar)

    def findings(self, name: str, rejected: int | None) -> KindFindings:
        return KindFindings(
            name, self.rows, rejected, self.turns.spread(), self.questions.spread(), self.answers.spread(),
            self.vocabulary.count, self.polar[said.YES], self.polar[said.NO], self.polar[said.NEITHER],
            self.named, self.unsupported,
        )  # fmt: skip


class Examples:
    """Some of each sort: what is rare is seen as well."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._samples: dict[str, Sample[Example]] = {}

    def see(self, sort: str, make: Callable[[], Example]) -> None:
        sample = self._samples.get(sort)
        if sample is None:
            sample = self._samples[sort] = Sample(self._size, f"{self._seed} {sort}")
        place = sample.wanted()
        if place is not None:
            sample.put(place, make())

    def chosen(self) -> tuple[Example, ...]:
        """As many as one sample has, of each sort in turn; in the order of the file."""
        columns = [self._samples[sort].items() for sort in sorted(self._samples)]
        rows = chain.from_iterable(zip_longest(*columns))
        some = [each for each in rows if each is not None][: self._size]
        return tuple(sorted(some, key=lambda example: example.row))


class QuestionCounts:
    def __init__(self) -> None:
        self._different = Distinct()
        self._first, self._openings, self._roots = Tally[str](), Tally[str](), Tally[str]()
        self._pairs = Tally[tuple[str, str]]()

    def see(self, question: str, asking: Sequence[str]) -> str:
        """The root of a question.

        Args:
            asking: the tokens of the sentence that asks
        """
        self._different.add((hashed(" ".join(question.lower().split())),))
        told = (word[:_LONGEST_WORD] for word in asking if is_word(word) or word[0] == "'")
        words = list(islice(told, 2))
        root, noun = root_and_noun(asking)
        self._first.add(words[0] if words else "")
        self._openings.add(" ".join(words).replace(" '", "'"))
        self._roots.add(root)
        self._pairs.add((root, noun[:_LONGEST_WORD]))
        return root

    def findings(self) -> Asked:
        first, openings, roots = (
            tuple(each.most_common(LISTED)) for each in (self._first, self._openings, self._roots)
        )
        pairs = tuple(self._pairs.most_common(4 * LISTED))
        different = self._different
        return Asked(self._roots.total, different.count, different.exact, first, openings, roots, pairs)


class LetterCounts:
    """Which options are right. Questions with two and with four options share their letters."""

    def __init__(self) -> None:
        self.questions = self.unclear = 0
        self._offered: Counter[str] = Counter()
        self._right: Counter[str] = Counter()
        self._options: Counter[tuple[str, int]] = Counter()  # letter, of how many

    def see(self, answer: str, options: Options) -> None:
        self.questions += 1
        for name, _ in options:
            self._offered[name] += 1
        right = said.letter(answer, options)
        if right is None:
            self.unclear += 1
            return
        self._right[right] += 1
        for name, _ in options:
            self._options[name, len(options)] += 1

    def findings(self) -> tuple[Letter, ...]:
        return tuple(
            Letter(
                name, self._offered[name], self._right[name],
                sum(times / many for (each, many), times in self._options.items() if each == name),
            )
            for name in sorted(self._offered)
        )  # fmt: skip


class Refusals:
    def __init__(self, sample: int, seed: int) -> None:
        self._reasons: Counter[str] = Counter()
        self._kinds: dict[str, Counter[str]] = {}
        self._examples = Examples(sample, seed)
        self._seen = self._unreadable = 0

    def see(self, value: object) -> None:
        self._seen += 1
        try:
            row = reading.rejected(value)
        except UnreadableError:
            self._unreadable += 1
            return
        why = one_of(row.why, self._reasons)
        self._reasons[why] += 1
        self._kinds.setdefault(one_of(row.kind, self._kinds), Counter())[why] += 1
        number = self._seen
        self._examples.see(why, lambda: _refused(row, number))

    def findings(self) -> Refused:
        reasons = sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
        return Refused(
            self._reasons.total(), tuple(reasons), self._kinds, self._examples.chosen(), self._unreadable
        )


def example(row: Kept, number: int) -> Example:
    """As much of a row as a page shows."""
    turns, left = [], _MOST_TEXT
    for question, answer in row.turns[:_MOST_TURNS]:
        if left <= 0:
            break
        turns.append((_cut(question, left), _cut(answer, left)))
        left -= len(question) + len(answer)
    picture = ", ".join(row.images[:3])[:300] + (", …" if len(row.images) > 3 else "")
    return Example(
        number, row.id[:200], row.kind, picture, row.teacher, tuple(turns), len(row.turns) - len(turns),
        row.unsupported[:20] if row.unsupported else (),
    )  # fmt: skip


def _refused(row: Rejected, number: int) -> Example:
    return Example(
        number, row.id[:200], row.kind, row.image[:300], why=row.why, reason=row.reason[:1000],
        text=_cut(row.text, _MOST_TEXT),
    )  # fmt: skip


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters in all)"
