"""What is said about pictures that are not of the drawn world."""

import random
import re

import pytest

from llavakit.tiny.talk.outside import ANSWERS, RULES, outside_conversation
from llavakit.tiny.talk.question import Language, Question

STYLES = ("noto",)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_question_but_small_talk_gets_the_one_honest_answer(language: Language) -> None:
    for seed in range(60):
        for question in outside_conversation(seed, random.Random(seed), language, STYLES):
            assert question.text and question.language == language
            if question.kind == "outside":
                assert question.answer == ANSWERS[language]
                assert RULES["outside"](question, question.answer)
            else:
                assert question.kind == "small_talk" and question.answer != ANSWERS[language]
            if language == "zh":
                assert re.search(r"[一-鿿]", question.answer)


def test_questions_are_many_and_follow_from_the_seed() -> None:
    said = [
        q.text for seed in range(150) for q in outside_conversation(seed, random.Random(seed), "en", STYLES)
    ]
    assert len(set(said)) > 0.6 * len(said)
    again = [
        q.text for seed in range(150) for q in outside_conversation(seed, random.Random(seed), "en", STYLES)
    ]
    assert said == again


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("I only know drawn scenes, so I cannot tell.", True),
        ("I can't tell.", True),
        ("This does not look like a drawn scene.", True),
        ("There is a red car in the picture.", False),
        ("No.", False),
        ("I only know drawn scenes, but there is a dog.", False),
        ("The picture is empty.", False),
        ("我只认识画出来的场景。", True),
        ("图里有一只猫。", False),
    ],
)
def test_a_reply_must_own_up_and_name_nothing(reply: str, right: bool) -> None:
    question = Question("outside", "What is this?", ANSWERS["en"], "outside")
    assert RULES["outside"](question, reply) is right
