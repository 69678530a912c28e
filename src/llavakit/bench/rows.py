"""From what was measured to what it means: medians, ratios, shares of the ceilings. Pure functions."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Round = Mapping[str, Mapping[str, Any]]  # what a measure of one round gave, by its name


@dataclass(frozen=True)
class Row:
    """One line of the table: the figure `key` of the measure `measure`.

    Attributes:
        unit: "s" (less is better), "1/s" (more is better) or "B" (less is better)
        bound: the ceiling it is held against: "read", "prefill", "vision"
    """

    name: str
    measure: str
    key: str
    unit: str
    bound: str | None = None


@dataclass(frozen=True)
class Ceilings:
    """Bytes a second read; operations a second of each number type's matrix products."""

    read: float
    products: Mapping[str, float]

    def of(self, product: str | None) -> float:
        """Of that type's products; where it is not known or was not measured, of the fastest."""
        return self.products.get(product or "", max(self.products.values()))


@dataclass(frozen=True)
class Line:
    """A row's figures: of each contender the median, its share of the ceiling (1: reached), and how many
    times faster, or smaller, ours is than each peer."""

    name: str
    unit: str
    medians: dict[str, float]
    shares: dict[str, float]
    ratios: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def rows(image_tokens: int, words: int, answer: int, turn: int, batches: Sequence[int]) -> list[Row]:
    """The table's rows, for a plan of these lengths."""
    prompt, cached = image_tokens + words, image_tokens + words + answer
    return [
        Row("vision tower and connector", "vision", "seconds", "s", "vision"),
        Row(f"prefill, {prompt} tokens", "prefill", "seconds", "s", "prefill"),
        Row("decode, a token", "answer", "per_token", "s", "read"),
        Row(f"second turn, {turn} tokens on {cached} cached", "turn", "seconds", "s"),
        Row("the same, everything read anew", "fresh", "seconds", "s"),
        *(Row(f"{count} sequences, tokens a second", f"batch{count}", "rate", "1/s") for count in batches),
        Row("picture to first token", "answer", "first", "s"),
        Row("peak resident memory", "memory", "peak", "B"),
        Row("load", "load", "seconds", "s"),
    ]


def ceilings(measured: Sequence[Mapping[str, Any]]) -> Ceilings:
    """The best of all rounds: what else runs on the machine can only make them look lower."""
    types = measured[0]["products"]
    return Ceilings(
        max(each["read"] for each in measured),
        {name: max(each["products"][name] for each in measured) for name in types},
    )


def line(
    row: Row,
    rounds: Mapping[str, Sequence[Round]],
    loads: Mapping[str, Mapping[str, Any]],
    ceiling: Ceilings,
    operations: Mapping[str, Mapping[int, int]],
) -> Line:
    """One row's figures.

    Args:
        rounds: of each contender, "ours" among them, what each of its rounds gave
        loads: of each contender what loading it gave: `read_bytes`, `products`
        operations: of "prefill" and "vision", by the tokens read
    """
    medians = {}
    for name, found in rounds.items():
        values = [each[row.measure][row.key] for each in found if row.measure in each]
        if values:
            medians[name] = float(statistics.median(values))
    shares = {
        name: share
        for name, median in medians.items()
        if (share := _share(row, median, rounds[name], loads.get(name, {}), ceiling, operations)) is not None
    }
    ratios = {}
    if "ours" in medians:
        ours = medians["ours"]
        ratios = {
            name: (ours / theirs if row.unit == "1/s" else theirs / ours)
            for name, theirs in medians.items()
            if name != "ours"
        }
    return Line(row.name, row.unit, medians, shares, ratios)


def _share(
    row: Row,
    median: float,
    found: Sequence[Round],
    load: Mapping[str, Any],
    ceiling: Ceilings,
    operations: Mapping[str, Mapping[int, int]],
) -> float | None:
    if row.bound is None:
        return None
    if row.bound == "read":
        return float(load["read_bytes"]) / median / ceiling.read if "read_bytes" in load else None
    tokens = next(each[row.measure].get("tokens", 0) for each in found if row.measure in each)
    return operations[row.bound][tokens] / median / ceiling.of(load.get("products", {}).get(row.bound))
