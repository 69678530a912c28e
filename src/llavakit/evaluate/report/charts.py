"""The charts of the page, as SVG: the radar of the LLaVA-1.5 paper, and bars by category."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llavakit.evaluate.outcome import Interval
from llavakit.evaluate.report.words import figure
from llavakit.markup import Markup, element, join

FEWEST_AXES = 3
_COLOURS = 8  # that the style sheet has
_WIDTH, _HEIGHT, _RADIUS = 680, 510, 185
_INNER = 0.3  # of the radius: where the lowest figure lies


@dataclass(frozen=True)
class Axis:
    """From the lowest figure to the highest, of all models."""

    title: str
    low: float
    high: float

    def place(self, value: float) -> float:
        """As a share of the radius."""
        return _INNER + (1 - _INNER) * (value - self.low) / ((self.high - self.low) or 1.0)


@dataclass(frozen=True)
class Series:
    """One model's figures, by the title of the axis."""

    name: str
    colour: str
    values: Mapping[str, float]
    measured: bool
    shown: bool


def colour(index: int) -> str:
    """A class of the style sheet."""
    return f"c{index % _COLOURS}"


def radar(axes: Sequence[Axis], series: Sequence[Series]) -> Markup:
    """The rings are the lowest figure of each axis, the middle, and the highest."""
    around = [_direction(index, len(axes)) for index in range(len(axes))]
    rings = [
        element("polygon", points=_points([_at(way, share) for way in around]), class_="ring")
        for share in (_INNER, (1 + _INNER) / 2, 1.0)
    ]
    spokes = [
        element("line", x1=_WIDTH / 2, y1=_HEIGHT / 2, x2=x, y2=y, class_="ring")
        for x, y in (_at(way, 1.0) for way in around)
    ]
    told = "; ".join(
        f"{each.name}: " + ", ".join(f"{axis} {figure(value)}" for axis, value in each.values.items())
        for each in series
    )
    measured = [each for each in series if each.measured]
    return element(
        "svg", *rings, *spokes, *(_drawn(each, axes, around) for each in series),
        *(_label(axis, way, measured) for axis, way in zip(axes, around, strict=True)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", class_="radar", aria_label=f"Radar chart. {told}",
    )  # fmt: skip


def _direction(index: int, count: int) -> tuple[float, float]:
    angle = 2 * math.pi * index / count - math.pi / 2
    return math.cos(angle), math.sin(angle)


def _at(way: tuple[float, float], share: float) -> tuple[float, float]:
    return _WIDTH / 2 + way[0] * _RADIUS * share, _HEIGHT / 2 + way[1] * _RADIUS * share


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _drawn(series: Series, axes: Sequence[Axis], around: Sequence[tuple[float, float]]) -> Markup:
    """A closed line, which stops where there is no figure."""
    places = [
        None if (value := series.values.get(axis.title)) is None else _at(way, axis.place(value))
        for axis, way in zip(axes, around, strict=True)
    ]
    whole = [place for place in places if place is not None]
    if len(whole) == len(places):
        lines = [element("polygon", points=_points(whole), class_="area" if series.measured else "line")]
    else:
        lines = [
            element("line", x1=here[0], y1=here[1], x2=there[0], y2=there[1])
            for here, there in zip(places, [*places[1:], places[0]], strict=True)
            if here is not None and there is not None
        ]
    dots = [element("circle", cx=x, cy=y, r=4 if series.measured else 3) for x, y in whole]
    kind = "measured" if series.measured else "published"
    return element(
        "g", *lines, *dots, class_=f"{kind} {series.colour}", data_series=series.name, hidden=not series.shown
    )


_MOST_NAMED = 3  # models whose figures stand at the axes


def _label(axis: Axis, way: tuple[float, float], measured: Sequence[Series]) -> Markup:
    x, y = _at(way, 1.0)
    x, y = x + 26 * way[0], y + 26 * way[1]
    anchor = "middle" if abs(way[0]) < 0.12 else "start" if way[0] > 0 else "end"
    named = [each for each in measured if axis.title in each.values]
    figures = [
        element("tspan", ("" if index == 0 else " · "), element("tspan", _brief(each.values[axis.title]),
                class_=f"figure {each.colour}"))
        for index, each in enumerate(named)
    ] if len(measured) <= _MOST_NAMED else []  # fmt: skip
    second = element("tspan", *figures, x=x, dy="1.25em") if figures else None
    y -= 8 if figures else 0
    return element(
        "text", element("tspan", axis.title, x=x, class_="axis"), second, y=y + 4, text_anchor=anchor
    )


def _brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else figure(value)


def bar(value: float, spread: Interval | None, tone: str) -> Markup:
    """A horizontal bar on 0–100, as wide as its place, with a whisker for the interval."""
    parts = [
        element("rect", x="0", y="0", width="100%", height="14", class_="track"),
        element("rect", x="0", y="0", width=f"{value:.2f}%", height="14", class_=f"bar {tone}"),
    ]
    if spread is not None:
        low, high = (f"{end:.2f}%" for end in spread)
        parts.append(element("line", x1=low, x2=high, y1="7", y2="7", class_="whisker"))
        parts += [element("line", x1=end, x2=end, y1="3", y2="11", class_="whisker") for end in (low, high)]
    return element("svg", *parts, width="100%", height="14", aria_hidden="true", class_="bars")


def swatch(tone: str, measured: bool = True) -> Markup:
    """A sample of a model's colour, for legends."""
    kind = "measured" if measured else "published"
    line = element("line", x1="1", x2="25", y1="6", y2="6")
    dot = element("circle", cx="13", cy="6", r="4") if measured else None
    return element(
        "svg", element("g", join(line, dot), class_=f"{kind} {tone}"), width="26", height="12",
        viewBox="0 0 26 12", aria_hidden="true", class_="swatch",
    )  # fmt: skip
