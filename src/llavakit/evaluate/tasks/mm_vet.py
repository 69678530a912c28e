"""MM-Vet (Yu et al. 2023): open questions that take several abilities at once; a judge grades each 0 to 1.

Scored as the official `mm-vet_evaluator.py` does it: the mean grade, over all and of each ability and
combination. Two things differ: the official script gives a 0 where the judge's words are no grade, here such
a grade is missing; and answers are graded in our wording unless that script lies in the data folder, from
which its prompt is then taken. Grades of one wording, or one judge, do not compare with another's.
"""

import ast
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, identity, read_answers
from llavakit.evaluate.judge import Judge, Request
from llavakit.evaluate.judged import JudgedTask, Wording, check_usable, told
from llavakit.evaluate.outcome import Outcome, by_group, interval, percent
from llavakit.evaluate.rows import Row, field, find, read_rows
from llavakit.evaluate.task import Task

ABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
_SCRIPT = "mm-vet_evaluator.py"
_MAX_TOKENS = 16  # officially 3, which GPT-4's "0.5" is; only the first word is read

# Ours, the table's form excepted; another number with every change.
_VERSION = "llavakit mm-vet 1"
_PROMPT = """\
Grade predictions of a model against the truth, with 0.0 for one that is all wrong, 1.0 for one that is all \
right, and tenths between. Of parts that <AND> joins in the truth, a right prediction has every one; of \
parts that <OR> joins, one is enough. End the last row of the table with its grade, and write nothing else.

Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---
Which two numbers are on the doors? | 12 <AND> 40 | They are 21 and 4. | 0.0
Which two numbers are on the doors? | 12 <AND> 40 | I see a 12. | 0.5
Which two numbers are on the doors? | 12 <AND> 40 | The left one is 12 and the right one is 40. | 1.0
What colour is the car? | grey <OR> silver | It looks silver. | 1.0
Why is the sign funny? | It forbids to read signs, so that whoever obeys it cannot know of it. | It has a \
joke about reading. | 0.3
Why is the sign funny? | It forbids to read signs, so that whoever obeys it cannot know of it. | To learn \
that reading the sign is forbidden, one has to read it. | 1.0
"""


class MmVet(JudgedTask):
    """`total`; the abilities `rec`, `ocr`, `know`, `gen`, `spat`, `math`; and each combination that questions
    ask for (`ocr_math`; `ocr_only` where it is one ability alone).
    """

    name = "mm-vet"
    title = "MM-Vet: 218 open questions of combined abilities; mean grade by a judge"
    max_new_tokens = 1024
    where = f"""\
https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip. To grade with the official prompt, put
https://github.com/yuweihao/MM-Vet/blob/main/{_SCRIPT} there as well: the prompt is read from it.
A file of grades needs none of this for its total; the scores by ability need mm-vet.json.

DIR/mm-vet.json
DIR/images/v1_0.png …
DIR/{_SCRIPT}   (optional)"""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, "mm-vet.json")
        return [_question(row, path, number) for number, row in enumerate(read_rows(path), 1)]

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """The official `{"v1_0": "…"}`, or LLaVA's rows, whose ids are the numbers alone."""
        full = {question.id.removeprefix("v1_"): question.id for question in questions}
        lone = [replace(question, id=number) for number, question in zip(full, questions, strict=True)]
        answers = read_answers(path, [*questions, *lone])
        return replace(answers, texts={full.get(name, name): text for name, text in answers.texts.items()})

    def score_file(self, path: Path, data: Path) -> Outcome:
        """A file of grades, as the official script writes it; all of them, where there is no mm-vet.json."""
        grades: dict[str, list[float]] = {}
        invented = 0
        rows = read_rows(path)
        for number, row in enumerate(rows, 1):
            if {"total", "std", "runs"} <= row.keys():
                raise UsageError(
                    f"{path}: totals by model (…-cap-score-….csv): give the file of grades that the official "
                    "script wrote beside it (…-grade-….json)"
                )
            name = identity(field(row, ("question_id", "id"), path, number))
            if "score" not in row:
                raise UsageError(
                    f"{path}: {name} has no 'score': not a file of grades (answers need a judge)"
                )
            grades[name] = _usable(row["score"])
            invented += _invented(row)
        there = any(any(data.glob(place)) for place in ("mm-vet.json", "*/mm-vet.json"))
        questions = self.questions(data) if there else [Question(name, "") for name in grades]
        known = {question.id for question in questions}
        if not any(grades.get(name) for name in known):
            raise UsageError(f"{path}: none of its {len(rows)} rows has a grade from 0 to 1 of a question")
        notes = []
        if not questions[0].groups:
            notes.append(f"no mm-vet.json in {data}: no scores by ability")
        if ungraded := sum(not grades.get(name) for name in known):
            notes.append(f"{ungraded} of {len(questions)} questions have no grade and are left out")
        if invented:
            notes.append(
                f"{invented} grades stand beside words of the judge that are none: the 0 that the official "
                "script puts there, which counts, as it does officially"
            )
        return _outcome(
            questions, grades, tuple(notes), duplicates=len(rows) - len(grades),
            strangers=sum(name not in known for name in grades),
        )  # fmt: skip

    def judged(self, questions: Sequence[Question], answers: Answers, judge: Judge, data: Path) -> Outcome:
        official = _official(data / _SCRIPT)
        wording = Wording(_VERSION, _PROMPT) if official is None else Wording(f"official {_SCRIPT}", official)
        requests = [
            Request(question.id, wording.prompt, (_message(wording, question, text),), 0.0, _MAX_TOKENS)
            for question in questions
            if (text := answers.get(question)) is not None
        ]
        judgements = judge.ask(requests, _grade)
        check_usable(judge, judgements)
        notes = told(judge, wording, judgements)
        if unanswered := answers.missing(questions):
            notes += (f"{unanswered} questions have no answer: graded 0, unasked",)
        grades = {question.id: [0.0] for question in questions if answers.get(question) is None}
        grades |= {each.id: [each.value] for each in judgements if each.value is not None}
        return _outcome(
            questions, grades, notes, duplicates=answers.duplicates, strangers=answers.strangers
        )  # fmt: skip


