"""MMMU (Yue et al. 2023), validation: college questions of thirty subjects, most of them multiple choice.

Scored as the official `eval_utils.py` and `main_eval_only.py` do it, but for one thing: where a reply names
no choice, the official code draws one, and here it is wrong (`accuracy_with_guesses` has the draw's expected
value).
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.evaluate.answers import IDS, Answers, Question, identity, joined
from llavakit.evaluate.outcome import Outcome, of_marks, percent
from llavakit.evaluate.pictures import cell_uri
from llavakit.evaluate.rows import Row, check_folder, field, find, read_rows
from llavakit.evaluate.task import LETTER, LETTERS, SHORT, Task

_DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power",
        "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
_MULTIPLE = "multiple-choice"
_UNKNOWN = 8  # letters that are looked for where the choices are not known
_TEXTS = ("response", "text", "prediction", "pred", "output", "answer")
_PICTURE = re.compile(r"<image (\d+)>")
# What a reply's result stands behind (parse_open_response); "=" on its last line only.
_SIGNS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),  # 1,000
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),  # 1.5e3
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


class MMMU(Task):
    name = "mmmu"
    title = "MMMU validation: college questions of thirty subjects"
    images = "."
    where = """\
https://huggingface.co/datasets/MMMU/MMMU: the validation files of all subjects, which have the pictures.

DIR/Accounting/validation-00000-of-00001.parquet  DIR/Agriculture/… (anywhere below DIR)

To score predictions, https://github.com/MMMU-Benchmark/MMMU: answer_dict_val.json in DIR is enough, but
replies must then be letters, for the choices' texts are not in it."""

    def questions(self, data: Path) -> list[Question]:
        check_folder(data)
        files = sorted(data.rglob("*validation*.parquet"))
        if files:
            return [_question(row, file) for file in files for row in read_rows(file)]
        path = find(data, "answer_dict_val.json", "*validation*.parquet")
        return [_bare(row, path) for row in read_rows(path)]

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """The official `{id: text}`, lists of `id` and `response`, or LLaVA's rows."""
        rows = ((identity(field(row, IDS, path)), field(row, _TEXTS, path)) for row in read_rows(path))
        return joined(path, ((name, "" if text is None else str(text)) for name, text in rows), questions)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        outcome = of_marks(self.name, questions, answers, _mark)
        unclear = {
            question.id
            for question in questions
            if question.metadata["question_type"] == _MULTIPLE
            and (text := answers.get(question)) is not None
            and choice(text, _letters(question), question.choices) is None
        }
        metrics = dict(outcome.metrics)
        notes = []
        known = all(question.choices for question in questions if question.id in unclear)
        if known:
            guesses = {
                question.id: 1 / len(question.choices) for question in questions if question.id in unclear
            }
            metrics["accuracy_with_guesses"] = percent((dict(outcome.marks) | guesses).values())
        if unclear:
            notes.append(
                f"{len(unclear)} replies name no choice: wrong here, while the official code draws one"
                + (" (accuracy_with_guesses has the expected value)" if known else "")
            )
        if not any(question.choices for question in questions):
            notes.append("the choices are not known: replies must be letters")
        return replace(outcome, metrics=metrics, chance=_chance(questions), notes=tuple(notes))


def choice(text: str, letters: Sequence[str], meanings: Sequence[str] = ()) -> str | None:
    """The letter that a reply settles on (parse_multi_choice_response), or None where it names no choice.

    The first of these that finds any: "(A)", "A" before a space, "A" before a full stop, and in replies of
    more than five words the texts of choices; the last that is found counts.
    """
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    for pattern, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in letters if pattern.format(letter) in text]
        if found:
            return max(found, key=lambda letter: text.rfind(place.format(letter)))
    if len(text.split()) > 5:
        places = {
            letter: text.lower().rfind(meant.lower())
            for letter, meant in zip(letters, meanings, strict=False)
            if meant.lower() in text.lower()
        }
        if places:
            return max(places, key=lambda letter: places[letter])
    return None


