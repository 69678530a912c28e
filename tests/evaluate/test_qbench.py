"""Q-Bench: how pictures look, in multiple choice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task

QBENCH = get_task("q-bench")


def question(
    picture: str, asked: str, candidates: Sequence[str], truth: str, kind: int, concern: int
) -> dict[str, Any]:
    return {
        "img_path": picture, "question": asked, "candidates": list(candidates), "correct_ans": truth,
        "type": kind, "concern": concern,
    }  # fmt: skip


ROWS = [
    question("1.jpg", "Is it sharp?", ["Yes", "No"], "No", 0, 0),
    question("2.jpg", "How bright is it?", ["Dark", "Bright", "Medium"], "Dark", 1, 1),
    question("3.jpg", "What blurs it?", ["Motion", "Focus"], "Focus", 2, 2),
    question("3.jpg", "Which part is cut off?", ["Head", "Leg"], "Head", 2, 3),
]


def store(folder: Path, rows: Sequence[dict[str, Any]] = ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "llvisionqa_dev.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return store(tmp_path / "data")


def answered(path: Path, *texts: str, between: str = "") -> Path:
    """As LLaVA's script writes it: the questions with a response each, and nothing between them."""
    rows = [json.dumps(row | {"response": text}) for row, text in zip(ROWS, texts, strict=False)]
    path.write_text(between.join(rows))
    return path


def test_questions_are_asked_in_llavas_words(data: Path) -> None:
    _, second, _, fourth = QBENCH.questions(data)
    assert second.text == (
        "How bright is it?\nChoose between one of the options as follows:\nA. Dark\nB. Bright\nC. Medium\n"
    )
    assert (second.images, second.truth, second.groups) == (("2.jpg",), "A", ("how", "others"))
    assert (fourth.id, fourth.images) == ("3.jpg#2", ("3.jpg",))


@pytest.mark.parametrize("between", ["", "\n"])
def test_llavas_answers_are_joined_by_picture_and_question(data: Path, tmp_path: Path, between: str) -> None:
    outcome = QBENCH.score_file(
        answered(tmp_path / "a.jsonl", "B", "A. Dark", "A", "A", between=between), data
    )
    assert (outcome.score, outcome.n, outcome.missing) == (75, 4, 0)
    assert outcome.metrics["yes-or-no"] == outcome.metrics["how"] == 100
    assert outcome.metrics["what"] == 50
    assert outcome.metrics["in-context distortion"] == 0
    assert outcome.metrics["in-context others"] == 100
    assert outcome.chance == pytest.approx(100 * (3 / 2 + 1 / 3) / 4)


def test_a_reply_that_names_no_choice_is_wrong(data: Path, tmp_path: Path) -> None:
    outcome = QBENCH.score_file(answered(tmp_path / "a.jsonl", "No", "ANSWER", "B", "A"), data)
    assert outcome.score == 50
    assert outcome.metrics["letter_within"] == 75  # "ANSWER" has an A
    assert outcome.notes == ("2 replies name no choice: wrong",)


def test_types_are_called_by_what_their_questions_are(tmp_path: Path) -> None:
    swapped = [row | {"type": {0: 0, 1: 2, 2: 1}[row["type"]]} for row in ROWS]
    kinds = [question.groups[0] for question in QBENCH.questions(store(tmp_path / "swapped", swapped))]
    assert kinds == ["yes-or-no", "how", "what", "what"]


def test_the_hubs_file_is_read_and_answers_by_id(tmp_path: Path) -> None:
    row = {
        "id": "QBench_dev_0", "image": {"bytes": b"jpg", "path": None}, "question": "Is it sharp?",
        "option0": "Yes", "option1": "No", "option2": "N/A", "option3": "N/A", "question_type": 0,
        "question_concern": 0, "correct_choice": "B",
    }  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "dev-00000-of-00001.parquet")
    (only,) = QBENCH.questions(tmp_path)
    assert (only.choices, only.truth, only.groups) == (("Yes", "No"), "B", ("yes-or-no", "distortion"))
    assert only.images == ("data:image/jpeg;base64,anBn",)
    (tmp_path / "p.json").write_text('{"QBench_dev_0": "B"}')
    assert QBENCH.score_file(tmp_path / "p.json", tmp_path).score == 100


def test_bad_files_are_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"img_path": "9.jpg", "response": "A"}')
    with pytest.raises(UsageError, match=r"a\.jsonl: answers none of these 4 questions"):
        QBENCH.score_file(tmp_path / "a.jsonl", data)
    (tmp_path / "a.jsonl").write_text('{"img_path": "1.jpg", "response": "A"}\n{"img_path"')
    with pytest.raises(UsageError, match=r"a\.jsonl, line 2: not JSON"):
        QBENCH.score_file(tmp_path / "a.jsonl", data)
    (tmp_path / "a.jsonl").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"a\.jsonl: not UTF-8 text"):
        QBENCH.score_file(tmp_path / "a.jsonl", data)
    (tmp_path / "a.jsonl").write_text('"A"')
    with pytest.raises(UsageError, match=r"a\.jsonl, line 1: str where an object is expected"):
        QBENCH.score_file(tmp_path / "a.jsonl", data)
    with pytest.raises(UsageError, match=r"1\.jpg has the correct_ans 'Maybe', which is no candidate"):
        QBENCH.questions(store(data, [ROWS[0] | {"correct_ans": "Maybe"}]))
    with pytest.raises(UsageError, match=r"row 1 has 'candidates' that are no list"):
        QBENCH.questions(store(data, [ROWS[0] | {"candidates": None}]))
    test = {key: value for key, value in ROWS[0].items() if key != "correct_ans"}
    with pytest.raises(UsageError, match="1 of 1 questions have no correct_ans"):
        QBENCH.score_file(answered(tmp_path / "a.jsonl", "A"), store(data, [test]))
