"""Clocks that can be read: analogue faces in several looks, and digital displays; the time in words.

Knows pictures and how a time is said, not how one asks for it.
"""

import math
import random
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from llavakit.tiny.world.fonts import OWN, available_fonts, face
from llavakit.tiny.world.scene import RGB, Box, Clock

_WHITE, _CREAM, _BLACK, _GREY = (255, 255, 255), (250, 244, 222), (20, 20, 24), (120, 124, 130)


@dataclass(frozen=True)
class Face:
    """A way to draw a clock; `marks` None for a digital display."""

    rim: RGB
    dial: RGB
    ink: RGB
    marks: Literal["numbers", "quarters", "ticks", "dots"] | None
    square: bool = False
    hands: RGB | None = None  # where they are not of the ink's colour


FACES: tuple[Face, ...] = (
    Face(_BLACK, _WHITE, _BLACK, "numbers"),
    Face((200, 30, 36), _WHITE, _BLACK, "numbers"),
    Face((28, 84, 190), _CREAM, _BLACK, "numbers", hands=(28, 84, 190)),
    Face((110, 70, 40), _CREAM, (70, 40, 20), "quarters"),
    Face(_GREY, _WHITE, _BLACK, "ticks"),
    Face(_BLACK, _BLACK, _WHITE, "ticks"),
    Face((36, 140, 80), _WHITE, (24, 60, 40), "dots"),
    Face((70, 74, 82), (240, 240, 238), _BLACK, "numbers", square=True),
    Face((240, 180, 30), _WHITE, _BLACK, "quarters", hands=(190, 30, 36)),
    Face(_BLACK, (44, 62, 92), _WHITE, "numbers"),
    Face(_BLACK, (10, 10, 12), (255, 50, 40), None),
    Face((60, 64, 70), (12, 20, 14), (70, 240, 110), None),
    Face((90, 94, 100), (196, 208, 190), (24, 30, 26), None),
    Face((230, 230, 232), _WHITE, (20, 60, 160), None),
)
_ANALOGUE = tuple(i for i, each in enumerate(FACES) if each.marks)
_DIGITAL = tuple(i for i, each in enumerate(FACES) if each.marks is None)
# Five minutes between which the hour hand moves 2.5 degrees are the least that is told apart.
_MINUTES = (0,) * 8 + (30,) * 6 + (15, 45) * 3 + (5, 10, 20, 25, 35, 40, 50, 55)

# Width by height of a digital display.
_DISPLAY = 2.3
_SMALLEST = 0.27  # of the picture's longer side: at 224 pixels a face of 60


def digital(clock: Clock) -> bool:
    """Whether it shows the time in figures."""
    return FACES[clock.face].marks is None


def make_clock(
    rng: random.Random, room: Box, aspect: float, *, face: int | None = None, whole_hour: bool = False
) -> Clock:
    """A clock somewhere in `room`, two thirds of the room or larger.

    It reaches out of a room in which it could not be read, never out of the picture.

    Args:
        aspect: width / height of the picture
        face: which of `FACES`
        whole_hour: only three o'clock and the like
    """
    if face is None:
        face = rng.choice(_DIGITAL if rng.random() < 0.2 else _ANALOGUE)
    display = FACES[face].marks is None
    minute = 0 if whole_hour else rng.choice(_MINUTES)
    if display and not whole_hour and rng.random() < 0.3:
        minute = rng.randrange(60)
    # In units of the picture's longer side.
    width, height = min(1.0, aspect), min(1.0, 1 / aspect)
    shape = _DISPLAY if display else 1.0
    most = min((room[2] - room[0]) * width, (room[3] - room[1]) * height * shape)
    wide = max(rng.uniform(0.66, 1.0) * most, _SMALLEST * math.sqrt(shape))
    wide = min(wide, width, height * shape)
    high = wide / shape
    x = _start(rng, room[0] * width, room[2] * width, wide, width)
    y = _start(rng, room[1] * height, room[3] * height, high, height)
    box = (x / width, y / height, (x + wide) / width, (y + high) / height)
    return Clock(rng.randrange(1, 13), minute, box, face)


def _start(rng: random.Random, low: float, high: float, length: float, end: float) -> float:
    if length <= high - low:
        return rng.uniform(low, high - length)
    return min(max((low + high - length) / 2, 0.0), max(end - length, 0.0))


# ---------------------------------------------------------------- painting

# From the middle, as shares of the dial's side.
_HOUR_HAND, _MINUTE_HAND = 0.22, 0.36
_FINER = 3  # faces are drawn this many times larger, then reduced: Pillow's lines have hard edges


def paint_clock(picture: Image.Image, clock: Clock) -> None:
    """Paints the clock into the picture, in place."""
    x0, y0 = clock.box[0] * picture.width, clock.box[1] * picture.height
    wide = max(8, round((clock.box[2] - clock.box[0]) * picture.width))
    high = max(8, round((clock.box[3] - clock.box[1]) * picture.height))
    look = FACES[clock.face]
    if look.marks is None:
        sprite = _display(clock, look, wide * _FINER, high * _FINER)
    else:
        sprite = _dial(clock, look, min(wide, high) * _FINER)
    sprite = sprite.reduce(_FINER)
    picture.paste(sprite, (round(x0), round(y0)), sprite)


