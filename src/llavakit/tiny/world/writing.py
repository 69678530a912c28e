"""Words and numbers that can be read: chosen, sized so that their letters are readable, and painted.

Signs, labels, plates and posters have paper; bare writing stands on whatever is behind it. How a sign is
framed follows from its facts alone, so it looks the same wherever and however often it is painted.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Literal

from PIL import Image, ImageDraw

from llavakit.errors import UsageError
from llavakit.tiny.world.fonts import HELD_OUT_FONTS, available_fonts, can_write, face, spelt
from llavakit.tiny.world.scene import RGB, Box, Writing, distance
from llavakit.tiny.world.sign_words import PAIRS, WORDS

Form = Literal["sign", "label", "plate", "poster", "bare"]

_PAPERS: tuple[RGB, ...] = (
    (255, 255, 255), (255, 255, 255), (250, 246, 226), (250, 214, 40), (206, 30, 36), (22, 120, 58),
    (24, 72, 176), (28, 28, 32), (240, 134, 30), (186, 222, 246), (252, 200, 218), (108, 68, 40),
    (206, 232, 196), (92, 44, 130), (60, 66, 76), (222, 222, 226),
)  # fmt: skip
_INKS: tuple[RGB, ...] = (
    (16, 16, 18), (16, 16, 18), (255, 255, 255), (255, 255, 255), (190, 20, 28), (20, 50, 150), (14, 88, 40),
    (252, 220, 60), (96, 36, 120),
)  # fmt: skip
# Of `scene.distance` (black on white is 442, yellow on white 117), and of lightness, 0 to 255: red on green
# is far in the one and not in the other.
_CONTRAST, _LIGHTER = 200, 80

# Letters this high, as a share of the longer side, can just be read at 224 pixels: capitals of ten pixels.
_LOWEST = 0.045
_USUAL = (0.06, 0.2)
# Paper on each side of the letters, in heights of a capital: across and down.
_MARGINS: dict[Form, tuple[float, float]] = {
    "sign": (0.6, 0.5), "label": (1.1, 0.4), "plate": (0.5, 0.45), "poster": (0.8, 1.1), "bare": (0.0, 0.0),
}  # fmt: skip
_LEADING = 0.5  # between two lines, in heights of a capital


def make_writing(
    rng: random.Random,
    room: Box,
    aspect: float,
    *,
    text: str | None = None,
    form: Form | None = None,
    fonts: Sequence[str] | None = None,
    behind: Sequence[RGB] = (),
) -> Writing:
    """A sign somewhere in `room`, as large as its letters need.

    It reaches out of a room in which they would be too small to read, never out of the picture.

    Args:
        aspect: width / height of the picture
        text: what it says; a word or a number of its own choosing otherwise
        fonts: faces to choose from; those found, less the ones kept for examinations, otherwise
        behind: the colours that are behind it: bare writing is chosen, and coloured, by these

    Raises:
        UsageError: no face has every letter of `text`.
    """
    given, text = text, some_text(rng) if text is None else text
    while not (faces := _faces(text, fonts)):
        if given is not None:
            raise UsageError(f"no typeface found has all of {given!r}: install fonts-dejavu-core")
        text = some_text(rng)
    font = rng.choice(faces)
    form = form or _form(rng, text, bare=bool(behind))
    if form == "bare":
        paper = behind[0] if behind else (255, 255, 255)
        clear = [ink for ink in _INKS if all(_clear(ink, tone) for tone in behind or (paper,))]
        ink = rng.choice(clear or [max(_INKS, key=lambda ink: distance(ink, paper))])
    else:
        papers = ((255, 255, 255), (250, 214, 40), (240, 240, 235)) if form == "plate" else _PAPERS
        paper = rng.choice(papers)
        ink = rng.choice([ink for ink in _INKS if _clear(ink, paper)])
    box = _placed(rng, room, aspect, text, font, form)
    return Writing(text, box, form, font, ink, paper)


def _clear(ink: RGB, paper: RGB) -> bool:
    lighter = sum(w * (a - b) for w, a, b in zip((0.3, 0.59, 0.11), ink, paper, strict=True))
    return distance(ink, paper) >= _CONTRAST and abs(lighter) >= _LIGHTER


def _faces(text: str, fonts: Sequence[str] | None) -> list[str]:
    names = [name for name in available_fonts() if name not in HELD_OUT_FONTS] if fonts is None else fonts
    return [name for name in names if can_write(name, text)]


def _form(rng: random.Random, text: str, bare: bool) -> Form:
    if re.fullmatch(r"[A-Z]{2}\d{2,3} ?[A-Z]{0,3}", text):
        return "plate"
    return rng.choice(("sign", "sign", "sign", "label", "poster", *(("bare",) * 2 if bare else ())))


# ---------------------------------------------------------------- what it says


def some_text(rng: random.Random) -> str:
    """A word (a third of them of random letters, so that reading is learnt by the letter), two words, a
    number or a number plate."""
    draw = rng.random()
    if draw < 0.3:
        return some_number(rng)
    if draw < 0.34:
        letters = "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=5))
        return f"{letters[:2]}{rng.randrange(10, 100)} {letters[2:]}"
    if draw < 0.42:
        return _cased(rng, rng.choice(PAIRS))
    return _cased(rng, _nonsense(rng) if rng.random() < 1 / 3 else rng.choice(WORDS))


def letters_in_a_row(rng: random.Random) -> str:
    """One to four letters or digits, each as likely as another: to learn their shapes from."""
    alphabet = rng.choices((ascii_uppercase, ascii_lowercase, digits), (5, 2, 3))[0]
    return "".join(rng.choices(alphabet, k=rng.choice((1, 2, 2, 3, 3, 4))))


def some_number(rng: random.Random) -> str:
    """A house or bus number, a year, a price or a time."""
    draw = rng.random()
    if draw < 0.6:
        digits = rng.choice((1, 2, 2, 3, 3, 4))
        return str(rng.randrange(10 ** (digits - 1), 10**digits))
    if draw < 0.72:
        return str(rng.randrange(1900, 2031))
    if draw < 0.88:
        pence = rng.choice(("00", "50", "99", "25", "75", str(rng.randrange(10, 100))))
        return f"{rng.choice(('', '', '$', '£', '€'))}{rng.randrange(1, 100)}.{pence}"
    if draw < 0.94:
        return f"{rng.randrange(5, 100, 5)}%"
    return f"{rng.randrange(1, 24)}:{rng.choice(('00', '15', '30', '45', '05', '20', '50'))}"


def _nonsense(rng: random.Random) -> str:
    length = rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8))
    if rng.random() < 0.4:
        return "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=length))
    start = rng.randrange(2)
    return "".join(rng.choice("AEIOUY" if (i + start) % 2 else "BCDFGHJKLMNPQRSTVWXZ") for i in range(length))


def _cased(rng: random.Random, capitals: str) -> str:
    draw = rng.random()
    if draw < 0.6 or len(capitals) == 1:
        return capitals
    return capitals.lower() if draw < 0.75 else capitals.title()


# ---------------------------------------------------------------- how large it is


@dataclass(frozen=True)
class _Setting:
    """Lines of text at 100 pixels an em: how large they are together, and the height of a capital."""

    lines: tuple[str, ...]
    width: float
    height: float
    capital: float
    pitch: float  # from one baseline to the next
    left: float  # of the widest line, from where the pen starts
    top: float  # of the first line, above its baseline


@lru_cache(1024)  # of a sign that is placed, painted and spelt out
def _set(font: str, lines: tuple[str, ...]) -> _Setting:
    pen = face(font, 100)
    capital = -pen.getbbox("H", anchor="ls")[1]
    boxes = [pen.getbbox(line, anchor="ls") for line in lines]
    pitch = capital * (1 + _LEADING)
    height = pitch * (len(lines) - 1) + boxes[-1][3] - boxes[0][1]
    widest = max(boxes, key=lambda box: box[2] - box[0])
    return _Setting(lines, widest[2] - widest[0], height, capital, pitch, widest[0], boxes[0][1])


def _settings(text: str, font: str) -> list[_Setting]:
    ways = [(text,)] + ([tuple(text.split(" "))] if " " in text else [])
    return [_set(font, lines) for lines in ways]


def _smallness(text: str) -> float:
    """How much larger than all in capitals the text must be set: "sea" is as high as its small letters."""
    return 1.3 if any(letter.islower() for letter in text) else 1.0


def _placed(rng: random.Random, room: Box, aspect: float, text: str, font: str, form: Form) -> Box:
    # In units of the picture's longer side.
    width, height = min(1.0, aspect), min(1.0, 1 / aspect)
    space = (room[2] - room[0]) * width, (room[3] - room[1]) * height
    across, down = _MARGINS[form]

    def size(setting: _Setting) -> tuple[float, float]:
        """Of the paper, where a capital is 1 high."""
        return setting.width / setting.capital + 2 * across, setting.height / setting.capital + 2 * down

    def largest(setting: _Setting, space: tuple[float, float]) -> float:
        wide, high = size(setting)
        return min(space[0] / wide, space[1] / high)

    settings = _settings(text, font)
    setting = max(settings, key=lambda setting: largest(setting, space))
    if len(settings) > 1 and rng.random() < 0.3:
        setting = rng.choice(settings)
    lowest = _LOWEST * _smallness(text)
    capital = min(rng.uniform(*_USUAL) * _smallness(text), largest(setting, space))
    if capital < lowest:
        capital = min(lowest, largest(setting, (0.98 * width, 0.98 * height)))
    wide, high = (side * capital for side in size(setting))
    x = _start(rng, room[0] * width, room[2] * width, wide, width)
    y = _start(rng, room[1] * height, room[3] * height, high, height)
    return x / width, y / height, (x + wide) / width, (y + high) / height


def _start(rng: random.Random, low: float, high: float, length: float, end: float) -> float:
    """Where a stretch begins that lies within low to high if it can, and within 0 to end always."""
    if length <= high - low:
        return rng.uniform(low, high - length)
    return min(max((low + high - length) / 2, 0.0), max(end - length, 0.0))


# ---------------------------------------------------------------- painting


@dataclass(frozen=True)
class _Line:
    text: str
    x: float  # where the pen starts
    y: float  # of the baseline


@lru_cache(256)
def _laid(writing: Writing, size: tuple[int, int]) -> tuple[float, tuple[_Line, ...]]:
    """Pixels an em, and where each line goes, in a picture of that size: as large as the paper allows."""
    x0, y0, x1, y1 = _pixels(writing.box, size)
    across, down = _MARGINS[writing.form]

    def scale(setting: _Setting) -> float:
        return min(
            (x1 - x0) / (setting.width + 2 * across * setting.capital),
            (y1 - y0) / (setting.height + 2 * down * setting.capital),
        )

    setting = max(_settings(writing.text, writing.font), key=scale)
    em = 100 * scale(setting)
    pen = face(writing.font, em)
    middle, top = (x0 + x1) / 2, (y0 + y1 - setting.height * em / 100) / 2
    lines = []
    for i, text in enumerate(setting.lines):
        left, _, right, _ = pen.getbbox(text, anchor="ls")
        baseline = top + (i * setting.pitch - setting.top) * em / 100
        lines.append(_Line(text, middle - (left + right) / 2, baseline))
    return em, tuple(lines)


def _pixels(box: Box, size: tuple[int, int]) -> Box:
    return box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]


def paint_writing(picture: Image.Image, writing: Writing) -> None:
    """Paints the sign into the picture, in place."""
    pen = ImageDraw.Draw(picture)
    em, lines = _laid(writing, picture.size)
    if writing.form != "bare":
        _paint_paper(pen, writing, picture.size, em)
    for line in lines:
        pen.text((line.x, line.y), line.text, fill=writing.ink, font=face(writing.font, em), anchor="ls")


def _paint_paper(pen: ImageDraw.ImageDraw, writing: Writing, size: tuple[int, int], em: float) -> None:
    look = random.Random(f"{writing.text} {writing.font} {writing.paper}")
    x0, y0, x1, y1 = _pixels(writing.box, size)
    line = max(1, round(em / 14))
    match writing.form:
        case "plate":
            pen.rounded_rectangle((x0, y0, x1, y1), em / 5, writing.paper, (24, 24, 24), line)
        case "label":
            middle, point, hole = (y0 + y1) / 2, x0 + 0.5 * em, 0.11 * em
            corners = [(x0, middle), (point, y0), (x1, y0), (x1, y1), (point, y1)]
            pen.polygon(corners, writing.paper, _shade(writing.paper))
            pen.ellipse((point - hole, middle - hole, point + hole, middle + hole), _shade(writing.paper))
        case "poster":
            pen.rectangle((x0, y0, x1, y1), writing.paper, _shade(writing.paper), 1)
            band = 0.45 * em
            for top in (y0, y1 - band) if look.random() < 0.6 else (y1 - band,):
                pen.rectangle((x0, top, x1, top + band), writing.ink)
        case _:
            radius = look.choice((0.0, em / 8, em / 3))
            edge = look.choice((None, writing.ink, _shade(writing.paper)) if radius else (writing.ink,))
            pen.rounded_rectangle((x0, y0, x1, y1), radius, writing.paper, edge, line if edge else 0)


def _shade(tone: RGB) -> RGB:
    red, green, blue = (round(channel * 0.6) for channel in tone)
    return red, green, blue


def letters(writing: Writing, size: tuple[int, int]) -> list[tuple[str, Box]]:
    """Each character but spaces, and its box in a picture of that size, in reading order."""
    em, lines = _laid(writing, size)
    pen = face(writing.font, em)
    return [each for line in lines for each in spelt(pen, line.text, (line.x, line.y), "ls", size)]
