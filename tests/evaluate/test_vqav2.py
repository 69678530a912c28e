"""VQAv2: validation by the official rule, test-dev as LLaVA uploads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task

SHORT = "Answer the question using a single word or phrase."
VQAV2 = get_task("vqav2")


def truth(number: int, kind: str, answers: list[str]) -> dict[str, Any]:
    people = [
        {"answer": text, "answer_confidence": "yes", "answer_id": i} for i, text in enumerate(answers, 1)
    ]
    return {"question_id": number, "image_id": 42, "answer_type": kind, "answers": people}


TRUTHS = [
    truth(42000, "yes/no", ["yes"] * 10),
    truth(42001, "number", ["2"] * 3 + ["3"] * 7),
    truth(42002, "other", ["red", "dark red"] * 5),
]


@pytest.fixture
def val(tmp_path: Path) -> Path:
    folder = tmp_path / "val"
    folder.mkdir()
    asked = [{"question_id": each["question_id"], "image_id": 42, "question": "Is it?"} for each in TRUTHS]
    (folder / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps({"questions": asked}))
    (folder / "v2_mscoco_val2014_annotations.json").write_text(json.dumps({"annotations": TRUTHS}))
    return folder


@pytest.fixture
def test(tmp_path: Path) -> Path:
    """LLaVA's question files: test-dev is a part of test."""
    folder = tmp_path / "test"
    folder.mkdir()
    rows = [
        {"question_id": n, "image": f"COCO_test2015_{n:012d}.jpg", "text": f"Is it?\n{SHORT}"}
        for n in (7, 8, 9)
    ]
    lines(folder / "llava_vqav2_mscoco_test2015.jsonl", rows)
    lines(folder / "llava_vqav2_mscoco_test-dev2015.jsonl", rows[1:])
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_questions_are_asked_as_llava_asks_them(val: Path) -> None:
    first = VQAV2.questions(val)[0]
    assert first.text == f"Is it?\n{SHORT}"
    assert first.images == ("val2014/COCO_val2014_000000000042.jpg",)


def test_llavas_answers_are_compared_as_it_uploads_them(val: Path) -> None:
    rows = [
        {"question_id": 42002, "text": "The Red."},
        {"question_id": 42000, "text": "Yes"},
        {"question_id": 42001, "text": "two"},
    ]
    outcome = VQAV2.score_file(lines(val / "answers.jsonl", rows), val)
    assert outcome.metrics == pytest.approx(
        {"accuracy": 100 * 2.9 / 3, "yes/no": 100, "number": 90, "other": 100}
    )


def test_official_results_are_taken_as_they_stand(val: Path) -> None:
    path = val / "results.json"
    rows = [{"question_id": 42000, "answer": "Yes"}, {"question_id": 42001, "answer": "Two"}]
    path.write_text(json.dumps(rows))
    outcome = VQAV2.score_file(path, val)
    # All ten said "yes": the official script then compares even case. The third has no answer.
    assert outcome.marks == pytest.approx({"42000": 0, "42001": 0.9, "42002": 0})
    assert outcome.missing == 1


def test_test_dev_is_asked_and_all_of_test_is_uploaded(test: Path) -> None:
    assert [question.id for question in VQAV2.questions(test)] == ["8", "9"]
    whole = VQAV2.to_upload(test)
    answers = VQAV2.read(lines(test / "answers.jsonl", [{"question_id": 8, "text": "A Dog's, yes?"}]), whole)
    VQAV2.upload(test / "upload.json", whole, answers)
    assert json.loads((test / "upload.json").read_text()) == [
        {"question_id": 7, "answer": ""},
        {"question_id": 8, "answer": "dog 's yes"},
        {"question_id": 9, "answer": ""},
    ]


def test_official_test_questions_will_do(tmp_path: Path) -> None:
    asked = {"questions": [{"question_id": 7, "image_id": 5, "question": "Is it?"}]}
    (tmp_path / "v2_OpenEnded_mscoco_test-dev2015_questions.json").write_text(json.dumps(asked))
    (question,) = VQAV2.questions(tmp_path)
    assert question.images == ("test2015/COCO_test2015_000000000005.jpg",)


def test_a_picture_without_a_number_is_named(tmp_path: Path) -> None:
    asked = {"questions": [{"question_id": 7, "image_id": None, "question": "Is it?"}]}
    (tmp_path / "v2_OpenEnded_mscoco_test2015_questions.json").write_text(json.dumps(asked))
    with pytest.raises(UsageError, match=r"row 1 has the image_id 'None', not a number"):
        VQAV2.questions(tmp_path)


def test_the_test_split_is_for_the_server_to_score(test: Path) -> None:
    path = lines(test / "answers.jsonl", [{"question_id": 8, "text": "yes"}])
    with pytest.raises(UsageError, match="only the server knows"):
        VQAV2.score_file(path, test)


def test_malformed_files_are_named(val: Path) -> None:
    path = val / "v2_mscoco_val2014_annotations.json"
    path.write_text(json.dumps({"annotations": [TRUTHS[0], {"question_id": 1, "answers": []}]}))
    with pytest.raises(UsageError, match=r"val2014_annotations\.json: row 2 has no list of answers"):
        VQAV2.questions(val)
    path.write_text(json.dumps({"annotations": [truth(1, "other", ["x"] * 10)]}))
    with pytest.raises(UsageError, match="another split's"):
        VQAV2.questions(val)
    path.write_text("{")
    with pytest.raises(UsageError, match=r"val2014_annotations\.json: not JSON"):
        VQAV2.questions(val)


def test_an_empty_folder_is_told_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="llava_vqav2_mscoco_test-dev2015"):
        VQAV2.questions(tmp_path)
