"""What makers of questions about things share: what a thing is called, what is there to ask about."""

import random

from llavakit.tiny.talk import things_en, things_zh
from llavakit.tiny.talk.question import Language, Question
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.words import (
    ZH_PLACES,
    article,
    at,
    colour_name,
    having,
    join,
    named,
    said_colour,
    spoken,
)
from llavakit.tiny.world.scene import Scene, Thing, place
from llavakit.tiny.world.things import COLOURS, KINDS, colour_of

_TABLES = {"en": things_en.TABLES, "zh": things_zh.TABLES}
_EVERYWHERE = 3  # more places than this are "all over the picture"

# What a painted place shows beside its things, so that it must not be denied.
_PAINTED: dict[str, frozenset[str]] = {
    "kitchen table": frozenset({"square", "diamond"}),
    "street": frozenset({"house", "tower", "castle", "door", "square"}),
    "café": frozenset({"house", "door", "square", "circle", "cup of coffee"}),
    "classroom": frozenset({"square"}),
    "checks": frozenset({"square", "diamond"}),
    "dots": frozenset({"circle", "oval"}),
}
_NIGHT = frozenset({"moon", "star", "sun"})
# Kinds that people call by one name: where one is, the others are not said to be missing.
_ALIKE: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split(", "))
    for row in (
        "bird, chicken, chick, duck, owl, penguin, flamingo, parrot, eagle, swan",
        "car, taxi, police car, racing car", "truck, fire engine, ambulance", "motorbike, scooter, bicycle",
        "tree, fir tree, palm tree", "flower, sunflower, rose, tulip", "bear, panda, koala, teddy bear",
        "cake, slice of cake, cupcake, pie", "boat, ship, canoe", "clock, watch", "phone, telephone",
        "loaf of bread, baguette, croissant", "umbrella, parasol", "fish, shark, dolphin, whale",
        "bowl, bowl of rice, bowl of noodles, salad", "egg, frying pan", "cap, top hat, straw hat",
        "boxing glove, pair of gloves", "shoe, boot, high heel", "pair of glasses, pair of sunglasses",
        "gem, ring, diamond", "light bulb, torch, candle", "box, gift", "house, castle, tower",
        "bottle, beer, glass of wine, cocktail", "monkey, gorilla", "wolf, dog, fox", "lion, tiger",
        "lizard, crocodile",
        "sweet, lollipop", "burger, sandwich", "chicken, chicken leg", "flame, candle", "pen, pencil, crayon",
        "snowman, ghost", "spoon, fork, knife", "lettuce, leaf, clover", "hot dog, dog", "plate, bowl",
        "mouse, squirrel",
        "tangerine, circle", "tennis ball, baseball", "cross, star", "kite, diamond", "dartboard, circle",
    )
)  # fmt: skip


def question(
    kind: str, table: str, answer: str, truth: str, rng: random.Random, language: Language, **words: str
) -> Question:
    """One asked with a wording of the table."""
    return Question(kind, worded(_TABLES[language][table], rng, **words), answer, truth, language)


def names(
    kind: str, colour: str | None, rng: random.Random, language: Language, countable: bool = False
) -> dict[str, str]:
    """What wordings call it: `n` red car, `s` red cars, `a` a red car; in Chinese `n` and the measure `m`."""
    if language == "zh":
        return {"n": named(kind, colour, "zh"), "m": KINDS[kind].measure}
    singular, plural = spoken(kind, rng, countable)
    paint = f"{colour} " if colour else ""
    return {"n": paint + singular, "s": paint + plural, "a": article(paint + singular)}


def painted(scene: Scene) -> frozenset[str]:
    """Kinds that the picture may show although they are not among its things."""
    found = _PAINTED.get(scene.theme or scene.backdrop.pattern, frozenset())
    found |= _NIGHT if scene.night is not None else frozenset()
    found |= {"clock", "watch"} if scene.clocks else frozenset()
    return found | ({"stop sign", "envelope"} if scene.writings else frozenset())


def absent_kind(scene: Scene, rng: random.Random, coloured: bool = False) -> str:
    """A kind that is not there; half of the time akin to one that is."""
    here = {thing.kind for thing in scene.things}
    for row in _ALIKE:
        here |= row if here & row else frozenset()
    here |= painted(scene)
    away = [k.name for k in KINDS.values() if k.name not in here and (k.tintable or k.colour or not coloured)]
    families = {KINDS[thing.kind].category for thing in scene.things}
    akin = [name for name in away if KINDS[name].category in families]
    return rng.choice(akin if akin and rng.random() < 0.5 else away)


def absent(scene: Scene, rng: random.Random) -> tuple[str, str | None]:
    """What is not there: in a third the right kind in a wrong colour, else another kind."""
    kinds = list(dict.fromkeys(t.kind for t in scene.things if KINDS[t.kind].tintable))
    kinds = [kind for kind in kinds if all(colour_of(thing) for thing in having(scene, kind))]
    if kinds and rng.random() < 0.33:
        kind = rng.choice(kinds)
        worn = {colour_of(thing) for thing in having(scene, kind)}
        return kind, rng.choice([colour for colour in COLOURS if colour not in worn])
    kind = absent_kind(scene, rng)
    return kind, rng.choice(list(COLOURS)) if KINDS[kind].tintable and rng.random() < 0.3 else None


def certain_colour(scene: Scene, thing: Thing) -> str | None:
    """The thing's colour, unless one of its kin has none that words could tell."""
    return said_colour(thing) if all(colour_of(kin) for kin in having(scene, thing.kind)) else None


def mention(scene: Scene, rng: random.Random, share: float = 0.5) -> tuple[str, str | None]:
    """Something that is there, named with its colour in `share` of the cases."""
    kind = rng.choice(list(dict.fromkeys(thing.kind for thing in scene.things)))
    thing = rng.choice(having(scene, kind))
    tintable = KINDS[kind].tintable
    return kind, certain_colour(scene, thing) if rng.random() < (share if tintable else share / 4) else None


def spots(things: list[Thing] | tuple[Thing, ...], language: Language = "en") -> tuple[str, str]:
    """Where they are, in words and as a truth: "on the left and at the top", "left, top"."""
    found = list(dict.fromkeys(map(place, things)))
    if len(found) > _EVERYWHERE:
        return ("遍布整张图" if language == "zh" else "all over the picture"), "everywhere"
    if language == "zh":
        return "在" + join([ZH_PLACES[spot] for spot in found], "zh"), ", ".join(found)
    return join([at(spot) for spot in found]), ", ".join(found)


def colours_told(
    things: list[Thing] | tuple[Thing, ...], language: Language = "en"
) -> tuple[str, str] | None:
    """Their colours in words and as a truth; None where one has none."""
    found = [colour_of(thing) for thing in things]
    colours = list(dict.fromkeys(colour for colour in found if colour))
    if not colours or None in found or (len(colours) > 1 and any(" " in colour for colour in colours)):
        return None
    return join([colour_name(colour, language) for colour in colours], language), ", ".join(colours)


def spot_of(spot: str, language: Language) -> str:
    """As wordings have it: "on the left", "左边"."""
    return ZH_PLACES[spot] if language == "zh" else at(spot)
