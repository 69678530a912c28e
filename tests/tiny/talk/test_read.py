import random
from collections.abc import Iterator

import pytest

from llavakit.tiny.talk.question import Asked, Language, Question
from llavakit.tiny.talk.read import MAKERS, RULES, times
from llavakit.tiny.world.charts import make_chart
from llavakit.tiny.world.clocks import make_clock
from llavakit.tiny.world.scene import Bay, Chart, Clock, Scene, Thing, Writing
from llavakit.tiny.world.writing import make_writing

BOX = (0.1, 0.1, 0.9, 0.4)
BELOW = (0.1, 0.6, 0.9, 0.9)
CHART = Chart("bar", ("Apple", "Pear", "Fig"), (9, 4, 6), ("red", "green", "blue"), (0.0, 0.0, 1.0, 1.0))


def sign(text: str, box: tuple[float, float, float, float] = BOX) -> Scene:
    return Scene(writings=(Writing(text, box),))


def asked(kind: str, scene: Scene, language: Language = "en") -> list[Question]:
    found = (MAKERS[kind](scene, random.Random(f"{kind} {i}"), language) for i in range(60))
    return [each.question for each in found if each]


def scenes(seed: int) -> Iterator[Scene]:
    rng = random.Random(f"read {seed}")
    yield Scene()
    yield Scene(writings=(make_writing(rng, (0.0, 0.0, 1.0, 1.0), 1.0),))
    yield Scene(writings=tuple(make_writing(rng, (0.0, y, 1.0, y + 0.4), 1.0) for y in (0.0, 0.6)))
    yield Scene(charts=(make_chart(rng),))
    yield Scene(clocks=(make_clock(rng, (0.0, 0.0, 1.0, 1.0), 1.0),))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_canonical_answer_is_marked_right(language: Language) -> None:
    kinds = set()
    for seed in range(60):
        for scene in scenes(seed):
            for kind, make in MAKERS.items():
                made = make(scene, random.Random(f"{kind} {seed}"), language)
                if isinstance(made, Asked):
                    kinds.add(kind)
                    question = made.question
                    assert "{" not in question.text and question.language == language
                    assert RULES[question.kind](question, question.answer), question
    assert kinds >= {"read", "read_number", "clock", "chart_highest", "chart_value"}


def test_the_answer_to_one_picture_is_not_right_for_another() -> None:
    wrong = right = 0
    for seed in range(80):
        for kind, make in MAKERS.items():
            which = 4 if kind == "clock" else 3 if kind.startswith("chart") else 1
            pair = [list(scenes(number))[which] for number in (seed, seed + 1000)]
            a, b = (make(scene, random.Random(f"{kind} {seed}"), "en") for scene in pair)
            if a and b and a.question.kind == b.question.kind and a.question.truth != b.question.truth:
                wrong += 1
                right += RULES[a.question.kind](a.question, b.question.answer)
    assert wrong > 300 and right <= wrong * 0.02


def test_words_are_given_back_as_they_are_printed() -> None:
    assert {question.answer for question in asked("read", sign("Open"))} == {'It says "Open".'}
    assert {question.answer for question in asked("read", sign("OPEN"), "zh")} == {"上面写着“OPEN”。"}


@pytest.mark.parametrize(
    ("truth", "reply", "right"),
    [
        ("OPEN", 'The sign says "open".', True),
        ("OPEN", "Open", True),
        ("OPEN", "It reads OPEN!", True),
        ("OPEN", "It says OPENS", False),
        ("OPEN", 'It says "OPEN" and "CAFE".', False),
        ("OPEN", "It says OPE", False),
        ("BUS STOP", 'It says "BUS STOP".', True),
        ("BUS STOP", "It says BUS", False),
        ("IT", "It says SALE.", False),
        ("IT", 'It says "IT".', True),
        ("12.50", "It says 12.50.", True),
        ("12", 'It says "12.50".', False),
        ("A\nB", 'It says "A" and "B".', True),
        ("A\nB", 'It says "A".', False),
        ("OPEN", "上面写着“OPEN”。", True),
        ("nothing", "There is no writing in the picture.", True),
        ("nothing", 'It says "OPEN".', False),
    ],
)
def test_reading_wants_every_letter_and_no_more(truth: str, reply: str, right: bool) -> None:
    assert RULES["read"](Question("read", "What does it say?", "", truth), reply) is right


@pytest.mark.parametrize(
    ("truth", "reply", "right"),
    [("42", "42", True), ("42", "The number is 42.", True), ("42", "It is 421.", False), ("5", "five", True),
     ("$9.99", "The price is 9.99", True), ("9", "9.99", False), ("nothing", "There is no number.", True)],
)  # fmt: skip
def test_numbers_are_compared_whole(truth: str, reply: str, right: bool) -> None:
    assert RULES["read_number"](Question("read_number", "Which number?", "", truth), reply) is right


def test_two_signs_are_read_together_or_each_by_its_place() -> None:
    scene = Scene(writings=(Writing("OUT", BELOW), Writing("IN", BOX)))
    answers = {question.answer for question in asked("read", scene)}
    assert answers == {'It says "IN" and "OUT".', 'It says "IN".', 'It says "OUT".'}


