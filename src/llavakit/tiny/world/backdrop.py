"""What is behind loose things: two tones and a pattern, chosen so that the things stand out, and painted."""

import math
import random
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from llavakit.tiny.world.scene import RGB, Backdrop, Pattern, distance

_CONTRAST = 80.0  # between a thing and each tone behind it; black and white differ by 442
_HARD = 10  # from this pitch on, the cells of "noise" are hard-edged: a clutter of little blocks

# Skies and the ground below them, which also tell day from night.
_DAY: tuple[RGB, ...] = ((150, 205, 245), (120, 185, 240), (190, 225, 250), (175, 215, 235))
_NIGHT: tuple[RGB, ...] = ((16, 20, 52), (22, 26, 44), (34, 30, 76), (10, 14, 36))
_LAND: tuple[RGB, ...] = ((120, 185, 90), (150, 200, 110), (196, 170, 120), (170, 172, 176), (236, 240, 244))
_DARK_LAND: tuple[RGB, ...] = ((28, 60, 40), (48, 46, 44), (40, 44, 62))
_REFUGE: tuple[RGB, ...] = ((250, 250, 250), (178, 190, 184), (96, 104, 110), (22, 24, 30))


def fitting(seen: Sequence[RGB], rng: random.Random) -> tuple[Backdrop, bool | None]:
    """The first of a few random backdrops on which everything `seen` stands out, else the best of them;
    and whether it is night there, None where it does not tell."""
    if rng.random() < 0.4:  # what people put pictures on most
        tone = plain(rng)
        if contrast(tone, seen) >= 0.75 * _CONTRAST:
            return tone, None
    best: tuple[float, Backdrop, bool | None] | None = None
    for _ in range(10):
        backdrop, night = _any(rng)
        apart = contrast(backdrop, seen)
        if apart >= _CONTRAST:
            return backdrop, night
        if best is None or apart > best[0]:
            best = apart, backdrop, night
    assert best is not None
    refuge = max((Backdrop("plain", (tone, tone)) for tone in _REFUGE), key=lambda b: contrast(b, seen))
    return (refuge, None) if contrast(refuge, seen) > best[0] else best[1:]


def plain(rng: random.Random) -> Backdrop:
    """White, or nearly: cream, light grey, a pale blue."""
    if rng.random() < 0.5:
        return Backdrop("plain", ((255, 255, 255), (255, 255, 255)))
    tone = _near((244, 244, 242), 10, rng)
    return Backdrop("plain", (tone, tone))


def contrast(backdrop: Backdrop, seen: Sequence[RGB]) -> float:
    """How far the least visible of the colours is from what is behind it."""
    first, second = backdrop.tones
    tones = {first, second}
    if backdrop.pattern == "gradient":  # from black to white lies every grey
        tones |= {mixed(first, second, share) for share in (0.25, 0.5, 0.75)}
    return min((distance(a, b) for a in seen for b in tones), default=math.inf)


def mixed(a: RGB, b: RGB, share: float) -> RGB:
    """`a` with this share of `b` in it."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _any(rng: random.Random) -> tuple[Backdrop, bool | None]:
    pattern = rng.choices(tuple(_SHARES), tuple(_SHARES.values()))[0]
    angle, pitch = rng.uniform(0, math.tau), rng.randint(3, 9)
    if pattern == "ground":
        night = rng.random() < 0.3
        skies, lands = (_NIGHT, _DARK_LAND) if night else (_DAY, _LAND)
        tones = _near(rng.choice(skies), 8, rng), _near(rng.choice(lands), 10, rng)
        return Backdrop("ground", tones, angle, pitch), night
    first = _tone(rng)
    if pattern == "gradient":
        second = _tone(rng)
    elif pattern == "plain":
        second = first
    else:  # patterns keep to a low contrast: they must not look like things
        step = rng.choice((-1, 1)) * rng.randint(8, 24)
        second = _clipped(first[0] + step, first[1] + step, first[2] + step)
    if pattern == "noise" and rng.random() < 0.4:
        pitch = rng.randint(_HARD, 30)
    return Backdrop(pattern, (first, second), angle, pitch), None


_SHARES: dict[Pattern, float] = {
    "plain": 5, "gradient": 5, "noise": 4, "stripes": 3, "checks": 3, "dots": 3, "ground": 3,
}  # fmt: skip


def _tone(rng: random.Random) -> RGB:
    """White, light grey, pastel, vivid, middling or dark; pastels are the commonest."""
    if rng.random() < 0.12:
        return rng.choice(((255, 214, 90), (90, 170, 230), (120, 200, 130), (240, 150, 130), (170, 140, 220)))
    base, spread = rng.choice(((250, 5), (225, 12), (215, 40), (215, 40), (150, 40), (60, 30), (25, 10)))
    return _near((base, base, base), spread, rng)


def _near(tone: RGB, spread: int, rng: random.Random) -> RGB:
    return _clipped(*(channel + rng.randint(-spread, spread) for channel in tone))


def _clipped(red: int, green: int, blue: int) -> RGB:
    return min(255, max(0, red)), min(255, max(0, green)), min(255, max(0, blue))


# ---------------------------------------------------------------- painting


def paint(backdrop: Backdrop, size: tuple[int, int], seed: int) -> Image.Image:
    """The backdrop as an RGB picture of this width and height."""
    first, second = backdrop.tones
    picture = Image.new("RGB", size, first)
    if backdrop.pattern == "noise":
        picture.paste(second, (0, 0, *size), _noise(backdrop.pitch, size, seed))
    elif backdrop.pattern != "plain":
        picture.paste(second, (0, 0, *size), _mask(backdrop.pattern, backdrop.angle, backdrop.pitch, size))
    return picture


def _noise(pitch: int, size: tuple[int, int], seed: int) -> Image.Image:
    cells = np.random.default_rng((seed, 0)).integers(0, 256, (pitch + 1, pitch + 1), np.uint8)
    smooth = Image.Resampling.BICUBIC if pitch < _HARD else Image.Resampling.NEAREST
    return Image.fromarray(cells).resize(size, smooth)


@lru_cache(64)
def _mask(pattern: Pattern, angle: float, pitch: int, size: tuple[int, int]) -> Image.Image:
    """How much of the second tone each pixel has, as an 8-bit mask; in units of the shorter side."""
    short = min(size)
    x = ((np.arange(size[0], dtype=np.float32) + 0.5) / short)[None, :]
    y = ((np.arange(size[1], dtype=np.float32) + 0.5) / short)[:, None]
    along = math.cos(angle) * x + math.sin(angle) * y
    mix: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    if pattern == "ground":
        mix = np.broadcast_to(y * short / size[1] > 0.45 + 0.04 * pitch, size[::-1])
    elif pattern == "checks":
        mix = ((x * pitch).astype(np.int32) + (y * pitch).astype(np.int32)) % 2 == 1
    elif pattern == "stripes":
        mix = np.floor(along * pitch * 2) % 2 == 1
    elif pattern == "dots":
        across = math.cos(angle) * y - math.sin(angle) * x
        mix = (along * pitch % 1 - 0.5) ** 2 + (across * pitch % 1 - 0.5) ** 2 < 0.07
    else:
        low, high = along.min(), along.max()
        return Image.fromarray(((along - low) * (255 / (high - low))).astype(np.uint8))
    return Image.fromarray(mix.astype(np.uint8) * np.uint8(255))
