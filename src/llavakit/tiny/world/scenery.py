"""The themes' places, painted: table top, street, field, sand, sea, counter, blackboard.

Simple flat shapes in proportions and tones that vary by seed. Knows nothing of the things that stand there.
"""

import random

from PIL import Image, ImageDraw

from llavakit.tiny.world import backdrop
from llavakit.tiny.world.places import NIGHT_SKIES, SKIES, WOODS, Layout, blackboard, shaded
from llavakit.tiny.world.scene import RGB

_FRONTS: tuple[RGB, ...] = (
    (214, 160, 140), (222, 204, 160), (170, 190, 204), (196, 180, 200), (188, 204, 176), (208, 196, 188),
)  # fmt: skip


def paint(place: Layout, size: tuple[int, int]) -> Image.Image:
    """The place as an RGB picture of this width and height."""
    picture = Image.new("RGB", size, place.tones[1])
    rng = random.Random(f"paint {place.theme} {place.seed}")
    pen = _Pen(ImageDraw.Draw(picture), size, place, rng)
    match place.theme:
        case "kitchen table":
            _kitchen(pen)
        case "street":
            _street(pen)
        case "farm":
            _farm(pen)
        case "desert":
            _desert(pen)
        case "beach":
            _beach(pen)
        case "café":
            _cafe(pen)
        case _:
            _classroom(pen)
    return picture


