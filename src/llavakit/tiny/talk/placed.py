"""Questions about places: what is at one, what colour that is, what is next to something."""

import random

from llavakit.tiny.talk.asking import colours_told, names, question, spot_of
from llavakit.tiny.talk.question import Asked, Language, Maker
from llavakit.tiny.talk.surroundings import extras
from llavakit.tiny.talk.words import (
    ZH_PLACES,
    article,
    at,
    counted,
    having,
    join,
    named,
    phrase,
    said_colour,
    sentence,
    summary,
)
from llavakit.tiny.world.scene import PLACES, Box, Scene, Thing, in_reading_order


def region(spot: str) -> Box:
    """The part of the picture that a question means by "on the left": a side is a third, a corner a ninth."""
    words = spot.split()
    x = (0.0, 1 / 3) if "left" in words else (2 / 3, 1.0) if "right" in words else (0.0, 1.0)
    y = (0.0, 1 / 3) if "top" in words else (2 / 3, 1.0) if "bottom" in words else (0.0, 1.0)
    if spot == "middle":
        x = y = (1 / 3, 2 / 3)
    return x[0], y[0], x[1], y[1]


_MARGIN = 0.035  # a centre nearer than this to a border is on neither side of it


def _inside(box: Box, inner: Box) -> bool | None:
    """Whether the inner box has its centre in the other; None if that is arguable."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    gaps = [(x - box[0], box[0]), (box[2] - x, box[2]), (y - box[1], box[1]), (box[3] - y, box[3])]
    reach = min((gap for gap, edge in gaps if 0 < edge < 1), default=1.0)
    return None if abs(reach) < _MARGIN else reach > 0


def _reach(box: Box, other: Box) -> float:
    """What part of the box the other covers."""
    width, height = (
        min(box[2], other[2]) - max(box[0], other[0]),
        min(box[3], other[3]) - max(box[1], other[1]),
    )
    return max(0.0, width) * max(0.0, height) / ((box[2] - box[0]) * (box[3] - box[1]))


def standing(things: list[Thing], spot: str) -> list[Thing] | None:
    """Those of the things that are at a place; None where that is arguable."""
    box = region(spot)
    within = [(thing, _inside(box, thing.box)) for thing in things]
    return (
        None if any(inside is None for _, inside in within) else [thing for thing, inside in within if inside]
    )


def _at(scene: Scene, spot: str) -> list[Thing | str] | None:
    """The things and the extras' phrases at a place; None where that is arguable."""
    box = region(spot)
    things = standing(list(in_reading_order(scene.things)), spot)
    others = [(text, other, _inside(box, other)) for other, text in extras(scene)]
    if things is None or scene.bays or any(inside is None for _, _, inside in others):
        return None
    found: list[Thing | str] = [*things, *(text for text, _, inside in others if inside)]
    strangers = [thing.box for thing in scene.things if thing not in things]
    strangers += [other for _, other, inside in others if not inside]
    limit = 0.2 if found else 0.04
    return found if max((_reach(box, other) for other in strangers), default=0.0) < limit else None


def _which(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """What is at a place; in a fifth of the cases nothing."""
    told = {spot: found for spot in PLACES.values() if (found := _at(scene, spot)) is not None}
    told = {spot: found for spot, found in told.items() if len(found) <= 4}
    empty = [spot for spot, found in told.items() if not found]
    full = [spot for spot, found in told.items() if found]
    if language == "zh":
        full = [spot for spot in full if all(isinstance(item, Thing) for item in told[spot])]
    if not (empty or full):
        return None
    spot = rng.choice(empty if empty and (not full or rng.random() < 0.2) else full)
    found = told[spot]
    things = [item for item in found if isinstance(item, Thing)]
    listed = [*summary(Scene(tuple(things)), language), *(item for item in found if isinstance(item, str))]
    if language == "zh":
        answer = f"{ZH_PLACES[spot]}有{join(listed, 'zh')}。" if found else f"{ZH_PLACES[spot]}什么都没有。"
    elif found:
        answer = f"There {'is' if len(found) == 1 else 'are'} {join(listed)} {at(spot)}."
    else:
        answer = f"There is nothing {at(spot)}."
    truth = ", ".join(dict.fromkeys(phrase(thing) for thing in things)) or (
        "nothing" if not found else listed[0]
    )
    return Asked(
        question("which", "which", answer, truth, rng, language, at=spot_of(spot, language)), tuple(things)
    )


def _next_to(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """What is nearest to something, where one thing clearly is."""
    if extras(scene) or scene.bays:
        return None
    clear: list[tuple[Thing, Thing]] = []
    for thing in scene.things:
        if len(having(scene, thing.kind)) > 1:
            continue
        near = sorted(
            (_apart(thing, other, scene.aspect), i) for i, other in enumerate(scene.things) if other != thing
        )
        if near and near[0][0] < 0.45 and (len(near) == 1 or near[1][0] > 1.4 * near[0][0]):
            clear.append((thing, scene.things[near[0][1]]))
    if not clear:
        return None
    thing, other = rng.choice(clear)
    words = names(thing.kind, None, rng, language)
    if language == "zh":
        answer = f"{named(thing.kind, None, 'zh')}旁边是{counted(other.kind, said_colour(other), 1, 'zh')}。"
    else:
        answer = f"{sentence(article(phrase(other)))} is next to the {thing.kind}."
    return Asked(question("next_to", "next to", answer, phrase(other), rng, language, **words), (other,))


def _apart(a: Thing, b: Thing, aspect: float) -> float:
    across = (a.centre[0] - b.centre[0]) * max(aspect, 1.0)
    down = (a.centre[1] - b.centre[1]) / min(aspect, 1.0)
    return float((across**2 + down**2) ** 0.5)


def _colour_at(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """The colour of whatever one thing is at a place."""
    alone = {
        spot: inside[0]
        for spot in PLACES.values()
        if (inside := _at(scene, spot)) and len(inside) == 1 and isinstance(inside[0], Thing)
    }
    alone = {spot: thing for spot, thing in alone.items() if colours_told([thing])}
    if not alone:
        return None
    spot, thing = rng.choice(list(alone.items()))
    told = colours_told([thing], language)
    assert told
    answer = f"The {thing.kind} is {told[0]}."
    if language == "zh":
        answer = f"{named(thing.kind, None, 'zh')}是{told[0]}的。"
    asked = question("colour", "colour at", answer, told[1], rng, language, at=spot_of(spot, language))
    return Asked(asked, (thing,))


MAKERS: dict[str, Maker] = {"which": _which, "next_to": _next_to, "colour_at": _colour_at}