def is_right(text: str, truths: Sequence[str]) -> bool:
    """Whether an open reply has one of these (parse_open_response, eval_open)."""
    wanted = [each for truth in truths for each in _normal(truth)]
    for said in _said(text):
        if isinstance(said, float):
            if said in wanted:
                return True
        elif any(isinstance(each, str) and each in said for each in wanted):
            return True
    return False


def _said(text: str) -> set[str | float]:
    """What a reply may mean: what stands behind the last sign of a result in each line, and all numbers."""
    text = text.strip().strip(".").lower()
    # The official code means to part sentences too, but looks for capitals in small letters.
    lines = text.split("\n")
    results = []
    for number, line in enumerate(lines, 1):
        shortest = ""
        for sign in (*_SIGNS, "=") if number == len(lines) else _SIGNS:
            if sign in line:
                tail = line.split(sign)[-1].strip()
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in tuple(":,.!?;'"):
            results.append(shortest)
    results = results or [text]
    numbers = [each for result in results for pattern in _NUMBERS for each in pattern.findall(result)]
    return {normal for each in (*results, *numbers) for normal in _normal(each)}


def _normal(text: str) -> list[str | float]:
    """A number to two places, or small letters; one letter alone has a space beside it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def _mark(question: Question, text: str) -> float:
    if question.metadata["question_type"] == _MULTIPLE:
        return float(choice(text, _letters(question), question.choices) in question.truth)
    return float(is_right(text, question.truth))


def _letters(question: Question) -> str:
    return LETTERS[: len(question.choices) or _UNKNOWN]


def _question(row: Row, path: Path) -> Question:
    name = str(field(row, ("id",), path))
    kind = str(field(row, ("question_type",), path))
    asked = str(field(row, ("question",), path))
    truths = _listed(field(row, ("answer",), path))
    choices = tuple(_listed(row.get("options", "[]")))
    multiple = kind == _MULTIPLE
    if multiple and not (choices and all(truth in LETTERS[: len(choices)] for truth in truths)):
        raise UsageError(f"{path}: {name} has the answer {truths} and {len(choices)} choices")
    # In the wording of the official configs/llava1.5.yaml. LLaVA-1.5 was shown the first picture only.
    shown = "".join(f"({letter}) {each}\n" for letter, each in zip(LETTERS, choices, strict=False))
    text = f"{asked}\n{shown}\n{LETTER}" if multiple else f"{asked}\n{SHORT}"
    numbers = list(dict.fromkeys(_PICTURE.findall(text))) or ["1"]
    pictures = [cell_uri(row.get(f"image_{number}")) for number in numbers]
    return Question(
        name, text, tuple(filter(None, pictures)), truths, choices if multiple else (), _groups(name),
        {"question_type": kind},
    )  # fmt: skip


def _bare(row: Row, path: Path) -> Question:
    """From answer_dict_val.json: who answers has seen the rest."""
    name = str(field(row, ("question_id",), path))
    kind = str(field(row, ("question_type",), path))
    truth = field(row, ("ground_truth",), path)
    truths = [str(each) for each in truth] if isinstance(truth, list) else [str(truth)]
    return Question(name, "", (), truths, (), _groups(name), {"question_type": kind})


def _groups(name: str) -> tuple[str, ...]:
    """Of validation_Art_Theory_1: its discipline and subject."""
    subject = "_".join(name.split("_")[1:-1])
    return tuple(
        group
        for discipline, subjects in _DISCIPLINES.items()
        if subject in subjects
        for group in (discipline, subject)
    )


def _listed(value: Any) -> list[str]:
    """The hub's files write lists as Python does: "['1/4', '0.25']"."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return [value]
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _chance(questions: Sequence[Question]) -> float | None:
    """Of guessing among the choices; open questions are lost."""
    if not any(question.choices for question in questions):
        return None
    return percent(1 / len(question.choices) if question.choices else 0.0 for question in questions)


TASKS: Mapping[str, Task] = {MMMU.name: MMMU()}
