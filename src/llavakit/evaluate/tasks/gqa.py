"""GQA (Hudson and Manning 2019), balanced test-dev: compositional questions, one answer each.

An answer is right if it is the truth to the letter (the official eval.py). LLaVA's answers, and ours, are
made official predictions first as convert_gqa_for_eval.py does it: lower case, no full stops at the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question, identity
from llavakit.evaluate.outcome import Outcome, of_marks
from llavakit.evaluate.rows import field, find, read_rows
from llavakit.evaluate.task import SHORT, Task


class GQA(Task):
    name = "gqa"
    title = "GQA test-dev, balanced: exact match; binary and open questions"
    where = """\
https://cs.stanford.edu/people/dorarad/gqa/download.html: questions1.2.zip (1.2 GB) and images.zip (20 GB).

DIR/testdev_balanced_questions.json   (anywhere below DIR)
DIR/images/n161313.jpg …

Predictions: LLaVA's answers.jsonl, or the official [{"questionId": …, "prediction": …}], which is compared as
it stands."""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, "testdev_balanced_questions.json", "testdev_all_questions.json")
        found = []
        for number, row in enumerate(read_rows(path), 1):
            if not row.get("isBalanced", True):
                continue  # the official accuracy is of the balanced ones
            types = row.get("types")
            if not isinstance(types, dict) or "structural" not in types:
                raise UsageError(f"{path}: row {number} has no 'types' with a 'structural' one")
            groups = ["open" if types["structural"] == "query" else "binary", str(types["structural"])]
            groups += [str(types["semantic"])] if "semantic" in types else []
            text = f"{field(row, ('question',), path, number)}\n{SHORT}"
            image = f"{field(row, ('imageId',), path, number)}.jpg"
            truth = str(field(row, ("answer",), path, number))
            name = identity(field(row, ("question_id",), path, number))
            found.append(Question(name, text, (image,), truth, (), tuple(groups)))
        if not found:
            raise UsageError(f"{path}: holds no balanced question")
        return found

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        return vqa.read_upload(path, questions, "prediction")

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        final = isinstance(answers, vqa.AsUploaded)

        def right(question: Question, text: str) -> bool:
            return bool((text if final else official(text)) == question.truth)

        truths = (question.truth for question in questions)
        outcome = of_marks(self.name, questions, answers, right, truths=truths)
        nearly = final and answers.count(questions, lambda each, text: official(text) == each.truth != text)
        if not nearly:
            return outcome
        note = f"{nearly} predictions differ from the truth only in case or a full stop at the end: wrong"
        return replace(outcome, notes=(note,))

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        """The predictions that the official eval.py reads, which wants one for each question."""
        final = isinstance(answers, vqa.AsUploaded)
        texts = ((question.id, answers.get(question) or "") for question in questions)
        vqa.write_json(path, (
            {"questionId": name, "prediction": text if final else official(text)} for name, text in texts
        ))  # fmt: skip


def official(text: str) -> str:
    return text.strip().rstrip(".").lower()


TASKS: Mapping[str, Task] = {GQA.name: GQA()}