def _display(clock: Clock, look: Face, wide: int, high: int) -> Image.Image:
    sprite = Image.new("RGBA", (wide, high))
    pen = ImageDraw.Draw(sprite)
    pen.rounded_rectangle((0, 0, wide - 1, high - 1), high / 6, look.dial, look.rim, max(2, high // 14))
    text = figures(clock, padded=clock.face % 2 == 0)
    name = next((name for name in _FIGURES if name in available_fonts()), OWN)
    left, top, right, bottom = face(name, 100).getbbox(text, anchor="ls")
    em = 100 * min(0.8 * wide / (right - left), 0.62 * high / (bottom - top))
    pen.text((wide / 2, high / 2), text, fill=look.ink, font=face(name, em), anchor="mm")
    return sprite


_FIGURES = ("DejaVuSansMono-Bold", "LiberationMono-Bold")


def _dial(clock: Clock, look: Face, side: int) -> Image.Image:
    sprite = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(sprite)
    rim = max(2, side // 22)
    if look.square:
        pen.rounded_rectangle((0, 0, side - 1, side - 1), side / 9, look.dial, look.rim, rim)
    else:
        pen.ellipse((0, 0, side - 1, side - 1), look.dial, look.rim, rim)
    _mark(pen, look, side)
    hands = look.hands or look.ink
    _hand(pen, side, clock.hour * 30 + clock.minute / 2, _HOUR_HAND, side / 17, hands)
    _hand(pen, side, clock.minute * 6, _MINUTE_HAND, max(side / 32, 2 * _FINER), hands)
    boss = side / 26
    pen.ellipse((side / 2 - boss, side / 2 - boss, side / 2 + boss, side / 2 + boss), hands)
    return sprite


def _point(side: int, degrees: float, radius: float) -> tuple[float, float]:
    """`radius` as a share of the side; 0 degrees is at the top, and they run clockwise."""
    turn = math.radians(degrees)
    return side * (0.5 + radius * math.sin(turn)), side * (0.5 - radius * math.cos(turn))


def _mark(pen: ImageDraw.ImageDraw, look: Face, side: int) -> None:
    # Numbers smaller than six pixels would be smudges: ticks then.
    legible = side / _FINER >= 54
    for hour in range(1, 13):
        main = hour % 3 == 0
        if legible and (look.marks == "numbers" or (look.marks == "quarters" and main)):
            letters = face(_sans(), side * (0.125 if look.marks == "numbers" else 0.15))
            pen.text(_point(side, hour * 30, 0.37), str(hour), fill=look.ink, font=letters, anchor="mm")
        elif look.marks == "dots":
            x, y = _point(side, hour * 30, 0.4)
            radius = side * (0.028 if main else 0.016)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), look.ink)
        else:
            ends = [_point(side, hour * 30, 0.36 if main else 0.4), _point(side, hour * 30, 0.44)]
            pen.line(ends, look.ink, max(1, side // (28 if main else 50)))


def _sans() -> str:
    return next(
        (name for name in ("LiberationSans-Bold", "DejaVuSans-Bold") if name in available_fonts()), OWN
    )


def _hand(pen: ImageDraw.ImageDraw, side: int, degrees: float, length: float, thick: float, ink: RGB) -> None:
    tail, tip = _point(side, degrees + 180, 0.05), _point(side, degrees, length)
    pen.line((tail, tip), ink, max(1, round(thick)))
    x, y = tip
    pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), ink)


def hands(clock: Clock) -> list[tuple[str, Box]]:
    """The parts that tell the time, each with its box: the two hands, or the figures of a display."""
    x0, y0, x1, y1 = clock.box
    if digital(clock):
        return [(figures(clock), clock.box)]
    parts = []
    for name, degrees, length in (
        ("hour hand", clock.hour * 30 + clock.minute / 2, _HOUR_HAND),
        ("minute hand", clock.minute * 6.0, _MINUTE_HAND),
    ):
        turn = math.radians(degrees)
        tip = (0.5 + length * math.sin(turn), 0.5 - length * math.cos(turn))
        left, right = sorted((0.5, tip[0]))
        top, bottom = sorted((0.5, tip[1]))
        box = (
            x0 + (left - 0.03) * (x1 - x0),
            y0 + (top - 0.03) * (y1 - y0),
            x0 + (right + 0.03) * (x1 - x0),
            y0 + (bottom + 0.03) * (y1 - y0),
        )
        parts.append((name, box))
    return parts


# ---------------------------------------------------------------- in words

HOURS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_PAST = {
    0: "", 5: "five", 10: "ten", 15: "quarter", 20: "twenty", 25: "twenty-five", 30: "half",
}  # fmt: skip
_HOURS_ZH = ("一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")
_TENS_ZH = ("", "十", "二十", "三十", "四十", "五十")
_ONES_ZH = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九")


def figures(clock: Clock, padded: bool = False) -> str:
    """As in "7:45"; padded, "07:45"."""
    return f"{clock.hour:02}:{clock.minute:02}" if padded else f"{clock.hour}:{clock.minute:02}"


def spoken(clock: Clock) -> str:
    """As in "three o'clock", "half past four", "quarter to six"; a display as it reads, "7:45"."""
    if digital(clock) or clock.minute % 5:
        return figures(clock)
    if not clock.minute:
        return f"{HOURS[clock.hour - 1]} o'clock"
    if clock.minute <= 30:
        return f"{_PAST[clock.minute]} past {HOURS[clock.hour - 1]}"
    return f"{_PAST[60 - clock.minute]} to {HOURS[clock.hour % 12]}"


def spoken_zh(clock: Clock) -> str:
    """As in 三点, 四点半, 两点十分, 五点四十五分; a display as it reads."""
    if digital(clock):
        return figures(clock)
    hour = f"{_HOURS_ZH[clock.hour - 1]}点"
    if clock.minute in (0, 30):
        return hour + ("半" if clock.minute else "")
    tens, ones = divmod(clock.minute, 10)
    return f"{hour}{_TENS_ZH[tens] or '零'}{_ONES_ZH[ones]}分"
