"""ScienceQA (Lu et al. 2022): multiple choice from school books, with pictures, texts or neither.

Scored as LLaVA's `eval_science_qa.py` does it: a reply is the letter, "A. …", or has "The answer is A.".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, joined, read_answers
from llavakit.evaluate.outcome import Outcome, of_marks, percent
from llavakit.evaluate.rows import Row, find, read_json
from llavakit.evaluate.rows import field as field_of
from llavakit.evaluate.task import LETTER, LETTERS, Task, lettered

_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_STATED = re.compile(r"The answer is ([A-Z]).")
_CONCLUDED = re.compile(r"(?:The answer is|ANSWER:)\s*\(?([A-Z])\b")
_OPTIONS = tuple(LETTERS[:5])  # what the official script takes for a letter
_THINK = 'Think step by step, and end with "The answer is X.", X being the option\'s letter.'


class ScienceQA(Task):
    name = "scienceqa"
    title = "ScienceQA test: all, with pictures, with texts, with neither"
    asks: ClassVar[str] = LETTER
    images = "images/test"
    max_new_tokens = 1024
    where = """\
https://github.com/lupantech/ScienceQA: data/scienceqa/problems.json and pid_splits.json; the pictures of the
test split by its tools/download.sh.

DIR/problems.json  DIR/pid_splits.json
DIR/images/test/5/image.png …"""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, "problems.json", "problems*.json")
        problems = read_json(path)
        splits = read_json(find(data, "pid_splits.json"))
        test = splits.get("test") if isinstance(splits, dict) else None
        if not isinstance(problems, dict) or not isinstance(test, list):
            raise UsageError(
                f"{path}: problems by id are expected here, and a list 'test' in pid_splits.json"
            )
        wanted = [number for number in map(str, test) if number in problems]
        if not wanted:
            raise UsageError(f"{path}: holds none of the test problems that pid_splits.json names")
        return [self._question(number, problems[number], path) for number in wanted]

    def _question(self, number: str, problem: Row, path: Path) -> Question:
        try:
            choices = tuple(str(choice) for choice in problem["choices"])
            truth = LETTERS[int(problem["answer"])]
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise UsageError(f"{path}: problem {number} has no choices and answer ({error!r})") from None
        image = problem.get("image")
        hint = problem.get("hint")
        context = bool(hint) if hint is not None else bool(problem.get("has_context"))
        groups = [*(["image"] if image else []), *(["text"] if context else [])]
        if not groups:
            groups = ["no_context"]
        subject = _SUBJECTS.get(str(problem.get("subject")))
        grade = re.sub(r"\D", "", str(problem.get("grade", "")))
        groups += [subject] if subject else []
        groups += [] if not grade else ["G1-6" if int(grade) <= 6 else "G7-12"]
        if "prompt_cqm" in problem:
            asked = str(problem["prompt_cqm"])
        else:
            question = field_of(problem, ("question",), path)
            asked = (f"Context: {hint}\n" if hint else "") + f"{question}\n{lettered(choices)}"
        pictures = (f"{number}/{image}",) if image else ()
        return Question(number, f"{asked}\n{self.asks}", pictures, truth, choices, tuple(groups))

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """Also LLaVA's result file: `outputs` by problem, and `results`, what it made of them."""
        held = read_json(path) if path.suffix == ".json" else None
        if not isinstance(held, dict) or not isinstance(held.get("outputs"), dict):
            return read_answers(path, questions)
        answers = joined(path, ((key, str(text)) for key, text in held["outputs"].items()), questions)
        stored = held.get("results")
        if isinstance(stored, dict):
            return _Stored(**vars(answers), stored={str(key): value for key, value in stored.items()})
        return answers

    def settled(self, text: str, count: int) -> str | None:
        """The letter that a reply settles on, if it is one of `count`."""
        return choice(text, count)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        def right(question: Question, text: str) -> bool:
            return bool(self.settled(text, len(question.choices)) == question.truth)

        outcome = of_marks(
            self.name, questions, answers, right, truths=(question.truth for question in questions)
        )
        unread = answers.count(
            questions, lambda question, text: self.settled(text, len(question.choices)) is None
        )
        notes = [f"{unread} answers name none of their question's letters: wrong"] if unread else []
        metrics = dict(outcome.metrics)
        if isinstance(answers, _Stored):
            metrics["stored_index_accuracy"] = percent(
                answers.stored.get(question.id) == LETTERS.index(question.truth) for question in questions
            )
            notes.append(
                "stored_index_accuracy takes the file's own 'results', where a script may have guessed an "
                "answer that it could not read"
            )
        return replace(outcome, metrics=metrics, notes=tuple(notes))


@dataclass(frozen=True)
class _Stored(Answers):
    """With the choices that whoever wrote the file made of its outputs."""

    stored: Mapping[str, int] = field(default_factory=dict)


def choice(text: str, count: int) -> str | None:
    """The letter that a reply settles on, if it is one of `count`."""
    letter = None
    text = text.strip()
    if text[:1] in _OPTIONS and (len(text) == 1 or text[1:3] == ". "):
        letter = text[0]
    elif len(found := _STATED.findall(text)) == 1:
        letter = found[0]
    return letter if letter is not None and letter in LETTERS[:count] else None


class ScienceQACoT(ScienceQA):
    """The wording is ours, and so is the rule: the last letter that is called the answer. LLaVA's own models
    with a chain of thought were trained to write one, and need neither.
    """

    name = "scienceqa-cot"
    title = "ScienceQA test, with a chain of thought before the answer"
    asks = _THINK

    def settled(self, text: str, count: int) -> str | None:
        found = _CONCLUDED.findall(text)
        if not found:
            return choice(text, count)
        return found[-1] if found[-1] in LETTERS[:count] else None


TASKS: Mapping[str, Task] = {task.name: task for task in (ScienceQA(), ScienceQACoT())}
