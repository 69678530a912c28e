"""A sunburst of questions: within, their roots ("what", "describe"), around these what is asked of.

As in the figure of Self-Instruct (arXiv 2212.10560, figure 3), which has the 20 most frequent verbs with 4
nouns each; here nothing is left out: what is rare is drawn together, paler.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llavakit.markup import Markup, element
from llavakit.synth.report.charts import colour, percent
from llavakit.synth.report.findings import Asked, share

_SIZE = 720
_HOLE, _RING, _EDGE = 70, 190, 355  # radii
_FEWEST = 0.012  # of all questions: roots that are rarer are drawn together
_FEWEST_NOUN = 0.003
_INNER, _OUTER, _SMALL = 16, 13, 10.5  # height of letters
_NEAR = 1.75  # by how much they are larger on a phone; the style sheet has this, too
_NARROW = 0.56  # width of a letter, of its height; measured over the labels of a page
REST = "others"


@dataclass(frozen=True)
class Part:
    """A sector, and those around it.

    Attributes:
        plain: whether it is the rest, and so nothing by itself
    """

    name: str
    times: int
    around: "tuple[Part, ...]" = ()
    plain: bool = False


def parts(asked: Asked) -> tuple[Part, ...]:
    """The sectors, the largest first, what is rare as one at the end."""
    held = [(root, times) for root, times in asked.roots if root and times >= _FEWEST * asked.total]
    made = [Part(root, times, _nouns(asked, root, times)) for root, times in held]
    rest = asked.total - sum(each.times for each in made)
    return (*made, Part(REST, rest, plain=True)) if rest else tuple(made)


def _nouns(asked: Asked, root: str, of: int) -> tuple[Part, ...]:
    found = [
        Part(noun, times)
        for (each, noun), times in asked.pairs
        if each == root and noun and times >= _FEWEST_NOUN * asked.total
    ]
    rest = of - sum(each.times for each in found)
    return (*found, Part(REST, rest, plain=True)) if rest else tuple(found)


def sunburst(asked: Asked) -> Markup:
    sectors = parts(asked)
    drawn = list(_sectors(sectors, asked.total))
    middle = [
        element("text", f"{asked.total:,}", y=-2, text_anchor="middle", class_="whole big"),
        element(
            "text",
            "question" if asked.total == 1 else "questions",
            y=20,
            text_anchor="middle",
            class_="middle",
        ),
    ]
    told = ", ".join(f"{each.name} {percent(share(each.times, asked.total))}" for each in sectors)
    half = _SIZE / 2
    return element(
        "svg", element("g", *drawn, *middle, transform=f"translate({half} {half})"),
        viewBox=f"0 0 {_SIZE} {_SIZE}", role="img", class_="sunburst",
        aria_label=f"Sunburst of what questions begin with: {told}. The table below has the same numbers.",
    )  # fmt: skip


def _sectors(sectors: Sequence[Part], total: int) -> Iterator[Markup]:
    start = 0.0
    for index, root in enumerate(sectors):
        # The first and the last stand side by side, and the eighth colour is the rest's.
        tone = "rest" if root.plain else colour(index % 7 or (3 if index else 0))
        end = start + root.times / total
        yield _sector(root, start, end, _HOLE, _RING, f"inner {tone}", root.name, total)
        for noun in root.around:
            end_noun = start + noun.times / total
            kind = "outer faint" if noun.plain else "outer"
            hint = f"{root.name} → {noun.name}"
            yield _sector(noun, start, end_noun, _RING, _EDGE, f"{kind} {tone}", hint, total)
            start = end_noun
        start = end


def _sector(
    part: Part, start: float, end: float, inner: int, outer: int, kind: str, hint: str, total: int
) -> Markup:
    title = element("title", f"{hint}: {part.times:,} ({percent(share(part.times, total))})")
    shape = element("path", d=_path(start, end, inner, outer), class_="sector")
    label = _label(part, start, end, inner, outer)
    return element("g", title, shape, label, class_=kind)


def _path(start: float, end: float, inner: int, outer: int) -> str:
    """A sector of a ring, from and to a share of the round; a whole round is two halves."""
    if end - start > 0.9999:
        halves = [(0.0, 0.5), (0.5, 1.0)]
        return " ".join(_path(low, high, inner, outer) for low, high in halves)
    wide = int(end - start > 0.5)
    (ax, ay), (bx, by) = _at(start, outer), _at(end, outer)
    (cx, cy), (dx, dy) = _at(end, inner), _at(start, inner)
    return (
        f"M{ax:.1f} {ay:.1f}A{outer} {outer} 0 {wide} 1 {bx:.1f} {by:.1f}"
        f"L{cx:.1f} {cy:.1f}A{inner} {inner} 0 {wide} 0 {dx:.1f} {dy:.1f}Z"
    )


def _at(turn: float, radius: float) -> tuple[float, float]:
    """From a share of the round, clockwise from above."""
    angle = 2 * math.pi * turn
    return radius * math.sin(angle), -radius * math.cos(angle)


def _label(part: Part, start: float, end: float, inner: int, outer: int) -> Markup | None:
    """Level where there is room for it, else along the radius; cut, or None where there is none.

    A phone shows those of class "big" only, for which there is room in letters that can be read there.
    """
    tall = _INNER if inner == _HOLE else _OUTER
    ring, middle, turn = outer - inner - 10, (inner + outer) / 2, (start + end) / 2
    arc = min(2 * math.pi * (end - start), math.pi * 0.8) * middle
    x, y = _at(turn, middle)
    if _level(part.name, tall, turn, arc, ring):
        big = _level(part.name, tall * _NEAR, turn, arc, ring)
        return element(
            "text", part.name, x=round(x, 1), y=round(y, 1), dy="0.35em", text_anchor="middle",
            class_="big" if big else None,
        )  # fmt: skip
    if part.plain:
        return None
    # Along the radius a label ends at the rim, where its sector is widest.
    end_at, turned = outer - 7, arc / middle
    size = next((size for size in (tall, _SMALL) if _fits(part.name, size, end_at, turned, ring)), None)
    if size is None:
        return None
    most = int(ring / (size * _NARROW))
    name = part.name if len(part.name) <= most else part.name[: most - 1] + "…"
    near = tall * _NEAR
    big = len(name) * near * _NARROW <= ring and _fits(name, near, end_at, turned, ring)
    x, y = _at(turn, end_at)
    right = turn <= 0.5
    degrees = 360 * turn + (-90 if right else 90)  # never upside down
    return element(
        "text", name, transform=f"translate({x:.1f} {y:.1f}) rotate({degrees:.1f})", dy="0.35em",
        text_anchor="end" if right else "start",
        class_=" ".join([*(["big"] if big else []), *(["small"] if size == _SMALL else [])]) or None,
    )  # fmt: skip


def _fits(name: str, tall: float, end_at: float, turned: float, ring: float) -> bool:
    """Whether a sector is as wide as a label along its radius is high, where that is narrowest."""
    room = turned * (end_at - min(len(name) * tall * _NARROW, ring))
    return room >= tall * (
        1.1 if tall > _OUTER else 0.88
    )  # large letters are bold; of small ones few are high


def _level(name: str, tall: float, turn: float, arc: float, ring: float) -> bool:
    """Whether a level label fits in the middle of a sector, as a box in a box."""
    wide = len(name) * tall * _NARROW
    across, along = abs(math.cos(2 * math.pi * turn)), abs(math.sin(2 * math.pi * turn))
    return wide * across + tall * along <= arc - 3 and wide * along + tall * across <= ring
