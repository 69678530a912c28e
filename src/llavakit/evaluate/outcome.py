"""What a task comes to: a score on 0–100, never alone."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.score import RESAMPLES, Z, accuracy, middle

Interval = tuple[float, float]
Array = NDArray[np.float64]
_TOGETHER = 4_000_000  # numbers that are drawn at a time


@dataclass(frozen=True)
class Outcome:
    """
    Attributes:
        score: the task's headline, on 0–100 unless the benchmark counts otherwise (MME: up to 2800)
        n: questions that the score is of
        missing: of these, how many have no answer (they count as wrong), or no judgement (they do not count)
        interval: of 95 %
        chance: what always giving the commonest answer, or guessing among choices, would score
        metrics: all figures by name, the headline among them
        marks: what each question got, 0 to 1, by id; only those that count
        notes: sentences on anything odd
    """

    task: str
    score: float
    n: int
    missing: int
    interval: Interval
    metrics: Mapping[str, float]
    chance: float | None = None
    duplicates: int = 0
    strangers: int = 0
    marks: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "task": self.task, "score": _short(self.score), "n": self.n, "missing": self.missing,
            "interval": [_short(end) for end in self.interval], "chance": _short(self.chance),
            "metrics": {name: _short(value) for name, value in self.metrics.items()},
            "duplicates": self.duplicates, "strangers": self.strangers, "notes": list(self.notes),
        }  # fmt: skip


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def of_marks(
    task: str,
    questions: Sequence[Question],
    answers: Answers,
    mark: Callable[[Question, str], float],
    *,
    name: str = "accuracy",
    truths: Iterable[str] | None = None,
    chance: float | None = None,
    notes: tuple[str, ...] = (),
) -> Outcome:
    """The mean of the marks, 0 to 1 each, and that of each group; a question without an answer gets 0.

    Args:
        mark: what an answer is worth
        truths: where given, chance is what the commonest of them scores
    """
    marks = {
        question.id: 0.0 if (text := answers.get(question)) is None else float(mark(question, text))
        for question in questions
    }
    if truths is not None and questions:
        chance = 100 * Counter(truths).most_common(1)[0][1] / len(questions)
    metrics = {name: percent(marks.values())} | by_group(questions, marks)
    return Outcome(
        task, metrics[name], len(questions), answers.missing(questions), interval(marks.values()), metrics,
        chance, answers.duplicates, answers.strangers, marks, notes,
    )  # fmt: skip


def by_group(questions: Sequence[Question], marks: Mapping[str, float]) -> dict[str, float]:
    """The mean mark of each group, in percent, in the order in which they come."""
    groups: dict[str, list[float]] = {}
    for question in questions:
        for group in question.groups:
            groups.setdefault(group, []).append(marks[question.id])
    return {group: percent(points) for group, points in groups.items()}


def percent(marks: Iterable[float]) -> float:
    points = list(marks)
    return 100 * math.fsum(points) / len(points) if points else 0.0


def interval(marks: Iterable[float]) -> Interval:
    """Of 95 %, in percent: Wilson's (1927) where marks are 0 or 1, else the normal one."""
    points = list(marks)
    if not points:
        return 0.0, 100.0
    if all(point in (0, 1) for point in points):
        score = accuracy("", [bool(point) for point in points])
        return 100 * score.low, 100 * score.high
    mean = math.fsum(points) / len(points)
    spread = math.sqrt(math.fsum((point - mean) ** 2 for point in points) / max(1, len(points) - 1))
    half = Z * spread / math.sqrt(len(points))
    return 100 * max(0.0, mean - half), 100 * min(1.0, mean + half)


def bootstrap(
    groups: Sequence[Array], statistic: Callable[[Sequence[Array]], Array], seed: int = 0
) -> Interval:
    """A 95 % interval of anything that follows from the means of groups, by drawing within each group.

    Args:
        groups: of each its units, (unit, number): what is asked about one picture, say
        statistic: from the groups' means, each (resample, number), to the figure: (resample,)
    """
    rng = np.random.default_rng(seed)
    drawn = np.sort(statistic([_means(np.asarray(group, np.float64), rng) for group in groups]))
    return middle(drawn.tolist())


def _means(units: Array, rng: np.random.Generator) -> Array:
    count = len(units)
    some = max(1, _TOGETHER // max(1, count))
    parts = []
    for start in range(0, RESAMPLES, some):
        chosen = rng.integers(0, count, (min(some, RESAMPLES - start), count))
        parts.append(units[chosen].mean(axis=1))
    return np.concatenate(parts)
