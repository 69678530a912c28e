"""MM-Vet: mean grades over all, of each ability and of each combination; what has no grade is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge_server import Told, judge_server
from llavakit.errors import UsageError
from llavakit.evaluate.judge import Judge
from llavakit.evaluate.judged import JudgedTask
from llavakit.evaluate.tasks import get_task

TASK = get_task("mm-vet")
assert isinstance(TASK, JudgedTask)


def data(folder: Path) -> Path:
    def question(number: int, answer: str, *abilities: str) -> dict[str, Any]:
        return {
            "imagename": f"v1_{number}.png", "question": f"Question {number}?", "answer": answer,
            "imagesource": "…", "capability": list(abilities),
        }  # fmt: skip

    whole = {
        "v1_0": question(0, "-1<AND>-5", "ocr", "math"),
        "v1_1": question(1, "grey<OR>silver", "rec"),
        "v1_2": question(2, "It is a joke.", "gen", "rec", "know"),
        "v1_3": question(3, "12", "math", "ocr"),
    }
    (folder / "mm-vet.json").write_text(json.dumps(whole))
    return folder


def grades(path: Path, **scores: Any) -> Path:
    rows = {name: {"model": ["gpt-4-0613"], "content": [], "score": score} for name, score in scores.items()}
    path.write_text(json.dumps(rows))
    return path


def test_the_total_of_a_grade_file_needs_no_data(tmp_path: Path) -> None:
    path = grades(tmp_path / "grade.json", v1_0=[0.5], v1_1=[1.0], v1_2=[0.0])
    told = TASK.score_file(path, tmp_path / "nowhere").told()
    assert (told["task"], told["score"], told["n"], told["missing"]) == ("mm-vet", 50, 3, 0)
    assert told["metrics"] == {"total": 50}
    assert told["notes"] == [f"no mm-vet.json in {tmp_path / 'nowhere'}: no scores by ability"]


def test_a_number_too_large_for_any_grade_is_none(tmp_path: Path) -> None:
    path = grades(tmp_path / "grade.json", v1_0=[10**400], v1_1=[1.0])
    assert TASK.score_file(path, data(tmp_path)).missing == 3


def test_a_table_of_totals_is_told_from_one_of_grades(tmp_path: Path) -> None:
    path = tmp_path / "llava_gpt-4-cap-score-1runs.csv"
    path.write_text(",rec,total,std,runs\nllava,40.5,36.3,0.0,[36.3]\n")
    with pytest.raises(UsageError, match=r"1runs\.csv: totals by model .* give the file of grades"):
        TASK.score_file(path, tmp_path)


def test_with_the_data_there_are_scores_by_ability_and_combination(tmp_path: Path) -> None:
    path = grades(tmp_path / "grade.json", v1_3=[0.1], v1_2=[0.8], v1_1=[1.0], v1_0=[0.5])
    outcome = TASK.score_file(path, data(tmp_path))
    assert outcome.metrics == pytest.approx({
        "total": 60, "rec": 90, "ocr": 30, "know": 80, "gen": 80, "math": 30,
        "ocr_math": 30, "rec_only": 100, "rec_know_gen": 80,
    })  # fmt: skip
    assert list(outcome.metrics)[:4] == ["total", "rec", "ocr", "know"]
    assert outcome.notes == ()


def test_several_runs_are_averaged_and_their_spread_told(tmp_path: Path) -> None:
    path = grades(tmp_path / "grade.json", v1_0=[0.0, 1.0], v1_1=[0.4, 0.6])
    outcome = TASK.score_file(path, tmp_path)
    assert outcome.metrics == pytest.approx({"total": 50, "std": 30})  # runs of 20 and 80
    assert "the mean of 2 runs" in outcome.notes
    path = grades(tmp_path / "grade.json", v1_0=[0.0, 1.0], v1_1=[0.4, "?"])
    outcome = TASK.score_file(path, tmp_path)
    assert outcome.metrics == pytest.approx({"total": 45})
    assert "questions have 1 to 2 grades each; each question counts once" in outcome.notes


def test_what_is_no_grade_is_missing(tmp_path: Path) -> None:
    path = grades(tmp_path / "grade.json", v1_0=[0.5], v1_1=[-1], v1_2=["I"], v1_3=[], v1_4=None, v1_5=[1.5])
    outcome = TASK.score_file(path, tmp_path / "nowhere")
    assert (outcome.score, outcome.n, outcome.missing) == (50, 6, 5)
    assert outcome.notes[-1] == "5 of 6 questions have no grade and are left out"
    path = grades(tmp_path / "grade.json", v1_0=[0.5], v1_77=[0.0])
    outcome = TASK.score_file(path, data(tmp_path))
    assert (outcome.score, outcome.n, outcome.missing, outcome.strangers) == (50, 4, 3, 1)


def test_zeros_that_the_official_script_invented_count_and_are_told(tmp_path: Path) -> None:
    rows = {
        "v1_0": {"model": ["g"], "content": ["I"], "score": [0.0]},
        "v1_1": {"model": ["g"], "content": ["0.8"], "score": [0.8]},
    }
    (tmp_path / "grade.json").write_text(json.dumps(rows))
    outcome = TASK.score_file(tmp_path / "grade.json", tmp_path)
    assert (outcome.score, outcome.missing) == (40, 0)
    assert outcome.notes[-1].startswith("1 grades stand beside words of the judge that are none")


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text('{"v1_0": "x is 5"}')
    with pytest.raises(UsageError, match=r"answers\.json: v1_0 has no 'score': not a file of grades"):
        TASK.score_file(path, tmp_path)
    with pytest.raises(UsageError, match=r"none of its 1 rows has a grade from 0 to 1"):
        TASK.score_file(grades(tmp_path / "grade.json", v1_0=[-1]), tmp_path)
    with pytest.raises(UsageError, match=r"no mm-vet\.json in this folder"):
        TASK.questions(tmp_path)
    (tmp_path / "mm-vet.json").write_text('{"v1_0": {"question": "?", "answer": "!", "capability": "ocr"}}')
    with pytest.raises(UsageError, match=r"mm-vet\.json: v1_0 has no list of abilities"):
        TASK.questions(tmp_path)


@pytest.mark.parametrize("name", ["official.json", "llava.jsonl"])
def test_answers_are_joined_by_either_kind_of_id(name: str, tmp_path: Path) -> None:
    questions = TASK.questions(data(tmp_path))
    assert questions[0].images == ("v1_0.png",)
    path = tmp_path / name
    if name == "official.json":
        path.write_text('{"v1_2": "A joke.", "v1_0": "-1"}')
    else:
        path.write_text('{"question_id": 2, "text": "A joke."}\n{"question_id": 0, "text": "-1"}\n')
    assert TASK.read(path, questions).texts == {"v1_2": "A joke.", "v1_0": "-1"}


def test_a_judge_ends_the_last_row_of_a_table(tmp_path: Path) -> None:
    assert isinstance(TASK, JudgedTask)
    questions = TASK.questions(data(tmp_path))
    path = tmp_path / "a.json"
    path.write_text('{"v1_0": "x = -1", "v1_1": "silver", "v1_2": "odd"}')
    answers = TASK.read(path, questions)

    def grade(told: Told) -> None:
        last = told.text.rpartition("\n")[2]
        told.say({"-1 <AND> -5": "0.5 ", "grey <OR> silver": "1.0 | right"}.get(last.split(" | ")[1], "1.7"))

    with judge_server(grade) as server:
        outcome = TASK.judged(questions, answers, Judge("gpt-4-0613", server.url), tmp_path)
        # 0.5, 1.0, none, and 0 for the one without an answer
        assert (outcome.score, outcome.n, outcome.missing) == (50, 4, 1)
        assert outcome.metrics["ocr"] == 25
        assert "Question 0? | -1 <AND> -5 | x = -1 | " in {text.rpartition("\n")[2] for text in server.asked}
        assert len(server.asked) == 3
        assert outcome.notes[0].startswith("judge gpt-4-0613, prompt llavakit mm-vet 1, sha256 ")
        assert outcome.notes[-1] == "1 questions have no answer: graded 0, unasked"

        (tmp_path / "mm-vet_evaluator.py").write_text('import os\nprompt = """Grade.\n\n"""\nos.abort()\n')
        server.asked.clear()
        outcome = TASK.judged(questions, answers, Judge("gpt-4-0613", server.url), tmp_path)
        assert "prompt official mm-vet_evaluator.py, sha256 " in outcome.notes[0]
        assert "Grade.\n\n\nQuestion 1? | grey <OR> silver | silver | " in server.asked
        (tmp_path / "mm-vet_evaluator.py").write_text("prompt = 1")
        with pytest.raises(UsageError, match="no line sets 'prompt'"):
            TASK.judged(questions, answers, Judge("gpt-4-0613", server.url), tmp_path)
