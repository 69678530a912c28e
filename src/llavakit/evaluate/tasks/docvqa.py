"""DocVQA (Mathew et al. 2021): questions about scanned documents; ANLS with threshold 0.5.

Scored as the Robust Reading Competition's script does it; the test split is uploaded to that site.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question, identity
from llavakit.evaluate.outcome import Outcome, of_marks
from llavakit.evaluate.rows import field, find, listed
from llavakit.evaluate.task import SHORT, Task


class DocVQA(Task):
    name = "docvqa"
    title = "DocVQA: validation is scored here, test is uploaded; ANLS"
    images = "."
    max_new_tokens = 32
    where = """\
https://rrc.cvc.uab.es/?ch=17&com=downloads (task 1; registration). Validation if it is there, else test:

DIR/val_v1.0_withQT.json (or val_v1.0.json)  DIR/documents/xnbl0037_1.png …
DIR/test_v1.0.json

To ask the test questions, keep val_*.json out of DIR. The upload has all of them; those that have no answer
get an empty one."""

    def questions(self, data: Path) -> list[Question]:
        return _asked(find(data, "val_v1.0*.json", "test_v1.0*.json"))

    def to_upload(self, data: Path) -> list[Question]:
        return _asked(find(data, "test_v1.0*.json"))

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        vqa.check_truths(self.name, questions, "answers (val_v1.0*.json)")
        chance = vqa.commonest_scores(questions, _mark)
        return of_marks(self.name, questions, answers, _mark, name="anls", chance=chance)

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        vqa.write_json(path, (
            {"questionId": vqa.numeric(question.id), "answer": answers.get(question) or ""}
            for question in questions
        ))  # fmt: skip


def _mark(question: Question, text: str) -> float:
    return vqa.anls(text, question.truth)


def _asked(path: Path) -> list[Question]:
    found = []
    for number, row in enumerate(listed(path, "data"), 1):
        name = identity(field(row, ("questionId",), path, number))
        text = f"{field(row, ('question',), path, number)}\n{SHORT}"
        image = str(field(row, ("image",), path, number))
        truths = vqa.texts_of(row["answers"], path, number) if "answers" in row else None
        groups = tuple(str(kind) for kind in row.get("question_types") or ())
        found.append(Question(name, text, (image,), truths, (), groups))
    return found


TASKS: Mapping[str, Task] = {DocVQA.name: DocVQA()}
