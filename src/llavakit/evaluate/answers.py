"""Answers to a benchmark's questions, joined with them by id, never by position."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.evaluate.rows import Row, read_rows
from llavakit.evaluate.rows import field as field_of

IDS = ("question_id", "questionId", "questionid", "qid", "id", "index")
# "answer" last: beside a prediction it is the truth.
TEXTS = ("text", "prediction", "pred", "response", "output", "output_text", "answer")


ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")  # of pictures' files


@dataclass(frozen=True)
class Question:
    """One question of a benchmark.

    Attributes:
        id: what its answers are joined by
        text: the whole prompt, in the official wording, without places for pictures
        images: files below the task's folder of pictures; several are shown in this order
        truth: what the scorer compares with, as JSON has it
        choices: of a multiple-choice question, in the order of their letters
        groups: categories that scores are told by
        metadata: what the official format of answers repeats
    """

    id: str
    text: str
    images: tuple[str, ...] = ()
    truth: Any = None
    choices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """Texts by question id.

    Attributes:
        duplicates: rows whose id an earlier row had; the last one counts, as in LLaVA's own scripts
        strangers: rows whose id no question has; they count for nothing
    """

    texts: Mapping[str, str]
    duplicates: int = 0
    strangers: int = 0

    def get(self, question: Question) -> str | None:
        return self.texts.get(question.id)

    def count(self, questions: Sequence[Question], holds: Callable[[Question, str], bool]) -> int:
        """Of how many questions there is an answer of which this holds."""
        return sum((text := self.get(each)) is not None and holds(each, text) for each in questions)

    def missing(self, questions: Sequence[Question]) -> int:
        return sum(question.id not in self.texts for question in questions)


def apart(questions: Iterable[Question]) -> list[Question]:
    """A second question of one id is called ID#2, a third ID#3."""
    seen: Counter[str] = Counter()
    found = []
    for question in questions:
        seen[question.id] += 1
        count = seen[question.id]
        found.append(question if count == 1 else replace(question, id=f"{question.id}#{count}"))
    return found


def identity(value: Any) -> str:
    """An id as text: 7, 7.0, "7" and "7.0" are one, for spreadsheets make numbers of what looks like one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    whole = text.removesuffix(".0")  # of a CSV file that was such a spreadsheet
    return whole if whole.isdecimal() else text


def read_answers(path: Path, questions: Sequence[Question]) -> Answers:
    """LLaVA's `answers.jsonl` (`question_id`, `text`), or any rows with an id and a text.

    Raises:
        UsageError: malformed rows, or answers to none of the questions.
    """
    rows = read_rows(path)
    return joined(path, ((identity(field_of(row, IDS, path)), said(row, path)) for row in rows), questions)


def said(row: Row, path: Path, number: int | None = None, names: tuple[str, ...] = TEXTS) -> str:
    """A row's answer.

    Args:
        number: of the row, for the error

    Raises:
        UsageError: it has none, or one that is no text.
    """
    text = field_of(row, names, path, number)
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    if isinstance(text, dict | list):
        which = f"to {identity(field_of(row, IDS, path))}" if number is None else f"in row {number}"
        raise UsageError(f"{path}: the answer {which} is {json.dumps(text)[:60]}, not a text")
    return "" if text is None else str(text)


def joined(path: Path, rows: Iterable[tuple[str, str]], questions: Sequence[Question]) -> Answers:
    """Rows of id and text, joined with the questions.

    An id that is a picture's name is found though its ending differs, if no other question's does.

    Raises:
        UsageError: answers to none of the questions.
    """
    known = {question.id for question in questions}
    stems: dict[str, list[str]] = {}
    for each in known:
        stems.setdefault(_stem(each), []).append(each)
    texts: dict[str, str] = {}
    duplicates = strangers = 0
    last = ""
    for given, text in rows:
        last = given
        alike = stems.get(_stem(given), [])
        name = given if given in known else alike[0] if len(alike) == 1 else None
        if name is None:
            strangers += 1
        else:
            duplicates += name in texts
            texts[name] = text
    check_some(path, questions, texts, strangers, last)
    return Answers(texts, duplicates, strangers)


def check_some(
    path: Path, questions: Sequence[Question], texts: Mapping[str, str], strangers: int, last: str
) -> None:
    """
    Args:
        texts: what was joined
        strangers: rows of unknown questions, the last of which has the id `last`

    Raises:
        UsageError: answers to none of the questions.
    """
    if not texts and questions:
        raise UsageError(
            f"{path}: answers none of these {len(questions)} questions (it has {strangers} rows, with ids "
            f"like {last!r}; the questions' are like {questions[0].id!r}): another benchmark's, or split's?"
        )


def _stem(name: str) -> str:
    root, dot, ending = name.rpartition(".")
    return root if f"{dot}{ending}".lower() in ENDINGS else name


def answer_line(question: Question, text: str, model: str) -> str:
    row = {
        "question_id": question.id, "prompt": question.text, "text": text, "model_id": model,
        "metadata": dict(question.metadata),
    }  # fmt: skip
    return json.dumps(row, ensure_ascii=False) + "\n"
