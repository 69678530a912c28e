"""Nature and surfaces as a camera sees them, made by code: textures, land, light, leaves, walls."""

import math
from collections.abc import Callable

import numpy as np

from llavakit.tiny.outside.fields import Collage, Floats, blurred, field, one_of, palette, tinted

Size = tuple[int, int]
Painter = Callable[[np.random.Generator, Size], Floats]


def texture(rng: np.random.Generator, size: Size) -> Floats:
    """A surface seen close: stone, bark, grass, cloth, water."""
    stretch = float(rng.choice((1.0, 1.0, 3.0, 0.3, 8.0, 0.12)))
    values = field(rng, size, stretch=stretch) + 0.4 * field(rng, size, 14)
    if rng.random() < 0.3:
        values = 1.5 - 2 * np.abs(values)  # veins and ridges
    return tinted(values, palette(rng))


def landscape(rng: np.random.Generator, size: Size) -> Floats:
    """Sky, ridges that fade with distance, and a near ground."""
    width, height = size
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    clouds = rng.uniform(0, 0.9) * field(rng, size, 26, stretch=3)
    picture = tinted(2.5 * down - 1 + clouds, palette(rng, "sky", "sky", "grey sky", "dusk", "night"))
    haze = picture.mean((0, 1))
    level, ridges = rng.uniform(0.2, 0.5), int(rng.integers(1, 5))
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    for ridge in range(ridges):
        edge = level + rng.uniform(0.02, 0.12) * field(rng, (width, 1), 32)[0]
        land = tinted(
            field(rng, size, int(rng.choice((14, 20))), stretch=float(rng.choice((1, 3)))) + 0.5 * rows,
            palette(rng, "leaves", "grass", "stone", "sand", "autumn", "snow", "bark", "water"),
        )
        far = 0.6 * (1 - (ridge + 1) / ridges)
        picture = np.where((rows > edge[None, :])[..., None], land * (1 - far) + haze * far, picture)
        level += rng.uniform(0.08, 0.3)
    return picture


def bokeh(rng: np.random.Generator, size: Size) -> Floats:
    """Lights or leaves far out of focus, with a few less so."""
    width, height = size
    names = (
        ("night",) if rng.random() < 0.5 else ("leaves", "grass", "dusk", "autumn", "wood", "wall", "cloth")
    )
    picture = blurred(tinted(field(rng, size, 32), palette(rng, *names)), 0.03 * max(size))
    for _ in range(int(rng.integers(1, 3))):
        lights = Collage(rng, size)
        spread = rng.uniform(0.01, 0.06) * max(size)
        for _ in range(int(rng.integers(8, 40))):
            x, y, r = rng.uniform(0, width), rng.uniform(0, height), spread * rng.uniform(0.5, 1.5)
            fill = lights.material(one_of(rng, "food", "dusk", "sky", "flowers", "snow", "grass"), 0.03, 0.05)
            lights.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        share = rng.uniform(0.3, 0.8)
        picture = blurred(lights.paint(picture) * share + picture * (1 - share), rng.uniform(0.5, 3))
    return picture


def glow(rng: np.random.Generator, size: Size) -> Floats:
    """Hardly more than light and shade, with a camera's grain: a wall, the sky, a finger on the lens."""
    values = field(rng, size, 32) * rng.uniform(0.4, 1.0) + rng.uniform(0.15, 0.35) * field(rng, size, 14)
    grain = rng.normal(0, rng.uniform(6, 16), (size[1], size[0], 1)).astype(np.float32)
    return tinted(values, palette(rng)) + grain


def foliage(rng: np.random.Generator, size: Size) -> Floats:
    """Leaves, needles or petals in layers, with gaps of shadow or sky."""
    width, height = size
    names = tuple(rng.choice(("leaves", "grass", "autumn", "flowers", "snow"), size=2))
    picture = blurred(
        tinted(field(rng, size, 20) - 0.5, palette(rng, *names, "night", "sky")), rng.uniform(1, 5)
    )
    thin, turn = rng.uniform(0.15, 0.8), rng.uniform(0, math.tau)
    paper = Collage(rng, size)
    fills = [paper.material(one_of(rng, *names), rng.uniform(0.1, 0.4), 0.6) for _ in range(20)]
    reach = rng.uniform(0.02, 0.09) * max(size)
    for _ in range(int(min(170, 0.8 * width * height / reach**2))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        angle, r = turn + rng.normal(0, 0.8), reach * rng.uniform(0.5, 1.6)
        a, b = r * math.cos(angle), r * math.sin(angle)
        leaf = [(x - a, y - b), (x - thin * b, y + thin * a), (x + a, y + b), (x + thin * b, y - thin * a)]
        paper.draw.polygon(leaf, fill=fills[int(rng.integers(20))])
    return blurred(paper.paint(picture), rng.uniform(0.3, 1.2))


def wall(rng: np.random.Generator, size: Size) -> Floats:
    """Bricks, tiles, planks or paving, never quite even, with stains."""
    width, height = size
    paper = Collage(rng, size)
    name = str(rng.choice(("brick", "stone", "wood", "wall", "bark", "sand")))
    paper.draw.rectangle(
        (0, 0, width, height), fill=paper.material(one_of(rng, "stone", "night", "wall"), 0.2)
    )
    fills = [paper.material(one_of(rng, name), rng.uniform(0.1, 0.35), 0.3) for _ in range(24)]
    high = rng.uniform(0.04, 0.2) * max(size)
    wide = high * rng.choice((1.0, 2.0, 2.6, 12.0))
    gap, skew = rng.uniform(0.02, 0.12) * high, rng.normal(0, 0.15)
    for row, y in enumerate(np.arange(-height / 2, 1.5 * height, high)):
        for x in np.arange(-wide * (1 + row % 2 / 2), width, wide):
            a, b, c, d = rng.normal(0, 0.03 * high, 4)
            low, far = y + skew * x, y + skew * (x + wide)
            corners = [
                (x + a, low + gap + b),
                (x + wide - gap, far + gap + c),
                (x + wide - gap + d, far + high),
            ]
            paper.draw.polygon([*corners, (x, low + high + a)], fill=fills[int(rng.integers(24))])
    return paper.paint() * (1 + rng.uniform(0, 0.25) * field(rng, size, 32))[..., None]


SCENERY: dict[str, Painter] = {
    "texture": texture, "landscape": landscape, "bokeh": bokeh, "glow": glow, "foliage": foliage,
    "wall": wall,
}  # fmt: skip
