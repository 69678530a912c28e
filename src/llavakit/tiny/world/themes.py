"""Themed scenes: a painted place, things that belong there, and now and then one that does not."""

import random
from collections.abc import Sequence
from dataclasses import replace

from llavakit.tiny.world import arrange, bays, places
from llavakit.tiny.world.cast import Casting, Part
from llavakit.tiny.world.clocks import make_clock
from llavakit.tiny.world.places import Layout
from llavakit.tiny.world.scene import RGB, Bay, Box, Clock, Scene, Theme, Thing, Writing, distance, overlap
from llavakit.tiny.world.styles import TRAINED
from llavakit.tiny.world.things import KINDS
from llavakit.tiny.world.writing import make_writing

# A theme and the tag of what belongs there.
TAGS: dict[Theme, str] = {
    "kitchen table": "kitchen", "street": "street", "farm": "farm", "car park": "wheels",
    "desert": "desert", "beach": "beach", "café": "cafe", "classroom": "classroom",
}  # fmt: skip
# What would astonish anyone, where it does not belong …
_ASTONISHING = (
    "whale", "dolphin", "shark", "octopus", "crocodile", "penguin", "elephant", "giraffe", "lion", "tiger",
    "zebra", "gorilla", "panda", "bear", "camel", "kangaroo", "dinosaur", "unicorn", "cow", "horse", "pig",
    "sheep", "fish", "snowman", "flying saucer", "train", "ship", "boat", "bath", "toilet", "bed", "sofa",
    "piano", "castle", "bus", "tractor", "fire engine",
)  # fmt: skip
# … less what might be there after all.
_THINKABLE: dict[Theme, tuple[str, ...]] = {
    "kitchen table": ("fish",), "street": ("horse", "train", "sofa", "tractor"),
    "farm": ("bath", "boat", "bear"),
    "car park": (), "desert": ("elephant", "giraffe", "lion", "zebra", "horse", "bus", "castle", "sheep"),
    "beach": ("whale", "dolphin", "shark", "crocodile", "penguin", "ship", "castle", "horse"),
    "café": ("piano", "fish"), "classroom": ("piano", "fish"),
}  # fmt: skip
_SIGNS: dict[Theme, tuple[str, ...]] = {
    "café": ("CAFE", "MENU", "OPEN", "COFFEE", "TEA", "Coffee", "Menu", "CAKES"),
    "street": ("SHOP", "BAKERY", "BANK", "HOTEL", "BOOKS", "PIZZA", "OPEN", "SALE"),
    "classroom": ("2 + 2", "ABC", "MATHS", "Hello", "TEST", "Monday", "7 x 3", "READ"),
}
_VEHICLES = ("car", "car", "car", "car", "taxi", "truck", "bus", "police car", "ambulance", "racing car")
_ABOVE = ("plane", "helicopter", "bird", "cloud")  # what any sky may have, beside the theme's own
_LUMINARIES = ("sun", "moon", "star")
_CONTRAST = 68.0  # between a thing and what it stands on
_ASPECTS = (*(1.0,) * 9, 4 / 3, 4 / 3, 3 / 2, 16 / 9, 3 / 4)


def themed(
    seed: int, styles: Sequence[str] = TRAINED, *, theme: Theme | None = None, held_out: bool = False
) -> Scene:
    """Two to nine things in their place; with one out of place in a quarter of the scenes."""
    rng = random.Random(f"themed {seed}")
    where = theme or rng.choice(tuple(TAGS))
    # The first two tell the time and the third says something, like the clocks and signs that are questions.
    casting = Casting(rng, styles, held_out=held_out, without=("clock", "watch", "stop sign"))
    aspect = rng.choice(_ASPECTS)
    if where == "car park":
        return _parked(casting, aspect, rng, seed)
    night = rng.random() < 0.38 if where in places.OUTDOORS else None
    place = places.layout(where, seed, night)
    writings, clocks = _fixtures(place, aspect, rng)
    things = _luminary(place, casting, aspect, rng)
    taken = [item.box for items in (writings, clocks, things) for item in items]
    cast, odd = _cast(place, casting, rng)
    things += arrange.scattered(cast, aspect, rng, taken=taken, touching=0.12)
    strange = next((thing for thing in things if odd and thing.kind == odd), None)
    # What stands lower is nearer, and hides what is behind.
    things.sort(key=lambda thing: thing.box[3])
    return Scene(
        things=tuple(things), writings=writings, clocks=clocks, theme=where, night=night,
        odd=things.index(strange) if strange else None, aspect=aspect, seed=seed,
    )  # fmt: skip


