"""ChartQA (Masry et al. 2022), test: questions about charts, half written by people, half generated.

Relaxed accuracy: numbers may be 5 % off. The wording is the one that LLaVA's authors use in lmms-eval.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.outcome import Outcome, of_marks
from llavakit.evaluate.rows import field, find, read_rows
from llavakit.evaluate.task import Task

_WORD = "Answer the question with a single word."


class ChartQA(Task):
    name = "chartqa"
    title = "ChartQA test: human, augmented, overall; relaxed accuracy"
    images = "png"
    max_new_tokens = 16
    where = """\
https://huggingface.co/datasets/ahmed-masry/ChartQA: ChartQA Dataset.zip, of which the folder test.

DIR/test_human.json  DIR/test_augmented.json
DIR/png/41699051005347.png …

The official files number no questions: their ids are "human-1", "augmented-1" …, the rows of these files.
Predictions may also name picture and question (`imgname`, `query`) in place of an id."""

    def questions(self, data: Path) -> list[Question]:
        found = []
        for part in ("human", "augmented"):
            path = find(data, f"test_{part}.json", f"test_{part}.jsonl")
            for number, row in enumerate(read_rows(path), 1):
                text = f"{str(field(row, ('query', 'question'), path, number)).strip()}\n{_WORD}"
                image = Path(str(field(row, ("imgname", "image"), path, number))).name
                truth = str(field(row, ("label", "answer"), path, number))
                found.append(Question(f"{part}-{number}", text, (image,), truth, (), (part,)))
        return found

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        return vqa.read_by_picture(path, questions)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        def right(question: Question, text: str) -> bool:
            return vqa.relaxed(text.strip(), question.truth)

        truths = (question.truth for question in questions)
        return of_marks(self.name, questions, answers, right, name="overall", truths=truths)


TASKS: Mapping[str, Task] = {ChartQA.name: ChartQA()}
