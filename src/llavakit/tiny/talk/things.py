"""Questions about the things in a picture: whether, what colour, how many, where; and what is not there.

A question varies, an answer has one wording for one truth. Everything follows from the scene.
"""

import random
from typing import Literal

from llavakit.tiny.talk import placed
from llavakit.tiny.talk.asking import (
    absent,
    absent_kind,
    certain_colour,
    colours_told,
    mention,
    names,
    painted,
    question,
    spot_of,
    spots,
)
from llavakit.tiny.talk.placed import standing
from llavakit.tiny.talk.question import Asked, Language, Maker
from llavakit.tiny.talk.strangers import stranger
from llavakit.tiny.talk.surroundings import also, extras
from llavakit.tiny.talk.words import (
    ZH_PLACES,
    article,
    at,
    colour_name,
    counted,
    groups,
    having,
    join,
    measured,
    members,
    named,
    number,
    said_colour,
    sentence,
    summary,
)
from llavakit.tiny.world.scene import PLACES, Scene, Thing, place
from llavakit.tiny.world.things import CATEGORIES, COLOURS, KINDS, colour_of

MASS = frozenset({"fruit", "food", "clothes", "clothing", "furniture"})  # words that are not counted
_STRANGE = 0.1  # share of noes about what no picture of this world shows
_ABRUPT = 0.14  # share of yes-or-no, colour and count questions that ask for a single word

# ---------------------------------------------------------------- whether


def _there_are(things: list[Thing], language: Language) -> str:
    """As in "a red car at the top left", "three cars in the picture"."""
    first = things[0]
    if len(things) == 1:
        return f"{counted(first.kind, said_colour(first), 1, language)}{' ' * (language == 'en')}" + at(
            place(first), language
        )
    shared = said_colour(first) if len({said_colour(thing) for thing in things}) == 1 else None
    return counted(first.kind, shared, len(things), language)