def _cast(place: Layout, casting: Casting, rng: random.Random) -> tuple[list[tuple[Part, arrange.Spot]], str]:
    """Who appears and where they may be, and the odd one's kind, "" for none."""
    kinds = _belonging(place, casting, rng)
    counts = [rng.choice((1, 1, 1, 2, 2, 3, 4, 5)) for _ in range(rng.choice((1, 2, 2, 3, 3, 4, 5)))]
    odd = ""
    if rng.random() < 0.29 and (strange := _strange(place.theme, casting)):
        odd = rng.choice(strange)
        kinds.insert(0, odd)
        counts.insert(0, 1)
    if sum(counts) == 1:
        counts = [rng.randint(2, 6)]
    total = min(9, sum(counts))
    smallest, largest = (0.22, 0.38) if total <= 3 else (0.18, 0.3) if total <= 6 else (0.14, 0.23)
    chosen: list[tuple[Part, arrange.Spot]] = []
    for kind in kinds:
        if not counts or len(chosen) >= 9:
            break
        spot, behind = _spot(place, kind)
        part = _visible(kind, casting, behind)
        if part is None:
            continue
        size, same = rng.uniform(smallest, largest), rng.random() < 0.6
        if behind == place.tones[1]:
            size = min(size, 0.24)  # skies and seas are low
        for _ in range(min(counts.pop(0), 9 - len(chosen))):
            one = part if same else _visible(kind, casting, behind) or part
            chosen.append((one.sized(size * rng.uniform(0.92, 1.08)), spot))
    return chosen, odd


def _belonging(place: Layout, casting: Casting, rng: random.Random) -> list[str]:
    """What belongs there, in any order; of what any sky may have one kind at most."""
    drawn = casting.kinds()
    kinds = [*casting.kinds(TAGS[place.theme])]
    if place.sky and rng.random() < 0.5:
        kinds += rng.sample([kind for kind in _ABOVE if kind in drawn], 1)
    absent = {*_LUMINARIES, *(("rainbow", "cloud") if place.night else ())}
    if place.theme == "street":
        absent |= {kind for kind in kinds if "edible" in KINDS[kind].tags}
    rng.shuffle(kinds)
    return [kind for kind in kinds if kind not in absent]


def _strange(theme: Theme, casting: Casting) -> tuple[str, ...]:
    drawn = casting.kinds()
    return tuple(
        kind
        for kind in _ASTONISHING
        if kind in drawn and TAGS[theme] not in KINDS[kind].tags and kind not in _THINKABLE[theme]
    )


def _spot(place: Layout, kind: str) -> tuple[arrange.Spot, RGB]:
    tags = KINDS[kind].tags
    if place.sky and tags & {"sky", "flies"}:
        return arrange.inside(place.sky), place.tones[1]
    if place.water and "swims" in tags:
        return arrange.standing(place.water), place.tones[1]
    return arrange.standing(place.ground), place.tones[0]


def _visible(kind: str, casting: Casting, behind: RGB) -> Part | None:
    for _ in range(6):
        part = casting.part(kind)
        if distance(part.seen, behind) >= _CONTRAST:
            return part
    return None


