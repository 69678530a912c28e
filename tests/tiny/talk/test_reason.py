"""Reasoning: what follows from the scene is said, and what does not is said not to."""

import random
from collections.abc import Iterator

import pytest

from llavakit.tiny.talk.creative import DISHES, best_dish
from llavakit.tiny.talk.question import Language, Question
from llavakit.tiny.talk.reason import MAKERS, RULES, why
from llavakit.tiny.world.scene import Bay, Box, Scene, Thing
from llavakit.tiny.world.things import KINDS


def thing(kind: str, x: float, y: float, colour: str | None = None, size: float = 0.2) -> Thing:
    return Thing(kind, colour, (x - size / 2, y - size / 2, x + size / 2, y + size / 2))


def bay_box(i: int) -> Box:
    return (0.2 * i, 0.3, 0.2 * i + 0.2, 0.8)


FARM = Scene(things=(thing("cow", 0.2, 0.8), thing("whale", 0.8, 0.8), thing("moon", 0.8, 0.1, "yellow")),
             theme="farm", night=True, odd=1)  # fmt: skip
LOOSE = Scene(things=(thing("cat", 0.1, 0.1), thing("cat", 0.5, 0.5), thing("cat", 0.9, 0.9)))
PARK = Scene(things=(thing("bus", 0.3, 0.55, "blue"),), theme="car park",
             bays=tuple(Bay(i + 1, bay_box(i), i == 1) for i in range(4)))  # fmt: skip
FOOD = (thing("egg", 0.2, 0.5), thing("piece of cheese", 0.5, 0.5), thing("mushroom", 0.8, 0.5))
KITCHEN = Scene(things=FOOD, theme="kitchen table")
SCENES = [FARM, LOOSE, PARK, KITCHEN, Scene()]


def asked(kind: str, scene: Scene, language: Language = "en", tries: int = 200) -> Iterator[Question]:
    for seed in range(tries):
        found = MAKERS[kind](scene, random.Random(f"{kind} {seed}"), language)
        if found:
            yield found.question


def answers(kind: str, scene: Scene, language: Language = "en") -> set[str]:
    return {question.answer for question in asked(kind, scene, language)}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scene", SCENES)
def test_the_canonical_answer_is_right_by_its_own_rule(kind: str, language: Language, scene: Scene) -> None:
    for question in asked(kind, scene, language, 60):
        assert question.kind == kind and question.language == language
        assert RULES[kind](question, question.answer), question


@pytest.mark.parametrize("kind", MAKERS)
def test_another_scenes_answer_is_wrong(kind: str) -> None:
    wrong = "Yes, there are four purple dragons, two snails and a sofa in the desert in bays 8 and 9."
    for scene in (FARM, LOOSE, PARK, KITCHEN):
        for question in asked(kind, scene, tries=20):
            assert question.truth == "yes" or not RULES[kind](question, wrong), question


def test_the_place_is_told_and_never_guessed() -> None:
    assert {"This is a farm.", "Yes, this is a farm.", "No, this is a farm."} <= answers("theme", FARM)
    assert answers("theme", LOOSE) == {"I cannot tell: there is only a plain background."}
    assert "这是农场。" in answers("theme", FARM, "zh")


def test_day_and_night_are_told_by_what_is_there() -> None:
    told = answers("day_night", FARM)
    assert {"It is night.", "It is night: the sky is dark and there is a moon."} <= told
    assert answers("day_night", LOOSE) == {"I cannot tell whether it is day or night."}


def test_a_reason_follows_on_request() -> None:
    found = MAKERS["theme"](FARM, random.Random(3), "en")
    assert found
    reason = why(found, FARM, random.Random(3))
    assert reason and reason.question.answer == "I see that it is a farm by a cow."


def test_the_odd_one_is_named_with_the_place() -> None:
    assert "A blue whale does not belong on a farm." in answers("unusual", FARM)
    assert answers("unusual", LOOSE) == {"Nothing here looks unusual."}


def test_bays_are_listed_in_order_and_by_digits() -> None:
    told = answers("bays", PARK)
    assert {"The only occupied bay is 2.", "The free bays are 1, 3 and 4.", "Three bays are free.",
            "There is a blue bus in bay 2.", "The blue bus is in bay 2."} <= told  # fmt: skip
    assert answers("bays", FARM) == {"There are no parking bays in the picture."}


def test_counting_aloud_goes_in_reading_order() -> None:
    told = answers("step_count", LOOSE)
    assert "One at the top left, two in the middle, three at the bottom right: there are three cats." in told


def test_sorts_of_things_are_named() -> None:
    told = answers("category", LOOSE)
    assert {"They are all animals.", "There are three animals: three cats."} <= told
    assert "They are different things: animals and shapes." in answers("category", FARM) or (
        "They are different things: shapes and animals." in answers("category", FARM)
    )


def test_the_dish_uses_what_is_there() -> None:
    assert answers("cook", KITCHEN) == {
        "You could make a cheese omelette with the egg, yellow piece of cheese and mushroom."
    }
    assert answers("cook", PARK) == {"I see nothing to cook with: there is only a blue bus."}


def test_dishes_are_made_of_things_that_exist() -> None:
    for dish in DISHES:
        assert dish.must | dish.may <= set(KINDS), dish.name


def test_what_is_ready_to_eat_is_no_dish() -> None:
    assert best_dish({"pizza"}) is None
    assert best_dish({"pizza", "mushroom"}) == ("pizza with toppings", frozenset({"pizza", "mushroom"}))


def test_an_advertisement_names_the_thing_and_its_colour() -> None:
    assert answers("advertise", PARK) == {"Go anywhere with the blue bus: take a ride today!"}
    question = next(asked("advertise", PARK))
    assert RULES["advertise"](question, "Buy this wonderful blue bus and see the world!")
    assert not RULES["advertise"](question, "Buy this wonderful red bus and see the world!")


def test_a_story_is_of_those_who_are_there() -> None:
    assert answers("story", LOOSE) == {"Once upon a time there was a cat. It was alone, but it was happy."}
