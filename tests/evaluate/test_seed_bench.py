"""SEED-Bench: a prediction is the letter and nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task

SEED = get_task("seed-bench")


def question(number: object, answer: str, medium: str, kind: int) -> dict[str, Any]:
    return {
        "question_id": number, "question": "What is it?", "answer": answer, "data_type": medium,
        "question_type_id": kind, "data_id": f"picture_{number}", "choice_a": "one", "choice_b": "two",
        "choice_c": "three", "choice_d": "four",
    }  # fmt: skip


QUESTIONS = [
    question("101", "A", "image", 1),
    question("102", "B", "image", 1),
    question("103", "A", "image", 9),
    question("v4", "D", "video", 10),
]


def store(folder: Path, rows: Sequence[dict[str, Any]], **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "SEED-Bench.json").write_text(json.dumps({"questions": rows, **more}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    kinds = {"Scene Understanding": 1, "Text Recognition": 9, "Action Recognition": 10}
    return store(tmp_path / "data", QUESTIONS, question_type=kinds)


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def predictions(path: Path, *pairs: tuple[object, object]) -> Path:
    return lines(path, [{"question_id": number, "prediction": text} for number, text in pairs])


def test_questions_are_asked_in_llavas_words(data: Path) -> None:
    first, *_, last = SEED.questions(data)
    assert first.text == (
        "What is it?\nA. one\nB. two\nC. three\nD. four\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert first.images == ("SEED-Bench-image/picture_101",)
    assert last.images == ("SEED-Bench-video-image/10_v4.png",)


def test_accuracy_is_over_all_questions_and_told_by_medium_and_dimension(data: Path, tmp_path: Path) -> None:
    path = predictions(tmp_path / "p.jsonl", ("101", "A"), (102, "C"), ("103", "A"), ("v4", "D"))
    outcome = SEED.score_file(path, data)
    assert outcome.score == outcome.metrics["accuracy"] == 75
    assert outcome.metrics["image"] == pytest.approx(200 / 3)
    assert outcome.metrics["video"] == 100
    assert outcome.metrics["Scene Understanding"] == 50
    assert outcome.metrics["Text Recognition"] == 100
    assert (outcome.n, outcome.missing, outcome.chance) == (4, 0, 50)
    assert outcome.notes == ()


def test_llavas_answers_are_read(data: Path, tmp_path: Path) -> None:
    rows = [{"question_id": row["question_id"], "prompt": "", "text": row["answer"]} for row in QUESTIONS]
    assert SEED.score_file(lines(tmp_path / "answers.jsonl", rows), data).score == 100


def test_only_the_bare_letter_is_right(data: Path, tmp_path: Path) -> None:
    path = predictions(tmp_path / "p.jsonl", ("101", "A"), ("102", "B."), ("103", " A"), ("v4", "d"))
    outcome = SEED.score_file(path, data)
    assert outcome.score == 25
    assert outcome.metrics["accuracy_first_letter"] == 100
    assert outcome.notes[0].startswith("3 predictions are not a single capital letter: wrong")


def test_duplicates_missing_and_strange_predictions_are_counted(data: Path, tmp_path: Path) -> None:
    path = predictions(
        tmp_path / "p.jsonl", ("101", "B"), ("101", "A"), ("103", "A"), ("999", "A"), ("v4", None)
    )
    outcome = SEED.score_file(path, data)
    assert (outcome.duplicates, outcome.strangers, outcome.missing) == (1, 1, 1)
    assert outcome.score == 50  # the last of the two counts


def test_questions_that_share_an_id_count_each(tmp_path: Path) -> None:
    data = store(tmp_path / "data", [QUESTIONS[0], question("101", "B", "image", 2)])
    outcome = SEED.score_file(predictions(tmp_path / "p.jsonl", ("101", "A")), data)
    assert (outcome.n, outcome.score) == (2, 50)
    assert outcome.metrics["Scene Understanding"] == 100
    assert outcome.metrics["Instance Identity"] == 0  # a file without names has the official ones
    assert "1 questions have the id of another" in outcome.notes[0]


def test_truths_alone_are_enough_to_score(tmp_path: Path) -> None:
    data = store(tmp_path / "data", [{"question_id": 1, "answer": "A"}, {"question_id": 2, "answer": "B"}])
    outcome = SEED.score_file(predictions(tmp_path / "p.jsonl", (1, "A")), data)
    assert (outcome.score, outcome.missing) == (50, 1)
    assert "image" not in outcome.metrics


def test_the_upload_keeps_the_ids_as_they_are(data: Path, tmp_path: Path) -> None:
    questions = SEED.questions(data)
    answers = SEED.read(predictions(tmp_path / "p.jsonl", (101, "A"), ("v4", "B")), questions)
    SEED.upload(tmp_path / "upload.jsonl", questions, answers)
    assert [json.loads(line) for line in (tmp_path / "upload.jsonl").read_text().splitlines()] == [
        {"question_id": "101", "prediction": "A"},
        {"question_id": "v4", "prediction": "B"},
    ]


def test_predictions_that_have_the_truth_need_no_data(data: Path, tmp_path: Path) -> None:
    rows = [
        {"question_id": "101", "prediction": "B", "gt_answer": "A"},
        {"question_id": "v4", "prediction": "D", "gt_answer": "D"},
        {"question_id": "101", "prediction": "A", "gt_answer": "A"},
    ]
    path = tmp_path / "GPT-4V.json"
    path.write_text(",\n".join(map(json.dumps, rows)))  # as its authors published it: commas, no brackets
    outcome = SEED.score_file(path, tmp_path / "nowhere")
    assert (outcome.score, outcome.n, outcome.duplicates, outcome.missing) == (100, 2, 1, 0)
    assert outcome.notes == ("GPT-4V.json's own truths count: SEED-Bench.json is not here",)
    assert SEED.score_file(path, data).n == 4  # where the data is here, it says what is asked


def test_the_official_scripts_results_have_their_dimensions(tmp_path: Path) -> None:
    rows = [
        {"q_id": "101", "prediction": "A", "gt": "A", "q_type_id": 1},
        {"q_id": "v4", "prediction": "A", "gt": "D", "q_type_id": 10},
    ]
    outcome = SEED.score_file(lines(tmp_path / "results.json", rows), tmp_path / "nowhere")
    assert outcome.metrics["accuracy"] == 50
    assert outcome.metrics["Scene Understanding"] == 100 and outcome.metrics["Action Recognition"] == 0


def test_without_data_each_prediction_must_have_the_truth(tmp_path: Path) -> None:
    rows = [{"question_id": 1, "prediction": "A", "gt_answer": "A"}, {"question_id": 2, "prediction": "A"}]
    with pytest.raises(UsageError, match="there is no such folder; --data names the one"):
        SEED.score_file(lines(tmp_path / "p.jsonl", rows), tmp_path / "nowhere")
    rows[1]["gt_answer"] = "yes"
    with pytest.raises(UsageError, match=r"p\.jsonl, question 2: the answer is 'yes', not one of"):
        SEED.score_file(lines(tmp_path / "p.jsonl", rows), tmp_path / "nowhere")


def test_bad_files_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.jsonl: answers none of these 4 questions"):
        SEED.score_file(predictions(tmp_path / "p.jsonl", (1, "A")), data)
    with pytest.raises(UsageError, match=r"p\.jsonl: a row has no 'prediction' or 'text'"):
        SEED.score_file(lines(tmp_path / "p.jsonl", [{"question_id": "101"}]), data)
    with pytest.raises(UsageError, match=r"SEED-Bench\.json, question 2: no 'choice_c'"):
        SEED.questions(store(data, [QUESTIONS[0], {**QUESTIONS[1], "choice_c": None}]))
    with pytest.raises(UsageError, match=r"question 1: the answer is 'one', not one of A, B, C and D"):
        SEED.questions(store(data, [{**QUESTIONS[0], "answer": "one"}]))
    with pytest.raises(UsageError, match=r"question 1: the data_type is 'sound'"):
        SEED.questions(store(data, [{**QUESTIONS[0], "data_type": "sound"}]))
    (data / "SEED-Bench.json").write_text("[1]")
    with pytest.raises(UsageError, match="a list 'questions' of objects is expected"):
        SEED.questions(data)
    (data / "SEED-Bench.json").write_text("{")
    with pytest.raises(UsageError, match=r"SEED-Bench\.json: not JSON"):
        SEED.questions(data)
