"""Pairs of scenes that differ in one thing, and short sequences in which one thing moves or grows.

Only kinds of which there is one change, except that anything may be added: "the cat" must mean one cat.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llavakit.tiny.world import compose, draw
from llavakit.tiny.world.arrange import clearly_placed
from llavakit.tiny.world.cast import Casting, Part
from llavakit.tiny.world.scene import Box, Scene, Thing, distance, overlap, place
from llavakit.tiny.world.styles import TRAINED
from llavakit.tiny.world.things import COLOURS, KINDS, colour_of, held_out

What = Literal["added", "removed", "recoloured", "moved", "replaced"]
Motion = Literal["left", "right", "up", "down", "still", "grows", "shrinks"]

WHATS: tuple[What, ...] = ("added", "removed", "recoloured", "moved", "replaced")
MOTIONS: tuple[Motion, ...] = ("left", "right", "up", "down", "still", "grows", "shrinks")

_USUAL: tuple[Motion, ...] = (*MOTIONS, "left", "right", "up", "down")  # moving is commoner than not
_NONE, _TWO = 0.12, 0.10  # share of pairs in which nothing changed, and of those with two changes
_MOST = 5  # things before the change
_CONTRAST = 90.0  # between a new thing and the tones behind it
_APART = 110.0  # between a thing's colours before and after
_AFAR = 0.25  # how far a thing moves at least, as a share of the picture
_STEP = (0.09, 0.22)  # how far it moves from frame to frame
_UPRIGHT = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True)
class Change:
    """What happened to one thing; `before` is None for one added, `after` for one removed."""

    what: What
    before: Thing | None
    after: Thing | None


@dataclass(frozen=True)
class Pair:
    """Two scenes and all that differs between them: mostly one change, or none, or two."""

    first: Scene
    second: Scene
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Frames:
    """Three or four scenes alike but for one thing, `mover` as it is in the first."""

    scenes: tuple[Scene, ...]
    mover: Thing
    motion: Motion


def make_pair(
    seed: int, styles: Sequence[str] = TRAINED, *, held_out: bool = False, what: What | None = None
) -> Pair:
    """The pair of this seed; `what` asks for a single change of this sort, where the scene allows it."""
    rng = random.Random(f"pair {seed}")
    scene = _base(rng, seed, styles, held_out, rng.randint(1, _MOST))
    casting = Casting(rng, sorted({thing.style for thing in scene.things}) or styles, held_out=held_out)
    if what:
        return changed(scene, (what,), casting, rng)
    luck = rng.random()
    wanted = _wanted(rng)
    if luck < _NONE:
        return changed(scene, (), casting, rng)
    if luck < _NONE + _TWO:
        return changed(scene, wanted[:2], casting, rng)
    for what in wanted:  # the first that this scene can bear
        pair = changed(scene, (what,), casting, rng)
        if pair.changes:
            break
    return pair


def _wanted(rng: random.Random) -> list[What]:
    """All sorts of change in some order: what few scenes can bear mostly comes early, what all can late."""
    weight = {"recoloured": 3.0, "removed": 1.2, "moved": 1.2, "replaced": 1.0, "added": 0.9}
    return sorted(WHATS, key=lambda what: -(rng.random() ** (1 / weight[what])))


def changed(scene: Scene, wanted: Sequence[What], casting: Casting, rng: random.Random) -> Pair:
    """The scene before and after these changes, each of another thing; those it cannot bear are left out."""
    counts = Counter(thing.kind for thing in scene.things)
    free = [thing for thing in scene.things if counts[thing.kind] == 1]
    rng.shuffle(free)
    things, changes = list(scene.things), list[Change]()
    for what in wanted:
        if what == "added":
            new = _newcomer(scene, things, casting, rng)
            if new:
                things.append(new)
                changes.append(Change("added", None, new))
            continue
        for thing in free:
            after = None if what == "removed" else _CHANGERS[what](thing, scene, things, casting, rng)
            if after or what == "removed":
                things = [new for old in things if (new := after if old is thing else old)]
                free.remove(thing)
                changes.append(Change(what, thing, after))
                break
    return Pair(scene, replace(scene, things=tuple(things)), tuple(changes))


def make_frames(
    seed: int, styles: Sequence[str] = TRAINED, *, held_out: bool = False, motion: Motion | None = None
) -> Frames:
    """The sequence of this seed, three or four frames."""
    rng = random.Random(f"frames {seed}")
    way = rng.choice(_USUAL) if motion is None else motion
    scene = _base(rng, seed, styles, held_out, 6)
    casting = Casting(rng, sorted({thing.style for thing in scene.things}) or styles, held_out=held_out)
    count = rng.choice((3, 3, 4))
    mover = _mover(scene, casting, rng)
    boxes = _path(mover, way, count, scene.aspect, rng)
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    swept = (min(lefts), min(tops), max(rights), max(bottoms))
    others = [t for t in scene.things if overlap(t.box, swept) == 0 and t.kind != mover.kind]
    others = others[: rng.choice((0, 0, 1, 2, 3))]
    scenes = tuple(replace(scene, things=(*others, replace(mover, box=box))) for box in boxes)
    return Frames(scenes, replace(mover, box=boxes[0]), way)


# ---------------------------------------------------------------- a scene to change


def _base(rng: random.Random, seed: int, styles: Sequence[str], held_out: bool, most: int) -> Scene:
    """Loose things, at most so many, with nothing to read among them."""
    scene = compose.loose(seed, styles, held_out=held_out)
    things = rng.sample(scene.things, len(scene.things))
    if rng.random() < 0.6:  # rather different kinds than copies: more can happen to them
        things = list({thing.kind: thing for thing in things}.values())
    return replace(scene, things=tuple(things[:most]))


def _stands_out(part: Part, scene: Scene) -> bool:
    return all(distance(part.seen, tone) >= _CONTRAST for tone in scene.backdrop.tones)


def _room(part: Part, scene: Scene, others: Sequence[Thing], rng: random.Random) -> Thing | None:
    """The part where nothing else is, its centre clearly in one of the nine places."""
    width, height = part.extent(scene.aspect)
    if max(width, height) > 0.9:
        return None
    for _ in range(60):
        x, y = clearly_placed(width, height, rng)
        box = (x, y, x + width, y + height)
        if not any(overlap(box, other.box) for other in others):
            return part.at(x, y, scene.aspect)
    return None


# ---------------------------------------------------------------- the changes


def _chosen(scene: Scene, kinds: Sequence[str], size: float, casting: Casting, rng: random.Random) -> Part:
    """One of these kinds that can be seen before this backdrop, as far as twenty tries find one."""
    parts = []
    for _ in range(20):
        parts.append(casting.part(rng.choice(kinds)).sized(size))
        if _stands_out(parts[-1], scene):
            return parts[-1]
    return max(parts, key=lambda p: min(distance(p.seen, tone) for tone in scene.backdrop.tones))


def _newcomer(scene: Scene, things: Sequence[Thing], casting: Casting, rng: random.Random) -> Thing | None:
    part = _chosen(scene, casting.kinds(), rng.uniform(0.18, 0.34), casting, rng)
    return _room(part, scene, things, rng)


def _recoloured(
    thing: Thing, scene: Scene, things: Sequence[Thing], casting: Casting, rng: random.Random
) -> Thing | None:
    before = colour_of(thing)
    if before is None or not KINDS[thing.kind].tintable:
        return None
    now = draw.mean_colour(thing.kind, thing.colour, thing.style)
    colours = [colour for colour in COLOURS if colour != before and not held_out(thing.kind, colour)]
    rng.shuffle(colours)
    for colour in colours:
        seen = draw.mean_colour(thing.kind, colour, thing.style)
        plain = all(distance(seen, tone) >= _CONTRAST for tone in scene.backdrop.tones)
        if plain and distance(seen, now) >= _APART:
            return replace(thing, colour=colour)
    return None


def _moved(
    thing: Thing, scene: Scene, things: Sequence[Thing], casting: Casting, rng: random.Random
) -> Thing | None:
    part = Part(thing.kind, thing.colour, thing.style, _longest(thing, scene), thing.rotation, thing.flip)
    for _ in range(12):
        after = _room(part, scene, [other for other in things if other is not thing], rng)
        if after and place(after) != place(thing) and math.dist(after.centre, thing.centre) >= _AFAR:
            return after
    return None


def _replaced(
    thing: Thing, scene: Scene, things: Sequence[Thing], casting: Casting, rng: random.Random
) -> Thing | None:
    here = {other.kind for other in things}
    kinds = [kind for kind in casting.kinds() if kind not in here]
    part = _chosen(scene, kinds, _longest(thing, scene), casting, rng)
    width, height = part.extent(scene.aspect)
    x, y = thing.centre
    return part.at(x - width / 2, y - height / 2, scene.aspect)


_Changer = Callable[[Thing, Scene, Sequence[Thing], Casting, random.Random], Thing | None]
_CHANGERS: dict[What, _Changer] = {"recoloured": _recoloured, "moved": _moved, "replaced": _replaced}


def _longest(thing: Thing, scene: Scene) -> float:
    """The longer side as a share of the picture's shorter one."""
    width, height = thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]
    return max(width * max(scene.aspect, 1.0), height / min(scene.aspect, 1.0))


