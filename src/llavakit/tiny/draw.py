"""The look of one thing: a sprite with transparency, of any kind, colour, size and tilt.

Most kinds are glyphs of Noto Color Emoji (© Google; font SIL OFL 1.1, images Apache-2.0), read from the
system's font and never copied here; the plain shapes are polygons. Knows nothing of scenes.
"""

import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.tiny.things import COLOURS, KINDS

ATTRIBUTION = (
    "Pictures of the tiny model's world are drawn with Noto Color Emoji by Google "
    "(https://github.com/googlefonts/noto-emoji; font: SIL Open Font License 1.1, images: Apache-2.0)."
)
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
_STRIKE = 109  # the one size, in pixels per em, that the font's bitmaps have
_EDGE = 24  # alpha below this is antialiasing, not part of the thing's box
_SOLID = [0] * _EDGE + [255] * (256 - _EDGE)


def font_path() -> Path:
    """The emoji font: `LLAVAKIT_EMOJI_FONT`, else where Debian puts it."""
    return Path(os.environ.get("LLAVAKIT_EMOJI_FONT", FONT))


@lru_cache(1)
def _font() -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(font_path()), _STRIKE)
    except OSError:
        raise LlavaError(
            f"the emoji font {str(font_path())!r} cannot be opened: install the Debian package "
            "fonts-noto-color-emoji, or set LLAVAKIT_EMOJI_FONT to a NotoColorEmoji.ttf"
        ) from None


@lru_cache(8192)
def sprite(kind: str, colour: str | None, size: int, rotation: int = 0, flip: bool = False) -> Image.Image:
    """The thing as RGBA, cut tight, longest side `size` pixels; turned by `rotation` degrees
    anticlockwise, then mirrored if `flip`.

    `colour` None leaves a glyph as the font has it. Cached: the caller must not draw on it.
    """
    width, height = proportions(kind, rotation)
    image = _half_turned(kind, colour, rotation) if size <= 64 else _turned(_upright(kind, colour), rotation)
    box = (max(1, round(size * width)), max(1, round(size * height)))
    image = image.resize(box, Image.Resampling.BICUBIC)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


@lru_cache(None)
def proportions(kind: str, rotation: int = 0) -> tuple[float, float]:
    """Width and height of the cut sprite, the longer of the two being 1."""
    width, height = _turned(_upright(kind, None), rotation).size
    longest = max(width, height)
    return width / longest, height / longest


@lru_cache(None)
def mean_colour(kind: str, colour: str | None) -> tuple[int, int, int]:
    """The colour seen from afar: the mean over the thing's opaque pixels."""
    pixels = np.asarray(_half_turned(kind, colour, 0), dtype=np.float32).reshape(-1, 4)
    red, green, blue = pixels[pixels[:, 3] > 128, :3].mean(0)
    return int(red), int(green), int(blue)


def _turned(image: Image.Image, rotation: int) -> Image.Image:
    if not rotation:
        return image
    return _cut(image.rotate(rotation, Image.Resampling.BICUBIC, expand=True))


def _cut(image: Image.Image) -> Image.Image:
    return image.crop(image.getchannel("A").point(_SOLID).getbbox())


@lru_cache(4096)
def _half_turned(kind: str, colour: str | None, rotation: int) -> Image.Image:
    # Scenes are small: turning and scaling from half size costs a quarter.
    return _turned(_upright(kind, colour).reduce(2), rotation)


@lru_cache(None)
def _upright(kind: str, colour: str | None) -> Image.Image:
    if kind not in KINDS:
        raise UsageError(f"the drawn world has no {kind!r}; {nearest(kind, KINDS)}")
    if colour is not None and colour not in COLOURS:
        raise UsageError(f"the drawn world has no colour {colour!r}; {nearest(colour, COLOURS)}")
    glyph = KINDS[kind].glyph
    if glyph is None:
        return _shape(kind, COLOURS[colour] if colour else (128, 128, 128))
    image = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(image).text((8, 8), glyph, font=_font(), embedded_color=True)
    if image.getbbox() is None:
        raise LlavaError(f"the emoji font {str(font_path())!r} has no picture of {kind!r}: use a newer one")
    image = _cut(image)
    return _tint(image, colour) if colour else image


def _tint(image: Image.Image, colour: str) -> Image.Image:
    """Repaint by lightness: the thing's middle tone becomes the colour, darker parts its shades and
    lighter parts its tints, so windows, wheels and outlines stay visible."""
    pixels = np.asarray(image).astype(np.float32)
    light = pixels[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    middle = float(np.clip(np.median(light[pixels[..., 3] > 128]), 0.25, 0.75))
    target = np.array(COLOURS[colour], np.float32)
    # Black has no shades left below it: it keeps its details as greys above.
    low = 0.22 * target
    high = np.full(3, 120.0) if colour == "black" else 0.22 * target + 198
    stops = [0, middle - 0.08, middle + 0.08, 1]
    tinted = np.stack(
        [np.interp(light, stops, [low[i], target[i], target[i], high[i]]) for i in range(3)], axis=-1
    )
    return Image.fromarray(np.concatenate([tinted, pixels[..., 3:]], axis=-1).round().astype(np.uint8))


def _shape(kind: str, fill: tuple[int, int, int]) -> Image.Image:
    side = 4 * 128  # drawn four times too large, for smooth edges
    image = Image.new("RGBA", (side, side), (*fill, 0))
    pen = ImageDraw.Draw(image)
    if kind == "moon":  # a disc less a disc
        pen.ellipse((8, 8, side - 8, side - 8), (*fill, 255))
        pen.ellipse((side * 0.32, -side * 0.06, side * 1.16, side * 0.78), (*fill, 0))
    else:
        corners = [(side * (0.5 + 0.48 * x), side * (0.5 - 0.48 * y)) for x, y in _outline(kind)]
        pen.polygon(corners, (*fill, 255))
    return _cut(image.reduce(4))


def _outline(kind: str) -> list[tuple[float, float]]:
    """Corners of a shape within [-1, 1] both ways, y upwards."""
    round_ = [math.tau * i / 120 for i in range(120)]
    match kind:
        case "circle":
            return [(math.sin(t), math.cos(t)) for t in round_]
        case "square":
            return [(-0.85, -0.85), (-0.85, 0.85), (0.85, 0.85), (0.85, -0.85)]
        case "triangle":
            return [(-1, -0.8), (0, 0.9), (1, -0.8)]
        case "diamond":
            return [(-0.62, 0), (0, 1), (0.62, 0), (0, -1)]
        case "cross":
            quarter = [(0.32, 1.0), (0.32, 0.32), (1.0, 0.32)]
            half = quarter + [(x, -y) for x, y in reversed(quarter)]
            return half + [(-x, y) for x, y in reversed(half)]
        case "star":
            tips = [(math.pi * i / 5, 0.42 if i % 2 else 1.0) for i in range(10)]
            return [(radius * math.sin(t), radius * math.cos(t)) for t, radius in tips]
        case "heart":  # the curve x = 16 sin³t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t
            waves = ((1, 13), (2, -5), (3, -2), (4, -1))
            rise = [sum(a * math.cos(n * t) for n, a in waves) for t in round_]
            return [(math.sin(t) ** 3, (y + 2.5) / 16) for t, y in zip(round_, rise, strict=True)]
        case _:
            raise UsageError(f"no outline is known for the shape {kind!r}")
