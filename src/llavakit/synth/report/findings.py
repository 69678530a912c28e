"""What a file of instruction data is like, in numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from llavakit.synth.report.counting import EDGES, Spread

# The rows of LLaVA-Instruct-158K, in thousands (section 3 of the paper: 58K, 23K, 77K).
PAPER = {"conversation": 58, "detail": 23, "reasoning": 77}

Counts = tuple[tuple[str, int], ...]  # the most frequent first


@dataclass(frozen=True)
class KindFindings:
    """The rows of one kind, or all rows.

    Attributes:
        rejected: replies of this kind that became no row; None where nobody told of them
        turns: a row's questions with their answers
        questions, answers: words of each
        vocabulary: different words of the answers
        yes, no, neither: what answers to questions that ask for yes or no say
        named, unsupported: things that answers name, and those of them that the scene does not tell of
    """

    name: str
    rows: int
    rejected: int | None
    turns: Spread
    questions: Spread
    answers: Spread
    vocabulary: int
    yes: int
    no: int
    neither: int
    named: int
    unsupported: int

    @property
    def acceptance(self) -> float | None:
        """The share of replies that became rows."""
        return None if self.rejected is None else share(self.rows, self.rows + self.rejected)


@dataclass(frozen=True)
class Words:
    """Of all answers.

    Attributes:
        total: how many
        different: how many are different
        exact: whether that was counted; else it is an estimate, within about 1 %
        fresh: the share of different words among 1,000 in a row, on average: unlike different / total it does
            not fall as a file grows; None of fewer than 1,000 words
    """

    total: int
    different: int
    exact: bool
    fresh: float | None

    @property
    def ratio(self) -> float | None:
        """The type-token ratio."""
        return share(self.different, self.total)


@dataclass(frozen=True)
class Letter:
    """An option: how often it was there, right, and would be right if that were drawn."""

    name: str
    offered: int
    right: int
    expected: float


@dataclass(frozen=True)
class Asked:
    """What questions ask.

    Attributes:
        different: questions that are different, but for case and blanks; `exact` as of `Words`
        first: their first words
        openings: their first two words
        roots: question words, auxiliaries and verbs; "" where none was found
        pairs: a root and what it is asked of, "" where no noun was found (see `phrases.py`)
    """

    total: int
    different: int
    exact: bool
    first: Counts
    openings: Counts
    roots: Counts
    pairs: tuple[tuple[tuple[str, str], int], ...]


@dataclass(frozen=True)
class Example:
    """A row to be looked at, or a reply that became none: then `why` and `reason` say why.

    Attributes:
        row: its number in its file, from 1
        left_out: how many of its turns are not in `turns`
    """

    row: int
    id: str
    kind: str
    picture: str
    teacher: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    left_out: int = 0
    unsupported: tuple[str, ...] = ()
    why: str = ""
    reason: str = ""
    text: str = ""


@dataclass(frozen=True)
class Refused:
    """Replies that became no rows, by kind and reason."""

    rows: int
    reasons: Counts
    kinds: Mapping[str, Mapping[str, int]]
    examples: tuple[Example, ...]
    unreadable: int


@dataclass(frozen=True)
class Findings:
    """All that `look` finds.

    Attributes:
        unreadable: rows that are none; `faults` tells of the first of them
        pictures: different ones, `exact` as of `Words`; `bare` is how many rows have none
        near: rows that nearly repeat an earlier one; None where that was not looked at
        checked: rows that tell which things of their answers are unsupported
        choices, unclear: questions with options, and those of them whose answer is none of these
    """

    name: str
    seed: int
    unreadable: int
    faults: tuple[str, ...]
    all: KindFindings
    kinds: tuple[KindFindings, ...]
    pictures: int
    exact: bool
    bare: int
    teachers: Counts
    asked: Asked
    words: Words
    numbers: Mapping[str, int]
    letters: tuple[Letter, ...]
    choices: int
    unclear: int
    things: Counts
    things_total: int
    near: int | None
    checked: int
    unsupported: Counts
    refused: Refused | None
    examples: tuple[Example, ...] = field(repr=False)

    @property
    def rows(self) -> int:
        return self.all.rows

    def paper(self, kind: str) -> tuple[float, float] | None:
        """The kind's share among the paper's three, here and there; None unless all three are here."""
        rows = {each.name: each.rows for each in self.kinds if each.name in PAPER}
        if kind not in PAPER or len(rows) < len(PAPER):
            return None
        return rows[kind] / sum(rows.values()), PAPER[kind] / sum(PAPER.values())

    def as_json(self) -> dict[str, Any]:
        """The numbers, without the examples."""
        return {
            "name": self.name, "rows": self.rows, "pictures": self.pictures, "pictures_exact": self.exact,
            "without_picture": self.bare,
            "unreadable": {"rows": self.unreadable, "first": list(self.faults)},
            "teachers": dict(self.teachers), "histogram_edges": list(EDGES),
            "all": self._kind(self.all), "kinds": {each.name: self._kind(each) for each in self.kinds},
            "questions": {
                "total": self.asked.total, "different": self.asked.different, "exact": self.asked.exact,
                "different_share": share(self.asked.different, self.asked.total),
                "first_words": dict(self.asked.first), "openings": dict(self.asked.openings),
                "roots": dict(self.asked.roots),
                "pairs": [[root, noun, times] for (root, noun), times in self.asked.pairs],
            },
            "answers": {
                "words": asdict(self.words) | {"type_token_ratio": self.words.ratio},
                "numbers": dict(self.numbers), "things": dict(self.things),
                "letters": {each.name: asdict(each) for each in self.letters},
                "choices": self.choices, "unclear_choices": self.unclear,
            },
            "near_duplicates": None if self.near is None else {
                "rows": self.near, "share": share(self.near, self.rows),
            },
            "unsupported": None if not self.checked else {
                "rows_checked": self.checked, "named": self.all.named, "unsupported": self.all.unsupported,
                "share": share(self.all.unsupported, self.all.named), "things": dict(self.unsupported),
            },
            "rejected": None if self.refused is None else {
                "rows": self.refused.rows, "unreadable": self.refused.unreadable,
                "acceptance": self.all.acceptance, "reasons": dict(self.refused.reasons),
                "kinds": {kind: dict(reasons) for kind, reasons in self.refused.kinds.items()},
            },
        }  # fmt: skip

    def _kind(self, kind: KindFindings) -> dict[str, Any]:
        paper = self.paper(kind.name)
        told: dict[str, Any] = {"rows": kind.rows, "share": share(kind.rows, self.rows)}
        if paper is not None:
            told |= {"share_of_three": paper[0], "paper_share_of_three": paper[1]}
        for name, spread in (
            ("turns", kind.turns), ("question_words", kind.questions), ("answer_words", kind.answers),
        ):  # fmt: skip
            told[name] = {
                "median": spread.median, "p5": spread.low, "p95": spread.high, "mean": spread.mean,
                "longest": spread.longest, "total": spread.total, "histogram": list(spread.bins),
            }  # fmt: skip
        return told | {
            "answer_vocabulary": kind.vocabulary, "yes": kind.yes, "no": kind.no, "neither": kind.neither,
            "named": kind.named, "unsupported": kind.unsupported, "rejected": kind.rejected,
            "acceptance": kind.acceptance,
        }  # fmt: skip


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
