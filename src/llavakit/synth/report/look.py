"""Looks rows over, once, in bounded memory: from a stream of rows to `Findings`."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llavakit.synth.report import answers as said
from llavakit.synth.report import reading
from llavakit.synth.report.counting import Distinct, Tally, hashed, hashed_word
from llavakit.synth.report.findings import Findings, Words
from llavakit.synth.report.gather import (
    LISTED,
    Examples,
    KindCounts,
    LetterCounts,
    QuestionCounts,
    Refusals,
    example,
    one_of,
)
from llavakit.synth.report.lexicon import lexicon
from llavakit.synth.report.phrases import asked, is_word, things, tokens
from llavakit.synth.report.reading import Conversation, Kept, UnreadableError
from llavakit.synth.task import KINDS, Turns

SAMPLE = 120  # rows of a page, and as many rejected ones
_MOST_FAULTS = 5
_STRETCH = 1000  # words
_LONGEST_WORD = 40  # letters that are kept of a word
_POLAR = frozenset(lexicon().auxiliaries.values())


def look(
    rows: Iterable[Mapping[str, Any] | Conversation | Exception],
    *,
    rejected: Iterable[Mapping[str, Any] | Exception] | None = None,
    like: Callable[[str, Turns], str | None] | None = None,
    name: str = "",
    sample: int = SAMPLE,
    seed: int = 0,
) -> Findings:
    """What these rows are like.

    Each row is read once and forgotten, but for a sample: memory is bounded, whatever the file. Frequencies
    are exact up to 50,000 different words (else the rarest are missing), and so are numbers of different
    things up to 131,072 (else they are within about 1 %).

    Args:
        rows: as the official format has them: {"id", "image", "conversations"}, with "kind" and "teacher"
            where they are ours; or conversations that were read already, as `llavakit.data` reads them. An
            exception, and whatever else is no row, counts as unreadable.
        rejected: replies that became no rows: {"id", "kind", "reason_kind", "reason", "text", "image"}
        like: from a row's id and turns to the id of an earlier row that it nearly repeats, as `Near.like`
        name: of the file, for people
        sample: how many rows of each sort are kept to be looked at
    """
    found = _Look(sample, seed)
    for value in rows:
        found.see(value, like)
    refused = None
    if rejected is not None:
        refused = Refusals(sample, seed)
        for value in rejected:
            refused.see(value)
    return found.findings(name, seed, refused, like is not None)


class _Look:
    def __init__(self, sample: int, seed: int) -> None:
        self.kinds: dict[str, KindCounts] = {}
        self.asked = QuestionCounts()
        self.pictures, self.words = Distinct(), Distinct()
        self.teachers, self.things, self.unsupported = Tally[str](), Tally[str](), Tally[str]()
        self.numbers: Counter[str] = Counter()
        self.letters = LetterCounts()
        self.examples = Examples(sample, seed)
        self.stretch: list[str] = []
        self.stretches: list[int] = [0, 0]  # how many there were; different words in them
        self.total = self.bare = self.near = self.checked = self.unreadable = self.seen = 0
        self.faults: list[str] = []

    def see(self, value: object, like: Callable[[str, Turns], str | None] | None) -> None:
        self.seen += 1
        try:
            row = reading.kept(value)
        except UnreadableError as error:
            self.unreadable += 1
            if len(self.faults) < _MOST_FAULTS:
                self.faults.append(f"row {self.seen} {error}")
            return
        name = one_of(row.kind, self.kinds)
        kind = self.kinds.setdefault(name, KindCounts())
        kind.rows += 1
        kind.turns.add(len(row.turns))
        self.pictures.add(hashed(image) for image in row.images)
        self.bare += not row.images
        if row.teacher:
            self.teachers.add(row.teacher)
        if like is not None:
            self.near += like(row.id, row.turns) is not None
        self._support(row, kind)
        for question, answer in row.turns:
            self._turn(question, answer, kind)
        number = self.seen
        self.examples.see(name, lambda: example(row, number))

    def _support(self, row: Kept, kind: KindCounts) -> None:
        if row.unsupported is None:
            return
        self.checked += 1
        kind.named += len(row.unsupported) if row.named is None else row.named
        kind.unsupported += len(row.unsupported)
        self.unsupported.update(row.unsupported)

    def _turn(self, question: str, answer: str, kind: KindCounts) -> None:
        sentence, options = asked(question)
        asking = tokens(sentence)
        kind.questions.add(sum(map(is_word, asking if question == sentence else tokens(question))))
        root = self.asked.see(question, asking)
        all_said = tokens(answer)
        words = [word for word in all_said if is_word(word)]
        kind.answers.add(len(words))
        different = {hashed_word(word[:_LONGEST_WORD]) for word in set(words)}
        kind.vocabulary.add(different)
        self.words.add(different)
        self.total += len(words)
        self._add_stretch(words)
        self.things.update(thing[:_LONGEST_WORD] for thing in things(all_said))
        if len(options) > 1:
            self.letters.see(answer, options)
            return
        balance = said.yes_or_no(all_said, root in _POLAR)
        if balance is not None:
            kind.polar[balance] += 1
        if root == "how many":
            self.numbers[said.number(all_said)] += 1

    def _add_stretch(self, words: list[str]) -> None:
        self.stretch += words
        while len(self.stretch) >= _STRETCH:
            self.stretches[0] += 1
            self.stretches[1] += len(set(self.stretch[:_STRETCH]))
            del self.stretch[:_STRETCH]

    def findings(self, name: str, seed: int, refused: "Refusals | None", near: bool) -> Findings:
        whole = KindCounts()
        for kind in self.kinds.values():
            whole.merge(kind)
        whole.vocabulary = self.words
        told = None if refused is None else refused.findings()
        rejected = {} if told is None else {kind: sum(why.values()) for kind, why in told.kinds.items()}
        names = sorted(
            {*self.kinds, *rejected},
            key=lambda each: (KINDS.index(each) if each in KINDS else len(KINDS), each),
        )
        none = None if told is None else 0
        count, different = self.stretches
        fresh = different / count / _STRETCH if count else None
        return Findings(
            name=name, seed=seed, unreadable=self.unreadable, faults=tuple(self.faults),
            all=whole.findings("all", None if told is None else told.rows),
            kinds=tuple(
                self.kinds.get(each, KindCounts()).findings(each, rejected.get(each, none))
                for each in names
            ),
            pictures=self.pictures.count, exact=self.pictures.exact, bare=self.bare,
            teachers=tuple(self.teachers.most_common(20)),
            asked=self.asked.findings(),
            words=Words(self.total, self.words.count, self.words.exact, fresh),
            numbers={each: self.numbers[each] for each in said.NUMBERS}, letters=self.letters.findings(),
            choices=self.letters.questions, unclear=self.letters.unclear,
            things=tuple(self.things.most_common(LISTED)), things_total=self.things.total,
            near=self.near if near else None, checked=self.checked,
            unsupported=tuple(self.unsupported.most_common(LISTED)), refused=told,
            examples=self.examples.chosen(),
        )  # fmt: skip
