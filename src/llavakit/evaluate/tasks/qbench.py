"""Q-Bench (Wu et al. 2023), task A1 (perception), dev: multiple choice on how pictures look.

The paper asks a language model which choice a free reply means. Here a reply is read as MMMU's official code
reads one (lmms-eval does the same), and is wrong where it names no choice; `letter_within` has the rule of
the authors' own scripts (Q-Instruct), by which the right letter need only occur in the reply.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, apart, identity, joined
from llavakit.evaluate.outcome import Outcome, of_marks, percent
from llavakit.evaluate.pictures import cell_uri
from llavakit.evaluate.rows import Row, field, find, read_rows
from llavakit.evaluate.task import LETTERS, Task, lettered
from llavakit.evaluate.tasks.mmmu import choice
from llavakit.files import read_text

_CONCERNS = ("distortion", "others", "in-context distortion", "in-context others")
_IDS = ("question_id", "id", "img_path")
_TEXTS = ("response", "text", "prediction", "outputs", "answer")


class QBench(Task):
    name = "q-bench"
    title = "Q-Bench A1 dev: perception of low-level properties"
    images = "images_llvisionqa"
    max_new_tokens = 1024
    where = """\
https://huggingface.co/datasets/nanyangtu/LLVisionQA-QBench: llvisionqa_dev.json and images_llvisionqa.tar.

DIR/llvisionqa_dev.json   (or the Parquet file of the hub's q-future/Q-Bench-HF, which has the pictures)
DIR/images_llvisionqa/00001.jpg …"""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, "llvisionqa_dev.json", "*llvisionqa*dev*.json", "dev*.parquet", "*dev*.parquet")
        rows = read_rows(path)
        for number, row in enumerate(rows, 1):
            if not isinstance(row.get("candidates", []), list):
                raise UsageError(f"{path}: row {number} has 'candidates' that are no list")
        kinds = _kinds(rows)
        return apart(_question(row, kinds, path) for row in rows)

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """LLaVA's file of question objects with a `response` in each, one behind the other; or rows by id."""
        asked = {(_first(question.id), question.metadata["question"]): question.id for question in questions}

        def pairs() -> Iterator[tuple[str, str]]:
            for row in _objects(path) if path.suffix == ".jsonl" else read_rows(path):
                name, text = identity(field(row, _IDS, path)), field(row, _TEXTS, path)
                yield asked.get((name, str(row.get("question"))), name), "" if text is None else str(text)

        return joined(path, pairs(), questions)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        unknown = sum(question.truth is None for question in questions)
        if unknown:
            raise UsageError(
                f"{unknown} of {len(questions)} questions have no correct_ans in the data, as is usual for "
                "the test set: its authors score that"
            )

        def chosen(question: Question, text: str) -> str | None:
            return choice(text, LETTERS[: len(question.choices)], question.choices)

        def right(question: Question, text: str) -> bool:
            return bool(chosen(question, text) == question.truth)

        outcome = of_marks(
            self.name, questions, answers, right, chance=percent(1 / len(each.choices) for each in questions)
        )
        within = [question.truth in (answers.get(question) or "") for question in questions]
        unclear = answers.count(questions, lambda question, text: chosen(question, text) is None)
        notes = (f"{unclear} replies name no choice: wrong",) if unclear else ()
        metrics = dict(outcome.metrics) | {"letter_within": percent(within)}
        return replace(outcome, metrics=metrics, notes=notes)


def _question(row: Row, kinds: Mapping[str, str], path: Path) -> Question:
    asked = str(field(row, ("question",), path))
    if "candidates" in row:
        name = str(field(row, ("img_path",), path))
        image: str | None = name
        choices = tuple(map(str, row["candidates"]))
        truth = row.get("correct_ans")
        if truth is not None:
            if str(truth) not in choices:
                raise UsageError(f"{path}: {name} has the correct_ans {truth!r}, which is no candidate")
            truth = LETTERS[choices.index(str(truth))]
    else:
        name, image = str(field(row, ("id",), path)), cell_uri(row.get("image"))
        options = [row.get(f"option{number}") for number in range(4)]
        choices = tuple(str(option) for option in options if option not in (None, "N/A"))
        truth = row.get("correct_choice") or None
    if len(choices) < 2:
        raise UsageError(f"{path}: {name} has {len(choices)} choices")
    concern = row.get("concern", row.get("question_concern"))
    kind = kinds.get(str(row.get("type", row.get("question_type"))))
    groups = [] if kind is None else [kind]
    if str(concern) in map(str, range(len(_CONCERNS))):
        groups.append(_CONCERNS[int(str(concern))])
    text = f"{asked}\nChoose between one of the options as follows:\n{lettered(choices)}\n"
    return Question(name, text, (image,) if image else (), truth, choices, tuple(groups), {"question": asked})


def _kinds(rows: Iterable[Row]) -> dict[str, str]:
    """The names of the types, which files give as numbers: by what most questions of each are."""
    votes: dict[str, Counter[str]] = {}
    for row in rows:
        number = row.get("type", row.get("question_type"))
        if number is None:
            continue
        choices = row.get("candidates") or [row.get("option0"), row.get("option1")]
        kind = "what"
        if {str(each).strip(" .").lower() for each in choices} <= {"yes", "no", "n/a", "none"}:
            kind = "yes-or-no"
        elif re.match(r"\s*how\b", str(row.get("question")), re.IGNORECASE):
            kind = "how"
        votes.setdefault(str(number), Counter())[kind] += 1
    return {number: counts.most_common(1)[0][0] for number, counts in votes.items()}


def _objects(path: Path) -> Iterator[Row]:
    """JSON objects, whether or not there is a line's end between them: LLaVA's script writes none."""
    text = read_text(path)
    decoder, place = json.JSONDecoder(), 0
    while (place := _next(text, place)) < len(text):
        try:
            held, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, place) + 1
            raise UsageError(f"{path}, line {line}: not JSON ({error})") from None
        if not isinstance(held, dict):
            line = text.count("\n", 0, place) + 1
            raise UsageError(f"{path}, line {line}: {type(held).__name__} where an object is expected")
        yield held


def _next(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _first(name: str) -> str:
    return re.sub(r"#\d+$", "", name)


TASKS: Mapping[str, Task] = {QBench.name: QBench()}
