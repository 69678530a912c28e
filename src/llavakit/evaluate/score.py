"""A score is never alone: how many questions, what chance gives, and a 95 % interval."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959964  # of a two-sided 95 % interval
RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """A share in 0 … 1.

    `chance` is what the best constant answer scores on the same questions; None where no constant
    answer makes sense.
    """

    name: str
    value: float
    n: int
    low: float
    high: float
    chance: float | None


def accuracy(name: str, right: Sequence[bool], truths: Sequence[str] | None = None) -> Score:
    """The share of right answers, with Wilson's interval (1927).

    `truths`, where given, tell what the commonest answer would have scored.
    """
    n = len(right)
    share = sum(right) / n
    spread = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / spread
    half = Z / spread * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    chance = None if truths is None else Counter(truths).most_common(1)[0][1] / n
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Score(name, share, n, 0.0 if share == 0 else low, 1.0 if share == 1 else high, chance)


def ratio(name: str, counts: Sequence[tuple[int, int]], seed: int = 0) -> Score:
    """So many of so many, summed over questions (the micro average), with a bootstrap interval over them."""
    rng = random.Random(seed)
    drawn = sorted(_ratio(rng.choices(counts, k=len(counts))) for _ in range(RESAMPLES))
    return Score(name, _ratio(counts), len(counts), *middle(drawn), None)


def _ratio(counts: Sequence[tuple[int, int]]) -> float:
    whole = sum(of for _, of in counts)
    return sum(part for part, _ in counts) / whole if whole else 0.0


def f1(name: str, truths: Sequence[bool], answers: Sequence[bool | None], seed: int = 0) -> Score:
    """F1 of the positive class, with a bootstrap interval; an answer of None is neither yes nor no.

    Chance is always saying yes.
    """
    pairs = list(zip(truths, answers, strict=True))
    rng = random.Random(seed)
    drawn = sorted(_f1(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    chance = _f1([(truth, True) for truth in truths])
    return Score(name, _f1(pairs), len(pairs), *middle(drawn), chance)


def middle(drawn: Sequence[float]) -> tuple[float, float]:
    """Where 95 % of the resamples are, which are sorted."""
    return drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]


def _f1(pairs: Sequence[tuple[bool, bool | None]]) -> float:
    hits = sum(truth and answer is True for truth, answer in pairs)
    wrong = sum((answer is True) != truth for truth, answer in pairs)
    return 2 * hits / (2 * hits + wrong) if hits else 0.0
