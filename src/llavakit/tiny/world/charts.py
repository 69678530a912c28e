"""Bar and line charts that can be read: made up, painted, and where each value stands.

How a chart is dressed (typeface, grid, ticks, printed values) follows from its facts alone.
"""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image, ImageDraw

from llavakit.tiny.world.fonts import HELD_OUT_FONTS, OWN, available_fonts, face, spelt
from llavakit.tiny.world.scene import RGB, Box, Chart, distance
from llavakit.tiny.world.things import COLOURS, KINDS

# Labels that go together, and a title for them.
_SERIES: tuple[tuple[str, str], ...] = (
    ("A B C D E F", ""),
    ("Mon Tue Wed Thu Fri Sat Sun", "Week"),
    ("Jan Feb Mar Apr May Jun", "Sales"),
    ("Jul Aug Sep Oct Nov Dec", "Rain"),
    ("2019 2020 2021 2022 2023 2024", "Sales"),
    ("Q1 Q2 Q3 Q4", "Profit"),
    ("Ann Bob Cat Dan Eve Tom Sue Max Ben Amy", "Points"),
    ("Anna Ben Carl Dora Emma Finn Lily Noah", "Score"),
    ("Red Blue Green Pink Black White", "Votes"),
    ("North East South West", "Shops"),
    ("Tea Milk Juice Water Cola Soup", "Drinks"),
    ("Car Bus Bike Train Tram Walk", "Travel"),
    ("Spring Summer Autumn Winter", "Guests"),
    ("Maths Art Music Sport", "Hours"),
    ("Apples Pears Plums Grapes", "Fruit"),
    ("Apples Bananas Cherries", "Fruit"),
    ("Cats Dogs Fish Birds", "Pets"),
    ("London Paris Rome Oslo Tokyo", "Visits"),
    ("S M L XL", "Sizes"),
)
_FORMS: tuple[Literal["bar", "line"], ...] = ("bar", "bar", "bar", "line")
_KINDS_OF_LABEL = ("animal", "fruit", "food", "vegetable", "drink")
# Side by side at 224 pixels there is room for so many letters, the spaces between included.
_LETTERS = 27


def make_chart(
    rng: random.Random,
    room: Box = (0.03, 0.03, 0.97, 0.97),
    *,
    form: Literal["bar", "line"] | None = None,
    count: int | None = None,
) -> Chart:
    """A chart that fills `room`, which should be most of the picture: its text is as large as the picture
    asks, not the room. All values differ, so there is one highest and one lowest.

    Args:
        form: a bar chart three times in four, otherwise
        count: how many bars (2 to 6) or points (3 to 6)
    """
    kind = form or _FORMS[rng.randrange(4)]
    count = count or rng.choice((2, 3, 3, 4, 4, 5, 6) if kind == "bar" else (3, 4, 4, 5, 6))
    labels, title = _labels(rng, count)
    values = rng.sample(_range(rng), count)
    if kind == "line" or rng.random() < 0.4:
        colours: tuple[str, ...] = (rng.choice([name for name in COLOURS if name != "white"]),)
        colours *= 1 if kind == "line" else count
    else:
        colours = tuple(rng.sample([name for name in COLOURS if name != "white"], count))
    return Chart(kind, labels, tuple(values), colours, room, title if rng.random() < 0.4 else "")


def _range(rng: random.Random) -> range:
    return rng.choice((range(1, 11), range(1, 11), range(1, 21), range(5, 55, 5), range(10, 110, 10)))


def _labels(rng: random.Random, count: int) -> tuple[tuple[str, ...], str]:
    if rng.random() < 0.4 and (short := _names(count)):
        chosen = rng.sample(short, count)
        style = rng.choice((str.capitalize, str.capitalize, str.lower, str.upper))
        if style is str.upper and sum(map(len, chosen)) + count > 0.8 * _LETTERS:
            style = str.capitalize
        return tuple(map(style, chosen)), ""
    fitting = []
    for words, title in _SERIES:
        names = words.split()
        names = sorted(names, key=len)[:count] if len(names) > count else names
        if len(names) == count and sum(map(len, names)) + count <= _LETTERS:
            fitting.append((words.split(), title))
    words_, title = rng.choice(fitting)
    while True:
        start = rng.randrange(len(words_) - count + 1)
        chosen = words_[start : start + count] if rng.random() < 0.5 else _some(rng, words_, count)
        if sum(map(len, chosen)) + count <= _LETTERS:
            return tuple(chosen), title


def _some(rng: random.Random, words: list[str], count: int) -> list[str]:
    """In their order: January never follows March."""
    return [words[i] for i in sorted(rng.sample(range(len(words)), count))]


