"""ScienceQA is scored as LLaVA scores it, and its own result file tells both figures."""

import json
from pathlib import Path

import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task
from llavakit.evaluate.tasks.scienceqa import ScienceQA, choice

TASK = get_task("scienceqa")
OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "eval" / "scienceqa"
PROBLEMS = {
    "4": {"question": "Which?", "choices": ["red", "blue"], "answer": 1, "hint": "", "image": None,
          "subject": "language science", "grade": "grade3"},
    "7": {"question": "What?", "choices": ["cat", "dog", "owl"], "answer": 0, "hint": "It barks not.",
          "image": "image.png", "subject": "natural science", "grade": "grade8"},
    "9": {"question": "Who?", "choices": ["I", "you"], "answer": 0, "hint": "", "image": None},
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "problems.json").write_text(json.dumps(PROBLEMS))
    (tmp_path / "pid_splits.json").write_text(json.dumps({"test": ["4", "7"], "train": ["9"]}))
    return tmp_path


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("A", "A"), ("B. blue", "B"), ("The answer is B.", "B"), ("So. The answer is A. ", "A"),
        ("C", None), ("D", None), ("a", None), ("blue", None), ("", None),
        ("The answer is A. The answer is B.", None), ("B.", None), ("A, I think", None),
        ("1. It is red. The answer is A.", "A"),
    ],
)  # fmt: skip
def test_a_reply_must_settle_on_a_letter_that_is_there(reply: str, letter: str | None) -> None:
    assert choice(reply, 2) == letter


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("It is red. The answer is B.", "B"), ("The answer is A. No. The answer is B.", "B"),
        ("L. ###\nANSWER: A.", "A"), ("The answer is (B).", "B"), ("A", "A"), ("The answer is D.", None),
        ("red", None),
    ],
)  # fmt: skip
def test_with_a_chain_of_thought_the_last_conclusion_counts(reply: str, letter: str | None) -> None:
    thinking = get_task("scienceqa-cot")
    assert isinstance(thinking, ScienceQA) and thinking.settled(reply, 2) == letter


def test_questions_have_the_official_wording(data: Path) -> None:
    first, second = TASK.questions(data)
    end = "Answer with the option's letter from the given choices directly."
    assert first.text == f"Which?\nA. red\nB. blue\n{end}"
    assert second.text == f"Context: It barks not.\nWhat?\nA. cat\nB. dog\nC. owl\n{end}"
    assert (first.images, second.images) == ((), ("7/image.png",))
    assert first.groups == ("no_context", "LAN", "G1-6")
    assert second.groups == ("image", "text", "NAT", "G7-12")


def test_groups_have_scores_of_their_own(data: Path) -> None:
    path = data / "a.jsonl"
    path.write_text('{"question_id": "7", "text": "A"}\n{"question_id": "4", "text": "E"}')
    outcome = TASK.score_file(path, data)
    assert outcome.score == 50 and outcome.metrics["image"] == 100 and outcome.metrics["no_context"] == 0
    assert outcome.notes == ("1 answers name none of their question's letters: wrong",)


def test_llavas_result_file_is_read_strictly_and_by_its_stored_choices(data: Path) -> None:
    path = data / "r.json"
    told = {"outputs": {"4": "The answer is D.", "7": "The answer is A."}, "results": {"4": 1, "7": 0}}
    path.write_text(json.dumps(told))
    metrics = TASK.score_file(path, data).metrics
    assert metrics["accuracy"] == 50 and metrics["stored_index_accuracy"] == 100


def test_outputs_that_are_no_answers_by_problem_are_named(data: Path) -> None:
    (data / "r.json").write_text('{"outputs": ["A", "B"]}')
    with pytest.raises(UsageError, match=r"r\.json: the answer to outputs is .* not a text"):
        TASK.score_file(data / "r.json", data)


def test_problems_without_an_answer_are_named(data: Path) -> None:
    broken = {**PROBLEMS, "7": {"question": "What?", "choices": ["cat"]}}
    (data / "problems.json").write_text(json.dumps(broken))
    with pytest.raises(UsageError, match=r"problems\.json: problem 7 has no choices and answer"):
        TASK.questions(data)


def test_problems_without_a_question_and_splits_without_a_list_are_named(data: Path) -> None:
    mute = {"7": {"choices": ["cat", "dog"], "answer": 0}}
    (data / "problems.json").write_text(json.dumps(mute))
    with pytest.raises(UsageError, match=r"problems\.json: a row has no 'question'"):
        TASK.questions(data)
    (data / "pid_splits.json").write_text('{"test": null}')
    with pytest.raises(UsageError, match=r"a list 'test' in pid_splits\.json"):
        TASK.questions(data)


def test_another_split_is_told(data: Path) -> None:
    (data / "pid_splits.json").write_text('{"test": ["1000"]}')
    with pytest.raises(UsageError, match="none of the test problems"):
        TASK.questions(data)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the development data is not here")
def test_llava_13b_gets_the_published_scores() -> None:
    outcome = TASK.score_file(OFFICIAL / "test_sqa_llava_13b_v0.json", OFFICIAL)
    assert sum(outcome.marks.values()) == 3855 and outcome.n == 4241
    assert round(outcome.metrics["stored_index_accuracy"] * 42.41) == 3856
    counts = {"image": 2017, "text": 2046, "no_context": 1435}
    found = {name: round(outcome.metrics[name] * count / 100) for name, count in counts.items()}
    assert found == {"image": 1775, "text": 1831, "no_context": 1300}
