"""Small talk: many ways of saying it, one answer, and nothing promised that the model cannot do."""

import random
import re

import pytest

from llavakit.tiny.talk.question import Language
from llavakit.tiny.talk.small_talk import SMALL_TALK, small_talk


def test_there_are_many_groups_of_several_wordings() -> None:
    assert len(SMALL_TALK["en"]) >= 40 and len(SMALL_TALK["zh"]) >= 15
    assert all(len(exchange.wordings) >= 3 for group in SMALL_TALK.values() for exchange in group)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_wording_has_two_answers(language: Language) -> None:
    answers: dict[str, set[str]] = {}
    for exchange in SMALL_TALK[language]:
        for wording in exchange.wordings:
            answers.setdefault(wording.lower().rstrip("?!.？！"), set()).add(exchange.answer)
    marks_alone = answers.pop("", set())
    assert len(marks_alone) <= 2  # "?" asks for help, "..." says nothing
    assert {wording: found for wording, found in answers.items() if len(found) > 1} == {}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_slots_are_filled_and_nothing_is_empty(language: Language) -> None:
    for seed in range(500):
        text, answer = small_talk(random.Random(seed), language)
        assert text and answer and not re.search(r"[{}]", text + answer)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Hello", "Hello!"),
        ("Thanks", "You are welcome."),
        ("Who are you?", "llavakit's tiny model, trained on drawn scenes"),
        ("What is the capital of {country}?", "only knows drawn scenes"),
        ("You are wrong", "Please ask again in other words"),
        ("你好", "你好"),
        ("你是谁？", "llavakit"),
    ],
)
def test_what_newcomers_say_first_has_its_answer(text: str, part: str) -> None:
    (answer,) = {e.answer for group in SMALL_TALK.values() for e in group if text in e.wordings}
    assert part in answer


def test_the_same_seed_says_the_same() -> None:
    assert small_talk(random.Random(5), "en") == small_talk(random.Random(5), "en")
