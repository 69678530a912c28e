"""The look of one thing: a sprite with transparency, of any kind, colour, size, tilt and drawing style.

Knows nothing of scenes. Whose pictures they are says `styles`.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from llavakit.errors import UsageError, nearest
from llavakit.tiny.world.outlines import shape
from llavakit.tiny.world.styles import STYLES, glyph_of, picture
from llavakit.tiny.world.things import COLOURS, KINDS

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_EDGE = 24  # alpha below this is antialiasing, not part of the thing's box
_SOLID = [0] * _EDGE + [255] * (256 - _EDGE)
_SMALL = 96  # pixels; up to this size sprites are made from a picture kept this large


@lru_cache(4096)
def sprite(
    kind: str, colour: str | None, size: int, rotation: int = 0, flip: bool = False, style: str = "noto"
) -> Image.Image:
    """The thing as RGBA, cut tight, longest side `size` pixels; turned by `rotation` degrees
    anticlockwise, then mirrored if `flip`.

    `colour` None leaves a glyph as the style has it. Cached: the caller must not draw on it.
    """
    width, height = proportions(kind, rotation, style)
    whole = _small(kind, colour, style) if size <= _SMALL else _large(kind, colour, style)
    if 2.4 * size <= _SMALL:
        whole = whole.reduce(2)  # turning it then costs a quarter
    box = (max(1, round(size * width)), max(1, round(size * height)))
    image = _turned(whole, rotation).resize(box, Image.Resampling.BICUBIC).convert("RGBA")
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


@lru_cache(65536)
def proportions(kind: str, rotation: int = 0, style: str = "noto") -> tuple[float, float]:
    """Width and height of the cut sprite, the longer of the two being 1."""
    width, height = _turned(_small(kind, None, style), rotation).size
    longest = max(width, height)
    return width / longest, height / longest


@lru_cache(65536)
def mean_colour(kind: str, colour: str | None, style: str = "noto") -> tuple[int, int, int]:
    """The colour seen from afar: the mean over the thing's opaque pixels."""
    pixels = np.asarray(_small(kind, colour, style).convert("RGBA"), dtype=np.float32).reshape(-1, 4)
    red, green, blue = pixels[pixels[:, 3] > 128, :3].mean(0)
    return int(red), int(green), int(blue)


def _turned(image: Image.Image, rotation: int) -> Image.Image:
    if not rotation:
        return image
    return _cut(image.rotate(rotation, Image.Resampling.BICUBIC, expand=True))


def _cut(image: Image.Image) -> Image.Image:
    return image.crop(image.getchannel("A" if image.mode == "RGBA" else "a").point(_SOLID).getbbox())


def _small(kind: str, colour: str | None, style: str) -> Image.Image:
    # Two styles of one set differ only in the kinds of two emoji: the others are kept once.
    if style in STYLES and glyph_of(style, kind) == glyph_of(STYLES[style].set, kind):
        style = STYLES[style].set
    return _kept(kind, colour, style)


@lru_cache(6144)
def _kept(kind: str, colour: str | None, style: str) -> Image.Image:
    return _painted(kind, colour, style, _SMALL)


@lru_cache(64)
def _large(kind: str, colour: str | None, style: str) -> Image.Image:
    return _painted(kind, colour, style, None)


def _painted(kind: str, colour: str | None, style: str, side: int | None) -> Image.Image:
    """The thing upright, its longest side `side` pixels (None: as the style has it). Its colours are
    multiplied by their opacity ("RGBa"): turning and scaling then need no conversion."""
    if colour is not None and colour not in COLOURS:
        raise UsageError(f"the drawn world has no colour {colour!r}; {nearest(colour, COLOURS)}")
    glyph, of = glyph_of(style, kind), KINDS[kind]
    if glyph is None:
        image = shape(kind, COLOURS[colour] if colour else (128, 128, 128), style)
    else:
        image = _cut(picture(style, kind))
    if side:
        scale = side / max(image.size)
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
            Image.Resampling.BICUBIC,
        )
    if colour is None and of.tintable and glyph != of.glyph:
        colour = of.colour  # a second emoji may have another colour of its own
    return (_tint(image, colour) if glyph and colour else image).convert("RGBa")


def _tint(image: Image.Image, colour: str) -> Image.Image:
    """Repaint by lightness: the middle tone of what is painted becomes the colour, darker parts its shades,
    lighter ones its tints. A car keeps its windows and wheels; a thing of no one hue is painted all over."""
    pixels = np.asarray(image).astype(np.float32)
    rgb, solid = pixels[..., :3], pixels[..., 3] > 128
    light = rgb @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    inked = light < 0.1  # outlines, where a style has them; a black thing is all ink
    body = solid & ~inked if inked[solid].mean() < 0.6 else solid
    paint = _of_one_hue(rgb, body)
    if paint[body].mean() < _MOSTLY:
        paint = np.ones_like(light)
    middle = float(np.clip(np.median(light[body & (paint > 0.5)]), 0.25, 0.9))
    target = np.array(COLOURS[colour], np.float32)
    low, high = _SHADES.get(colour, (0.22 * target, 0.22 * target + 198))
    stops = [0, middle - 0.08, middle + 0.08, 1]
    levels = np.linspace(0, 1, 256)
    shades = np.stack(
        [np.interp(levels, stops, [low[i], target[i], target[i], high[i]]) for i in range(3)], axis=-1
    )
    tinted = shades.astype(np.float32)[(light * 255).round().astype(np.uint8)]
    rgb = rgb + (tinted - rgb) * paint[..., None]
    return Image.fromarray(np.concatenate([rgb, pixels[..., 3:]], axis=-1).round().astype(np.uint8))


_MOSTLY = 0.66  # the share of a thing that must be of one hue for the rest to keep its own


def _of_one_hue(rgb: Pixels, body: Mask) -> Pixels:
    """How much, 0 to 1, each pixel is of the hue that most of the body has."""
    high, low = rgb.max(-1), rgb.min(-1)
    chroma = high - low
    warm = np.sqrt(3) * (rgb[..., 1] - rgb[..., 2])
    hue = np.arctan2(warm, 2 * rgb[..., 0] - rgb[..., 1] - rgb[..., 2])
    counts, edges = np.histogram(hue[body], 36, (-np.pi, np.pi), weights=chroma[body])
    near = counts + np.roll(counts, 1) + np.roll(counts, -1)
    top = float(edges[int(near.argmax())]) + np.pi / 36
    apart = np.abs((hue - top + np.pi) % (2 * np.pi) - np.pi)
    alike = np.clip((np.radians(45) - apart) / np.radians(15), 0, 1)
    coloured = np.clip((chroma / np.maximum(high, 1) - 0.2) / 0.15, 0, 1)
    return np.asarray(alike * coloured, np.float32)


# Black has no shades left below it, white no tints above: they keep their details on the other side.
_SHADES = {
    "black": (np.array(COLOURS["black"]) * 0.22, np.full(3, 120.0)),
    "white": (np.array([70.0, 74.0, 82.0]), np.array([196.0, 202.0, 212.0])),
}
