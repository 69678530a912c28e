"""The official instruction format: read, checked, and turned into conversations."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.data.instruct import InstructData, Row, read_rows
from llavakit.errors import LlavaError, MediaError
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import Message, assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "instruct"
PICTURES = {name: Image.new("RGB", (2, 2)) for name in ("a.jpg", "b.jpg")}


def human(value: str) -> dict[str, str]:
    return {"from": "human", "value": value}


def gpt(value: str) -> dict[str, str]:
    return {"from": "gpt", "value": value}


def row(*conversations: Any, **values: Any) -> dict[str, Any]:
    return {"id": "1", **values, "conversations": list(conversations)}


def write(folder: Path, values: Any) -> Path:
    path = folder / "rows.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def read_one(folder: Path, values: Any) -> tuple[Message, ...]:
    (only,) = read_rows(write(folder, [values]))
    return only.messages(PICTURES.__getitem__)


@pytest.mark.parametrize(
    "asked",
    ["<image>\nWhat is this?", "What is this?\n<image>", "What is this? <image>", "<image>What is this?"],
)
def test_the_picture_goes_to_the_front_of_its_turn(tmp_path: Path, asked: str) -> None:
    messages = read_one(
        tmp_path, row(human(asked), gpt("A cat."), human("Sure?"), gpt("Yes."), image="a.jpg")
    )
    assert messages == (
        user(PICTURES["a.jpg"], "What is this?"), assistant("A cat."), user("Sure?"), assistant("Yes.")
    )  # fmt: skip


def test_several_pictures_go_to_the_turns_that_place_them(tmp_path: Path) -> None:
    values = row(human("<image> Hi"), gpt("Ho"), human("<image> Ha"), gpt("Hu"), image=["a.jpg", "b.jpg"])
    first, _, second, _ = read_one(tmp_path, values)
    assert first == user(PICTURES["a.jpg"], "Hi")
    assert second == user(PICTURES["b.jpg"], "Ha")


def test_one_picture_named_twice_is_shown_once(tmp_path: Path) -> None:
    values = row(human("<image> Hi <image>"), gpt("Ho"), human("<image>Ha"), gpt("Hu"), image="a.jpg")
    first, _, second, _ = read_one(tmp_path, values)
    assert (first, second) == (user(PICTURES["a.jpg"], "Hi"), user("Ha"))


@pytest.mark.parametrize("absent", [{}, {"image": None}])
def test_in_a_row_without_pictures_image_is_just_letters(tmp_path: Path, absent: dict[str, None]) -> None:
    messages = read_one(tmp_path, row(human("What does <image> mean?"), gpt("A tag: <image>."), **absent))
    assert messages == (user("What does <image> mean?"), assistant("A tag: <image>."))


def test_a_first_turn_that_is_not_the_humans_is_dropped(tmp_path: Path) -> None:
    assert read_one(tmp_path, row(gpt("Welcome."), human("Hi"), gpt("Ho"))) == (user("Hi"), assistant("Ho"))


def test_json_and_json_lines_read_the_same(tmp_path: Path) -> None:
    values = [row(human("Hi"), gpt("Hö\u2028!")), row(human("<image>"), gpt("Ho"), image="a.jpg") | {"id": 7}]
    expected = [
        Row("1", (), (("human", "Hi"), ("gpt", "Hö\u2028!"))),
        Row("7", ("a.jpg",), (("human", "<image>"), ("gpt", "Ho"))),
    ]
    assert read_rows(write(tmp_path, values)) == expected
    lines = "\n\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    assert read_rows(write(tmp_path, f"\ufeff{lines}\n")) == expected


GOOD = row(human("Hi"), gpt("Ho"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("text", "is not an object"),
        ({"id": "1"}, "has no `conversations`"),
        (row(), "has no `conversations`"),
        (row(human("Hi"), "Ho"), "has a turn 2 that is not"),
        (row(human("Hi"), {"from": "bot", "value": "Ho"}), "has a turn 2 that is not"),
        (row(human("Hi"), {"from": "gpt"}), "has a turn 2 that is not"),
        (row(human("Hi"), human("Ho")), "take turns"),
        (row(gpt("Hi"), gpt("Ho")), "take turns"),
        (row(human("Hi")), "no answer"),
        (row(gpt("Hi")), "no answer"),
        (row(human("Hi"), gpt("<image>"), image="a.jpg"), "has 1 image and 0 <image>"),
        (row(human("<image>"), gpt("Ho"), image=["a.jpg", "b.jpg"]), "has 2 image and 1 <image>"),
        (row(human("<image>" * 3), gpt("Ho"), image=["a.jpg", "b.jpg"]), "has 2 image and 3 <image>"),
        (row(human("<image>"), gpt("Ho"), image=3), "neither a path nor"),
        (row(human("<image>"), gpt("Ho"), image=""), "neither a path nor"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_number(tmp_path: Path, bad: Any, reason: str) -> None:
    with pytest.raises(LlavaError, match=rf"rows\.json: row 2 {reason}|rows\.json: row 2 .*{reason}"):
        read_rows(write(tmp_path, [GOOD, bad]))


@pytest.mark.parametrize(
    "name", ["../a.jpg", "x/../../a.jpg", "/etc/a.jpg", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\share\\a.jpg"]
)
def test_a_picture_outside_the_folder_of_pictures_is_refused(tmp_path: Path, name: str) -> None:
    bad = row(human("<image>\nHi"), gpt("Ho"), image=name)
    with pytest.raises(LlavaError, match=r"rows\.json: row 2 .*outside the folder of pictures"):
        InstructData(write(tmp_path, [GOOD, bad]), tmp_path)


def test_what_is_no_json_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"line 2 of .*rows\.json is not valid JSON"):
        read_rows(write(tmp_path, f"{json.dumps(GOOD)}\n{{"))
    with pytest.raises(LlavaError, match=r"rows\.json is not valid JSON"):
        read_rows(write(tmp_path, "[{"))


@pytest.mark.parametrize("text", ["", "[]", "\n \n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LlavaError, match="no rows"):
        read_rows(write(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"none\.json cannot be read"):
        read_rows(tmp_path / "none.json")
    (tmp_path / "rows.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LlavaError, match=r"rows\.json cannot be read as text"):
        read_rows(tmp_path / "rows.json")


def test_a_dataset_opens_its_pictures_when_an_example_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (3, 5), "red").save(tmp_path / "pictures" / "a.png")
    rows = [
        row(human("<image>\nHi"), gpt("Ho"), image="a.png"),
        row(human("<image>"), gpt("Ho"), image="no.png"),
    ]
    data = InstructData(write(tmp_path, rows), tmp_path / "pictures")
    assert len(data) == 2
    question, answer = data[0]
    assert (question.text, [image.size for image in question.images], answer) == (
        "Hi",
        [(3, 5)],
        assistant("Ho"),
    )
    with pytest.raises(MediaError, match=r"no\.png"):
        data[1]


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public rows are not here")
@pytest.mark.parametrize("kind", ["llama-prepend", "llama3-bytes"])
def test_every_public_row_encodes_with_its_picture_and_something_to_learn(kind: str) -> None:
    picture = Image.new("RGB", (2, 2))
    rows = read_rows(PUBLIC / "llava_v1_5_mix1k.json")
    assert len(rows) == 1000
    assert sum(row.turns[0][1].endswith("<image>") for row in rows) == 126
    rows += read_rows(PUBLIC / "coco2014_val_gpt4_qa_90_llava_style.json")
    encoder = PromptEncoder(small(kind), TEMPLATES["vicuna_v1"], 3, ImageConfig())
    for one in rows:
        messages = one.messages(lambda _: picture)
        encoded = encoder.encode(messages, reply=False)
        assert encoded.images == (picture,)
        ((start, end),) = encoded.image_spans
        assert encoded.ids[start:end] == [small(kind).image_token_id] * 3
        assert encoded.ids.count(small(kind).image_token_id) == 3
        assert "USER: <image>\n" in encoded.text
        learned = [label for label in encoded.labels if label != IGNORE]
        assert learned.count(small(kind).eos_id) == len(messages) // 2
        said = "".join(message.text for message in messages if message.role == "assistant")
        assert small(kind).decode(learned).replace(" ", "") == said.replace(" ", "")
