"""LLaVA-Bench: sums of scores, in percent of the reference's; a missing judgement is in none of them."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judge_server import Told, judge_server
from llavakit.cli.evaluate.places import folder_of
from llavakit.errors import LlavaError, UsageError
from llavakit.evaluate.judge import Judge
from llavakit.evaluate.judged import JudgedTask
from llavakit.evaluate.tasks import get_task

CAPTIONS = Path(__file__).resolve().parents[3] / "shared/data/captions"


def task(name: str) -> JudgedTask:
    found = get_task(name)
    assert isinstance(found, JudgedTask)
    return found


WILD, COCO = task("llava-bench-wild"), task("llava-bench-coco")


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def review(number: int, category: str, pair: Any, content: str = "…") -> dict[str, Any]:
    return {"id": number + 1, "question_id": number, "category": category, "content": content, "tuple": pair}


def test_a_review_file_needs_nothing_else(tmp_path: Path) -> None:
    path = write(
        tmp_path / "reviews.jsonl",
        review(0, "llava_bench_conv", [8, 4]),
        review(1, "llava_bench_conv", [10, 8]),
        review(2, "llava_bench_detail", [9, 3]),
        review(3, "llava_bench_complex", [9.5, 9]),
    )
    told = WILD.score_file(path, tmp_path / "nowhere").told()
    assert told["metrics"] == pytest.approx({
        "overall": 100 * 24 / 36.5, "conv": 100 * 12 / 18, "detail": 100 * 3 / 9, "complex": 100 * 9 / 9.5,
    }, abs=1e-5)  # fmt: skip
    assert (told["score"], told["n"], told["missing"]) == (told["metrics"]["overall"], 4, 0)
    assert told["notes"] == []
    assert told["interval"][0] < told["score"] < told["interval"][1]


def test_a_failed_review_is_missing_and_never_a_score_of_minus_one(tmp_path: Path) -> None:
    path = write(
        tmp_path / "reviews.jsonl",
        review(0, "conv", [8, 4]),
        review(1, "conv", [-1, -1], "I cannot rate these."),
        review(2, "conv", [9]),
        review(3, "detail", None),
        {"question_id": 4, "category": "detail"},
        review(5, "detail", ["a", "b"]),
        review(6, "detail", [True, True]),
    )
    outcome = COCO.score_file(path, tmp_path)
    assert outcome.metrics == {"overall": 50, "conv": 50}
    assert (outcome.n, outcome.missing) == (7, 6)
    assert outcome.notes == ("6 of 7 reviews hold no two scores and are left out",)
    assert set(outcome.marks) == {"0"}


def test_a_failed_tuple_is_read_again_from_the_review(tmp_path: Path) -> None:
    path = write(
        tmp_path / "reviews.jsonl",
        review(0, "conv", [8, 4], "1 1\nThe tuple counts where there is one."),
        review(1, "conv", [-1, -1], "8, 10\nBoth are good."),
        {"question_id": 2, "category": "conv", "content": "4 6"},
        {"question_id": 3, "category": "conv", "score": [10, 10]},
    )
    outcome = COCO.score_file(path, tmp_path)
    assert (outcome.score, outcome.missing) == (100, 0)


def test_categories_may_be_absent_and_questions_repeated(tmp_path: Path) -> None:
    path = write(
        tmp_path / "reviews.jsonl",
        {"question_id": 1, "tuple": [10, 1]},
        {"question_id": 1, "tuple": [10, 8]},
        {"question_id": 2, "tuple": [10, 6], "category": "memes"},
    )
    outcome = WILD.score_file(path, tmp_path)
    assert outcome.metrics == {"overall": 70, "memes": 60}
    assert (outcome.n, outcome.duplicates) == (2, 1)


def test_categories_that_reviews_lack_are_the_questions(tmp_path: Path) -> None:
    wild(tmp_path)
    rows = [{"question_id": number, "tuple": [10, 8 - number]} for number in (2, 0, 1)]
    path = write(tmp_path / "reviews.jsonl", *rows)
    outcome = WILD.score_file(path, tmp_path)
    assert outcome.metrics == pytest.approx({"overall": 70, "conv": 80, "detail": 70, "complex": 60})
    assert outcome.notes == ()
    outcome = WILD.score_file(path, tmp_path / "nowhere")
    assert outcome.metrics == {"overall": 70}
    assert outcome.notes[0].startswith("3 reviews have no category, nor has questions.jsonl in")


def test_the_folder_may_be_called_as_llavas_instructions_call_it(tmp_path: Path) -> None:
    (tmp_path / "llava-bench-in-the-wild").mkdir()
    assert folder_of(WILD, tmp_path) == tmp_path / "llava-bench-in-the-wild"
    assert folder_of(COCO, tmp_path) == tmp_path


def test_answers_need_a_judge(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"question_id": 0, "prompt": "Two numbers?", "text": "8 9"})
    with pytest.raises(
        UsageError, match=r"a\.jsonl: none of its 1 rows holds two scores.*answers need a judge"
    ):
        WILD.score_file(path, tmp_path)
    with pytest.raises(UsageError, match="name a judge's model, or give a file of judgements"):
        WILD.score(wild(tmp_path), WILD.read(path, wild(tmp_path)))


def wild(folder: Path) -> list[Any]:
    write(
        folder / "questions.jsonl",
        {"question_id": 0, "image": "001.jpg", "text": "What is it?", "category": "conv"},
        {"question_id": 1, "image": "001.jpg", "text": "Describe it.", "category": "detail"},
        {"question_id": 2, "image": "002.jpg", "text": "Why so?", "category": "complex"},
    )
    write(
        folder / "context.jsonl",
        {"id": "001", "image": "001.jpg", "caption": ["A red kite.", "It flies."]},
        {"id": "002", "image": "002.jpg", "caption": "A queue."},
    )
    references = [{"question_id": number, "text": f"reference {number}"} for number in (2, 1, 0)]
    write(folder / "answers_gpt4.jsonl", *references)
    return WILD.questions(folder)


def by_answer(told: Told) -> None:
    """Judges say 8 for the reference, and for the model the number in its answer."""
    found = re.search(r"\[Assistant 2\]\nmodel (\d+)\n", told.text)
    told.say(f"8 {found[1] if found else 1}\nFor reasons.")


def test_a_judge_is_shown_context_question_reference_and_answer_joined_by_id(tmp_path: Path) -> None:
    questions = wild(tmp_path)
    answers = WILD.read(
        write(
            tmp_path / "a.jsonl",
            {"question_id": 1, "text": "model 4"},
            {"question_id": 0, "text": "model 6"},
            {"question_id": 99, "text": "model 9"},
        ),
        questions,
    )
    with judge_server(by_answer) as server:
        judge = Judge("gpt-4-0314", server.url, kept=tmp_path / "kept.jsonl")
        outcome = WILD.judged(questions, answers, judge, tmp_path)
        assert outcome.metrics == pytest.approx(
            {"overall": 100 * 11 / 24, "conv": 75, "detail": 50, "complex": 100 / 8}
        )
        assert (outcome.n, outcome.missing, outcome.strangers) == (3, 0, 1)
        first = next(text for text in server.asked if "What is it?" in text)
        assert first.startswith(
            "[Context]\nA red kite.\nIt flies.\n\n[Question]\nWhat is it?\n\n[Assistant 1]\nreference 0\n\n"
            "[End of Assistant 1]\n\n[Assistant 2]\nmodel 6\n\n[End of Assistant 2]\n\n[System]\n"
        )
        assert server.bodies[0]["temperature"] == 0.2
        assert re.match(
            r"judge gpt-4-0314, prompt llavakit llava-bench 1, sha256 [0-9a-f]{12}; 0 of 3 judgements were "
            r"kept from before; 3 replies in this run, with 300 \+ 30 tokens",
            outcome.notes[0],
        )
        assert outcome.notes[1] == "1 questions have no answer: the judge was shown an empty one"

        WILD.judged(questions, answers, Judge("gpt-4-0314", server.url, kept=judge.kept), tmp_path)
        assert len(server.asked) == 3
    again = WILD.judged(questions, answers, Judge("gpt-4-0314", None, kept=judge.kept), tmp_path)
    assert again.metrics == outcome.metrics


def test_a_judgement_without_scores_is_missing(tmp_path: Path) -> None:
    questions = wild(tmp_path)
    answers = WILD.read(write(tmp_path / "a.jsonl", {"question_id": 0, "text": "model 6"}), questions)

    def shy(told: Told) -> None:
        if "Why so?" in told.text:
            told.say("Assistant 1 is better.")
        else:
            by_answer(told)

    with judge_server(shy) as server:
        outcome = WILD.judged(questions, answers, Judge("j", server.url), tmp_path)
        assert outcome.metrics == pytest.approx({"overall": 100 * 7 / 16, "conv": 75, "detail": 100 / 8})
        assert (outcome.n, outcome.missing) == (3, 1)
        assert outcome.notes[1] == (
            "1 judgements are missing, that of 2 for instance: no judgement can be read from 'Assistant 1 is "
            "better.'; another run asks for them again"
        )
        server.answer = lambda told: told.say("Both are fine.")
        with pytest.raises(
            LlavaError, match="none of 3 judgements of j can be used: no judgement can be read"
        ):
            WILD.judged(questions, answers, Judge("j", server.url), tmp_path)


def test_the_official_rules_are_used_where_they_lie_in_the_folder(tmp_path: Path) -> None:
    questions = wild(tmp_path)
    answers = WILD.read(write(tmp_path / "a.jsonl", {"question_id": 0, "text": "model 6"}), questions)
    rules = {
        f"llava_bench_{name}": {"role": "Bot", "prompt": f"Rule {name}."}
        for name in ("conv", "detail", "complex")
    }
    (tmp_path / "rule.json").write_text(json.dumps(rules))
    with judge_server(lambda told: told.say("5 5")) as server:
        outcome = WILD.judged(questions, answers, Judge("j", server.url), tmp_path)
        assert "prompt official rule.json, sha256 " in outcome.notes[0]
        assert any(text.endswith("[End of Bot 2]\n\n[System]\nRule detail.\n\n") for text in server.asked)
        del rules["llava_bench_conv"]
        (tmp_path / "rule.json").write_text(json.dumps(rules))
        with pytest.raises(UsageError, match="question 0: there is no rule to judge 'llava_bench_conv' by"):
            WILD.judged(questions, answers, Judge("j", server.url), tmp_path)
        (tmp_path / "rule.json").write_text('{"conv": "Rule"}')
        with pytest.raises(UsageError, match=r"rule\.json: a 'role' and a 'prompt' by category"):
            WILD.judged(questions, answers, Judge("j", server.url), tmp_path)


def test_missing_files_and_pieces_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no questions\.jsonl in this folder"):
        WILD.questions(tmp_path)
    wild(tmp_path)
    write(tmp_path / "context.jsonl", {"image": "001.jpg", "caption": "A kite."})
    with pytest.raises(
        UsageError, match=r"context\.jsonl: says nothing of 002\.jpg, which questions\.jsonl asks"
    ):
        WILD.questions(tmp_path)
    write(tmp_path / "context.jsonl", {"image": "001.jpg"})
    with pytest.raises(UsageError, match=r"context\.jsonl: row 1 has no 'caption'"):
        WILD.questions(tmp_path)
    wild(tmp_path)
    write(tmp_path / "answers_gpt4.jsonl", {"question_id": 0, "text": "r"})
    with pytest.raises(UsageError, match=r"questions\.jsonl: question 1 has no answer of GPT-4"):
        WILD.questions(tmp_path)


def coco(folder: Path) -> list[Any]:
    write(
        folder / "qa90_questions.jsonl",
        {"question_id": 0, "image": "000000000009.jpg", "text": "What is it?", "category": "conv"},
    )
    write(folder / "qa90_gpt4_answer.jsonl", {"question_id": 0, "text": "A bag.", "category": "conv"})
    instances = [
        {"category": "bag", "bbox": [0.1, 0.2, 0.3, 0.4]}, {"category": "cat", "bbox": [0.5, 0.5, 1.0, 1.0]},
    ]  # fmt: skip
    write(
        folder / "caps_boxes_coco2014_val_80.jsonl",
        {"image": "000000000009.jpg", "captions": ["A bag.", "A cat."], "instances": instances},
    )
    return COCO.questions(folder)


def test_of_coco_the_context_is_captions_and_boxes(tmp_path: Path) -> None:
    (question,) = coco(tmp_path)
    assert question.images == ("COCO_val2014_000000000009.jpg",)
    answers = COCO.read(write(tmp_path / "a.jsonl", {"question_id": 0, "text": "model 4"}), [question])
    with judge_server(by_answer) as server:
        outcome = COCO.judged([question], answers, Judge("j", server.url), tmp_path)
    assert outcome.metrics == {"overall": 50, "conv": 50}
    assert server.asked[0].startswith(
        "[Context]\nA bag.\nA cat.\n\nbag: [0.1, 0.2, 0.3, 0.4]\ncat: [0.5, 0.5, 1.0, 1.0]\n\n[Question]\n"
    )
    assert "boxes" in server.asked[0]


def test_pictures_of_coco_may_lie_under_their_short_names(tmp_path: Path) -> None:
    (tmp_path / "val2014").mkdir()
    (tmp_path / "val2014" / "000000000009.jpg").touch()
    assert coco(tmp_path)[0].images == ("000000000009.jpg",)


@pytest.mark.skipif(not CAPTIONS.exists(), reason="LLaVA's files are not here")
def test_the_official_files_of_coco_join() -> None:
    questions = COCO.questions(CAPTIONS)
    assert len(questions) == 90
    assert Counter(question.groups for question in questions) == {
        ("conv",): 30, ("detail",): 30, ("complex",): 30,
    }  # fmt: skip
    assert questions[0].truth[1].startswith("The colors of the two suitcases")
