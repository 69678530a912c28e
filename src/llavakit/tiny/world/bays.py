"""A car park seen from above: bays with numbers, in one row or two, and the lane between or before them."""

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from llavakit.tiny.world import backdrop
from llavakit.tiny.world.fonts import face, spelt
from llavakit.tiny.world.scene import RGB, Bay, Box, distance

_GROUNDS: tuple[tuple[RGB, tuple[RGB, ...]], ...] = (  # and the lines on it
    ((112, 114, 120), ((250, 250, 246), (250, 214, 80))),
    ((134, 136, 140), ((250, 250, 246), (250, 226, 110))),
    ((94, 98, 106), ((250, 250, 246), (250, 214, 80))),
    ((150, 148, 146), ((255, 255, 255), (40, 40, 44))),
    ((206, 206, 204), ((40, 40, 44), (30, 70, 160), (255, 255, 255))),
)
_FONTS = ("DejaVuSans-Bold", "LiberationSans-Bold", "Roboto-Bold", "Lato-Black", "DejaVuSans")
_EDGE = 0.03


@dataclass(frozen=True)
class Look:
    """How a car park is painted.

    Attributes:
        number: height of the digits, as a share of the shorter side
        above: whether numbers stand at the upper end of their bays; None: at the end away from the lane
        closed: lines all around each bay
    """

    tone: RGB
    line: RGB
    font: str
    number: float
    above: bool | None
    closed: bool

    def numbered_above(self, bay: Bay) -> bool:
        return (bay.box[1] + bay.box[3]) / 2 < 0.55 if self.above is None else self.above


def look(seed: int) -> Look:
    rng = random.Random(f"car park {seed}")
    tone, lines = rng.choice(_GROUNDS)
    line = max(rng.sample(lines, min(2, len(lines))), key=lambda line: distance(line, tone))
    above = rng.choice((None, None, True, False))
    return Look(tone, line, rng.choice(_FONTS), rng.uniform(0.07, 0.1), above, rng.random() < 0.3)


def car_park(rng: random.Random, aspect: float) -> tuple[tuple[Bay, ...], Box]:
    """Four to ten empty bays, numbered from the left and the top, and the lane."""
    widest = 6 if aspect >= 1 else 4
    rows = 1 if rng.random() < 0.35 else 2
    if rows == 1:
        across, deep = [rng.randint(4, widest)], rng.uniform(0.4, 0.5)
        tops, lane = [rng.uniform(0.1, 0.2)], (0.02, 0.74, 0.98, 0.98)
    else:
        first = rng.randint(2 if aspect < 1 else 3, min(5, widest))
        across = [first, min(first + rng.choice((0, 0, -1)), 10 - first)]
        across[1] = max(across[1], 4 - first)
        deep = rng.uniform(0.34, 0.38)
        tops, lane = [0.03, 0.97 - deep], (0.02, 0.03 + deep, 0.98, 0.97 - deep)
    width = (1 - 2 * _EDGE) / max(across)
    number = rng.choice((1, 1, 1, rng.randint(2, 30), 10 * rng.randint(1, 9) + 1))
    bays = []
    for top, count in zip(tops, across, strict=True):
        for i in range(count):
            x = _EDGE + i * width
            bays.append(Bay(number, (x, top, x + width, top + deep), False))
            number += 1
    return tuple(bays), lane


def room(bay: Bay, aspect: float, look: Look) -> Box:
    """What of the bay a vehicle may fill: not its lines, not its number."""
    x0, y0, x1, y1 = bay.box
    side, strip = 0.05 * (x1 - x0), (look.number + 0.045) * min(1.0, aspect)
    low, high = (y0 + strip, y1 - 0.01) if look.numbered_above(bay) else (y0 + 0.01, y1 - strip)
    return x0 + side, low, x1 - side, high


def paint(bays: tuple[Bay, ...], size: tuple[int, int], seed: int) -> Image.Image:
    """The car park without its vehicles."""
    how = look(seed)
    rng = random.Random(f"specks {seed}")
    picture = Image.new("RGB", size, how.tone)
    pen = ImageDraw.Draw(picture)
    short = min(size)
    speck = backdrop.mixed(how.tone, (0, 0, 0), 0.1)
    for _ in range(rng.choice((0, 60))):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        pen.rectangle((x, y, x + 1, y + 1), speck)
    font, stroke = _font(how, size), max(1, round(short * 0.011))
    for bay in bays:
        x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(bay.box, size * 2, strict=True))
        outer = y0 if (bay.box[1] + bay.box[3]) / 2 < 0.55 else y1
        pen.line((x0, y0, x0, y1), how.line, stroke)
        pen.line((x1, y0, x1, y1), how.line, stroke)
        for y in (y0, y1) if how.closed else (outer,):
            pen.line((x0, y, x1, y), how.line, stroke)
        pen.text(_number_at(bay, how, size), str(bay.number), how.line, font, anchor="mm")
    return picture


def _font(how: Look, size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    return face(how.font, how.number * min(size) / 0.73)  # a digit is 0.73 em high


def _number_at(bay: Bay, how: Look, size: tuple[int, int]) -> tuple[float, float]:
    """The middle of the bay's number, in pixels."""
    x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(bay.box, size * 2, strict=True))
    gap = min(size) * (0.02 + how.number / 2)
    return (x0 + x1) / 2, y0 + gap if how.numbered_above(bay) else y1 - gap


def digits(bays: tuple[Bay, ...], size: tuple[int, int], seed: int) -> list[tuple[str, Box]]:
    """Each digit of the bays' numbers and its box, in a picture of that size."""
    how = look(seed)
    font = _font(how, size)
    return [
        each for bay in bays for each in spelt(font, str(bay.number), _number_at(bay, how, size), "mm", size)
    ]
