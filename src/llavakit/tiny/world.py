"""The drawn world: a seed becomes a scene, a scene becomes a picture.

A scene says what stands where; `language` speaks about it. Everything follows from the seed, at any size
of picture. Knows nothing of words beyond the nine places.
"""

import io
import math
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from llavakit.tiny import draw
from llavakit.tiny.things import COLOURS, KINDS

RGB = tuple[int, int, int]
Style = Literal["plain", "gradient", "noise", "stripes", "checks", "ground"]

_GRID = 128  # sizes and positions fall on this many steps, so the training size draws boxes exactly
_THIRDS = (1 / 3, 2 / 3)
_CLEAR = 0.03  # a centre this near to a third's edge could be called either
_OVERLAP = 0.10  # of the smaller thing's box
_CONTRAST = 105.0  # between a thing and each tone of the background; black and white differ by 442


@dataclass(frozen=True)
class Thing:
    """One thing in a scene; `box` is (x0, y0, x1, y1) of its sprite, as fractions of the picture."""

    kind: str
    colour: str | None
    box: tuple[float, float, float, float]
    rotation: int = 0
    flip: bool = False

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Background:
    """Two tones mixed by a pattern; `angle` in radians, `pitch` how fine the pattern is (where the ground
    begins, for "ground")."""

    style: Style
    tones: tuple[RGB, RGB]
    angle: float = 0.0
    pitch: int = 6


@dataclass(frozen=True)
class Scene:
    """Things in reading order (rows of places, then columns) before a background."""

    things: tuple[Thing, ...]
    background: Background
    seed: int


def place(thing: Thing) -> str:
    """Which ninth of the picture the thing's centre is in: "top left", "middle", "right" …"""
    return PLACES[_cell(thing)]


PLACES: dict[tuple[int, int], str] = {  # (row, column)
    (0, 0): "top left", (0, 1): "top", (0, 2): "top right",
    (1, 0): "left", (1, 1): "middle", (1, 2): "right",
    (2, 0): "bottom left", (2, 1): "bottom", (2, 2): "bottom right",
}  # fmt: skip


def _cell(thing: Thing) -> tuple[int, int]:
    x, y = thing.centre
    return sum(y > edge for edge in _THIRDS), sum(x > edge for edge in _THIRDS)


# ---------------------------------------------------------------- a seed becomes a scene


def make_scene(seed: int) -> Scene:
    """The scene of this seed (0 or more). Groups of one to four copies of a kind are equally common."""
    rng = random.Random(f"scene {seed}")  # not Random(seed): a caller's own would draw the same numbers
    things: list[Thing] = []
    cast = _cast(rng)
    for kind, colour in cast:
        things.append(_stand(kind, colour, things, len(cast), rng))
    things.sort(key=lambda thing: (*_cell(thing), thing.centre))
    return Scene(tuple(things), _backdrop(things, rng), seed)


def _cast(rng: random.Random) -> list[tuple[str, str | None]]:
    """Who appears: nobody (4 %), or a group of one to four of a kind and up to three others."""
    if rng.random() < 0.04:
        return []
    names = list(KINDS)
    group = rng.choice(names)
    copies = rng.randint(1, 4)
    others = rng.randint(0, min(3, 5 - copies))
    uniform = rng.choice(list(COLOURS)) if rng.random() < 0.5 else None
    names.remove(group)
    kinds = [group] * copies + [rng.choice(names) for _ in range(others)]
    return [(kind, _colour(kind, uniform if kind == group else None, rng)) for kind in kinds]


def _colour(kind: str, given: str | None, rng: random.Random) -> str | None:
    return (given or rng.choice(list(COLOURS))) if KINDS[kind].tintable else None


def _stand(kind: str, colour: str | None, others: list[Thing], total: int, rng: random.Random) -> Thing:
    """Find room: try places at random, shrinking a little whenever a round of tries fails."""
    smallest, largest = {1: (36, 68), 2: (34, 60), 3: (32, 54), 4: (30, 48)}.get(total, (30, 42))
    size = rng.randrange(smallest, largest + 1, 2)
    rotation = rng.choice((-20, -10, 0, 0, 10, 20))
    flip = rng.random() < 0.5
    best: tuple[float, Thing] | None = None
    for attempt in range(60):
        if attempt % 12 == 11:
            size = max(26, size - 4)
        width, height = (size * side / _GRID for side in draw.proportions(kind, rotation))
        x0, y0 = _start(width, rng), _start(height, rng)
        thing = Thing(kind, colour, (x0, y0, x0 + width, y0 + height), rotation, flip)
        overlap = max((_overlap(thing.box, other.box) for other in others), default=0.0)
        if best is None or overlap < best[0]:
            best = overlap, thing
        if overlap <= _OVERLAP:
            break
    assert best is not None
    return best[1]


