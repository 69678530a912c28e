"""Pictures from outside the drawn world, so that the model learns to say that it does not know them.

By code alone: no photograph teaches it, so that photographs can examine it.
"""

import io

import numpy as np
from PIL import Image

from llavakit.errors import UsageError, nearest
from llavakit.tiny.outside.fields import Floats, blurred, field
from llavakit.tiny.outside.graphics import GRAPHICS
from llavakit.tiny.outside.photos import PHOTOGRAPHS

KINDS: tuple[str, ...] = (*PHOTOGRAPHS, *GRAPHICS)
_SHARE_OF_PHOTOGRAPHS = 0.66
_ASPECTS = (1, 1, 4 / 3, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, 2.2)


def make_outside(seed: int, size: int = 224, kind: str | None = None) -> Image.Image:
    """A picture of nothing drawn; its longer side is `size`.

    Args:
        kind: one of KINDS, for contact sheets and tests; None lets the seed choose.
    """
    rng = np.random.default_rng((seed, 7))
    aspect = float(rng.choice(_ASPECTS))
    box = (max(8, round(size * min(1, aspect))), max(8, round(size / max(1, aspect))))
    if kind is None:
        family = tuple(PHOTOGRAPHS) if rng.random() < _SHARE_OF_PHOTOGRAPHS else tuple(GRAPHICS)
        kind = str(rng.choice(family))
    if kind in PHOTOGRAPHS:
        return _taken(_exposed(PHOTOGRAPHS[kind](rng, box), rng, box), rng)
    if kind in GRAPHICS:
        pixels = GRAPHICS[kind](rng, box)
        if rng.random() < 0.15:  # a photograph of a page or a screen
            pixels = _exposed(pixels, rng, box)
        return _taken(pixels, rng)
    raise UsageError(f"nothing outside the drawn world is called {kind!r}; {nearest(kind, KINDS)}")


def _exposed(pixels: Floats, rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Light that falls unevenly, the lens's darker corners, white balance, contrast, grain."""
    width, height = size
    light = 1 + rng.uniform(0, 0.2) * field(rng, size, 32)
    x, y = (
        np.linspace(-1, 1, width, dtype=np.float32)[None, :],
        np.linspace(-1, 1, height, dtype=np.float32)[:, None],
    )
    light *= 1 - rng.uniform(0, 0.3) * (x * x + y * y) / 2
    balance = rng.normal(1, 0.06, 3).astype(np.float32) * np.float32(rng.uniform(0.75, 1.25))
    pixels = pixels * (light[..., None] * balance)
    contrast = np.float32(rng.uniform(0.7, 1.3))
    pixels = (pixels - 120) * contrast + 120
    luck = rng.random()
    if luck < 0.08:
        pixels = np.repeat(pixels.mean(2, keepdims=True), 3, 2)
    elif luck < 0.25:
        pixels = blurred(pixels, 0.5 + rng.uniform(0, 0.01) * max(size))
    if rng.random() < 0.6:
        grain = rng.standard_normal((height, width, 1), dtype=np.float32)
        pixels = pixels + grain * np.float32(rng.uniform(1, 10))
    return pixels


def _taken(pixels: Floats, rng: np.random.Generator) -> Image.Image:
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(35, 95)))
        picture = Image.open(file).convert("RGB")
    return picture
