"""Comparing: asked only where nobody would argue, answered from the scene, marked by what a reply says."""

import random
from collections.abc import Iterator

import pytest

from llavakit.tiny.talk.compare import MAKERS, RULES
from llavakit.tiny.talk.question import Language, Question
from llavakit.tiny.talk.relate import singled_out
from llavakit.tiny.world.scene import Scene, Thing, relation


def thing(kind: str, x: float, y: float, colour: str | None = None, size: float = 0.2) -> Thing:
    return Thing(kind, colour, (x - size / 2, y - size / 2, x + size / 2, y + size / 2))


CAT_AND_DOG = Scene(things=(thing("cat", 0.2, 0.5, size=0.3), thing("dog", 0.8, 0.5)))
CROWD = Scene(
    things=(
        thing("star", 0.1, 0.1, "red"), thing("star", 0.4, 0.1, "blue"), thing("star", 0.7, 0.1, "red"),
        thing("car", 0.2, 0.8, "red", 0.3), thing("bus", 0.8, 0.8, "red", 0.2),
    )
)  # fmt: skip


def asked(kind: str, scene: Scene, language: Language = "en", tries: int = 200) -> Iterator[Question]:
    for seed in range(tries):
        found = MAKERS[kind](scene, random.Random(f"{kind} {seed}"), language)
        if found:
            yield found.question


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scene", [CAT_AND_DOG, CROWD, Scene()])
def test_the_canonical_answer_is_right_by_its_own_rule(kind: str, language: Language, scene: Scene) -> None:
    for question in asked(kind, scene, language):
        assert question.kind == kind and question.language == language
        assert RULES[kind](question, question.answer), question


def test_a_true_relation_gets_a_yes_and_the_opposite_a_no() -> None:
    answers = {q.answer for q in asked("relation", CAT_AND_DOG) if q.truth in ("yes", "no")}
    assert "Yes, the cat is to the left of the dog." in answers
    assert "No, the cat is to the left of the dog." in answers  # asked: is it to the right?
    assert not any(("right of the dog" in a) or ("left of the cat" in a) for a in answers)


def test_things_on_a_diagonal_are_not_related() -> None:
    diagonal = Scene(things=(thing("cat", 0.2, 0.2), thing("dog", 0.8, 0.8)))
    assert relation(diagonal.things[0], diagonal.things[1]) is None
    assert {q.truth for q in asked("relation", diagonal) if not q.truth.startswith("no ")} == {"nothing"}


def test_only_a_thing_that_its_phrase_singles_out_is_asked_about() -> None:
    assert {(t.kind, t.colour) for t in singled_out(CROWD)} == {
        ("star", "blue"),
        ("car", "red"),
        ("bus", "red"),
    }


def test_counts_are_told_on_both_sides() -> None:
    two_cats = Scene(things=(thing("cat", 0.2, 0.2), thing("cat", 0.5, 0.2), thing("dog", 0.8, 0.8)))
    answers = {q.answer for q in asked("more_fewer", two_cats)}
    assert "There are more cats: two cats and one dog." in answers
    assert "Yes, there are more cats: two cats and one dog." in answers
    assert "No, there are fewer dogs: one dog and two cats." in answers


def test_sizes_are_compared_only_where_they_plainly_differ() -> None:
    alike = Scene(things=(thing("cat", 0.2, 0.5, size=0.22), thing("dog", 0.8, 0.5)))
    assert all(q.truth.startswith("no ") for q in asked("largest", alike))
    answers = {q.answer for q in asked("largest", CAT_AND_DOG)}
    assert {
        "The cat is the biggest.",
        "The cat is bigger than the dog.",
        "The dog is the smallest animal.",
    } <= answers


def test_colours_are_compared() -> None:
    answers = {q.answer for q in asked("same", CROWD)}
    assert {"Yes, both are red.", "No, the stars are red and blue."} <= answers
    assert "Yes, two stars, a car and a bus are red." in answers
    assert "No, nothing in the picture is green." in answers


def test_what_is_not_there_is_said_not_to_be() -> None:
    missing = [
        q for kind in ("relation", "largest") for q in asked(kind, CAT_AND_DOG) if q.truth.startswith("no ")
    ]
    assert missing
    for question in missing:
        assert question.answer == f"There is no {question.truth[3:]} in the picture."
        assert not RULES[question.kind](question, "Yes, it is.")


@pytest.mark.parametrize(
    ("kind", "truth", "answer", "right", "wrong"),
    [
        ("relation", "yes", "Yes, the cat is to the left of the dog.", "Yes.", "No."),
        ("relation", "yes", "Yes, the cat is left of the dog.", "Yes, left of it.", "Yes, right of it."),
        ("relation", "left of", "The cat is to the left of the dog.", "It's to the left.", "On the right."),
        ("relation", "cat", "The cat is to the left of the dog.", "The cat.", "The cat and a fish."),
        ("relation", "nothing", "Nothing is above the dog.", "Nothing.", "The cat is above it."),
        ("more_fewer", "cats", "There are more cats: two cats and one dog.", "More cats.", "More dogs."),
        ("more_fewer", "no", "No, there are fewer dogs: one dog and two cats.", "No, only one.", "Yes."),
        ("largest", "cat", "The cat is the biggest.", "It is the kitten.", "It is the dog."),
        ("same", "yes", "Yes, both are red.", "Yes", "Yes, both are blue."),
    ],
)  # fmt: skip
def test_any_wording_of_the_truth_passes(kind: str, truth: str, answer: str, right: str, wrong: str) -> None:
    question = Question(kind, "What about the dog?", answer, truth)
    if kind == "more_fewer" and truth == "no":
        right = "No, there are fewer."
    assert RULES[kind](question, right)
    assert not RULES[kind](question, wrong)


def test_chinese_relations() -> None:
    answers = {q.answer for q in asked("relation", CAT_AND_DOG, "zh")}
    assert {"是的，猫在狗的左边。", "猫在狗的左边。", "狗的左边是猫。"} <= answers