@lru_cache(8)
def _names(count: int) -> list[str]:
    longest = min(6, _LETTERS // count - 1)
    return sorted(k for k, kind in KINDS.items() if kind.category in _KINDS_OF_LABEL and len(k) <= longest)


# ---------------------------------------------------------------- dress and measures


@dataclass(frozen=True)
class _Look:
    font: str
    ground: RGB
    ink: RGB
    grid: bool
    ticks: bool  # numbers along the value axis
    printed: bool  # the value above each bar or point
    step: int  # from one tick to the next
    thick: float  # of a bar, as a share of its slot
    frame: bool
    rounded: bool


_GROUNDS: tuple[RGB, ...] = (
    (255, 255, 255), (255, 255, 255), (255, 255, 255), (250, 246, 232), (236, 243, 250), (240, 240, 240),
    (34, 38, 48),
)  # fmt: skip
_FACES = (
    "DejaVuSans", "DejaVuSans", "DejaVuSans-Bold", "LiberationSans-Regular", "LiberationSans-Bold",
    "Roboto-Bold", "Lato-Bold", "OpenSans-Regular",
)  # fmt: skip
_EM = 0.053  # of the picture's longer side: capitals of 8.5 pixels at 224


@lru_cache(1024)
def _look(form: str, labels: tuple[str, ...], values: tuple[int, ...], colours: tuple[str, ...]) -> _Look:
    rng = random.Random(f"{form} {labels} {values} {colours}")
    fonts = [name for name in _FACES if name in available_fonts() and name not in HELD_OUT_FONTS] or [OWN]
    clear = [g for g in _GROUNDS if all(distance(g, COLOURS[name]) > 90 for name in colours)]
    ground = rng.choice(clear or [_GROUNDS[0]])
    top = max(values)
    step = next(step for limit, step in ((6, 1), (10, 1), (20, 2), (50, 10), (10**9, 20)) if top <= limit)
    # Halfway between two ticks can be read, no finer.
    exact = all(value % step in (0, step / 2) for value in values) and top <= 100
    draw = rng.random()
    printed = draw < 0.6 or not exact
    ticks = not printed or draw > 0.25
    if printed and step == 1 and top > 6:
        step = 2
    return _Look(
        font=rng.choice(fonts),
        ground=ground,
        ink=(235, 238, 242) if sum(ground) < 200 else (24, 24, 28),
        grid=ticks and (not printed or rng.random() < 0.5),
        ticks=ticks,
        printed=printed,
        step=step if top <= 100 else 10 ** (len(str(top)) - 1),
        thick=rng.uniform(0.5, 0.86),
        frame=rng.random() < 0.4,
        rounded=rng.random() < 0.15,
    )


@dataclass(frozen=True)
class _Layout:
    look: _Look
    outer: Box  # in pixels, as all of it
    left: float
    top: float
    right: float
    bottom: float
    em: float
    label_em: float
    highest: int  # the axis's end

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * value / self.highest


def _lay(chart: Chart, size: tuple[int, int]) -> _Layout:
    look = _look(chart.form, chart.labels, chart.values, chart.colours)
    x0, y0 = chart.box[0] * size[0], chart.box[1] * size[1]
    x1, y1 = chart.box[2] * size[0], chart.box[3] * size[1]
    em = _EM * max(size)
    highest = -(-max(chart.values) // look.step) * look.step
    numbers = face(look.font, em)
    left = x0 + 0.4 * em
    if look.ticks:
        left += max(numbers.getlength(str(tick)) for tick in range(0, highest + 1, look.step)) + 0.4 * em
    right = x1 - 0.4 * em
    slot = (right - left) / len(chart.labels)
    widest = max(numbers.getlength(label) for label in chart.labels)
    label_em = em * min(1.0, 0.96 * slot / widest)
    top = y0 + 0.7 * em + (1.4 * em if chart.title else 0) + (0.9 * em if look.printed else 0)
    return _Layout(look, (x0, y0, x1, y1), left, top, right, y1 - 1.6 * em, em, label_em, highest)


def _slots(chart: Chart, layout: _Layout) -> list[tuple[str, int, float, float]]:
    """Label, value, the slot's middle and half its bar's width."""
    slot = (layout.right - layout.left) / len(chart.labels)
    return [
        (label, value, layout.left + (i + 0.5) * slot, slot * layout.look.thick / 2)
        for i, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True))
    ]


# ---------------------------------------------------------------- painting


def paint_chart(picture: Image.Image, chart: Chart) -> None:
    """Paints the chart, on a ground of its own, into the picture, in place."""
    pen = ImageDraw.Draw(picture)
    layout = _lay(chart, picture.size)
    look, em = layout.look, layout.em
    edge = look.ink if look.frame else None
    pen.rectangle(layout.outer, look.ground, edge)
    _axes(pen, layout)
    if chart.form == "line":
        _line(picture, chart, layout)
    for i, (_, value, x, half) in enumerate(_slots(chart, layout)):
        y = layout.y(value)
        if chart.form == "bar":
            corners = (round(x - half), round(y), round(x + half), round(layout.bottom))
            colour = COLOURS[chart.colours[i]]
            if look.rounded:
                pen.rounded_rectangle(corners, half / 3, colour, corners=(True, True, False, False))
            else:
                pen.rectangle(corners, colour)
    for said in _said(chart, layout):
        pen.text(said.at, said.text, fill=look.ink, font=face(look.font, said.em), anchor=said.anchor)
    pen.line((layout.left, layout.bottom, layout.right, layout.bottom), look.ink, max(1, round(em / 10)))


