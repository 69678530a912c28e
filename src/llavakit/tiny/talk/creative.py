"""What could be done with what is seen: a dish, an advertisement, a story of two sentences.

Only what is there is named. Which dish is no matter of taste: the one that uses the most of what is there.
"""

import random
from dataclasses import dataclass

from llavakit.tiny.talk import claims
from llavakit.tiny.talk.question import Asked, Language, Maker, Question, Rule
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_creative import ADVERT, COOK, STORY
from llavakit.tiny.talk.words import (
    article,
    counted,
    groups,
    having,
    join,
    phrase,
    said_colour,
    spoken,
)
from llavakit.tiny.world.scene import Scene, Theme, Thing, area, in_reading_order
from llavakit.tiny.world.things import KINDS

_IDLE = 0.12  # share of the scenes with nothing to cook or to sell where it is asked all the same
# Where something is that is in the place.
IN: dict[Theme, str] = {
    "kitchen table": "on a kitchen table", "street": "in a street", "farm": "on a farm",
    "car park": "in a car park",
    "desert": "in a desert", "beach": "on a beach", "café": "in a café", "classroom": "in a classroom",
}  # fmt: skip

# ---------------------------------------------------------------- cooking


@dataclass(frozen=True)
class Dish:
    """A dish needs all of `must` and gains by any of `may`."""

    name: str
    must: frozenset[str]
    may: frozenset[str] = frozenset()


def _dishes() -> tuple[Dish, ...]:
    # A dish: what it must have + what it may have. Of two dishes that use as much, the earlier is chosen.
    table = """
a cheese omelette: egg, piece of cheese + mushroom, onion, tomato, bacon, potato
an omelette: egg + mushroom, onion, tomato, bacon, potato, broccoli
bacon and eggs: egg, bacon + tomato, mushroom, loaf of bread
pancakes: egg, glass of milk + pot of honey, strawberry, banana, lemon, chocolate bar
a burger with cheese: burger, piece of cheese + tomato, lettuce, onion
pizza with toppings: pizza + mushroom, tomato, piece of cheese, bacon, pineapple, onion, chilli
grilled steak: steak + potato, mushroom, onion, broccoli, carrot, corn cob, aubergine
roast chicken: chicken leg + potato, carrot, onion, broccoli, corn cob
fried rice: bowl of rice + egg, shrimp, carrot, onion, mushroom, broccoli, chilli
noodle soup: bowl of noodles + egg, mushroom, shrimp, onion, chilli, broccoli, chicken leg
tacos: taco + tomato, avocado, chilli, onion, lettuce, piece of cheese, corn cob
a cheese sandwich: loaf of bread, piece of cheese + tomato, lettuce, cucumber, onion, bacon
a cheese baguette: baguette, piece of cheese + tomato, lettuce, cucumber, bacon
avocado on toast: loaf of bread, avocado + egg, tomato, lemon, chilli
a salad: lettuce + tomato, cucumber, onion, avocado, carrot, piece of cheese, salad
a tomato salad: tomato, cucumber + onion, piece of cheese, avocado, salad
a pumpkin soup: pumpkin + onion, carrot, potato, glass of milk
a mushroom soup: mushroom, glass of milk + onion, potato
a potato gratin: potato, piece of cheese + glass of milk, onion, bacon
a baked aubergine: aubergine, piece of cheese + tomato, onion
grilled shrimps: shrimp + lemon, chilli, corn cob
a tomato soup: tomato + onion, chilli, carrot, baguette
a banana milkshake: banana, glass of milk + pot of honey, ice cream, chocolate bar
a strawberry milkshake: strawberry, glass of milk + pot of honey, ice cream
a fruit sundae: ice cream + banana, strawberry, cherry, chocolate bar, peach, pineapple
bread with honey: loaf of bread, pot of honey
guacamole: avocado + tomato, onion, chilli, lemon
toast: loaf of bread + pot of honey
baked potatoes: potato + piece of cheese, bacon
grilled corn: corn cob + chilli
fried bacon: bacon
"""
    dishes = []
    for line in table.strip().splitlines():
        name, _, needs = line.partition(": ")
        must, _, may = needs.partition(" + ")
        dishes.append(Dish(name, frozenset(must.split(", ")), frozenset(may.split(", ")) - {""}))
    return tuple(dishes)


