"""VizWiz-VQA (Gurari et al. 2018): what blind people asked about pictures that they took.

Validation is scored here by the official rule (VizWiz's VQA API: the answer is normalised, the ten human ones
are not; the mean of leaving each out); test is written for the server as LLaVA's
convert_vizwiz_for_submission.py does it. Answers are compared as they would be uploaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.outcome import Outcome, of_marks, percent
from llavakit.evaluate.rows import field, find, read_rows
from llavakit.evaluate.task import SHORT, Task

_INSUFFICIENT = "When the provided information is insufficient, respond with 'Unanswerable'."
_UNANSWERABLE = "unanswerable"


class VizWiz(Task):
    name = "vizwiz"
    title = "VizWiz: validation is scored here, test is uploaded; accuracy"
    images = "."
    where = """\
https://vizwiz.org/tasks-and-datasets/vqa/. Validation, if its annotations are there, else test:

https://vizwiz.cs.colorado.edu/VizWiz_final/vqa_data/Annotations.zip
https://vizwiz.cs.colorado.edu/VizWiz_final/images/val.zip  and  test.zip

DIR/val.json  DIR/val/VizWiz_val_00000000.jpg …
DIR/test.json (or llava_test.jsonl of LLaVA's eval.zip)  DIR/test/VizWiz_test_00000000.jpg …

To ask the test questions, keep val.json out of DIR. The upload is for
https://eval.ai/web/challenges/challenge-page/1911"""

    def questions(self, data: Path) -> list[Question]:
        path = vqa.seek(data, "val.json", "VizWiz*val*.json")
        return _asked(path, "val") if path is not None else self._test(data)

    def to_upload(self, data: Path) -> list[Question]:
        return self._test(data)

    def _test(self, data: Path) -> list[Question]:
        return _asked(find(data, "llava_test.jsonl", "test.json"), "test")

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """Also the upload format, whose rows have the picture's name for an id."""
        return vqa.read_by_picture(path, questions)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        vqa.check_truths(self.name, questions, "answers (val.json)")
        chance = vqa.commonest_scores(questions, _mark)
        outcome = of_marks(self.name, questions, answers, _mark, chance=chance)
        alike = percent(
            0.0 if (text := answers.get(question)) is None else vqa.both_normalised(question, text)
            for question in questions
        )
        found = {"accuracy_normalised": alike, "unanswerable_f1": _unanswerable_f1(questions, answers)}
        note = "accuracy_normalised also normalises the human answers, as lmms-eval does"
        return replace(outcome, metrics={**outcome.metrics, **found}, notes=(note,))

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        lacking = [question.id for question in questions if answers.get(question) is None]
        if lacking:
            raise UsageError(
                f"{len(lacking)} of {len(questions)} questions have no answer (the first is {lacking[0]}): "
                "the server wants all; answer them first"
            )
        vqa.write_json(path, (
            {"image": question.metadata["image"], "answer": vqa.evalai_normalised(answers.texts[question.id])}
            for question in questions
        ))  # fmt: skip


def _asked(path: Path, split: str) -> list[Question]:
    found = []
    for number, row in enumerate(read_rows(path), 1):
        image = str(field(row, ("image",), path, number))
        if "text" in row:  # LLaVA's question file
            text = str(row["text"])
        else:
            asked = str(field(row, ("question",), path, number)).strip().capitalize()
            text = f"{asked}\n{_INSUFFICIENT}\n{SHORT}"
        name = str(row.get("question_id", image))
        humans = vqa.texts_of(row["answers"], path, number) if "answers" in row else None
        if split == "val" and humans is None:
            raise UsageError(f"{path}: row {number} has no 'answers'")
        groups = (str(row["answer_type"]),) if "answer_type" in row else ()
        metadata = {"image": image} | ({"answerable": row["answerable"]} if "answerable" in row else {})
        found.append(Question(name, text, (f"{split}/{image}",), humans, (), groups, metadata))
    return found


def _mark(question: Question, text: str) -> float:
    return vqa.consensus(vqa.normalised(vqa.evalai_normalised(text)), question.truth)


def _unanswerable_f1(questions: Sequence[Question], answers: Answers) -> float:
    """F1 of saying "unanswerable" where the annotations say so, in percent."""
    hits = wrong = 0
    for question in questions:
        text = answers.get(question)
        said = text is not None and vqa.evalai_normalised(text) == _UNANSWERABLE
        true = question.metadata.get("answerable", 1) == 0
        hits += said and true
        wrong += said != true
    return 100 * 2 * hits / (2 * hits + wrong) if hits else 0.0


TASKS: Mapping[str, Task] = {VizWiz.name: VizWiz()}
