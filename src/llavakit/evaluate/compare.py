"""Two runs on the same questions: what changed, and whether chance alone would change as much."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llavakit.errors import UsageError
from llavakit.evaluate.outcome import Interval, percent
from llavakit.evaluate.score import Z

_EXACT = 20  # differing marks up to which all 2^n signs are tried: a million sums

MCNEMAR = "McNemar, exact"
SIGN_FLIP = "sign flips, exact"
NORMAL = "sign flips, normal approximation"


@dataclass(frozen=True)
class Comparison:
    """Run B beside run A, over the questions that both have a mark for.

    Attributes:
        n: questions in both
        only_a: questions that only A has a mark for; they count for nothing here
        only_b: likewise of B
        mean_a: the mean mark, on 0–100, which need not be the benchmark's own score
        mean_b: likewise
        difference: mean_b - mean_a
        interval: of 95 %, of the difference
        gained: ids, in A's order, whose mark is higher in B; of 0/1 marks: from wrong to right
        lost: likewise lower; from right to wrong
        p: two-sided: how often as large a difference comes about where A and B are equally good
        test: how p was found
    """

    n: int
    only_a: int
    only_b: int
    mean_a: float
    mean_b: float
    difference: float
    interval: Interval
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    p: float
    test: str

    def told(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "n": self.n, "only_a": self.only_a, "only_b": self.only_b,
            "mean_a": round(self.mean_a, 6), "mean_b": round(self.mean_b, 6),
            "difference": round(self.difference, 6), "interval": [round(end, 6) for end in self.interval],
            "wrong_to_right": len(self.gained), "right_to_wrong": len(self.lost), "p": self.p,
            "test": self.test, "gained": list(self.gained), "lost": list(self.lost),
        }  # fmt: skip


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> Comparison:
    """Marks in 0 … 1 by question id, as `Outcome.marks` has them, of two runs.

    p is McNemar's, exact, where all marks are 0 or 1. Graded marks are tested by flipping signs: were A and
    B equally good, each difference would as well have the other sign; up to 20 differences all signs are
    tried, beyond it their sum's normal distribution is taken. Nothing is drawn: p is always the same.

    Raises:
        UsageError: no question is in both.
    """
    both = [name for name in a if name in b]
    if not both:
        raise UsageError("the two runs have no question in common: of the same task and split?")
    differences = [float(b[name]) - float(a[name]) for name in both]
    gained = tuple(name for name, difference in zip(both, differences, strict=True) if difference > 0)
    lost = tuple(name for name, difference in zip(both, differences, strict=True) if difference < 0)
    if all(mark in (0, 1) for name in both for mark in (a[name], b[name])):
        p, test = mcnemar(len(gained), len(lost)), MCNEMAR
    else:
        p, test = _sign_flips([difference for difference in differences if difference])
    mean_a, mean_b = (percent(marks[name] for name in both) for marks in (a, b))
    return Comparison(
        len(both), len(a) - len(both), len(b) - len(both), mean_a, mean_b, mean_b - mean_a,
        _interval(differences), gained, lost, p, test,
    )  # fmt: skip


def mcnemar(gained: int, lost: int) -> float:
    """McNemar's p, exact and two-sided: of a fair coin, thrown once for each question that flipped."""
    n, few = gained + lost, min(gained, lost)
    logs = (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(few + 1))
    return min(1.0, 2 * math.fsum(math.exp(log - n * math.log(2)) for log in logs))


def _sign_flips(differences: list[float]) -> tuple[float, str]:
    """Of differences that are not 0."""
    sizes = sorted(map(abs, differences))  # so that A beside B gives the same p as B beside A
    total = abs(math.fsum(differences))
    if len(sizes) > _EXACT:
        return math.erfc(total / math.sqrt(2 * math.fsum(size**2 for size in sizes))), NORMAL
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return float(np.mean(np.abs(sums) >= total - 1e-9)), SIGN_FLIP


def _interval(differences: list[float]) -> Interval:
    """Of the mean difference, in percentage points.

    Agresti and Min (2005): the normal interval after half a question is added to each of the four cells,
    which keeps its 95 % where few questions flip, or none. Of graded marks the same is added: two questions
    whose differences sum to 0 and whose squares to 1.
    """
    n = len(differences) + 2
    mean = math.fsum(differences) / n
    variance = (math.fsum(difference**2 for difference in differences) + 1) / n - mean**2
    half = Z * math.sqrt(variance / n)
    return 100 * max(-1.0, mean - half), 100 * min(1.0, mean + half)