DISHES = _dishes()
# What can be boiled or cut up together where no dish fits.
_SOUP, _FRUIT_SALAD = "a vegetable soup", "a fruit salad"


def _family(here: set[str], category: str) -> frozenset[str]:
    return frozenset(kind for kind in here if KINDS[kind].category == category)


def best_dish(here: set[str]) -> tuple[str, frozenset[str]] | None:
    """The dish that uses the most kinds of what is there, and those kinds; None where there is none."""
    offers = [
        (dish.name, dish.must | (dish.may & here)) for dish in DISHES if dish.must <= here
    ]  # fmt: skip
    for name, category in ((_FRUIT_SALAD, "fruit"), (_SOUP, "vegetable")):
        used = _family(here, category)
        if used:
            offers.append((name, used))
    # What is ready to eat is no dish by itself: a pizza needs something on it.
    offers = [
        (name, used)
        for name, used in offers
        if len(used) > 1 or any("ingredient" in KINDS[kind].tags for kind in used)
    ]  # fmt: skip
    # `max` keeps the first of equals: a soup of one vegetable yields to any dish.
    return max(offers, key=lambda offer: len(offer[1]), default=None)


def _cook(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language == "zh":
        return None
    text = worded(COOK, rng)
    found = best_dish({thing.kind for thing in scene.things})
    if found is None:
        return (
            None
            if rng.random() > _IDLE
            else Asked(Question("cook", text, _nothing_to_cook(scene), "nothing"))
        )
    name, used = found
    names = [counted(*key, len(t)) for key, t in groups(scene).items() if key[0] in used]
    answer = f"You could make {name} with the {join([_bare(words) for words in names])}."
    return Asked(Question("cook", text, answer, name), tuple(t for t in scene.things if t.kind in used))


def _bare(words: str) -> str:
    """Without the count: "two red tomatoes" is "red tomatoes"."""
    return words.split(" ", 1)[1]


def _nothing_to_cook(scene: Scene) -> str:
    ready = [thing for thing in in_reading_order(scene.things) if "edible" in KINDS[thing.kind].tags]
    if ready:
        parts = [counted(*key, len(t)) for key, t in groups(Scene(things=tuple(ready))).items()]
        ways = "it is" if len(ready) == 1 else "they are"
        return f"There is nothing to cook: {join(parts)} can be eaten as {ways}."
    kept = groups(scene)
    if not 1 <= len(kept) <= 3:
        return "I see nothing to cook with."
    parts = [counted(*key, len(things)) for key, things in kept.items()]
    verb = "is" if len(next(iter(kept.values()))) == 1 else "are"
    return f"I see nothing to cook with: there {verb} only {join(parts)}."


# ---------------------------------------------------------------- advertising

# A slogan a sort of thing: {the} is "red car".
_SLOGANS: dict[str, str] = {
    "animal": "Meet the {the}: your new best friend!",
    "fruit": "Fresh and ripe: taste the {the} today!",
    "vegetable": "Fresh from the field: enjoy the {the} today!",
    "food": "Hungry? Take a bite of the {the} today!",
    "drink": "Thirsty? Enjoy the {the} today!",
    "utensil": "Every kitchen needs the {the}: buy it today!",
    "vehicle": "Go anywhere with the {the}: take a ride today!",
    "plant": "Bring nature home with the {the}!",
    "furniture": "Make your home a better place with the {the}!",
    "instrument": "Play your best music on the {the}!",
    "clothes": "Look your best with the {the}: try it on today!",
    "tool": "Get the job done with the {the}!",
    "toy": "Hours of fun with the {the}!",
    "sport": "Play to win with the {the}!",
    "building": "Come and visit the {the}: you will want to stay!",
    "shape": "Simple and beautiful: the {the}!",
    "object": "You will not want to be without the {the}: get it today!",
}


def _advertise(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """For a thing that is named, or, for "this", the biggest that does not belong to the sky."""
    if language == "zh":
        return None
    things = [t for t in scene.things if "sky" not in KINDS[t.kind].tags]
    if not things and rng.random() > _IDLE:
        return None
    if not things:
        answer = "I see nothing to advertise."
        return Asked(Question("advertise", worded(ADVERT["this"], rng), answer, "nothing"))
    if rng.random() < (0.6 if len(groups(scene)) == 1 else 0.3):
        text = worded(ADVERT["this"], rng)
        thing = max(things, key=lambda thing: area(thing.box))
        truth = ", ".join(dict.fromkeys(thing.kind for thing in scene.things))
    else:
        thing = rng.choice(things)
        alone = len({said_colour(other) for other in having(scene, thing.kind)}) == 1
        name = spoken(thing.kind, rng)[0] if alone and rng.random() < 0.7 else phrase(thing)
        text, truth = worded(ADVERT["the"], rng, a=name), thing.kind
    answer = _SLOGANS[KINDS[thing.kind].category].format(the=phrase(thing))
    return Asked(Question("advertise", text, answer, truth), (thing,))


# ---------------------------------------------------------------- stories


def _story(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Of one or two of the things that are there, animals rather than others."""
    if language == "zh" or not scene.things:
        return None
    text = worded(STORY, rng)
    ordered = sorted(in_reading_order(scene.things), key=lambda t: KINDS[t.kind].category != "animal")
    cast: dict[str, Thing] = {}
    for thing in ordered:
        cast.setdefault(thing.kind, thing)
    hero, *others = [phrase(thing) for thing in cast.values()][:2]
    spot = f" {IN[scene.theme]}" if scene.theme else ""
    opening = f"Once upon a time there was {article(hero)}{spot}."
    ending = f"One day it met {article(others[0])}, and they became friends." if others else (
        "It was alone, but it was happy."
    )  # fmt: skip
    truth = ", ".join(list(cast)[:2])
    return Asked(Question("story", text, f"{opening} {ending}", truth), scene.things)


# ---------------------------------------------------------------- rules


def _cook_rule(question: Question, reply: str) -> bool:
    """The same dish, or another of the same ingredients; and nothing that is not there."""
    if question.truth == "nothing":
        return claims.denies(reply) and set(claims.of("kind", reply)) <= set(
            claims.of("kind", question.answer)
        )
    dish = set(claims.of("kind", question.truth))
    said, there = set(claims.of("kind", reply)), set(claims.of("kind", question.answer))
    named = question.truth.split(" ", 1)[-1] in reply.lower()
    return not claims.denies(reply) and said <= there and (named or bool(said - dish))


def _advertise_rule(question: Question, reply: str) -> bool:
    """Long enough for one, and of what is there in its own colour."""
    if question.truth == "nothing":
        return claims.denies(reply)
    kinds, there = set(claims.of("kind", reply)), set(question.truth.split(", "))
    strange = set(claims.of("colour", reply)) - set(claims.of("colour", question.answer))
    recoloured = bool(strange) and kinds == set(claims.of("kind", question.answer))
    return bool(kinds) and kinds <= there and not recoloured and len(reply) > 20


def _story_rule(question: Question, reply: str) -> bool:
    """Long enough for one, and only of those who are there."""
    said = set(claims.of("kind", reply))
    return len(reply.split()) >= 8 and said == set(claims.of("kind", question.answer))


MAKERS: dict[str, Maker] = {"cook": _cook, "advertise": _advertise, "story": _story}
RULES: dict[str, Rule] = {"cook": _cook_rule, "advertise": _advertise_rule, "story": _story_rule}
