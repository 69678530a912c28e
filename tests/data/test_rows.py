"""A row of the official format: checked, and turned into a conversation."""

import pickle
from typing import Any

import pytest
from PIL import Image

from data.files import gpt, human, row
from llavakit.data.rows import MalformedError, Row, RowError, parse_row
from llavakit.prompt.messages import Message, assistant, user

PICTURES = {name: Image.new("RGB", (2, 2)) for name in ("a.jpg", "b.jpg")}


def read(values: Any) -> tuple[Message, ...]:
    return parse_row(values, 1).messages(PICTURES.__getitem__)


@pytest.mark.parametrize(
    "asked",
    ["<image>\nWhat is this?", "What is this?\n<image>", "What is this? <image>", "<image>What is this?"],
)
def test_the_picture_goes_to_the_front_of_its_turn(asked: str) -> None:
    messages = read(row(human(asked), gpt("A cat."), human("Sure?"), gpt("Yes."), image="a.jpg"))
    assert messages == (
        user(PICTURES["a.jpg"], "What is this?"), assistant("A cat."), user("Sure?"), assistant("Yes.")
    )  # fmt: skip


def test_several_pictures_go_to_the_turns_that_place_them() -> None:
    values = row(human("<image> Hi"), gpt("Ho"), human("<image> Ha"), gpt("Hu"), image=["a.jpg", "b.jpg"])
    first, _, second, _ = read(values)
    assert first == user(PICTURES["a.jpg"], "Hi")
    assert second == user(PICTURES["b.jpg"], "Ha")


def test_one_picture_named_twice_is_shown_once() -> None:
    values = row(human("<image> Hi <image>"), gpt("Ho"), human("<image>Ha"), gpt("Hu"), image="a.jpg")
    first, _, second, _ = read(values)
    assert (first, second) == (user(PICTURES["a.jpg"], "Hi"), user("Ha"))


@pytest.mark.parametrize("absent", [{}, {"image": None}, {"image": []}])
def test_in_a_row_without_pictures_image_is_just_letters(absent: dict[str, Any]) -> None:
    messages = read(row(human("What does <image> mean?"), gpt("A tag: <image>."), **absent))
    assert messages == (user("What does <image> mean?"), assistant("A tag: <image>."))


def test_a_first_turn_that_is_not_the_humans_is_dropped() -> None:
    assert read(row(gpt("Welcome."), human("Hi"), gpt("Ho"))) == (user("Hi"), assistant("Ho"))


def test_a_caption_is_said_of_its_picture_alone() -> None:
    assert read({"image": "a.jpg", "caption": "A cat."}) == (
        user(PICTURES["a.jpg"], ""), assistant("A cat.")
    )  # fmt: skip


def test_pictures_may_be_called_images() -> None:
    values = row(human("<image><image>"), gpt("Ho"), images=["a.jpg", "b.jpg"])
    assert parse_row(values, 1).images == ("a.jpg", "b.jpg")


@pytest.mark.parametrize(("given", "called"), [({}, "7"), ({"id": 5}, "5"), ({"id": "x"}, "x")])
def test_a_row_is_called_by_its_id_in_letters_or_by_its_number(given: dict[str, Any], called: str) -> None:
    assert parse_row({"conversations": [human("Hi"), gpt("Ho")], **given}, 7).id == called


def test_a_picture_counts_as_128_words() -> None:
    assert Row("1", (), (("human", "How are you?"), ("gpt", "Fine."))).words == 4
    assert Row("1", ("a", "b"), (("human", "How?"), ("gpt", "So."))).words == 258


@pytest.mark.parametrize(
    ("bad", "kind", "reason"),
    [
        ("text", "format", "is not an object"),
        ({"id": "1"}, "format", "has no `conversations`"),
        (row(), "format", "has no `conversations`"),
        (row(human("Hi"), "Ho"), "format", "has a turn 2 that is not"),
        (row(human("Hi"), {"from": "bot", "value": "Ho"}), "format", "has a turn 2 that is not"),
        (row(human("Hi"), {"from": "gpt"}), "format", "has a turn 2 that is not"),
        (row(human("Hi \ud83d"), gpt("Ho")), "format", "turn 1 with half a character"),
        (row(human("Hi"), gpt("Ho"), video="a.mp4"), "format", "has a `video`"),
        (row(human("Hi"), human("Ho")), "order", "take turns"),
        (row(gpt("Hi"), gpt("Ho")), "order", "take turns"),
        (row(human("Hi")), "order", "no answer"),
        (row(gpt("Hi")), "order", "no answer"),
        (row(human(" \n"), gpt("Ho")), "empty", "has an empty turn 1"),
        (row(human("<image>"), gpt("Ho"), human("<image>"), gpt("Ho"), image="a"), "empty", "empty turn 3"),
        (row(human("Hi"), gpt("<image>"), image="a.jpg"), "placeholders", "has 1 image and 0 <image>"),
        (row(human("<image>"), gpt("Ho"), image=["a", "b"]), "placeholders", "has 2 image and 1 <image>"),
        (row(human("<image>" * 3), gpt("Ho"), image=["a", "b"]), "placeholders", "has 2 image and 3 <image>"),
        (row(human("<image>"), gpt("Ho"), image=3), "format", "neither a path nor"),
        (row(human("<image>"), gpt("Ho"), image=""), "format", "neither a path nor"),
        ({"caption": "A cat."}, "format", "a caption but no picture"),
        ({"caption": " ", "image": "a.jpg"}, "format", "an empty caption"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_and_of_which_kind(bad: Any, kind: str, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_row(bad, 2)
    assert caught.value.kind == kind
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    "name", ["../a.jpg", "x/../../a.jpg", "/etc/a.jpg", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\share\\a.jpg"]
)
def test_a_picture_outside_the_folder_of_pictures_is_refused(name: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_row(row(human("<image>\nHi"), gpt("Ho"), image=name), 2)
    assert "outside the folder of pictures" in caught.value.reason


def test_an_error_names_file_row_and_id_and_travels_between_processes() -> None:
    error = RowError("chat.json", 12, "a7", "has no answer", "order")
    assert str(error) == "chat.json: row 12 (id a7) has no answer"
    assert str(RowError("chat.json", 12, "", "has no answer", "order")) == "chat.json: row 12 has no answer"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again)) == (RowError, vars(error))