# ---------------------------------------------------------------- what moves


def _mover(scene: Scene, casting: Casting, rng: random.Random) -> Thing:
    """Half the time something that goes by itself; at the origin, its path comes after."""
    tag = rng.choice(("wheels", "flies", "swims", None, None, None))
    kinds = casting.kinds(tag) or casting.kinds()
    return _chosen(scene, kinds, rng.uniform(0.18, 0.32), casting, rng).at(0, 0, scene.aspect)


def _path(mover: Thing, motion: Motion, count: int, aspect: float, rng: random.Random) -> list[Box]:
    """Its box in each frame: even steps one way, growing about its centre, or always the same."""
    width, height = mover.box[2], mover.box[3]
    if motion in ("grows", "shrinks"):
        largest = rng.uniform(1.5, 1.9)
        sizes = [1 / largest * largest ** (2 * i / (count - 1)) for i in range(count)]
        grown = min(largest, 0.94 / max(width, height))
        x, y = (_between(grown * side / 2 + 0.01, rng) for side in (width, height))
        boxes = [
            (x - width * s / 2, y - height * s / 2, x + width * s / 2, y + height * s / 2)
            for s in (size / largest * grown for size in sizes)
        ]
        return boxes if motion == "grows" else boxes[::-1]
    right, down = _UPRIGHT.get(motion, (0, 0))
    step = min(rng.uniform(*_STEP), (0.98 - (width if right else height)) / (count - 1))
    # the start of the box such that it stays inside all the way
    x = _start(width, right * step * (count - 1), rng)
    y = _start(height, down * step * (count - 1), rng)
    starts = [(x + i * right * step, y + i * down * step) for i in range(count)]
    return [(x0, y0, x0 + width, y0 + height) for x0, y0 in starts]


def _between(edge: float, rng: random.Random) -> float:
    return rng.uniform(edge, 1 - edge) if edge < 0.5 else 0.5


def _start(extent: float, way: float, rng: random.Random) -> float:
    return rng.uniform(max(0.01, 0.01 - way), max(0.01, min(0.99, 0.99 - way) - extent))