@dataclass(frozen=True)
class _Said:
    """A line of text, as Pillow takes it."""

    text: str
    at: tuple[float, float]
    em: float
    anchor: str


def _said(chart: Chart, layout: _Layout) -> list[_Said]:
    """All that is written: title, labels, printed values, ticks."""
    look, em = layout.look, layout.em
    said = []
    if chart.title:
        middle = ((layout.left + layout.right) / 2, layout.outer[1] + 0.4 * em)
        said.append(_Said(chart.title, middle, 1.1 * em, "mt"))
    for i, (label, value, x, _) in enumerate(_slots(chart, layout)):
        if look.printed:
            where, anchor = _beside(chart, i, layout.y(value), em)
            said.append(_Said(str(value), (x, where), em, anchor))
        baseline = layout.bottom + 0.35 * em + 0.75 * layout.label_em
        said.append(_Said(label, (x, baseline), layout.label_em, "ms"))
    said += [
        _Said(str(tick), (layout.left - 0.4 * em, round(layout.y(tick))), em, "rm")
        for tick in _ticks(layout)[:: _spaced(layout)]
    ]
    return said


def _ticks(layout: _Layout) -> range:
    return range(0, layout.highest + 1, layout.look.step) if layout.look.ticks else range(0)


def _spaced(layout: _Layout) -> int:
    """Every which tick has room for its number."""
    pitch = layout.y(0) - layout.y(layout.look.step)
    return next(n for n in (1, 2, 5, 10) if n * pitch >= 1.1 * layout.em or n == 10)


def letters(chart: Chart, size: tuple[int, int]) -> list[tuple[str, Box]]:
    """Each character but spaces of all that is written, and its box in a picture of that size."""
    layout = _lay(chart, size)
    return [
        each
        for said in _said(chart, layout)
        for each in spelt(face(layout.look.font, said.em), said.text, said.at, said.anchor, size)
    ]


def _beside(chart: Chart, i: int, y: float, em: float) -> tuple[float, str]:
    """Where a value is printed, and by which of its edges: over a bar; beside a point, off the line."""
    if chart.form == "bar":
        return y - 0.22 * em, "ms"
    neighbours = chart.values[max(i - 1, 0) : i + 2]
    valley = chart.values[i] == min(neighbours) and chart.values[i] >= 0.2 * max(chart.values)
    return (y + 0.5 * em, "mt") if valley else (y - 0.5 * em, "ms")


def _axes(pen: ImageDraw.ImageDraw, layout: _Layout) -> None:
    look = layout.look
    width = max(1, round(layout.em / 12))
    faint = tuple((3 * ground + ink) // 4 for ground, ink in zip(look.ground, look.ink, strict=True))
    if not look.ticks:
        return
    for tick in _ticks(layout):
        y = round(layout.y(tick))
        if look.grid:
            pen.line((layout.left, y, layout.right, y), faint, width)
        pen.line((layout.left - 0.25 * layout.em, y, layout.left, y), look.ink, width)
    pen.line((layout.left, layout.top, layout.left, layout.bottom), look.ink, width)


_FINER = 3  # a slanting line is drawn this many times larger, then reduced: Pillow's lines have hard edges


def _line(picture: Image.Image, chart: Chart, layout: _Layout) -> None:
    x0, y0, x1, y1 = (round(edge) for edge in layout.outer)
    sheet = Image.new("RGBA", ((x1 - x0) * _FINER, (y1 - y0) * _FINER), (*COLOURS[chart.colours[0]], 0))
    pen = ImageDraw.Draw(sheet)
    points = [
        ((x - x0) * _FINER, (layout.y(value) - y0) * _FINER) for _, value, x, _ in _slots(chart, layout)
    ]
    colour = (*COLOURS[chart.colours[0]], 255)
    pen.line(points, colour, round(_FINER * max(2.0, layout.em / 5)), joint="curve")
    radius = _FINER * layout.em * 0.34
    for x, y in points:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    sheet = sheet.reduce(_FINER)
    picture.paste(sheet, (x0, y0), sheet)


def bars(chart: Chart, size: tuple[int, int]) -> list[tuple[str, int, Box]]:
    """Each label with its value and the box of its bar (of its point, in a line chart), the printed value
    included, in a picture of that size."""
    layout = _lay(chart, size)
    found = []
    for i, (label, value, x, half) in enumerate(_slots(chart, layout)):
        y, em = layout.y(value), layout.em
        printed = layout.look.printed
        if chart.form == "bar":
            across, top, bottom = half, y - (em if printed else 0), layout.bottom
        else:
            across, top, bottom = 0.7 * em, y - 0.34 * em, y + 0.34 * em
            if printed and _beside(chart, i, y, em)[1] == "mt":
                bottom += em
            elif printed:
                top -= em
        box = ((x - across) / size[0], top / size[1], (x + across) / size[0], bottom / size[1])
        found.append((label, value, box))
    return found
