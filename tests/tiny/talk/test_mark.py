import random

import pytest

from llavakit.tiny.talk import ask
from llavakit.tiny.talk.mark import correct
from llavakit.tiny.talk.question import Question
from llavakit.tiny.world import compose
from llavakit.tiny.world.scene import Scene

RED = Question("colour", "What colour is the car?", "The car is red.", "red")
THREE = Question("count", "How many cats are there?", "There are three cats in the picture.", "3")
LEFT = Question("where", "Where is the cat?", "The cat is on the left.", "left")
YES = Question("presence", "Is there a cat?", "Yes, there is a cat on the left.", "yes")
NO = Question("presence", "Is there a dog?", "No, there is no dog in the picture.", "no")
ABSENT = Question("absent", "What colour is the dog?", "There is no dog in the picture.", "dog")
LIST = Question("list", "What do you see?", "I see a cat and two red cars.", "cat, car")
WHICH = Question("which", "What is on the left?", "There is a red car on the left.", "red car")
SIGN = Question(
    "which", "What is at the top?", "There is a sign that says OPEN at the top.", "a sign that says OPEN"
)


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (RED, "Red"), (RED, "It's red."), (RED, "红色"), (RED, "汽车是红色的。"),
        (THREE, "3"), (THREE, "I count three."), (THREE, "图里有三只猫。"),
        (LEFT, "It is on the left side."), (LEFT, "猫在左边。"), (LEFT, "left"),
        (YES, "Yes"), (YES, "I see a cat."), (YES, "有，一只猫在左边。"), (YES, "Yes, there is a kitten."),
        (NO, "no"), (NO, "There isn't one, I see no dog."), (NO, "没有"),
        (ABSENT, "I don't see a dog."), (ABSENT, "图里没有狗。"),
        (LIST, "A cat and two cars."), (LIST, "图里有一只猫和两辆红色的汽车。"),
        (WHICH, "a red car"), (WHICH, "A car."), (SIGN, "A sign: OPEN"),
    ],
)  # fmt: skip
def test_any_wording_of_the_truth_passes(question: Question, reply: str) -> None:
    assert correct(question, reply)


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (RED, "Blue"), (RED, "Red or blue"), (RED, "I see a car."), (RED, "There is no car."),
        (RED, "蓝色"),
        (THREE, "Four"), (THREE, "Three or four"), (THREE, "There are no cats."), (THREE, "两只"),
        (THREE, "Many"),
        (LEFT, "On the right"), (LEFT, "at the top left"), (LEFT, "On the left or on the right"),
        (LEFT, "右边"),
        (YES, "No"), (YES, "Perhaps."), (YES, "Yes and no"), (YES, "没有"), (YES, "Yes, there is a dog."),
        (NO, "Yes, there is a dog."), (NO, "有"),
        (ABSENT, "The dog is brown."), (ABSENT, "There is no cat."), (ABSENT, ""),
        (LIST, "A cat."), (LIST, "A cat, two cars and a dog."),
        (WHICH, "a blue car"), (WHICH, "a cat"), (WHICH, "There is no car."),
        (SIGN, "A sign that says CLOSED"),
    ],
)  # fmt: skip
def test_a_wrong_or_hedging_reply_fails(question: Question, reply: str) -> None:
    assert not correct(question, reply)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose.make_scene(seed, ("noto",)) for seed in range(150)]


@pytest.mark.parametrize("zh", [0.0, 1.0])
def test_every_canonical_answer_is_right(scenes: list[Scene], zh: float) -> None:
    for seed, scene in enumerate(scenes):
        for question in ask.conversation(scene, random.Random(seed), 6, zh=zh):
            assert correct(question, question.answer), question


def test_a_conversation_asks_nothing_twice(scenes: list[Scene]) -> None:
    for seed, scene in enumerate(scenes):
        if len(scene.things) > 2:
            said = [q.text.lower().strip("?. ") for q in ask.conversation(scene, random.Random(seed), 6)]
            assert len(set(said)) == 6


def test_a_conversation_follows_from_its_generator(scenes: list[Scene]) -> None:
    assert ask.conversation(scenes[0], random.Random(1), 6) == ask.conversation(
        scenes[0], random.Random(1), 6
    )


def test_a_chart_is_asked_about_where_there_is_one() -> None:
    charted = [compose.charted(seed, ("noto",)) for seed in range(12)]
    kinds = [q.kind for i, scene in enumerate(charted) for q in ask.conversation(scene, random.Random(i), 5)]
    assert sum(kind.startswith("chart") for kind in kinds) > len(kinds) / 3


def test_each_kind_of_question_can_be_asked_for() -> None:
    rng = random.Random(2)
    busy = compose.loose(3, ("noto",))
    for kind in ("presence", "count", "list", "describe", "relation"):
        assert ask.ask(busy, rng, kind).language == "en"
    assert set(ask.EVERYTHING) == set(ask.ASK)
