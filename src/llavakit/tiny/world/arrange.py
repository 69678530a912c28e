"""Where things stand: scattered, in rows, columns and grids. Nothing is hidden by more than a third."""

import random
from collections.abc import Callable, Sequence

from llavakit.tiny.world.cast import Part
from llavakit.tiny.world.scene import Box, Thing, overlap

# Where the box of a thing of this width and height may begin.
Spot = Callable[[float, float, random.Random], tuple[float, float]]

_CLEAR = 0.03  # a centre this near to a third's edge could be called either
_EDGE = 0.01
_HIDDEN = 0.3  # how much of a thing all the others together may overlap


def anywhere(width: float, height: float, rng: random.Random) -> tuple[float, float]:
    """Wholly inside the picture."""
    return _between(_EDGE, 1 - width - _EDGE, rng), _between(_EDGE, 1 - height - _EDGE, rng)


def cut(width: float, height: float, rng: random.Random) -> tuple[float, float]:
    """Reaching over an edge by up to a quarter."""
    x, y = anywhere(width, height, rng)
    share = rng.uniform(0.08, 0.25)
    match rng.randrange(4):
        case 0:
            return -share * width, y
        case 1:
            return 1 - (1 - share) * width, y
        case 2:
            return x, -share * height
        case _:
            return x, 1 - (1 - share) * height


def clearly_placed(width: float, height: float, rng: random.Random) -> tuple[float, float]:
    """The centre well inside one of the nine places, each equally likely."""
    return _in_a_third(width, rng), _in_a_third(height, rng)


def _in_a_third(extent: float, rng: random.Random) -> float:
    third = rng.randrange(3)
    first = max(third / 3 + (_CLEAR if third else 0), extent / 2 + _EDGE)
    last = min((third + 1) / 3 - (_CLEAR if third < 2 else 0), 1 - extent / 2 - _EDGE)
    return rng.uniform(first, last) - extent / 2


def inside(room: Box) -> Spot:
    """Wholly within this part of the picture, or reaching below it where it is too low."""

    def spot(width: float, height: float, rng: random.Random) -> tuple[float, float]:
        x, y = _between(room[0], room[2] - width, rng), _between(room[1], room[3] - height, rng)
        return x, max(_EDGE, y)

    return spot


def standing(ground: Box) -> Spot:
    """Feet on this ground; heads may reach above it."""

    def spot(width: float, height: float, rng: random.Random) -> tuple[float, float]:
        x = _between(ground[0], ground[2] - width, rng)
        return x, max(_EDGE, rng.uniform(ground[1], ground[3]) - height)

    return spot


def _between(low: float, high: float, rng: random.Random) -> float:
    return rng.uniform(low, high) if high > low else (low + high) / 2


def scattered(
    cast: Sequence[tuple[Part, Spot]],
    aspect: float,
    rng: random.Random,
    *,
    taken: Sequence[Box] = (),
    touching: float = 0.0,
    tries: int = 14,
) -> list[Thing]:
    """Each where there is room, the largest first, shrinking whenever tries fail; what finds none stays away.

    Args:
        taken: what nothing may cover (writing, clocks)
        touching: what part of the smaller box two things may share
    """
    things: list[Thing] = []
    hidden: list[float] = []
    for part, spot in sorted(cast, key=lambda pair: -pair[0].size):
        for shrink in (1.0, 0.8, 0.65):
            smaller = part if shrink == 1.0 else part.sized(part.size * shrink)
            width, height = smaller.extent(aspect)
            found = False
            for _ in range(tries):
                x, y = spot(width, height, rng)
                box = (x, y, x + width, y + height)
                if any(overlap(box, other) > 0 for other in taken):
                    continue
                shared = [overlap(box, other.box) for other in things]
                if max(shared, default=0.0) > touching or sum(shared) > _HIDDEN:
                    continue
                if any(a + b > _HIDDEN for a, b in zip(hidden, shared, strict=True) if b):
                    continue
                hidden = [a + b for a, b in zip(hidden, shared, strict=True)] + [sum(shared)]
                things.append(smaller.at(x, y, aspect))
                found = True
                break
            if found:
                break
    return things


def in_grid(
    parts: Sequence[Part], columns: int, aspect: float, rng: random.Random, room: Box = (0, 0, 1, 1)
) -> list[Thing]:
    """One a cell, from the left and the top, all shrunk alike until each fits its cell.

    Some grids are exact; in others things stand a little anywhere in their cells, and cells stay empty.
    """
    rows = -(-len(parts) // columns)
    width, height = (room[2] - room[0]) / columns, (room[3] - room[1]) / rows
    loose = rng.choice((0.0, 0.0, 0.4, 1.0))
    cells = list(range(len(parts)))
    if loose and rng.random() < 0.5:
        cells = sorted(rng.sample(range(rows * columns), len(parts)))
    extents = [part.extent(aspect) for part in parts]
    fit = min(1.0, *(0.94 * width / w for w, _ in extents), *(0.94 * height / h for _, h in extents))
    things = []
    for cell, part in zip(cells, parts, strict=True):
        smaller = part if fit == 1.0 else part.sized(part.size * fit)
        w, h = smaller.extent(aspect)
        row, column = divmod(cell, columns)
        x = room[0] + column * width + (width - w) * (0.5 + loose * rng.uniform(-0.5, 0.5))
        y = room[1] + row * height + (height - h) * (0.5 + loose * rng.uniform(-0.5, 0.5))
        things.append(smaller.at(x, y, aspect))
    return things