def test_a_sign_beside_numbered_bays_is_read_where_it_stands_or_as_the_sign() -> None:
    scene = Scene(writings=(Writing("PARK", BOX),), bays=(Bay(3, BELOW, False),))
    assert all("sign" in q.text.lower() or "board" in q.text.lower() for q in asked("read", scene))
    assert not asked("read_number", scene)


def test_pictures_without_writing_are_sometimes_asked_to_be_read() -> None:
    questions = asked("read", Scene()) + asked("clock", Scene()) + asked("read_number", Scene())
    assert 5 < len(questions) < 50
    assert {question.answer for question in questions} == {
        "There is no writing in the picture.",
        "There is no clock in the picture.",
        "There is no number in the picture.",
    }


def test_nothing_is_denied_that_a_drawing_may_show() -> None:
    alarm = Scene(things=(Thing("clock", None, BOX),))
    assert not asked("clock", alarm) and not asked("read", alarm)
    assert not asked("read", Scene(charts=(CHART,)))


def test_yes_and_no_about_what_a_sign_says() -> None:
    answers = {question.answer for question in asked("read_check", sign("CAFE"))}
    assert answers == {'Yes, it says "CAFE".', 'No, it says "CAFE".'}


def test_a_word_is_spelt_in_its_letters() -> None:
    question = asked("read_spell", sign("MILK"))[0]
    assert question.answer == "It is spelt M-I-L-K."
    assert RULES["read_spell"](question, "m i l k") and not RULES["read_spell"](question, "M-I-L")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("It is half past four.", "4:30"), ("4:30", "4:30"), ("It's 16:30.", "4:30"), ("four thirty", "4:30"),
        ("half four", "4:30"), ("It is quarter to six.", "5:45"), ("a quarter past one", "1:15"),
        ("ten minutes past two", "2:10"), ("twenty-five to one", "12:35"), ("3 o'clock", "3:00"),
        ("It is three o’clock.", "3:00"), ("现在是四点半。", "4:30"), ("十一点零五分", "11:05"),
        ("现在是7:45。", "7:45"), ("3 pm", "3:00"),
    ],
)  # fmt: skip
def test_times_are_understood_however_they_are_said(reply: str, expected: str) -> None:
    assert times(reply) == {expected}


def test_a_clock_is_told_in_words_and_a_display_in_figures() -> None:
    clock, display = (Scene(clocks=(Clock(7, 45, BOX, face),)) for face in (0, 10))
    assert {question.answer for question in asked("clock", clock)} == {"It is quarter to eight."}
    assert {question.answer for question in asked("clock", display)} == {"It is 7:45."}
    question = asked("clock", clock)[0]
    assert RULES["clock"](question, "7:45") and not RULES["clock"](question, "It is quarter past eight.")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("chart_highest", "The highest is Apple, at 9."),
        ("chart_lowest", "The lowest is Pear, at 4."),
        ("chart_count", "There are three bars."),
        ("chart_read", "The chart shows Apple 9, Pear 4 and Fig 6."),
        ("chart_kind", "It is a bar chart."),
        ("chart_title", "The chart has no title."),
    ],
)
def test_what_a_chart_shows(kind: str, answer: str) -> None:
    assert {question.answer for question in asked(kind, Scene(charts=(CHART,)))} == {answer}


@pytest.mark.parametrize(
    ("kind", "truth", "reply", "right"),
    [
        ("chart_highest", "Apple=9", "apples", True),
        ("chart_highest", "Apple=9", "Apple, with 8.", False),
        ("chart_highest", "Apple=9", "Pear", False),
        ("chart_value", "Fig=6", "six", True),
        ("chart_value", "2019=6", "2019 is at 6.", True),
        ("chart_value", "Fig=6", "It is 9 or 6.", False),
        ("chart_compare", "Apple>Pear", "There are more apples than pears.", True),
        ("chart_compare", "Apple>Pear", "Pear is higher than Apple.", False),
        ("chart_compare", "Apple>Pear", "Pear is lower than Apple.", True),
        ("chart_difference", "5", "9 - 4 = 5", True),
        ("chart_count", "3", "There are 3 bars.", True),
        ("chart_read", "Apple=9\nPear=4", "Apple: 9, Pear: 4", True),
        ("chart_read", "Apple=9\nPear=4", "Apple 4 and Pear 9", False),
        ("chart_read", "Apple=9\nPear=4", "Apple 9", False),
        ("chart_kind", "bar", "A line chart", False),
    ],
)
def test_marking_of_charts(kind: str, truth: str, reply: str, right: bool) -> None:
    assert RULES[kind](Question(kind, "Which is the highest?", "", truth), reply) is right


def test_a_label_that_is_not_in_the_chart_is_said_not_to_be() -> None:
    answers = [question.answer for question in asked("chart_value", Scene(charts=(CHART,)))]
    missing = [answer for answer in answers if answer.startswith("The chart does not show")]
    assert 0 < len(missing) < len(answers) / 3


def test_no_highest_is_asked_for_where_two_are() -> None:
    equal = Chart("bar", ("A", "B"), (4, 4), ("red", "red"), BOX)
    assert not asked("chart_highest", Scene(charts=(equal,)))
    assert {question.answer for question in asked("chart_compare", Scene(charts=(equal,)))} == {
        "They are equal, at 4."
    }
