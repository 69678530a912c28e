import random
from collections.abc import Callable

import pytest

from llavakit.tiny.talk import things_en, things_zh
from llavakit.tiny.talk.asking import absent_kind
from llavakit.tiny.talk.follow import follow_up
from llavakit.tiny.talk.furnished import MAKERS as FURNISHED
from llavakit.tiny.talk.question import Asked, Language, Question
from llavakit.tiny.talk.things import MAKERS
from llavakit.tiny.world.scene import Clock, Scene, Writing
from tiny.scenes import thing

STREET = Scene(
    (
        thing("banana", None, 0.2, 0.2),
        thing("car", "red", 0.8, 0.2),
        thing("car", "red", 0.2, 0.5),
        thing("star", "blue", 0.5, 0.8),
    )
)
EMPTY = Scene()


def questions(scene: Scene, kind: str, count: int = 120, language: Language = "en") -> list[Question]:
    rng = random.Random(7)
    asked = [MAKERS[kind](scene, rng, language) for _ in range(count)]
    return [one.question for one in asked if one]


def answers(scene: Scene, kind: str, wanted: Callable[[Question], bool] = lambda _: True) -> set[str]:
    return {asked.answer for asked in questions(scene, kind) if wanted(asked)}


def test_what_is_there_is_told_with_its_place_or_number() -> None:
    said = answers(STREET, "presence", lambda q: q.truth == "yes")
    assert said <= {
        "Yes", "Yes, there are two red cars in the picture.", "Yes, there is a blue star at the bottom.",
        "Yes, there is a yellow banana at the top left.",
    }  # fmt: skip
    assert len(said) == 4


def test_what_is_not_there_is_denied() -> None:
    for asked in questions(STREET, "presence"):
        if asked.truth == "no":
            assert asked.answer == "No" or asked.answer.startswith("No, there is no ")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("colour", {"The cars are red.", "The star is blue.", "Blue"}),
        ("list", {"I see a yellow banana, two red cars and a blue star."}),
        ("next_to", set()),
    ],
)
def test_one_truth_has_one_wording(kind: str, expected: set[str]) -> None:
    said = answers(STREET, kind)
    assert expected <= said
    assert kind != "list" or said == expected


def test_several_colours_are_told_together() -> None:
    cars = Scene((thing("car", "red", 0.2, 0.2), thing("car", "blue", 0.8, 0.2)))
    said = answers(cars, "colour")
    assert "The cars are red and blue." in said
    assert {"The car on the left is red.", "The car on the right is blue."} & said


def test_counts_go_from_nought_to_ten() -> None:
    crowd = Scene(tuple(thing("cat", None, 0.1 + 0.08 * i, 0.3) for i in range(10)))
    said = answers(crowd, "count")
    assert "There are ten cats in the picture." in said
    assert any(text.startswith("There are no ") for text in said)


def test_many_places_are_all_over_the_picture() -> None:
    cats = Scene(tuple(thing("cat", None, x, y) for x in (0.2, 0.8) for y in (0.2, 0.8)))
    assert "The cats are all over the picture." in answers(cats, "where")


def test_a_side_is_a_third_of_the_picture() -> None:
    said = answers(STREET, "which")
    assert "There are a yellow banana and a red car on the left." in said
    assert "There is a blue star at the bottom." in said
    assert "There is nothing at the bottom left." in said


def test_what_has_a_colour_is_named() -> None:
    assert {"Two cars are red.", "A star is blue.", "A banana is yellow."} <= answers(STREET, "by_colour")


def test_a_wrong_supposition_is_corrected() -> None:
    said = answers(STREET, "check")
    assert {"Yes, the star is blue.", "No, the star is blue.", "No, the star is at the bottom."} <= said


def test_what_is_missing_is_said_to_be_missing() -> None:
    for asked in questions(STREET, "absent"):
        assert asked.answer == f"There is no {asked.truth} in the picture."
        assert asked.truth not in ("car", "banana", "star", "red car", "blue star")


def test_what_people_call_by_one_name_is_not_denied() -> None:
    taxis = Scene((thing("taxi", None, 0.5, 0.5),), clocks=(Clock(3, 0, (0.0, 0.0, 0.2, 0.2)),))
    rng = random.Random(4)
    assert not {absent_kind(taxis, rng) for _ in range(2000)} & {
        "taxi",
        "car",
        "police car",
        "clock",
        "watch",
    }


def test_writing_is_listed_with_the_things() -> None:
    sign = Scene((thing("dog", None, 0.2, 0.8),), writings=(Writing("OPEN", (0.3, 0.1, 0.7, 0.3)),))
    assert answers(sign, "list") == {"I see a dog and a sign that says OPEN."}
    assert "There is a sign that says OPEN at the top." in answers(sign, "which")


def test_an_empty_picture_supports_no_question_about_its_things() -> None:
    assert answers(EMPTY, "list") == {"I see nothing: the picture is empty."}
    assert questions(EMPTY, "colour") == questions(EMPTY, "where") == []
    assert {asked.truth for asked in questions(EMPTY, "presence")} == {"no"}


@pytest.mark.parametrize("kind", list(MAKERS))
def test_every_kind_speaks_chinese(kind: str) -> None:
    pair = Scene((thing("car", "red", 0.2, 0.5), thing("dog", None, 0.5, 0.5), thing("cat", None, 0.8, 0.8)))
    asked = questions(pair, kind, 30, "zh")
    assert asked
    for one in asked:
        assert one.language == "zh"
        assert not any(letter.isascii() and letter.isalpha() for letter in one.text + one.answer)


def test_the_main_kinds_have_many_wordings() -> None:
    for table in ("presence", "colour", "count", "where", "which", "list", "describe"):
        assert len(set(things_en.TABLES[table])) >= 30
        assert len(set(things_zh.TABLES[table])) >= 8


def test_a_pronoun_leans_on_the_question_before() -> None:
    rng = random.Random(5)
    star = Asked(
        Question("which", "What is at the bottom?", "There is a blue star at the bottom.", ""),
        STREET.things[3:],
    )
    said = {follow.question.answer for _ in range(80) if (follow := follow_up(star, STREET, rng))}
    assert "It is blue." in said
    assert not any(text.startswith("It is at") for text in said)
    cars = Asked(Question("list", "What do you see?", "", ""), STREET.things[1:3])
    said = {follow.question.answer for _ in range(80) if (follow := follow_up(cars, STREET, rng))}
    assert {"They are red.", "They are at the top right and on the left."} <= said


def test_the_same_is_asked_of_another_thing() -> None:
    rng = random.Random(6)
    last = Asked(
        Question("colour", "What colour is the star?", "The star is blue.", "blue"), STREET.things[3:]
    )
    said = {follow.question.answer for _ in range(200) if (follow := follow_up(last, STREET, rng))}
    assert "The cars are red." in said
    assert any(text.startswith("There is no ") for text in said)


def test_a_sign_or_a_clock_is_there_like_a_thing() -> None:
    sign = Scene(writings=(Writing("OPEN", (0.0, 0.0, 0.3, 0.2)),))
    rng = random.Random(8)
    said = {asked.question.answer for _ in range(60) if (asked := FURNISHED["furnished"](sign, rng, "en"))}
    assert {"Yes, there is a sign at the top left.", "The sign is at the top left."} <= said
    assert {"No, there is no clock in the picture.", "There is no chart in the picture."} <= said


def test_people_are_asked_for_in_vain() -> None:
    assert any("no person in the picture" in asked.answer for asked in questions(STREET, "presence", 600))