def _start(extent: float, rng: random.Random) -> float:
    """Where a side of this extent begins, its middle well inside a third chosen evenly."""
    third = rng.randrange(3)
    first = max(third / 3 + (_CLEAR if third else 0), extent / 2 + 1 / _GRID)
    last = min((third + 1) / 3 - (_CLEAR if third < 2 else 0), 1 - extent / 2 - 1 / _GRID)
    start = rng.uniform(first, last) - extent / 2
    return round(start * _GRID) / _GRID


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """What part of the smaller box the other covers."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _backdrop(things: list[Thing], rng: random.Random) -> Background:
    """The first of a few random backgrounds on which everything stands out, else the best of them."""
    seen = [draw.mean_colour(thing.kind, thing.colour) for thing in things]

    def contrast(background: Background) -> float:
        first, second = background.tones
        tones = {first, second}
        if background.style == "gradient":  # from black to white lies every grey
            tones |= {_mixed(first, second, share) for share in (0.25, 0.5, 0.75)}
        return min((_distance(a, b) for a in seen for b in tones), default=math.inf)

    tries: list[Background] = []
    for _ in range(20):
        tries.append(_random_background(rng))
        if contrast(tries[-1]) >= _CONTRAST:
            return tries[-1]
    return max([*tries, *(Background("plain", (tone, tone)) for tone in _REFUGE)], key=contrast)


_REFUGE: tuple[RGB, ...] = ((250, 250, 250), (178, 190, 184), (96, 104, 110), (22, 24, 30))


def _distance(a: RGB, b: RGB) -> float:
    # Channels weigh as they do in lightness: yellow on cream differs in blue alone, and is hard to see.
    red, green, blue = ((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return math.sqrt(0.9 * red + 1.76 * green + 0.34 * blue)


def _random_background(rng: random.Random) -> Background:
    style = rng.choice(_STYLES)
    first = _tone(rng)
    if style in ("gradient", "ground"):
        second = _tone(rng)
    elif style == "plain":
        second = first
    else:  # patterns keep to a low contrast: they must not look like things
        step = rng.choice((-1, 1)) * rng.randint(10, 22)
        second = (_clip(first[0] + step), _clip(first[1] + step), _clip(first[2] + step))
    return Background(style, (first, second), rng.uniform(0, math.tau), rng.randint(3, 9))


_STYLES: tuple[Style, ...] = ("plain", "plain", "gradient", "noise", "stripes", "checks", "ground")


def _tone(rng: random.Random) -> RGB:
    """White, light grey, pastel, middling or dark; pastels are the commonest."""
    base, spread = rng.choice(((250, 5), (225, 12), (215, 40), (215, 40), (150, 40), (60, 30), (25, 10)))
    return (
        _clip(base + rng.randint(-spread, spread)),
        _clip(base + rng.randint(-spread, spread)),
        _clip(base + rng.randint(-spread, spread)),
    )


def _mixed(a: RGB, b: RGB, share: float) -> RGB:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _clip(value: int) -> int:
    return min(255, max(0, value))


# ---------------------------------------------------------------- a scene becomes a picture


def render(scene: Scene, size: int = 128) -> Image.Image:
    """The scene as an RGB picture, `size` pixels square."""
    picture = _paint(scene.background, size, scene.seed)
    for thing in scene.things:
        x0, y0, x1, y1 = (edge * size for edge in thing.box)
        longest = max(1, round(max(x1 - x0, y1 - y0)))
        stamp = draw.sprite(thing.kind, thing.colour, longest, thing.rotation, thing.flip)
        picture.paste(stamp, (round(x0), round(y0)), stamp)
    return _photograph(picture, scene.seed)


def _paint(background: Background, size: int, seed: int) -> Image.Image:
    first, second = background.tones
    picture = Image.new("RGB", (size, size), first)
    if background.style != "plain":
        picture.paste(second, (0, 0, size, size), _pattern(background, size, seed))
    return picture


def _pattern(background: Background, size: int, seed: int) -> Image.Image:
    """How much of the second tone each pixel has, as an 8-bit mask."""
    pitch = background.pitch
    if background.style == "noise":
        cells = np.random.default_rng((seed, 0)).integers(0, 256, (pitch + 1, pitch + 1), np.uint8)
        return Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    if background.style == "ground":
        mix = np.broadcast_to(at[:, None] > 0.45 + 0.04 * pitch, (size, size))
    elif background.style == "checks":
        squares = (at * pitch).astype(np.int32)
        mix = (squares[:, None] + squares[None, :]) % 2 == 1
    else:
        along = math.cos(background.angle) * at[None, :] + math.sin(background.angle) * at[:, None]
        if background.style == "stripes":
            mix = np.floor(along * pitch * 2) % 2 == 1
        else:
            low, high = along.min(), along.max()
            return Image.fromarray(((along - low) * (255 / (high - low))).astype(np.uint8))
    return Image.fromarray(mix.astype(np.uint8) * np.uint8(255))


def _photograph(picture: Image.Image, seed: int) -> Image.Image:
    """Some pictures get what cameras and files do to them: grain (15 %) or JPEG blocks (15 %)."""
    rng = np.random.default_rng((seed, 1))
    luck = rng.random()
    if luck < 0.15:
        pixels = np.asarray(picture)
        grain = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(3, 9)
        return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    if luck < 0.30:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(40, 85)))
        return Image.open(file).convert("RGB")
    return picture