def _question(row: Row, path: Path, number: int) -> Question:
    name = str(field(row, ("question_id", "id"), path, number))
    abilities = field(row, ("capability",), path, number)
    if not isinstance(abilities, list) or not abilities:
        raise UsageError(f"{path}: {name} has no list of abilities in 'capability'")
    order = sorted(set(map(str, abilities)), key=lambda one: (one not in ABILITIES, _place(one), one))
    combined = "_".join(order) if len(order) > 1 else f"{order[0]}_only"
    image = str(field(row, ("imagename", "image"), path, number))
    truth = str(field(row, ("answer",), path, number))
    return Question(
        name, str(field(row, ("question",), path, number)), (image,), truth, groups=(*order, combined)
    )


def _place(ability: str) -> int:
    return ABILITIES.index(ability) if ability in ABILITIES else 0


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _usable(score: Any) -> list[float]:
    """A grade a run; what is none is left out."""
    return [grade for one in _listed(score) if (grade := _number(one)) is not None]


def _number(value: Any) -> float | None:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= 1 else None


def _invented(row: Row) -> bool:
    """Whether a 0 stands where the judge's words, which are kept beside it, are no grade."""
    pairs = zip(_listed(row["score"]), _listed(row.get("content")), strict=False)
    return any(score == 0 and isinstance(said, str) and _first_number(said) is None for score, said in pairs)


def _first_number(text: str) -> float | None:
    return _number((text.split() or [""])[0])


def _grade(request: Request, text: str) -> float | None:
    return _first_number(text)


def _message(wording: Wording, question: Question, answer: str) -> dict[str, str]:
    """The table's last row, which the judge is to end."""
    truth = str(question.truth).replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    row = " | ".join([question.text, truth, answer, ""])
    return {"role": "user", "content": f"{wording.text}\n{row}"}


def _official(path: Path) -> str | None:
    """The prompt in the official script, where that lies in the data folder; it is read, never run."""
    if not path.is_file():
        return None
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path}: not a Python file ({error})") from None
    for line in body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            names = [target.id for target in line.targets if isinstance(target, ast.Name)]
            if names == ["prompt"] and isinstance(line.value.value, str):
                return line.value.value
    raise UsageError(f"{path}: no line sets 'prompt'; take the file out to grade in llavakit's wording")


def _outcome(
    questions: Sequence[Question],
    grades: Mapping[str, Sequence[float]],
    notes: tuple[str, ...],
    *,
    duplicates: int,
    strangers: int,
) -> Outcome:
    """The means of means over runs; of as many runs each, that is the official mean of the runs' totals."""
    graded = [question for question in questions if grades.get(question.id)]
    marks = {question.id: math.fsum(grades[question.id]) / len(grades[question.id]) for question in graded}
    by_name = by_group(graded, marks)
    often = Counter(question.groups[-1] for question in graded if question.groups)
    names = [name for name in (*ABILITIES, *(name for name, _ in often.most_common())) if name in by_name]
    metrics = {"total": percent(marks.values())} | {name: by_name[name] for name in names}
    runs = {len(grades[question.id]) for question in graded}
    if len(runs) > 1:
        notes += (f"questions have {min(runs)} to {max(runs)} grades each; each question counts once",)
    elif (count := max(runs)) > 1:
        totals = np.mean([grades[question.id] for question in graded], axis=0)
        metrics["std"] = 100 * float(totals.std())  # of the runs' totals, as officially
        notes += (f"the mean of {count} runs",)
    missing = len(questions) - len(graded)
    return Outcome(
        MmVet.name, metrics["total"], len(questions), missing, interval(marks.values()), metrics,
        duplicates=duplicates, strangers=strangers, marks=marks, notes=notes,
    )  # fmt: skip


TASKS: Mapping[str, Task] = {MmVet.name: MmVet()}