def _presence(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    yes = bool(scene.things) and rng.random() < 0.6  # an empty scene only has noes
    if not yes and rng.random() < _STRANGE:
        return stranger("presence", rng, language)
    kind, colour = mention(scene, rng) if yes else absent(scene, rng)
    found = having(scene, kind, colour)
    abrupt = rng.random() < _ABRUPT
    if language == "zh":
        told = f"有，{'图里有' * (len(found) > 1)}{_there_are(found, 'zh')}。" if yes else ""
        answer = (
            ("有" if yes else "没有") if abrupt else told or f"没有，图里没有{named(kind, colour, 'zh')}。"
        )
    elif abrupt:
        answer = "Yes" if yes else "No"
    elif not yes:
        answer = f"No, there is no {named(kind, colour)} in the picture."
    elif len(found) == 1:
        answer = f"Yes, there is {_there_are(found, 'en')}."
    else:
        answer = f"Yes, there are {_there_are(found, 'en')} in the picture."
    words = names(kind, colour, rng, language)
    table = "presence, abrupt" if abrupt else "presence"
    asked = question("presence", table, answer, "yes" if yes else "no", rng, language, **words)
    return Asked(asked, tuple(found))


def _any(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Whether there is anything of a category; the answer names what."""
    told = [name for name in CATEGORIES if name not in ("object", "thing", "shape")]
    here = [name for name in told if members(scene, name)]
    yes = bool(here) and rng.random() < 0.6
    shown = {KINDS[kind].category for kind in painted(scene)} | (
        {"furniture", "building"} if scene.theme else set()
    )
    away = [name for name in told if name not in here and name not in shown]
    if not (yes or away):
        return None
    category = rng.choice(here if yes else away)
    plural, zh = CATEGORIES[category]
    found = members(scene, category)
    kinds: dict[tuple[str, str | None], int] = {}
    for thing in found:
        kinds[thing.kind, said_colour(thing)] = kinds.get((thing.kind, said_colour(thing)), 0) + 1
    if language == "zh":
        listed = join([counted(*key, n, "zh") for key, n in kinds.items()], "zh")
        answer = f"有，图里有{listed}。" if yes else f"没有，图里没有{zh}。"
        asked = question("presence", "any of", answer, "yes" if yes else "no", rng, language, g=zh)
        return Asked(asked, tuple(found))
    if not yes:
        answer = f"No, there {'are' if category == 'clothes' else 'is'} no {category} in the picture."
    elif len(found) == 1:
        answer = f"Yes, there is {_there_are(found, 'en')}."
    else:
        answer = f"Yes, there are {join([counted(*key, n) for key, n in kinds.items()])} in the picture."
    table = "any of, mass" if category in MASS else "any of"
    words = {"g": category, "gs": plural, "an_g": article(category)}
    asked = question("presence", table, answer, "yes" if yes else "no", rng, language, **words)
    return Asked(asked, tuple(found))


# ---------------------------------------------------------------- what colour


def _colour(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Of a kind; rather of painted things than of naturally coloured ones, and mostly of a single one."""
    told = {
        kind: colours_told(having(scene, kind), language)
        for kind in dict.fromkeys(t.kind for t in scene.things)
    }
    plain = [kind for kind, colours in told.items() if colours]
    painted = [kind for kind in plain if KINDS[kind].tintable]
    # What a banana's colour is teaches nothing about seeing: ask for it more seldom.
    if not plain or (not painted and rng.random() < 0.4):
        return None
    kind = rng.choice(painted if painted and rng.random() < 0.85 else plain)
    found = having(scene, kind)
    colours = told[kind]
    assert colours
    if "," in colours[1] and rng.random() < 0.5:
        return _colour_of_one(scene, found, rng, language)
    words = names(kind, None, rng, language)
    several = len(found) > 1
    if rng.random() < _ABRUPT and not several and colours[1] in COLOURS:
        answer = sentence(colours[0])
        return Asked(
            question("colour", "colour, abrupt", answer, colours[1], rng, language, **words), tuple(found)
        )
    if language == "zh":
        answer = f"{named(kind, None, 'zh')}是{colours[0]}的。"
    else:
        answer = f"The {named(kind, plural=several)} {'are' if several else 'is'} {colours[0]}."
    table = "colours" if several and language == "en" else "colour"
    return Asked(question("colour", table, answer, colours[1], rng, language, **words), tuple(found))


def _colour_of_one(scene: Scene, found: list[Thing], rng: random.Random, language: Language) -> Asked | None:
    """As in "What colour is the car on the left?", of several cars."""
    alone = {
        spot: inside[0] for spot in PLACES.values() if (inside := standing(found, spot)) and len(inside) == 1
    }
    if not alone:
        return None
    spot, thing = rng.choice(list(alone.items()))
    told = colours_told([thing], language)
    assert told
    words = names(thing.kind, None, rng, language)
    if language == "zh":
        words["n"] = f"{ZH_PLACES[spot]}的{words['n']}"
        answer = f"{ZH_PLACES[spot]}的{named(thing.kind, None, 'zh')}是{told[0]}的。"
    else:
        words["n"] = f"{words['n']} {at(spot)}"
        answer = f"The {named(thing.kind)} {at(spot)} is {told[0]}."
    return Asked(question("colour", "colour", answer, told[1], rng, language, **words), (thing,))


def _by_colour(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """What is red."""
    worn = list(dict.fromkeys(hue for thing in scene.things if (hue := said_colour(thing)) in COLOURS))
    unsure = any(colour_of(thing) is None for thing in scene.things) or scene.theme or extras(scene)
    absent_one = not worn or (not unsure and rng.random() < 0.2)
    colour = rng.choice([hue for hue in COLOURS if hue not in worn] if absent_one else worn)
    assert colour
    found = having(scene, None, colour)
    kinds = {thing.kind: len(having(scene, thing.kind, colour)) for thing in found}
    if len(kinds) > 4 or (unsure and not found):
        return None
    listed = join([counted(kind, None, n, language) for kind, n in kinds.items()], language)
    name = colour_name(colour, language)
    if language == "zh":
        answer = f"{listed}是{name}的。" if found else f"图里没有{name}的东西。"
    elif found:
        answer = f"{sentence(listed)} {'is' if len(found) == 1 else 'are'} {colour}."
    else:
        answer = f"Nothing in the picture is {colour}."
    truth = ", ".join(kinds) or "nothing"
    asked = question("by_colour", "what has colour", answer, truth, rng, language, c=name)
    return Asked(asked, tuple(found))


def _check(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Whether a thing has a colour, or is at a place."""
    single = [
        things[0] for kind in {t.kind: 0 for t in scene.things} if len(things := having(scene, kind)) == 1
    ]
    if not single:
        return None
    thing, yes = rng.choice(single), rng.random() < 0.5
    words, name = names(thing.kind, None, rng, language), named(thing.kind, None, language)
    told = colours_told([thing], language)
    if told and told[1] in COLOURS and rng.random() < 0.6:
        colour = told[1] if yes else rng.choice([colour for colour in COLOURS if colour != told[1]])
        fact = f"{name}是{told[0]}的" if language == "zh" else f"the {name} is {told[0]}"
        table, words["c"] = "is coloured", colour_name(colour, language)
    else:
        here = place(thing)
        parts = set(here.split())
        spot = (rng.choice(here.split()) if rng.random() < 0.25 else here) if yes else rng.choice(
            [other for other in PLACES.values() if not parts.intersection(other.split())]
        )  # fmt: skip
        fact = f"{name}{at(here, 'zh')}" if language == "zh" else f"the {name} is {at(here)}"
        table, words["at"] = "is at", spot_of(spot, language)
    opening = ("是的，" if yes else "不是，") if language == "zh" else ("Yes, " if yes else "No, ")
    answer = opening + fact + ("。" if language == "zh" else ".")
    return Asked(question("check", table, answer, "yes" if yes else "no", rng, language, **words), (thing,))


# ---------------------------------------------------------------- how many

# How often a count is asked for where a scene offers it: scenes offer ones far more than fours.
_COUNT_WEIGHT = {0: 0.2, 1: 0.35, 2: 1.3, 3: 2.0, 4: 2.5, 5: 3.0, 6: 3.5}


def _count(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    bare = not (extras(scene) or scene.bays or scene.theme)
    if bare and rng.random() < 0.1:
        return _counting("thing", "things", "东西", "个", list(scene.things), "total", rng, language, {})
    if rng.random() < _STRANGE / 8:
        return stranger("count", rng, language)
    offers: dict[int, list[tuple[str, str | None]]] = {0: [absent(scene, rng)]}
    keys = {(t.kind, colour) for t in scene.things for colour in (None, certain_colour(scene, t))}
    for kind, colour in sorted(keys, key=str):
        offers.setdefault(len(having(scene, kind, colour)), []).append((kind, colour))
    categories = sorted({KINDS[t.kind].category for t in scene.things} - MASS - {"object", "thing"})
    if categories and rng.random() < 0.15:
        category = rng.choice(categories)
        plural, zh = CATEGORIES[category]
        words = {"n": zh, "m": "个"} if language == "zh" else {"s": plural}
        found = members(scene, category)
        return _counting(category, plural, zh, "个", found, "count", rng, language, words)
    if bare and scene.things and rng.random() < 0.1 and all(colour_of(thing) for thing in scene.things):
        hue = said_colour(rng.choice(scene.things))
        if hue:
            zh = f"{colour_name(hue, 'zh')}的东西"
            words = {"n": zh, "m": "个"} if language == "zh" else {"s": f"{hue} things"}
            found = having(scene, None, hue)
            return _counting(f"{hue} thing", f"{hue} things", zh, "个", found, "count", rng, language, words)
    (count,) = rng.choices(list(offers), [_COUNT_WEIGHT.get(count, 5.0) for count in offers])
    kind, colour = rng.choice(offers[count])
    found = having(scene, kind, colour)
    zh, measure = named(kind, colour, "zh"), KINDS[kind].measure
    one, several = named(kind, colour), named(kind, colour, plural=True)
    words = names(kind, colour, rng, language, countable=True)
    return _counting(one, several, zh, measure, found, "count", rng, language, words)


def _counting(
    singular: str,
    plural: str,
    zh: str,
    measure: str,
    found: list[Thing],
    table: Literal["count", "total"],
    rng: random.Random,
    language: Language,
    words: dict[str, str],
) -> Asked:
    count = len(found)
    abrupt = table == "count" and rng.random() < _ABRUPT
    if abrupt:
        answer = sentence(number(count, language))
    else:
        answer = there_are(count, singular, plural, zh, measure, language)
    wording = "count, abrupt" if abrupt else table
    return Asked(question("count", wording, answer, str(count), rng, language, **words), tuple(found))


def there_are(count: int, singular: str, plural: str, zh: str, measure: str, language: Language) -> str:
    """The sentence that answers how many."""
    if language == "zh":
        return f"图里有{measured(count, measure)}{zh}。" if count else f"图里没有{zh}。"
    amount = "is one" if count == 1 else f"are {number(count) if count else 'no'}"
    return f"There {amount} {singular if count == 1 else plural} in the picture."


# ---------------------------------------------------------------- where


def _where(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if not scene.things:
        return None
    kind, colour = mention(scene, rng, share=0.3)
    if len(having(scene, kind, colour)) > 1 and rng.random() < 0.7:  # rather what is alone in its colour
        alone = [key for key, things in groups(scene).items() if len(things) == 1]
        kind, colour = rng.choice(alone) if alone else (kind, colour)
    found = having(scene, kind, colour)
    if len(having(scene, kind)) == 1 and rng.random() < 0.7:
        colour = None
    everywhere, truth = spots(found, language)
    words = names(kind, colour, rng, language)
    name = named(kind, colour, language, plural=len(found) > 1)
    if language == "zh":
        return Asked(
            question("where", "where", f"{name}{everywhere}。", truth, rng, language, **words), tuple(found)
        )
    table, verb = ("wheres", "are") if len(found) > 1 else ("where", "is")
    answer = f"The {name} {verb} {everywhere}."
    return Asked(question("where", table, answer, truth, rng, language, **words), tuple(found))


def _missing(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """The colour, the place or the neighbour of what is not there, asked as if it were. Only kinds that do
    have a colour are asked for it: else "What colour is the pizza?" would always mean that there is none."""
    if rng.random() < _STRANGE:
        return stranger(rng.choice(("colour", "where")), rng, language)
    table = rng.choices(("colour", "where", "colours", "wheres", "next to"), (4, 4, 1, 1, 1))[0]
    colourless = table.startswith("colour") or rng.random() < 0.5
    kind, colour = (absent_kind(scene, rng, coloured=True), None) if colourless else absent(scene, rng)
    name = named(kind, colour, language)
    words = names(kind, colour, rng, language)
    answer = f"图里没有{name}。" if language == "zh" else f"There is no {name} in the picture."
    table = table.removesuffix("s") if language == "zh" else table
    return Asked(question("absent", table, answer, name, rng, language, **words))


# ---------------------------------------------------------------- what


def _list(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    listed = join([*summary(scene, language), *also(scene, language)], language)
    if language == "zh":
        answer = f"图里有{listed}。" if listed else "图里什么都没有。"
    else:
        answer = f"I see {listed}." if listed else "I see nothing: the picture is empty."
    truth = ", ".join(dict.fromkeys(thing.kind for thing in scene.things)) or "nothing"
    return Asked(question("list", "list", answer, truth, rng, language), scene.things)


MAKERS: dict[str, Maker] = {
    "presence": _presence, "any": _any, "colour": _colour, "by_colour": _by_colour, "check": _check,
    "count": _count, "where": _where, "absent": _missing, "list": _list, **placed.MAKERS,
}  # fmt: skip
