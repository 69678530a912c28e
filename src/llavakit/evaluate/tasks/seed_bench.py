"""SEED-Bench (Li et al. 2023): multiple choice on pictures and videos, in twelve dimensions.

Scored as the official `eval.py` and LLaVA's `convert_seed_for_submission.py` do it: a prediction is right
if it is the letter and nothing else, and all questions count the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, apart, identity, joined
from llavakit.evaluate.outcome import Outcome, of_marks, percent
from llavakit.evaluate.rows import Row, field, find, read_json, read_rows
from llavakit.evaluate.task import LETTER, LETTERS, Task, lettered
from llavakit.files import write_whole

# by question_type_id, as SEED-Bench.json calls them, for a file without its table of names
_DIMENSIONS = (
    "Scene Understanding", "Instance Identity", "Instance Attributes", "Instance Location",
    "Instances Counting", "Spatial Relation", "Instance Interaction", "Visual Reasoning",
    "Text Understanding", "Action Recognition", "Action Prediction", "Procedure Understanding",
)  # fmt: skip
_IDS = ("question_id", "q_id")
_TRUTHS = ("gt_answer", "gt")  # in files of predictions: the authors' of GPT-4V, those of eval.py
_CHOICES = ("choice_a", "choice_b", "choice_c", "choice_d")


class SeedBench(Task):
    name = "seed-bench"
    title = "SEED-Bench: pictures and videos in twelve dimensions"
    images = "."
    where = """\
https://huggingface.co/datasets/AILab-CVC/SEED-Bench: SEED-Bench.json and SEED-Bench-image.zip; videos as
https://github.com/AILab-CVC/SEED-Bench/blob/main/DATASET.md tells. Of each video, LLaVA shows the frame in
the middle of what is asked about, called after the question's type and id.

DIR/SEED-Bench.json   (anywhere below DIR)
DIR/SEED-Bench-image/1454426_2591111986 …
DIR/SEED-Bench-video-image/10_106359.png …

A file of predictions that has the truth too (`gt_answer`, or `gt` as eval.py writes it) needs no data."""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, "SEED-Bench.json", "SEED-Bench*.json", "[sS][eE][eE][dD]*.json")
        held = read_json(path)
        rows = held.get("questions") if isinstance(held, dict) else held
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UsageError(f"{path}: a list 'questions' of objects is expected")
        kinds = held.get("question_type") if isinstance(held, dict) else None
        names = {number: name for name, number in kinds.items()} if isinstance(kinds, dict) else {}
        if not names:
            names = dict(enumerate(_DIMENSIONS, 1))
        return apart(_question(row, names, path, number) for number, row in enumerate(rows, 1))

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """The official lines of `question_id` and `prediction`, or LLaVA's of `question_id` and `text`."""
        rows = (
            (identity(field(row, _IDS, path)), field(row, ("prediction", "text"), path))
            for row in read_rows(path)
        )
        answers = joined(path, ((name, "" if text is None else str(text)) for name, text in rows), questions)
        # Questions may share an id: then each counts, with the one answer, as in LLaVA's script.
        texts = {
            question.id: answers.texts[name]
            for question in questions
            for name in (question.id, identity(question.metadata["question_id"]))
            if name in answers.texts
        } | dict(answers.texts)
        return replace(answers, texts=texts)

    def score_file(self, path: Path, data: Path) -> Outcome:
        """Without data, the truths that the file itself may have count."""
        try:
            questions, note = self.questions(data), ""
        except UsageError:
            questions, note = _own(path), f"{path.name}'s own truths count: SEED-Bench.json is not here"
            if not questions:
                raise
        outcome = self.score(questions, self.read(path, questions))
        return replace(outcome, notes=(*outcome.notes, note)) if note else outcome

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        def right(question: Question, text: str) -> bool:
            return bool(text == question.truth)

        def right_at_first(question: Question) -> bool:
            return bool((answers.get(question) or "").strip()[:1].upper() == question.truth)

        outcome = of_marks(
            self.name, questions, answers, right, truths=(question.truth for question in questions)
        )
        metrics = dict(outcome.metrics) | {"accuracy_first_letter": percent(map(right_at_first, questions))}
        shared = len(questions) - len({identity(each.metadata["question_id"]) for each in questions})
        longer = answers.count(questions, lambda _, text: len(text) != 1 or text not in LETTERS)
        notes = []
        if shared:
            notes.append(f"{shared} questions have the id of another; each counts, with the one answer")
        if longer:
            notes.append(
                f"{longer} predictions are not a single capital letter: wrong, by the official rule "
                "(accuracy_first_letter takes their first letter)"
            )
        return replace(outcome, metrics=metrics, notes=tuple(notes))

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        """Lines of `question_id` and `prediction`, for the leaderboard."""
        rows = (
            {"question_id": question.metadata["question_id"], "prediction": text}
            for question in questions
            if (text := answers.get(question)) is not None
        )
        write_whole(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())


def _own(path: Path) -> list[Question]:
    """Of a file of predictions in which each row has the truth; else none."""
    found = {}
    names = dict(enumerate(_DIMENSIONS, 1))
    for number, row in enumerate(read_rows(path), 1):
        truth = next((row[name] for name in _TRUTHS if name in row), None)
        if truth is None:
            return []
        told = {"question_id": field(row, _IDS, path, number), "answer": truth}
        one = _question(told | {"question_type_id": row.get("q_type_id")}, names, path, number)
        found[one.id] = one
    return list(found.values())


def _question(row: Row, names: Mapping[Any, str], path: Path, number: int) -> Question:
    wanted = ["question_id", "answer"]
    if "question" in row:  # a file of truths alone can be scored with
        wanted += ["data_type", "question_type_id", *_CHOICES]
    missing = [name for name in wanted if row.get(name) is None]
    if missing:
        raise UsageError(f"{path}, question {number}: no {', '.join(map(repr, missing))}")
    given, kind, medium = row["question_id"], row.get("question_type_id"), row.get("data_type")
    truth = str(row["answer"]).strip()
    if len(truth) != 1 or truth not in LETTERS[: len(_CHOICES)]:
        raise UsageError(f"{path}, question {number}: the answer is {truth!r}, not one of A, B, C and D")
    if medium not in ("image", "video", None):
        raise UsageError(f"{path}, question {number}: the data_type is {medium!r}, not image or video")
    choices = tuple(str(row.get(name, "")) for name in _CHOICES)
    picture = f"SEED-Bench-video-image/{kind}_{given}.png"
    if medium == "image":
        picture = f"SEED-Bench-image/{row.get('data_id')}"
    groups = [] if medium is None else [str(medium)]
    groups += [] if kind is None else [names.get(kind, f"type {kind}")]
    return Question(
        id=identity(given),
        text=f"{row.get('question', '')}\n{lettered(choices)}\n{LETTER}",
        images=(picture,),
        truth=truth,
        choices=choices,
        groups=tuple(groups),
        metadata={"question_id": given},
    )


TASKS: Mapping[str, Task] = {SeedBench.name: SeedBench()}
