"""What pictures from outside the drawn world are made of: natural textures, palettes, and collages of shaded
patches. Knows nothing of what a picture is meant to be; that is `photos` and `graphics`.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float32]
RGB = tuple[int, int, int]

_TILE = 512
_TILES = 6  # a slope; crops, zooms and mixtures of them make the variety

# Colours that lie together in nature, dark to light.
PALETTES: dict[str, tuple[RGB, ...]] = {
    "grass": ((22, 34, 12), (62, 84, 30), (104, 122, 52), (158, 164, 92)),
    "leaves": ((10, 20, 10), (34, 58, 26), (76, 104, 44), (150, 168, 96)),
    "autumn": ((36, 20, 10), (112, 58, 20), (178, 102, 34), (214, 168, 90)),
    "bark": ((28, 20, 14), (74, 56, 42), (118, 96, 74), (170, 150, 126)),
    "wood": ((66, 38, 18), (122, 76, 40), (168, 116, 66), (206, 164, 112)),
    "stone": ((44, 44, 44), (98, 96, 92), (142, 138, 132), (190, 186, 178)),
    "sand": ((120, 96, 66), (174, 146, 106), (206, 182, 142), (232, 216, 184)),
    "sky": ((64, 106, 168), (112, 152, 204), (168, 194, 224), (226, 232, 240)),
    "dusk": ((24, 22, 50), (92, 52, 84), (190, 104, 80), (246, 190, 120)),
    "grey sky": ((110, 116, 124), (150, 156, 162), (190, 194, 198), (222, 224, 226)),
    "water": ((10, 32, 44), (30, 72, 92), (74, 122, 138), (172, 200, 204)),
    "skin": ((70, 38, 26), (142, 88, 64), (200, 146, 116), (240, 204, 178)),
    "dark skin": ((24, 14, 10), (62, 38, 26), (104, 68, 48), (158, 112, 84)),
    "fur": ((34, 24, 16), (92, 66, 42), (148, 112, 74), (214, 186, 146)),
    "black fur": ((8, 8, 8), (26, 25, 24), (54, 52, 50), (110, 106, 102)),
    "brick": ((70, 30, 22), (126, 58, 42), (160, 86, 64), (190, 140, 116)),
    "snow": ((150, 162, 180), (196, 206, 220), (228, 234, 242), (250, 252, 254)),
    "wall": ((150, 136, 110), (186, 172, 146), (212, 202, 180), (234, 228, 214)),
    "night": ((4, 4, 8), (12, 14, 24), (30, 34, 50), (84, 84, 96)),
    "food": ((50, 18, 8), (132, 54, 20), (194, 110, 42), (238, 198, 126)),
    "cloth": ((20, 24, 40), (48, 60, 96), (96, 110, 150), (176, 184, 206)),
    "red cloth": ((40, 6, 10), (108, 18, 24), (166, 44, 46), (214, 126, 116)),
    "metal": ((20, 22, 26), (84, 88, 94), (150, 154, 160), (236, 238, 242)),
    "asphalt": ((40, 40, 42), (72, 72, 74), (100, 100, 102), (136, 136, 136)),
    "flowers": ((40, 20, 50), (140, 50, 110), (210, 110, 150), (244, 214, 220)),
    "sepia": ((30, 20, 12), (92, 70, 48), (160, 132, 98), (226, 206, 172)),
    "monochrome": ((10, 10, 10), (80, 80, 80), (150, 150, 150), (235, 235, 235)),
}


@lru_cache(64)
def _tile(slope: int, number: int) -> Image.Image:
    """Noise whose power falls as 1/f^(slope/10), wrapping around, of mean 0 and deviation 1."""
    rng = np.random.default_rng((slope, number))
    across, down = np.fft.rfftfreq(_TILE)[None, :], np.fft.fftfreq(_TILE)[:, None]
    frequency = np.hypot(across, down)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) / frequency ** (slope / 20)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (_TILE, _TILE))
    return Image.fromarray((noise / noise.std()).astype(np.float32))


def field(
    rng: np.random.Generator, size: tuple[int, int], slope: int | None = None, stretch: float = 1.0
) -> Floats:
    """A piece of natural-looking noise, about -2 to 2; `stretch` above 1 draws it out sideways."""
    slope = int(rng.choice((14, 20, 26, 32))) if slope is None else slope
    width, height = size
    zoom = float(rng.uniform(0.5, 1.3)) * min(1.0, 380 / max(size))
    wide = min(_TILE - 1.0, width * zoom / math.sqrt(stretch))
    high = min(_TILE - 1.0, height * zoom * math.sqrt(stretch))
    x, y = rng.uniform(0, _TILE - wide), rng.uniform(0, _TILE - high)
    tile = _tile(slope, int(rng.integers(_TILES)))
    piece = np.asarray(tile.resize(size, Image.Resampling.BILINEAR, (x, y, x + wide, y + high)))
    return piece[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]


def palette(rng: np.random.Generator, *names: str) -> NDArray[np.float32]:
    """The colours of one of the named palettes (any, where none is named), a little off."""
    table = np.array(PALETTES[str(rng.choice(names or tuple(PALETTES)))], np.float32)
    return np.clip(
        table * rng.uniform(0.8, 1.15) + rng.normal(0, 8, 3) + rng.normal(0, 5, table.shape), 0, 255
    ).astype(np.float32)


def tinted(values: ArrayLike, colours: NDArray[np.float32]) -> Floats:
    """Values of -2 to 2 as colours, dark to light."""
    stops = np.linspace(0, 255, len(colours))
    ramp = np.stack([np.interp(np.arange(256), stops, colours[:, k]) for k in range(3)], 1).astype(np.float32)
    index: NDArray[np.uint8] = np.clip(np.asarray(values) * 60 + 128, 0, 255).astype(np.uint8)
    return np.asarray(ramp[index], np.float32)


def one_of(rng: np.random.Generator, *names: str) -> RGB:
    """A colour from one of the palettes (any, where none is named)."""
    names = names or tuple(PALETTES)
    luck = rng.random(6)
    table = PALETTES[names[int(luck[0] * len(names))]]
    first, second = table[int(luck[1] * len(table))], table[int(luck[2] * len(table))]
    share, light, warm = float(luck[3]), 0.8 + 0.35 * float(luck[4]), 24 * float(luck[5]) - 12
    red, green, blue = (light * (a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return int(red + warm), int(green), int(blue - warm)


def blurred(pixels: ArrayLike, radius: float) -> Floats:
    """Out of focus by so many pixels."""
    image = Image.fromarray(np.clip(np.asarray(pixels), 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.BoxBlur(radius))
    if radius > 1.5:
        image = image.filter(ImageFilter.BoxBlur(radius))
    return np.asarray(image).astype(np.float32)


def outline(
    rng: np.random.Generator, x: float, y: float, wide: float, high: float, rough: float = 0.15
) -> list[tuple[float, float]]:
    """A lump: an ellipse whose edge wanders, turned at random."""
    around, lumps = _lumps()
    luck = rng.random(2)
    radius = 1 + rough * lumps[int(luck[0] * len(lumps))]
    turn = 1.4 * float(luck[1]) - 0.7
    across, down = wide * radius * np.cos(around), high * radius * np.sin(around)
    xs = x + across * math.cos(turn) - down * math.sin(turn)
    ys = y + across * math.sin(turn) + down * math.cos(turn)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


@lru_cache(1)
def _lumps() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles, and for each of many lumps how far its edge wanders there."""
    rng = np.random.default_rng(5)
    around = np.linspace(0, math.tau, 32, endpoint=False)
    waves = np.arange(2, 7)[None, :, None]
    size, phase = rng.normal(0, 1, (256, 5, 1)) / waves, rng.uniform(0, math.tau, (256, 5, 1))
    return around, (size * np.cos(waves * around + phase)).sum(1)


