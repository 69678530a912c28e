"""What a drawn picture shows, as facts: things, writing, clocks, charts, bays, and what is behind them.

A scene is the one truth from which both the picture (`render`) and all that is said about it (`talk`) follow.
Knows no pixels and no words beyond the names of the nine places.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

RGB = tuple[int, int, int]
# x0, y0, x1, y1 as fractions of the picture's width and height; y runs downwards.
Box = tuple[float, float, float, float]

Pattern = Literal["plain", "gradient", "noise", "stripes", "checks", "dots", "ground"]
Theme = Literal["kitchen table", "street", "farm", "car park", "desert", "beach", "café", "classroom"]

_THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Thing:
    """One thing; `box` is its whole sprite's, which may reach over the picture's edge or be partly hidden.

    `colour` is the paint it was given, None where it has its own; `style` whose drawing of it is used.
    """

    kind: str
    colour: str | None
    box: Box
    style: str = "noto"
    rotation: int = 0  # degrees anticlockwise
    flip: bool = False

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Writing:
    """Words or a number that can be read: on a sign, a label, a plate, or straight on the background."""

    text: str
    box: Box  # of the whole sign
    form: Literal["sign", "label", "plate", "poster", "bare"] = "sign"
    font: str = "DejaVuSans-Bold"
    ink: RGB = (20, 20, 20)
    paper: RGB = (255, 255, 255)


@dataclass(frozen=True)
class Clock:
    """A clock face with hands; hour 1 to 12."""

    hour: int
    minute: int
    box: Box
    face: int = 0  # which of the ways to draw one


@dataclass(frozen=True)
class Chart:
    """A bar or line chart; `values` are whole numbers, one a label."""

    form: Literal["bar", "line"]
    labels: tuple[str, ...]
    values: tuple[int, ...]
    colours: tuple[str, ...]  # names of `things.COLOURS`, one a bar; one for a line
    box: Box
    title: str = ""


@dataclass(frozen=True)
class Bay:
    """A numbered parking bay; `taken` tells whether a vehicle stands in it."""

    number: int
    box: Box
    taken: bool


@dataclass(frozen=True)
class Backdrop:
    """What is behind everything: two tones mixed by a pattern, or a theme's place painted by code.

    `angle` in radians, `pitch` how fine the pattern is (where the ground begins, for "ground").
    """

    pattern: Pattern = "plain"
    tones: tuple[RGB, RGB] = ((250, 250, 250), (250, 250, 250))
    angle: float = 0.0
    pitch: int = 6


@dataclass(frozen=True)
class Scene:
    """All of it. `things` stand in drawing order: a later one hides an earlier one where they overlap.

    Attributes:
        theme: where this is, None for things on a mere pattern
        night: whether it is night; None where the picture does not tell
        odd: the number of the thing that does not belong here (a whale in the street), if there is one
        aspect: width / height
        seed: what everything random in the picture's making follows from
    """

    things: tuple[Thing, ...] = ()
    backdrop: Backdrop = Backdrop()
    writings: tuple[Writing, ...] = ()
    clocks: tuple[Clock, ...] = ()
    charts: tuple[Chart, ...] = ()
    bays: tuple[Bay, ...] = ()
    theme: Theme | None = None
    night: bool | None = None
    odd: int | None = None
    aspect: float = 1.0
    seed: int = 0


# (row, column) of a ninth of the picture
PLACES: dict[tuple[int, int], str] = {
    (0, 0): "top left", (0, 1): "top", (0, 2): "top right",
    (1, 0): "left", (1, 1): "middle", (1, 2): "right",
    (2, 0): "bottom left", (2, 1): "bottom", (2, 2): "bottom right",
}  # fmt: skip


@lru_cache(4096)  # a conversation asks for those of each thing some hundred times
def cell(box: Box) -> tuple[int, int]:
    """Row and column of the ninth that the box's centre is in."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return sum(y > edge for edge in _THIRDS), sum(x > edge for edge in _THIRDS)


def place(thing: Thing) -> str:
    """Which ninth of the picture the thing's centre is in: "top left", "middle", "right" …"""
    return PLACES[cell(thing.box)]


def area(box: Box, aspect: float = 1.0) -> float:
    """As a share of the square of the picture's height."""
    return (box[2] - box[0]) * (box[3] - box[1]) * aspect


def size_of(thing: Thing, aspect: float) -> int:
    """The root of its area, in hundredths of the picture's longer side."""
    x0, y0, x1, y1 = thing.box
    return round(100 * math.sqrt((x1 - x0) * (y1 - y0) * min(aspect, 1 / aspect)))


def overlap(a: Box, b: Box) -> float:
    """What part of the smaller box the other covers."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(area(a), area(b))


Relation = Literal["left of", "right of", "above", "below"]


def relation(a: Thing, b: Thing, aspect: float = 1.0) -> Relation | None:
    """How `a` stands to `b` where nobody would argue: the centres are a sixth of the shorter side apart one
    way, and at least twice as far that way as the other; else None."""
    across = (a.centre[0] - b.centre[0]) * max(aspect, 1.0)
    down = (a.centre[1] - b.centre[1]) / min(aspect, 1.0)
    if max(abs(across), abs(down)) < 1 / 6 or not (
        abs(across) >= 2 * abs(down) or abs(down) >= 2 * abs(across)
    ):
        return None
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def in_reading_order(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    """Rows of places from the top, each from the left."""
    return tuple(sorted(things, key=lambda thing: (*cell(thing.box), thing.centre)))


def distance(a: RGB, b: RGB) -> float:
    """How far apart two colours look, 0 to 442.

    Channels weigh as they do in lightness: yellow on cream differs in blue alone, and is hard to see.
    """
    red, green, blue = ((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return math.sqrt(0.9 * red + 1.76 * green + 0.34 * blue)
