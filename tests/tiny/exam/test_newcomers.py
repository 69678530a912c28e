from collections import Counter
from pathlib import Path

import pytest

from llavakit.errors import LlavaError, UsageError
from llavakit.tiny import outside
from llavakit.tiny.exam import newcomers_rules as rules
from llavakit.tiny.exam.newcomers import FAMILIES, Case, Rule, cases, load, marks
from llavakit.tiny.world.scene import overlap, place
from llavakit.tiny.world.sketch import Sketch
from llavakit.tiny.world.styles import font_path
from llavakit.tiny.world.things import COLOURS, KINDS

pytestmark = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")


@pytest.fixture(scope="module")
def book() -> list[Case]:
    return list(cases())


def test_there_are_enough_questions_of_every_family_about_enough_scenes(book: list[Case]) -> None:
    assert len(book) >= 320
    assert len({case.name for case in book}) == len(load()) >= 70
    families = Counter(case.family for case in book)
    assert set(families) == set(FAMILIES) and min(families.values()) >= 4
    assert families["Chinese"] >= 40
    assert len({thing.kind for case in book for scene in case.scenes for thing in scene.things}) >= 80


def test_no_question_is_asked_twice_of_the_same_pictures(book: list[Case]) -> None:
    assert len({(case.name, case.earlier, case.ask) for case in book}) == len(book)


def test_the_rules_accept_the_right_samples_and_reject_the_wrong_ones(book: list[Case]) -> None:
    sampled = [case for case in book if case.right or case.wrong]
    assert len(sampled) >= 60
    for case in sampled:
        assert case.right and marks(case.rule, case.right), (case.ask, case.right, case.rule)
        assert case.wrong and not marks(case.rule, case.wrong), (case.ask, case.wrong, case.rule)


def test_no_rule_accepts_silence_and_hardly_one_a_list_of_all_words(book: list[Case]) -> None:
    assert not any(marks(case.rule, reply) for case in book for reply in ("", "Sorry?"))
    everything = ", ".join(
        [*KINDS, *COLOURS, "one two three four five six seven eight nine ten left right up"]
    )
    assert sum(marks(case.rule, everything) for case in book) < 0.1 * len(book)


@pytest.mark.parametrize("reply", ["Yes.", "No.", "It is red.", "There is no such thing in the picture."])
def test_no_constant_reply_goes_far(book: list[Case], reply: str) -> None:
    assert sum(marks(case.rule, reply) for case in book) < 0.15 * len(book)


def test_saying_yes_to_everything_never_denies_and_the_reverse(book: list[Case]) -> None:
    assert not any(
        marks(case.rule, "Yes, there is.") for case in book if case.family in ("absent", "premise")
    )
    assert not any(marks(case.rule, "No, there is not.") for case in book if case.family == "presence")


def test_things_are_large_whole_and_apart(book: list[Case]) -> None:
    for case in book:
        for scene in case.scenes:
            for i, thing in enumerate(scene.things):
                x0, y0, x1, y1 = thing.box
                assert min(x0, y0) >= 0 and max(x1, y1) <= 1, (case.name, thing)
                longest = max((x1 - x0) * max(scene.aspect, 1), (y1 - y0) / min(scene.aspect, 1))
                assert 0.13 <= longest <= 0.5, (case.name, thing)
                taken = [w.box for w in scene.writings] + [c.box for c in scene.clocks]
                boxes = [*(other.box for other in scene.things[:i]), *taken]
                assert all(overlap(thing.box, box) < 0.02 for box in boxes), (case.name, thing)


def test_where_a_place_is_asked_things_stand_well_within_their_ninths() -> None:
    for sitting in load():
        if any(question.place for question in sitting.questions):
            for picture in sitting.pictures:
                for thing in picture.scene().things:
                    off = min(abs(each - edge) for each in thing.centre for edge in (1 / 3, 2 / 3))
                    assert off > 0.03 and place(thing), (sitting.name, thing)


def test_taken_bays_are_those_with_a_vehicle_in_them(book: list[Case]) -> None:
    for case in book:
        for scene in case.scenes:
            for bay in scene.bays:
                x0, y0, x1, y1 = bay.box
                inside = [t for t in scene.things if x0 < t.centre[0] < x1 and y0 < t.centre[1] < y1]
                assert bool(inside) == bay.taken, (case.name, bay)


def test_pictures_from_outside_are_of_known_kinds(book: list[Case]) -> None:
    assert {case.outside for case in book if case.outside} <= set(outside.KINDS)


def test_words_are_matched_whole_in_any_case_and_number() -> None:
    rule = Rule.of(["car|auto"], "dog")
    assert marks(rule, "Two red CARS.") and marks(rule, "An auto!")
    assert not marks(rule, "A carrot.") and not marks(rule, "A car and two dogs.")
    assert marks(Rule.of(["top left"]), "At the top-left.")


def test_a_number_is_neither_part_of_another_nor_of_a_time() -> None:
    seven = rules.number(7)
    assert marks(seven, "There are 7.") and marks(seven, "Seven")
    assert not marks(seven, "17") and not marks(seven, "7:30") and not marks(seven, "7 or 8")
    assert not marks(seven, "Maybe seven.")
    assert marks(rules.number(0), "There are none.") and not marks(rules.number(0), "There is one.")
    assert marks(rules.number(2, chinese=True), "有两只。") and not marks(
        rules.number(2, chinese=True), "三只"
    )


@pytest.mark.parametrize("reply", ["It is 7:30.", "half past seven", "Half past 7!", "seven thirty", "07:30"])
def test_a_time_may_be_said_in_many_ways(reply: str) -> None:
    assert marks(rules.time("7:30"), reply) and not marks(rules.time("7:00"), reply)


def test_yes_and_no_are_told_apart() -> None:
    yes, no = rules.polarity("yes", "dog"), rules.polarity("no", "dog")
    assert marks(yes, "Yes") and marks(yes, "A dog is there.") and not marks(yes, "There is no dog.")
    assert marks(no, "No") and marks(no, "I don't see a dog.") and not marks(no, "Yes")
    assert not marks(no, "There is no cat.") and not marks(yes, "There is a cat.")
    assert marks(rules.polarity("no", "狗", chinese=True), "没有") and not marks(
        rules.polarity("yes", "狗", chinese=True), "没有"
    )


def test_an_unknown_thing_or_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'banana'"):
        Sketch(things=("bananna 0.5 0.5 0.3",)).scene()
    with pytest.raises(UsageError, match="should be"):
        Sketch(things=("apple 0.5 0.3",)).scene()
    file = tmp_path / "some.toml"
    file.write_text('[[sitting]]\nname = "x"\nquestions = [{ family = "colour", ask = "?", color = "red" }]')
    with pytest.raises(LlavaError, match=r"(?s)some\.toml.*color"):
        load(file)
    file.write_text('[[sitting]]\nname = "x"\nquestions = [{ family = "colour", ask = "?" }]')
    file.write_text(file.read_text().replace('"?"', '"?", colour = "gren"'))
    with pytest.raises(UsageError, match="did you mean 'green'"):
        load(file)
    file.write_text(file.read_text().replace(', colour = "gren"', ""))
    with pytest.raises(LlavaError, match="no rule"):
        load(file)