class Collage:
    """Patches of material, each with its colour, shading and grain, one over another; up to 255 of them.

    Coordinates are pixels. Shading is a polynomial of the place, so that a patch can look lit or round.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self._rng, self.size = rng, size
        self._rough = float(rng.choice((0.0, 0.25, 0.6, 1.0)))  # smooth walls are as common as rough ones
        self._numbers = Image.new("L", size)
        self.draw = ImageDraw.Draw(self._numbers)
        self._colours: list[RGB] = [(0, 0, 0)]
        self._shades: list[tuple[float, float, float, float, float]] = [(0, 0, 0, 0, 0)]

    def material(
        self,
        colour: RGB,
        grain: float = 0.12,
        slope: float = 0.25,
        ball: tuple[float, float, float] | None = None,
    ) -> int:
        """The fill of a new patch. `ball` (x, y, radius) rounds it; else it darkens one way by `slope`."""
        longest = max(self.size)
        if len(self._colours) == 256:
            return int(self._rng.integers(1, 256))
        if ball:
            x, y, radius = ball[0] / longest, ball[1] / longest, max(ball[2] / longest, 0.01)
            x, y = x - 0.35 * radius, y - 0.4 * radius
            fall = 0.45 / radius**2
            shade = (1.15 - fall * (x * x + y * y), 2 * fall * x, 2 * fall * y, -fall, grain)
        else:
            right, down = self._rng.normal(0, slope, 2)
            shade = (1 - (right + down) / 2, right, down, 0.0, grain)
        self._colours.append(colour)
        self._shades.append(shade)
        return len(self._colours) - 1

    def paint(self, behind: Floats | None = None) -> Floats:
        """The collage, over what is behind it where nothing was laid."""
        width, height = self.size
        numbers = np.asarray(self._numbers)
        across = (np.arange(width, dtype=np.float32) / max(self.size))[None, :]
        down = (np.arange(height, dtype=np.float32) / max(self.size))[:, None]
        base, right, low, round_, grain = np.array(self._shades, np.float32).T
        shade = base[numbers] + right[numbers] * across + low[numbers] * down
        if round_.any():
            shade += round_[numbers] * (across**2 + down**2)
        shade = np.clip(shade, 0.15, 1.5)
        shade += self._rough * grain[numbers] * field(self._rng, self.size, int(self._rng.choice((14, 20))))
        pixels = np.array(self._colours, np.float32)[numbers] * shade[..., None]
        return pixels if behind is None else np.where((numbers > 0)[..., None], pixels, behind)

    def mask(self) -> Image.Image:
        """White where something was laid."""
        return self._numbers.point([0] + [255] * 255)
