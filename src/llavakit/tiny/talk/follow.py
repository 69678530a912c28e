"""Questions that lean on the one before: "What colour is it?", "Where are they?", "And the dog?"."""

import random

from llavakit.tiny.talk.asking import absent, colours_told, mention, names, question, spots
from llavakit.tiny.talk.question import Asked, Language
from llavakit.tiny.talk.reason import why
from llavakit.tiny.talk.things import there_are
from llavakit.tiny.talk.words import colour_name, counted, having, named, said_colour
from llavakit.tiny.world.scene import Scene, Thing
from llavakit.tiny.world.things import COLOURS, KINDS

_ELLIPTIC = ("colour", "where", "count", "presence")


def follow_up(asked: Asked, scene: Scene, rng: random.Random, language: Language = "en") -> Asked | None:
    """Asks on about what was just spoken of, or the same of something else; None where nothing is."""
    last = asked.question
    if last.kind in ("theme", "day_night") and rng.random() < 0.3:
        return why(asked, scene, rng, language)
    if last.kind in _ELLIPTIC and " " in last.answer and rng.random() < 0.3:
        return _same_of_another(asked, scene, rng, language)
    kinds = {thing.kind for thing in asked.it}
    if len(kinds) != 1:
        return None
    ways = [way for way in ("colour", "where", "count", "check") if way != last.kind]
    if last.kind in ("presence", "which") and len(asked.it) == 1:
        ways = [way for way in ways if way != "where"]  # the answer has told it
    if last.kind in ("which", "presence", "list", "count", "next_to") and len(asked.it) > 1:
        ways = [way for way in ways if way != "count"]
    if last.kind == "check":
        ways = ["count", "where"] if colours_told(asked.it) else ["count"]
    way = rng.choices(
        ways,
        [
            {"colour": 4, "where": 4, "count": 3 if len(asked.it) > 1 else 0.7, "check": 1}[way]
            for way in ways
        ],
    )[0]
    return {"colour": _colour, "where": _where, "count": _count, "check": _check}[way](
        asked.it, scene, rng, language
    )


def _colour(it: tuple[Thing, ...], scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    told = colours_told(it, language)
    if not told:
        return None
    several = len(it) > 1
    if language == "zh":
        answer = f"{'它们' if several else '它'}是{told[0]}的。"
    else:
        answer = f"{'They are' if several else 'It is'} {told[0]}."
    table = "colour of them" if several else "colour of it"
    return Asked(question("colour", table, answer, told[1], rng, language), it)


def _where(it: tuple[Thing, ...], scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    told, truth = spots(it, language)
    several = len(it) > 1
    if language == "zh":
        answer = f"{'它们' if several else '它'}{told}。"
    else:
        answer = f"{'They are' if several else 'It is'} {told}."
    return Asked(
        question("where", "place of them" if several else "place of it", answer, truth, rng, language), it
    )


def _count(it: tuple[Thing, ...], scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Of them, that is of that kind: "it" may have kin that was not spoken of."""
    kind = it[0].kind
    found = having(scene, kind)
    if len(it) not in (1, len(found)):
        return None
    answer = there_are(
        len(found), KINDS[kind].name, KINDS[kind].plural, KINDS[kind].zh, KINDS[kind].measure, language
    )
    words = {"m": KINDS[kind].measure}
    return Asked(
        question("count", "how many of them", answer, str(len(found)), rng, language, **words), tuple(found)
    )


def _check(it: tuple[Thing, ...], scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    told = colours_told(it, language)
    if not told or told[1] not in COLOURS:
        return None
    yes, several = rng.random() < 0.5, len(it) > 1
    colour = told[1] if yes else rng.choice([colour for colour in COLOURS if colour != told[1]])
    if language == "zh":
        answer = f"{'是的' if yes else '不是'}，{'它们' if several else '它'}是{told[0]}的。"
    else:
        answer = f"{'Yes' if yes else 'No'}, {'they are' if several else 'it is'} {told[0]}."
    table, hue = "are they coloured" if several else "is it coloured", colour_name(colour, language)
    return Asked(question("check", table, answer, "yes" if yes else "no", rng, language, c=hue), it)


def _same_of_another(asked: Asked, scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """As in "And the dog?", after the colour, place, number or presence of something else."""
    way = asked.question.kind
    here = {thing.kind for thing in scene.things} - {thing.kind for thing in asked.it}
    kind, colour = mention(scene, rng, 0.0) if here and rng.random() < 0.65 else absent(scene, rng)
    found = having(scene, kind, colour)
    if any(thing.kind == kind for thing in asked.it) or (colour and way == "colour"):
        return None
    words = names(kind, colour, rng, language)
    name, several = named(kind, colour, language, plural=len(found) > 1), len(found) > 1
    zh, verb = language == "zh", "are" if several else "is"
    table = "what about, any" if way == "presence" else "what about, several" if several else "what about"
    if zh:
        table = "what about"
    if way == "count" and not zh:
        table = "what about, several"
    if way == "presence":
        if zh:
            answer = (
                f"有，图里有{counted(kind, colour, len(found), 'zh')}。"
                if found
                else f"没有，图里没有{name}。"
            )
        elif found:
            shared = said_colour(found[0]) if len({said_colour(thing) for thing in found}) == 1 else None
            spot = spots(found)[0] if not several else "in the picture"
            answer = f"Yes, there {verb} {counted(kind, shared, len(found))} {spot}."
        else:
            answer = f"No, there is no {name} in the picture."
        if zh and len(found) == 1:
            answer = f"有，{counted(kind, said_colour(found[0]), 1, 'zh')}{spots(found, 'zh')[0]}。"
        return Asked(
            question("presence", table, answer, "yes" if found else "no", rng, language, **words),
            tuple(found),
        )
    if way == "count":
        one, many = named(kind, colour), named(kind, colour, plural=True)
        answer = there_are(len(found), one, many, named(kind, colour, "zh"), KINDS[kind].measure, language)
        return Asked(question("count", table, answer, str(len(found)), rng, language, **words), tuple(found))
    if not found:
        answer = f"图里没有{name}。" if zh else f"There is no {name} in the picture."
        return Asked(question("absent", table, answer, name, rng, language, **words))
    told = colours_told(found, language) if way == "colour" else spots(found, language)
    if not told:
        return None
    if zh:
        answer = f"{name}是{told[0]}的。" if way == "colour" else f"{name}{told[0]}。"
    else:
        answer = f"The {name} {verb} {told[0]}."
    return Asked(question(way, table, answer, told[1], rng, language, **words), tuple(found))