class _Pen:
    """Draws in fractions of the picture, darker at night."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, size: tuple[int, int], place: Layout, rng: random.Random
    ) -> None:
        self.draw, self.place, self.rng = draw, place, rng
        self.width, self.height = size
        self.ground, self.back = place.tones
        self.line = place.line

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB, *, lit: bool = False) -> None:
        left, top = x0 * self.width, y0 * self.height  # at least a pixel wide and high
        right, bottom = max(left, x1 * self.width - 1), max(top, y1 * self.height - 1)
        self.draw.rectangle((left, top, right, bottom), self.tone(fill, lit))

    def shape(self, points: list[tuple[float, float]], fill: RGB) -> None:
        self.draw.polygon([(x * self.width, y * self.height) for x, y in points], self.tone(fill))

    def round(self, x: float, y: float, radius: float, fill: RGB) -> None:
        r, at_x, at_y = radius * min(self.width, self.height), x * self.width, y * self.height
        self.draw.ellipse((at_x - r, at_y - r, at_x + r, at_y + r), self.tone(fill))

    def tone(self, fill: RGB, lit: bool = False) -> RGB:
        # The layout's own tones are shaded already.
        return fill if lit or fill in self.place.tones else shaded(fill, bool(self.place.night))

    def stars(self, below: float) -> None:
        """Points too small to be things."""
        if self.place.night:
            for _ in range(self.rng.randint(14, 34)):
                x, y = self.rng.random(), self.rng.random() * below
                side = max(1.001, min(self.width, self.height) / 150)  # no narrower than a pixel
                at = (x * self.width, y * self.height)
                self.draw.rectangle((*at, at[0] + side - 1, at[1] + side - 1), (235, 235, 215))

    def darker(self, fill: RGB, share: float = 0.15) -> RGB:
        # Of an already shaded tone only: marks on the ground.
        return backdrop.mixed(fill, (0, 0, 0), share)


def _kitchen(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    tiles = backdrop.mixed(pen.back, (0, 0, 0), 0.06)
    if rng.random() < 0.5:  # tiles
        for i in range(1, 12):
            pen.box(i / 12 - 0.003, 0, i / 12 + 0.003, line, tiles)
        for i in range(1, int(line * 12) + 1):
            pen.box(0, i / 12 - 0.003, 1, i / 12 + 0.003, tiles)
    if pen.place.wall is not None and rng.random() < 0.7:  # a window on the side without the clock
        left = 0.1 if pen.place.wall[0] > 0.5 else 0.56
        frame = rng.choice(((255, 255, 255), (150, 110, 76)))
        pen.box(left, 0.05, left + 0.34, line - 0.06, frame)
        glass = rng.choice(SKIES)
        pen.box(left + 0.02, 0.07, left + 0.16, line - 0.08, glass)
        pen.box(left + 0.18, 0.07, left + 0.32, line - 0.08, glass)
    # The table: its far edge narrower than its near one, and its side below that.
    pen.box(0, line + 0.03, 1, 1, pen.darker(pen.back, 0.35))
    pen.shape([(0.07, line), (0.93, line), (1.06, 0.95), (-0.06, 0.95)], pen.ground)
    if pen.ground in WOODS:  # planks
        for i in range(-6, 7):
            near, far = 0.5 + i * 0.16, 0.5 + i * 0.125
            seam = [(far, line), (far + 0.004, line), (near + 0.008, 0.95), (near, 0.95)]
            pen.shape(seam, pen.darker(pen.ground, 0.12))
    else:  # a checked cloth
        mark = backdrop.mixed(pen.ground, rng.choice(((200, 60, 60), (60, 110, 190), (70, 140, 80))), 0.16)
        for i in range(-4, 4):
            near, far = 0.5 + i * 0.16, 0.5 + i * 0.112
            pen.shape([(far, line), (far + 0.05, line), (near + 0.07, 0.95), (near, 0.95)], mark)
        for i in range(5):
            y = line + (0.95 - line) * (i + 0.3) / 5
            inset = 0.07 - 0.13 * (y - line) / (0.95 - line)
            pen.box(inset, y, 1 - inset, y + (1 - line) / 14, mark)
    pen.box(0, 0.95, 1, 1, pen.darker(pen.ground, 0.3))


def _street(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    pen.stars(0.3)
    if pen.place.seed % 4:
        _fronts(pen)
    else:  # a road out of town
        verge = (112, 168, 92)
        pen.box(0, line - rng.uniform(0.06, 0.12), 1, line, verge)
    pen.box(0, line, 1, line + 0.06, (196, 196, 192))  # pavement and kerb
    pen.box(0, line + 0.055, 1, line + 0.07, (150, 150, 148))
    pen.box(0, line + 0.07, 1, 1, pen.ground)
    middle = (line + 1.07) / 2
    if rng.random() < 0.3:  # a crossing
        for i in range(9):
            pen.box(0.3 + i * 0.045, line + 0.1, 0.324 + i * 0.045, 0.98, (236, 236, 232))
    else:
        for i in range(6):
            pen.box(i / 5.5, middle - 0.012, i / 5.5 + 0.1, middle + 0.012, (240, 236, 220))


def _fronts(pen: _Pen) -> None:
    """Houses side by side, of different heights."""
    rng, line = pen.rng, pen.line
    x = -rng.uniform(0.0, 0.1)
    before: RGB | None = None
    while x < 1:
        width, top = rng.uniform(0.2, 0.34), rng.uniform(0.17, 0.27)
        front = rng.choice([front for front in _FRONTS if front != before])
        before = front
        pen.box(x, top, x + width, line, front)
        pen.box(x, top, x + width, top + 0.015, pen.darker(front, 0.3))
        columns = 3 if width > 0.27 else 2
        for column in range(columns):
            for y in (top + 0.04, top + 0.12):
                left = x + width * (column + 0.5) / columns - 0.022
                lit = bool(pen.place.night) and rng.random() < 0.5
                glass = (250, 214, 110) if lit else (90, 110, 136)
                if y + 0.06 < line - 0.12:
                    pen.box(left, y, left + 0.044, y + 0.06, glass, lit=lit)
        door = x + width * rng.uniform(0.3, 0.6)
        pen.box(door, line - 0.12, door + 0.06, line, pen.darker(front, 0.45))
        x += width


def _farm(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    pen.stars(line - 0.05)
    hill = backdrop.mixed(pen.ground, pen.back, 0.35)
    for _ in range(rng.randint(1, 3)):
        x, width, rise = rng.random(), rng.uniform(0.25, 0.5), rng.uniform(0.05, 0.12)
        pen.draw.ellipse(
            ((x - width) * pen.width, (line - rise) * pen.height, (x + width) * pen.width,
             (line + rise) * pen.height), hill
        )  # fmt: skip
    pen.box(0, line, 1, 1, pen.ground)
    furrow = pen.darker(pen.ground, 0.12)
    if rng.random() < 0.6:  # furrows towards the horizon
        vanish = rng.uniform(0.2, 0.8)
        for i in range(-7, 8):
            foot = 0.5 + i * 0.22
            start = vanish + i * 0.06
            ends = [(start, line + 0.09), (start + 0.006, line + 0.09), (foot + 0.06, 1.0), (foot, 1.0)]
            _raw(pen, ends, furrow)
    rail = rng.choice(((250, 248, 240), (160, 116, 76), (186, 150, 110)))
    for y in (line + 0.01, line + 0.055):
        pen.box(0, y, 1, y + 0.016, rail)
    for i in range(8):
        pen.box(i / 7.6 + 0.02, line - 0.025, i / 7.6 + 0.045, line + 0.09, rail)


def _desert(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    pen.stars(line - 0.08)
    for depth, share in ((0.05, 0.25), (0.0, 0.0)):  # far dunes are paler
        tone = backdrop.mixed(pen.ground, pen.back, share)
        x = -rng.uniform(0.0, 0.3)
        points = [(0.0, 1.0), (0.0, line)]
        while x < 1:
            width = rng.uniform(0.25, 0.5)
            points += [
                (x + width * 0.6, line - depth - rng.uniform(0.02, 0.05)),
                (x + width, line + 0.01 - depth),
            ]
            x += width
        _raw(pen, [*points, (1.0, 1.0)], tone)
    for _ in range(rng.randint(4, 8)):  # ripples
        x, y = rng.uniform(0, 0.8), rng.uniform(line + 0.06, 0.96)
        width = rng.uniform(0.1, 0.3)
        _raw(pen, [(x, y), (x + width / 2, y - 0.012), (x + width, y), (x + width / 2, y - 0.004)],
             pen.darker(pen.ground, 0.14))  # fmt: skip


def _beach(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    sky = rng.choice(NIGHT_SKIES if pen.place.night else SKIES)
    sea = pen.back
    pen.draw.rectangle((0, 0, pen.width, (line - 0.22) * pen.height), sky)
    pen.stars(line - 0.24)
    pen.draw.rectangle((0, (line - 0.22) * pen.height, pen.width, line * pen.height), sea)
    for _ in range(rng.randint(4, 9)):  # waves
        x, y = rng.uniform(0, 0.9), rng.uniform(line - 0.2, line - 0.03)
        pen.box(
            x, y, x + rng.uniform(0.04, 0.12), y + 0.008, backdrop.mixed(sea, (255, 255, 255), 0.3), lit=True
        )
    tilt = rng.uniform(-0.03, 0.03)
    foam = backdrop.mixed(sea, (255, 255, 255), 0.6)
    _raw(pen, [(0, line - tilt - 0.016), (1, line + tilt - 0.016), (1, 1), (0, 1)], foam)
    _raw(pen, [(0, line - tilt), (1, line + tilt), (1, 1), (0, 1)], pen.ground)
    for _ in range(rng.randint(0, 14)):  # pebbles
        x, y = rng.random(), rng.uniform(line + 0.06, 0.99)
        pen.box(x, y, x + 0.01, y + 0.007, pen.darker(pen.ground, 0.18), lit=True)


def _cafe(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    stripe = rng.choice(((190, 50, 50), (40, 110, 80), (50, 80, 150), (150, 90, 40)))
    for i in range(10):  # the awning
        tone = stripe if i % 2 else (248, 244, 234)
        pen.box(i / 10, 0, (i + 1) / 10, 0.09, tone)
        pen.draw.pieslice(
            (i / 10 * pen.width, 0.05 * pen.height, (i + 1) / 10 * pen.width, 0.13 * pen.height), 0, 180, tone
        )
    if rng.random() < 0.5:  # wainscot
        pen.box(0, line - 0.16, 1, line, pen.darker(pen.back, 0.2))
    for i in range(rng.randint(0, 3)):  # hanging lamps
        x = 0.5 + (i - 1) * 0.04
        pen.box(x - 0.003, 0.1, x + 0.003, 0.2, (40, 36, 34))
        pen.round(x, 0.21, 0.018, (255, 226, 150))
    pen.box(0, line, 1, 0.9, pen.ground)  # the counter, its edge and its panelled front
    pen.box(0, line, 1, line + 0.014, pen.darker(pen.ground, 0.2))
    pen.box(0, 0.9, 1, 0.92, pen.darker(pen.ground, 0.5))
    front = pen.darker(pen.ground, 0.32)
    pen.box(0, 0.92, 1, 1, front)
    for i in range(1, 12):
        pen.box(i / 12 - 0.004, 0.92, i / 12 + 0.004, 1, pen.darker(front, 0.25))


def _classroom(pen: _Pen) -> None:
    rng, line = pen.rng, pen.line
    assert pen.place.board is not None
    x0, y0, x1, y1 = pen.place.board
    pen.box(x0 - 0.018, y0 - 0.018, x1 + 0.018, y1 + 0.018, rng.choice(((170, 124, 78), (196, 160, 110))))
    pen.box(x0, y0, x1, y1, blackboard(pen.place))
    pen.box(x0 + 0.1, y1 + 0.018, x1 - 0.1, y1 + 0.034, (150, 110, 70))  # the chalk's ledge
    for i in range(3):
        pen.box(x0 + 0.14 + i * 0.05, y1 + 0.01, x0 + 0.17 + i * 0.05, y1 + 0.02, (250, 250, 246))
    pen.box(0, line - 0.02, 1, line, pen.darker(pen.back, 0.3))
    pen.box(0, line, 1, 1, pen.ground)
    seam = pen.darker(pen.ground, 0.14)
    for y in (0.3, 0.62):
        at = line + (1 - line) * y
        pen.box(0, at, 1, at + 0.006, seam)
    for row in range(3):
        for i in range(5):
            x = (i + (row % 2) / 2) / 5
            pen.box(x, line + (1 - line) * row / 3, x + 0.006, line + (1 - line) * (row + 1) / 3, seam)


def _raw(pen: _Pen, points: list[tuple[float, float]], fill: RGB) -> None:
    # For tones mixed from ones that are shaded already.
    pen.draw.polygon([(x * pen.width, y * pen.height) for x, y in points], fill)
