import random

import pytest

from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.words import (
    article,
    at,
    counted,
    groups,
    having,
    join,
    members,
    named,
    number,
    phrase,
    plural_of,
    spoken,
    summary,
)
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.things import KINDS
from tiny.scenes import thing


def test_a_natural_colour_counts_as_the_things_own() -> None:
    assert phrase(thing("car", None)) == phrase(thing("car", "red")) == "red car"
    assert [phrase(thing("pizza", None)), phrase(thing("zebra", None))] == ["pizza", "zebra"]


def test_groups_are_told_in_reading_order() -> None:
    drawn = Scene((thing("dog", None, 0.8, 0.8), thing("car", "red", 0.5, 0.1), thing("car", None, 0.1, 0.5)))
    assert summary(drawn) == ["two red cars", "a dog"]
    assert [len(things) for things in groups(drawn).values()] == [2, 1]
    assert len(having(drawn, "car", "red")) == 2
    assert having(drawn, "car", "blue") == []


@pytest.mark.parametrize(
    ("kind", "colour", "n", "language", "expected"),
    [
        ("car", "red", 1, "en", "a red car"),
        ("apple", None, 1, "en", "an apple"),
        ("mouse", None, 3, "en", "three mice"),
        ("unicorn", None, 1, "en", "a unicorn"),
        ("car", "red", 1, "zh", "一辆红色的汽车"),
        ("cat", None, 2, "zh", "两只猫"),
        ("car", None, 10, "zh", "十辆汽车"),
    ],
)
def test_things_are_counted_in_both_languages(
    kind: str, colour: str | None, n: int, language: str, expected: str
) -> None:
    assert counted(kind, colour, n, "zh" if language == "zh" else "en") == expected


def test_every_kind_has_a_phrase_in_both_languages() -> None:
    for kind in KINDS:
        assert counted(kind, None, 2, "zh").startswith("两")
        assert " " in counted(kind, None, 1)
        assert named(kind, "red", "zh").startswith("红色的")


def test_places_numbers_and_lists_are_worded() -> None:
    assert [at("left"), at("top"), at("middle"), at("top left", "zh")] == [
        "on the left", "at the top", "in the middle", "在左上角",
    ]  # fmt: skip
    assert [number(0), number(10), number(12), number(3, "zh")] == ["zero", "ten", "12", "三"]
    assert join(["a", "b", "c"]) == "a, b and c"
    assert join(["甲", "乙", "丙"], "zh") == "甲、乙和丙"
    assert join([]) == ""


def test_what_is_not_counted_has_no_article() -> None:
    assert [article("bread"), article("loaf of bread"), article("umbrella")] == [
        "some bread", "a loaf of bread", "an umbrella",
    ]  # fmt: skip
    assert [plural_of("puppy"), plural_of("slice of pizza"), plural_of("wrench")] == [
        "puppies", "slices of pizza", "wrenches",
    ]  # fmt: skip


def test_food_takes_in_fruit() -> None:
    drawn = Scene((thing("apple", None), thing("pizza", None), thing("dog", None)))
    assert [len(members(drawn, category)) for category in ("food", "fruit", "animal")] == [2, 1, 1]


def test_a_synonym_is_used_now_and_then() -> None:
    rng = random.Random(1)
    said = [spoken("dog", rng)[0] for _ in range(200)]
    assert 0.75 < said.count("dog") / 200 < 0.95
    assert set(said) == {"dog", *KINDS["dog"].synonyms}


def test_wordings_vary_and_are_never_padded() -> None:
    rng = random.Random(2)
    texts = [worded(("What colour is the {n} in the {pic}?",), rng, n="car") for _ in range(500)]
    assert len(set(texts)) > 60
    assert all(text == text.strip() and "car" in text for text in texts)
    assert any(text.islower() for text in texts)
    assert any("color" in text for text in texts)
    assert any(not text.endswith("?") for text in texts)


def test_chinese_only_loses_its_mark() -> None:
    rng = random.Random(3)
    assert {worded(("猫在哪里？",), rng) for _ in range(50)} == {"猫在哪里？", "猫在哪里"}
