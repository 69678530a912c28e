"""What is said about several pictures."""

import random
from dataclasses import replace

import pytest

from llavakit.tiny.talk.question import Language, Question
from llavakit.tiny.talk.several import (
    MAKERS,
    RULES,
    ask_changed,
    ask_how_many,
    ask_missing,
    ask_more,
    ask_which,
    frames_conversation,
    of_picture,
    pair_conversation,
    told,
)
from llavakit.tiny.world.changes import Change, Pair
from llavakit.tiny.world.scene import Scene, Thing

STYLES = ("noto",)
CAR = Thing("car", "red", (0.05, 0.05, 0.3, 0.25))
BANANA = Thing("banana", None, (0.4, 0.4, 0.6, 0.6))
MOVED = replace(CAR, box=(0.7, 0.75, 0.95, 0.95))


@pytest.mark.parametrize(
    ("change", "english", "chinese"),
    [
        (Change("added", None, CAR), "a red car was added at the top left", "左上角多了一辆红色的汽车"),
        (Change("removed", BANANA, None), "the banana is gone", "香蕉不见了"),
        (Change("recoloured", CAR, replace(CAR, colour="blue")), "the car turned from red to blue",
         "汽车从红色变成了蓝色"),
        (Change("moved", CAR, MOVED), "the car moved from the top left to the bottom right",
         "汽车从左上角移到了右下角"),
        (Change("replaced", BANANA, replace(BANANA, kind="apple")), "the banana was replaced by an apple",
         "香蕉换成了苹果"),
    ],
)  # fmt: skip
def test_a_change_is_told_in_one_wording(change: Change, english: str, chinese: str) -> None:
    assert told(change) == english
    assert told(change, "zh") == chinese


def _asked(*changes: Change) -> Question:
    return ask_changed(Pair(Scene(), Scene(), changes), random.Random(1))


@pytest.mark.parametrize(
    ("change", "right", "wrong"),
    [
        (Change("added", None, CAR), ("There is a new car.", "A red car appeared at the top left."),
         ("A blue car was added at the top left.", "A red car was added on the right.",
          "A red bus was added.", "Nothing changed.", "The car is gone.")),
        (Change("removed", BANANA, None), ("The banana is missing.", "The banana was removed."),
         ("The apple is gone.", "A banana was added in the middle.", "The banana and the cat are gone.")),
        (Change("moved", CAR, MOVED), ("The car moved to the bottom right.",),
         ("The car moved to the top right.", "The car moved from the top left to the left.",
          "The car is gone.")),
        (Change("recoloured", CAR, replace(CAR, colour="blue")),
         ("The car is now blue.", "The car turned blue."),
         ("The car turned from red to green.", "The star turned from red to blue.")),
        (Change("replaced", BANANA, replace(BANANA, kind="apple")),
         ("There is an apple instead of the banana.",),
         ("The banana was replaced by a cat.", "The banana is gone.")),
    ],
)  # fmt: skip
def test_a_change_is_marked_by_what_where_and_colour(
    change: Change, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    question = _asked(change)
    for reply in (question.answer, *right):
        assert RULES["changed"](question, reply), reply
    for reply in wrong:
        assert not RULES["changed"](question, reply), reply


def test_nothing_changed_and_nothing_missing() -> None:
    question = _asked()
    assert question.answer == "Nothing changed."
    assert RULES["changed"](question, "They are the same.")
    assert not RULES["changed"](question, "The car is gone.")
    added = Pair(Scene(), Scene((CAR,)), (Change("added", None, CAR),))
    assert ask_missing(added, random.Random(0)).answer == "Nothing is missing."


def test_in_which_picture_a_thing_is() -> None:
    scenes = (Scene((CAR,)), Scene((BANANA, replace(CAR, colour="blue"), MOVED)))
    answers = {ask_which(scenes, random.Random(seed)).answer for seed in range(60)}
    assert answers == {"In the second picture.", "In both pictures.", "In neither picture."}
    more = [ask_more(scenes, random.Random(seed)) for seed in range(40)]
    assert {question.truth for question in more if question and "car" in question.text.lower()} <= {"1", "2"}
    question = Question("which_picture", "Which picture has a banana?", "In the second picture.", "2")
    assert RULES["which_picture"](question, "The second one.")
    assert not RULES["which_picture"](question, "In the first picture.")
    assert not RULES["which_picture"](question, "In both pictures.")


def test_how_many_pictures_there_are() -> None:
    question = ask_how_many([Scene()] * 3, random.Random(0))
    assert question.answer == "There are three pictures."
    assert RULES["how_many_pictures"](question, "3") and not RULES["how_many_pictures"](question, "two")


def test_a_plain_question_names_its_picture() -> None:
    count = Question(
        "count", "How many cats are there in the picture?", "There is one cat in the picture.", "one"
    )
    named = of_picture(count, 1)
    assert named.text == "How many cats are there in the second picture?"
    assert named.answer == "There is one cat in the second picture."
    bare = of_picture(replace(count, text="How many cats do you see?"), 0)
    assert bare.text == "In the first picture, how many cats do you see?"
    chinese = of_picture(Question("list", "图里有什么？", "图里有一只猫。", "cat", "zh"), 0)
    assert (chinese.text, chinese.answer) == ("第一张图里有什么？", "图里有一只猫。")


def test_of_a_single_picture_nothing_can_have_changed() -> None:
    asked = MAKERS["one_picture"](Scene((CAR,)), random.Random(0), "en")
    assert asked and asked.question.answer == "There is only one picture."
    assert RULES["one_picture"](asked.question, asked.question.answer)
    assert not RULES["one_picture"](asked.question, "The car is gone.")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_conversations_have_true_answers_in_their_language(language: Language) -> None:
    for seed in range(40):
        for converse, pictures in ((pair_conversation, (2,)), (frames_conversation, (3, 4))):
            scenes, questions = converse(seed, random.Random(seed), language, STYLES)
            assert len(scenes) in pictures and 3 <= len(questions) <= 6
            for question in questions:
                assert question.language == language and question.text
                if question.kind in RULES:
                    assert RULES[question.kind](question, question.answer), question


def test_motion_is_marked_by_its_way() -> None:
    question = Question("moves", "Which way does the car move?", "The car moves to the right.", "right")
    assert RULES["moves"](question, "It goes right.") and not RULES["moves"](question, "It goes left.")
    assert not RULES["moves"](question, "To the left or the right.")
    whether = Question(
        "whether_moves", "Does the car move left?", "No, the car moves to the right.", "no|right"
    )
    assert RULES["whether_moves"](whether, "No.") and not RULES["whether_moves"](whether, "Yes.")
    assert not RULES["whether_moves"](whether, "No, it moves up.")
