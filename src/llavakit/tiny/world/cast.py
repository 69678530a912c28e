"""Who appears in a scene: kinds, paint, drawing styles, sizes. Where they stand is `arrange`."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from llavakit.tiny.world import draw
from llavakit.tiny.world.scene import RGB, Thing
from llavakit.tiny.world.styles import has
from llavakit.tiny.world.things import COLOURS, KINDS, RARE, held_out

_STEPS = 112  # sizes fall on this many steps of the shorter side, so that sprites can be cached


@dataclass(frozen=True)
class Part:
    """A thing that has no place yet; `size` is its longest side, as a share of the picture's shorter one."""

    kind: str
    colour: str | None
    style: str
    size: float = 0.3
    rotation: int = 0
    flip: bool = False

    def extent(self, aspect: float) -> tuple[float, float]:
        """Width and height as fractions of the picture's."""
        width, height = draw.proportions(self.kind, self.rotation, self.style)
        return self.size * width / max(aspect, 1.0), self.size * height * min(aspect, 1.0)

    def sized(self, size: float) -> "Part":
        """The same at another size, on the grid of sizes."""
        return replace(self, size=max(9, round(size * _STEPS)) / _STEPS)

    def at(self, x0: float, y0: float, aspect: float) -> Thing:
        """The thing, its box beginning here."""
        width, height = self.extent(aspect)
        box = (x0, y0, x0 + width, y0 + height)
        return Thing(self.kind, self.colour, box, self.style, self.rotation, self.flip)

    @property
    def seen(self) -> RGB:
        """Its mean colour."""
        return draw.mean_colour(self.kind, self.colour, self.style)


# Most emoji that people meet are Noto's.
_SHARES = {"noto": 3, "noto-2": 2}


class Casting:
    """Chooses for one scene: mostly one style, now and then several; painted half of the time.

    Args:
        without: kinds that would be mistaken for something else in this scene
    """

    def __init__(
        self,
        rng: random.Random,
        styles: Sequence[str],
        *,
        held_out: bool = False,
        without: Sequence[str] = (),
    ) -> None:
        one = rng.choices(tuple(styles), [_SHARES.get(style, 1) for style in styles])[0]
        self._styles = tuple(styles) if rng.random() < 0.1 else (one,)
        self._rng = rng
        self._held_out = held_out
        self._without = frozenset(without)
        self._painted = rng.choice((0.0, 0.5, 0.5, 1.0))  # the scene's share of painted things

    def kinds(self, tag: str | None = None) -> tuple[str, ...]:
        """The kinds that the scene's styles can draw, all or those with a tag."""
        return _drawable(self._styles, self._without, tag)

    def part(self, kind: str, colour: str | None = None) -> Part:
        """One of this kind, in this paint or one of the scene's choosing."""
        style = self._rng.choice(tuple(s for s in self._styles if has(s, kind)))
        return Part(kind, colour or self.paint(kind), style, flip=self._rng.random() < 0.5)

    def paint(self, kind: str, share: float | None = None) -> str | None:
        """A colour for it, or None; shapes are always painted. Training never sees pairs held out."""
        rng, of = self._rng, KINDS[kind]
        if not of.tintable or (of.glyph and rng.random() >= (self._painted if share is None else share)):
            return None
        kept = _held_out_colours(kind)
        if self._held_out and kept and rng.random() < 0.5:
            return rng.choice(kept)
        free = tuple(colour for colour in COLOURS if colour not in kept)
        return rng.choice(free) if free else None

    def allows(self, kind: str, colour: str) -> bool:
        """Whether this scene may show the kind in this paint."""
        return self._held_out or colour not in _held_out_colours(kind)


@lru_cache(1024)
def _held_out_colours(kind: str) -> tuple[str, ...]:
    return tuple(colour for colour in COLOURS if held_out(kind, colour))


@lru_cache(1024)
def _drawable(styles: tuple[str, ...], without: frozenset[str], tag: str | None) -> tuple[str, ...]:
    return tuple(
        name
        for name, kind in KINDS.items()
        if (tag is None or tag in kind.tags)
        and name not in without
        and any(has(style, name) for style in styles)
    )


def pick(kinds: Sequence[str], rng: random.Random, count: int = 1) -> list[str]:
    """So many different ones; those that people seldom ask for a third as often."""
    left = list(kinds)
    picked = []
    for _ in range(count):
        picked += rng.choices(left, [1 if kind in RARE else 3 for kind in left])
        left.remove(picked[-1])
    return picked


def turned(part: Part, rng: random.Random) -> Part:
    """A little askew, some of the time."""
    return replace(part, rotation=rng.choice((-20, -10, 0, 0, 0, 0, 10, 20)))
