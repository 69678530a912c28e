"""The themes' places: where their ground, sky, water and walls are, and in what tones.

All of it follows from theme, seed and night alone, so that composing (`themes`) and painting (`scenery`)
agree.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

from llavakit.tiny.world import backdrop
from llavakit.tiny.world.scene import RGB, Box, Theme


@dataclass(frozen=True)
class Layout:
    """Where things may be, as fractions of the picture.

    Attributes:
        line: where the ground, the floor or the table top begins
        ground: where feet may stand
        sky: where what flies may be; None indoors
        water: where what swims may float
        board: where something may be written
        wall: where a clock may hang
        tones: the ground's and the background's, which things must differ from
    """

    theme: Theme
    night: bool | None
    seed: int
    line: float
    ground: Box
    tones: tuple[RGB, RGB]
    sky: Box | None = None
    water: Box | None = None
    board: Box | None = None
    wall: Box | None = None


OUTDOORS: tuple[Theme, ...] = ("street", "farm", "desert", "beach")

SKIES: tuple[RGB, ...] = ((135, 200, 245), (160, 212, 245), (110, 180, 240), (190, 225, 250))
NIGHT_SKIES: tuple[RGB, ...] = ((14, 20, 56), (22, 24, 48), (30, 28, 72))
_NIGHT: RGB = (16, 18, 44)
WOODS: tuple[RGB, ...] = ((190, 140, 90), (214, 172, 120), (150, 100, 62), (226, 196, 152))
_CLOTHS: tuple[RGB, ...] = ((246, 246, 240), (214, 228, 240), (240, 214, 206), (222, 236, 212))
_WALLS: tuple[RGB, ...] = (
    (248, 240, 222),
    (226, 236, 232),
    (238, 228, 236),
    (222, 230, 244),
    (250, 234, 200),
)
_CAFE_WALLS: tuple[RGB, ...] = (
    (196, 120, 92),
    (110, 128, 112),
    (128, 98, 84),
    (172, 88, 82),
    (92, 112, 136),
    (228, 200, 168),
    (196, 214, 190),
)
_COUNTERS: tuple[RGB, ...] = ((214, 172, 120), (150, 100, 62), (236, 228, 218), (96, 70, 56), (214, 222, 224))
_ROADS: tuple[RGB, ...] = ((120, 122, 128), (104, 106, 112), (140, 140, 142))
_FIELDS: tuple[RGB, ...] = ((126, 190, 84), (150, 204, 100), (108, 170, 78))
_SANDS: tuple[RGB, ...] = ((236, 208, 150), (228, 190, 124), (240, 220, 172), (222, 176, 116))
_SEAS: tuple[RGB, ...] = ((40, 130, 190), (60, 160, 200), (30, 110, 170))
_FLOORS: tuple[RGB, ...] = ((206, 186, 156), (190, 200, 206), (180, 150, 116))


@lru_cache(512)
def layout(theme: Theme, seed: int, night: bool | None = None) -> Layout:
    """Of every theme but the car park, whose bays are its layout."""
    rng = random.Random(f"layout {theme} {seed}")

    def tone(choices: tuple[RGB, ...]) -> RGB:
        return shaded(rng.choice(choices), bool(night))

    sky = rng.choice(NIGHT_SKIES if night else SKIES)
    match theme:
        case "kitchen table":
            line = rng.uniform(0.28, 0.46)
            side = rng.random() < 0.5  # the window's
            wall = (0.62, 0.03, 0.95, line - 0.03) if side else (0.05, 0.03, 0.38, line - 0.03)
            tones = rng.choice(WOODS + _CLOTHS), rng.choice(_WALLS)
            return Layout(theme, None, seed, line, (0.03, line + 0.14, 0.97, 0.94), tones, wall=wall)
        case "street":
            line = rng.uniform(0.46, 0.56)
            board = (0.3, line - 0.2, 0.7, line - 0.05)
            ground = (0.02, line + 0.1, 0.98, 0.98)
            tones = tone(_ROADS), sky
            return Layout(theme, night, seed, line, ground, tones, (0.02, 0.01, 0.98, 0.2), board=board)
        case "farm":
            line = rng.uniform(0.34, 0.48)
            ground = (0.02, line + 0.14, 0.98, 0.98)
            return Layout(
                theme, night, seed, line, ground, (tone(_FIELDS), sky), (0.02, 0.01, 0.98, line - 0.04)
            )
        case "desert":
            line = rng.uniform(0.38, 0.52)
            ground = (0.02, line + 0.12, 0.98, 0.98)
            return Layout(
                theme, night, seed, line, ground, (tone(_SANDS), sky), (0.02, 0.01, 0.98, line - 0.08)
            )
        case "beach":
            line = rng.uniform(0.52, 0.62)
            ground = (0.02, line + 0.12, 0.98, 0.98)
            above, water = (0.02, 0.01, 0.98, line - 0.24), (0.02, line - 0.14, 0.98, line - 0.04)
            return Layout(theme, night, seed, line, ground, (tone(_SANDS), tone(_SEAS)), above, water)
        case "café":
            line = rng.uniform(0.5, 0.6)
            board = (0.07, 0.16, 0.45, line - 0.08)
            wall = (0.6, 0.15, 0.92, line - 0.06)
            tones = rng.choice(_COUNTERS), rng.choice(_CAFE_WALLS)
            return Layout(
                theme, None, seed, line, (0.02, line + 0.08, 0.98, 0.88), tones, board=board, wall=wall
            )
        case "classroom":
            line = rng.uniform(0.54, 0.64)
            left = rng.uniform(0.04, 0.1)
            board = (left, 0.06, left + rng.uniform(0.56, 0.62), line - 0.12)
            wall = (board[2] + 0.03, 0.04, 0.98, 0.34)
            tones = rng.choice(_FLOORS), rng.choice(_WALLS)
            return Layout(
                theme, None, seed, line, (0.02, line + 0.08, 0.98, 0.98), tones, board=board, wall=wall
            )
        case _:
            raise ValueError(f"{theme} has no layout here")


def shaded(tone: RGB, night: bool) -> RGB:
    """As it looks by night, or as it is."""
    return backdrop.mixed(tone, _NIGHT, 0.55) if night else tone


def blackboard(place: Layout) -> RGB:
    """The classroom's board: green or black."""
    return ((38, 84, 62), (44, 48, 50), (52, 98, 72))[place.seed % 3]
