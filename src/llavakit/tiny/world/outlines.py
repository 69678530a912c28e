"""The plain shapes, drawn by code: the same in every style, but for the styles that ink their outlines."""

import math
from functools import lru_cache

from PIL import Image, ImageDraw

from llavakit.errors import UsageError

_SIDE = 160
_FINE = 4  # drawn so many times too large, for smooth edges
_INK = {"openmoji": (0, 0, 0)}  # styles whose things have an outline, and its colour


def shape(kind: str, fill: tuple[int, int, int], style: str = "noto") -> Image.Image:
    """The shape as RGBA, cut tight."""
    side = _SIDE * _FINE
    corners = [(side * (0.5 + 0.47 * x), side * (0.5 - 0.47 * y)) for x, y in _outline(kind)]
    ink = _INK.get(style.removesuffix("-2"))
    image = Image.new("RGBA", (side, side), (*(ink or fill), 0))
    pen = ImageDraw.Draw(image)
    pen.polygon(corners, (*fill, 255))
    if ink:
        pen.line([*corners, *corners[:2]], (*ink, 255), side // 36, joint="curve")
    image = image.reduce(_FINE)
    return image.crop(image.getbbox())


@lru_cache(None)
def _outline(kind: str) -> list[tuple[float, float]]:
    """Corners of a shape within [-1, 1] both ways, y upwards."""
    round_ = [math.tau * i / 120 for i in range(120)]
    match kind:
        case "circle":
            return [(math.sin(t), math.cos(t)) for t in round_]
        case "oval":
            return [(math.sin(t), 0.62 * math.cos(t)) for t in round_]
        case "square":
            return [(-0.85, -0.85), (-0.85, 0.85), (0.85, 0.85), (0.85, -0.85)]
        case "triangle":
            return [(-1, -0.8), (0, 0.9), (1, -0.8)]
        case "diamond":
            return [(-0.62, 0), (0, 1), (0.62, 0), (0, -1)]
        case "hexagon":
            return [(math.sin(math.tau * i / 6), math.cos(math.tau * i / 6)) for i in range(6)]
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
        case "moon":  # a disc's edge and back along that of another disc, up and to the right
            back = [(0.45 + 0.8 * math.sin(t), 0.35 + 0.8 * math.cos(t)) for t in round_]
            outer = [(math.sin(t), math.cos(t)) for t in round_]
            bare = [p for p in outer if math.dist(p, (0.45, 0.35)) >= 0.8]
            inner = [p for p in back if math.hypot(*p) <= 1]
            first = max(range(len(bare)), key=lambda i: math.dist(bare[i], bare[i - 1]))
            bare = bare[first:] + bare[:first]
            first = max(range(len(inner)), key=lambda i: math.dist(inner[i], inner[i - 1]))
            inner = inner[first:] + inner[:first]
            return bare + inner[::-1]
        case _:
            raise UsageError(f"no outline is known for the shape {kind!r}")