def _luminary(place: Layout, casting: Casting, aspect: float, rng: random.Random) -> list[Thing]:
    """The sun or the moon, a thing like any other: it can be asked for."""
    if place.sky is None or rng.random() < 0.3:
        return []
    kind = "moon" if place.night else "sun"
    if kind not in casting.kinds():
        return []
    colours = [c for c in ("yellow", "white") if casting.allows(kind, c)]
    colour = rng.choice(colours) if colours and KINDS[kind].tintable and not KINDS[kind].glyph else None
    part = replace(casting.part(kind), colour=colour).sized(rng.uniform(0.12, 0.17))
    if part.colour is None and KINDS[kind].glyph is None:
        return []
    width, height = part.extent(aspect)
    x = rng.choice((rng.uniform(0.03, 0.25), rng.uniform(0.75, 0.97) - width))
    return [part.at(x, rng.uniform(0.02, max(0.03, place.sky[3] - height)), aspect)]


def _fixtures(
    place: Layout, aspect: float, rng: random.Random
) -> tuple[tuple[Writing, ...], tuple[Clock, ...]]:
    writings: list[Writing] = []
    clocks: list[Clock] = []
    if place.board and rng.random() < 0.4:
        text = rng.choice(_SIGNS[place.theme]) if place.theme in _SIGNS and rng.random() < 0.6 else None
        if place.theme == "classroom":
            x0, y0, x1, y1 = place.board
            writings.append(
                make_writing(
                    rng, (x0 + 0.03, y0 + 0.03, x1 - 0.03, y1 - 0.03), aspect, text=text, form="bare",
                    behind=(places.blackboard(place),),
                )
            )  # fmt: skip
        else:
            writings.append(make_writing(rng, place.board, aspect, text=text, form="sign"))
    if place.wall and rng.random() < 0.3:
        clock = make_clock(rng, place.wall, aspect)
        if not any(overlap(clock.box, writing.box) for writing in writings):
            clocks.append(clock)
    return tuple(writings), tuple(clocks)


# ---------------------------------------------------------------- the car park


def _parked(casting: Casting, aspect: float, rng: random.Random, seed: int) -> Scene:
    marked, lane = bays.car_park(rng, aspect)
    how = bays.look(seed)
    parked = set(
        rng.sample(range(len(marked)), rng.choice(range(1, len(marked) + 1)) if rng.random() < 0.95 else 0)
    )
    vehicles = [kind for kind in _VEHICLES if kind in casting.kinds()]
    one_kind = rng.choice(vehicles) if rng.random() < 0.4 else None
    things: list[Thing] = []
    filled: list[Bay] = []
    for i, bay in enumerate(marked):
        part = None
        if i in parked:
            tries = (
                _visible(kind or rng.choice(vehicles), casting, how.tone) for kind in (one_kind, None, None)
            )
            part = next(filter(None, tries), None)
        filled.append(replace(bay, taken=part is not None))
        if part is not None:
            things.append(_filling(part, bays.room(bay, aspect, how), aspect))
    odd = None
    if rng.random() < 0.2 and (strange := _strange("car park", casting)):
        part = _visible(rng.choice(strange), casting, how.tone)
        if part is not None:
            odd = len(things)
            middle = rng.uniform(0.2, 0.5)
            room: Box = (middle, lane[1] + 0.015, middle + 0.3, lane[3] - 0.015)
            things.append(_filling(part, room, aspect))
    return Scene(
        things=tuple(things), bays=tuple(filled), theme="car park", odd=odd, aspect=aspect, seed=seed
    )


def _filling(part: Part, room: Box, aspect: float) -> Thing:
    """As large as the room allows, in its middle."""
    width, height = part.sized(1.0).extent(aspect)
    size = min((room[2] - room[0]) / width, (room[3] - room[1]) / height)
    fitted = replace(part, size=size)
    width, height = fitted.extent(aspect)
    return fitted.at((room[0] + room[2] - width) / 2, (room[1] + room[3] - height) / 2, aspect)
