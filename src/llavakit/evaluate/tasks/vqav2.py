"""VQAv2 (Goyal et al. 2017): open questions about COCO pictures, ten human answers each.

The validation split is scored here by the official rule (GT-Vision-Lab/VQA, vqaEval.py); test-dev and test
are asked, and written for the server as LLaVA's convert_vqav2_for_submission.py does it. LLaVA's answers, and
ours, are compared as they would be uploaded, with EvalAI's normaliser applied first; official result files
(`answer`) as they stand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question, identity
from llavakit.evaluate.outcome import Outcome, of_marks
from llavakit.evaluate.rows import Row, field, find, listed, read_rows
from llavakit.evaluate.task import SHORT, Task

_TRUTHS = "*mscoco_val2014_annotations.json"
_DEV = ("llava_vqav2_mscoco_test-dev2015.jsonl", "*OpenEnded_mscoco_test-dev2015_questions.json")
_TEST = ("llava_vqav2_mscoco_test2015.jsonl", "*OpenEnded_mscoco_test2015_questions.json")


class VQAv2(Task):
    name = "vqav2"
    title = "VQAv2: validation is scored here, test-dev and test are uploaded; accuracy"
    images = "."
    where = """\
https://visualqa.org/download.html (v2). Validation, if its annotations are there:

DIR/v2_OpenEnded_mscoco_val2014_questions.json  DIR/v2_mscoco_val2014_annotations.json
DIR/val2014/COCO_val2014_000000262148.jpg …     (http://images.cocodataset.org/zips/val2014.zip)

Else test-dev, or if its questions are not there the whole test split; official files, or those of LLaVA's
eval.zip (its docs/Evaluation.md):

DIR/llava_vqav2_mscoco_test-dev2015.jsonl  DIR/llava_vqav2_mscoco_test2015.jsonl
    or DIR/v2_OpenEnded_mscoco_test-dev2015_questions.json  …test2015_questions.json
DIR/test2015/COCO_test2015_000000262144.jpg …   (http://images.cocodataset.org/zips/test2015.zip)

The upload, for https://eval.ai/web/challenges/challenge-page/830, holds all 447,793 test questions; those
that have no answer get an empty one."""

    def questions(self, data: Path) -> list[Question]:
        truths = vqa.seek(data, _TRUTHS)
        if truths is None:
            return _asked(find(data, *_DEV, *_TEST), {})
        path = find(data, "*OpenEnded_mscoco_val2014_questions.json")
        return _asked(path, {identity(row.get("question_id")): row for row in _checked(truths)})

    def to_upload(self, data: Path) -> list[Question]:
        path = vqa.seek(data, *_TEST, *_DEV)
        return self.questions(data) if path is None else _asked(path, {})

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        return vqa.read_upload(path, questions, "answer")

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        vqa.check_truths(self.name, questions, f"annotations ({_TRUTHS})")
        final = isinstance(answers, vqa.AsUploaded)

        def mark(question: Question, text: str) -> float:
            return vqa.vqa_accuracy(text if final else vqa.evalai_normalised(text), question.truth)

        chance = vqa.commonest_scores(questions, mark)
        return of_marks(self.name, questions, answers, mark, chance=chance)

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        final = isinstance(answers, vqa.AsUploaded)
        texts = ((question.id, answers.get(question) or "") for question in questions)
        vqa.write_json(path, (
            {"question_id": vqa.numeric(name), "answer": text if final else vqa.evalai_normalised(text)}
            for name, text in texts
        ))  # fmt: skip


def _checked(path: Path) -> list[Row]:
    rows = listed(path, "annotations")
    for number, row in enumerate(rows, 1):
        field(row, ("question_id",), path, number)
        row["answers"] = vqa.texts_of(field(row, ("answers",), path, number), path, number)
    return rows


def _asked(path: Path, truths: Mapping[str, Mapping[str, Any]]) -> list[Question]:
    """The questions of an official file, or one of LLaVA's; with truths, only those that have one."""
    split = "val2014" if "val2014" in path.name else "test2015"
    rows = read_rows(path) if path.suffix == ".jsonl" else listed(path, "questions")
    found = []
    for number, row in enumerate(rows, 1):
        name = identity(field(row, ("question_id",), path, number))
        truth = truths.get(name)
        if truths and truth is None:
            continue
        if "text" in row:
            text, picture = str(row["text"]), str(field(row, ("image",), path, number))
        else:
            text = f"{field(row, ('question',), path, number)}\n{SHORT}"
            image = identity(field(row, ("image_id",), path, number))
            if not image.isdecimal():
                raise UsageError(f"{path}: row {number} has the image_id {image!r}, not a number")
            picture = f"COCO_{split}_{image:0>12}.jpg"
        groups = (str(truth["answer_type"]),) if truth and "answer_type" in truth else ()
        answers = truth and truth["answers"]
        found.append(Question(name, text, (f"{split}/{picture}",), answers, (), groups))
    if not found:
        raise UsageError(f"{path}: none of its questions is in the annotations beside it: another split's?")
    return found


TASKS: Mapping[str, Task] = {VQAv2.name: VQAv2()}
