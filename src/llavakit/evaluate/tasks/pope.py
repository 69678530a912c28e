"""POPE (Li et al. 2023): is an object there, yes or no; three ways to choose those that are not.

Scored as LLaVA's `eval_pope.py` does it (main branch, 2024), but joined by question id, not by position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.outcome import Array, Outcome, bootstrap
from llavakit.evaluate.rows import field, find, read_rows
from llavakit.evaluate.task import SHORT, Task

# Each split's own ids begin at 1; LLaVA's question file tells them apart by adding this.
_SPLITS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}


class Pope(Task):
    name = "pope"
    title = "POPE: object hallucination, three splits; F1"
    images = "val2014"
    where = """\
https://github.com/AoiDragon/POPE/tree/main/output/coco: the three coco_pope_*.json (random has 2,910
questions in LLaVA's version, 3,000 in a later one). Pictures: http://images.cocodataset.org/zips/val2014.zip

DIR/coco/coco_pope_random.json  coco_pope_popular.json  coco_pope_adversarial.json   (anywhere below DIR)
DIR/val2014/COCO_val2014_000000310196.jpg …

LLaVA's llava_pope_test.jsonl is not needed: its question ids are made from these (1 … adversarial,
10000001 … random, 20000001 … popular)."""

    def questions(self, data: Path) -> list[Question]:
        found = []
        for split, offset in _SPLITS.items():
            path = find(data, f"*pope_{split}.json*")
            for row in read_rows(path):
                number = field(row, ("question_id",), path)
                label = str(field(row, ("label",), path)).strip().lower()
                if not isinstance(number, int) or label not in ("yes", "no"):
                    raise UsageError(f"{path}: question {number!r} has the label {label!r}, not yes or no")
                text = f"{field(row, ('text',), path)}\n{SHORT}"
                image = str(field(row, ("image",), path))
                one = Question(str(offset + number), text, (image,), label, ("yes", "no"), (split,))
                found.append(replace(one, metadata={"category": split}))
        return found

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        splits = {split: _counts(questions, answers, split) for split in _SPLITS}
        metrics: dict[str, float] = {}
        for split in ("random", "popular", "adversarial"):
            means = splits[split].mean(axis=0, keepdims=True)
            metrics[f"f1_{split}"] = float(_f1([means])[0])
            hits, false_alarms, misses = means[0]
            metrics[f"accuracy_{split}"] = 100 * float(1 - false_alarms - misses)
            metrics[f"precision_{split}"] = 100 * _share(hits, hits + false_alarms)
            metrics[f"recall_{split}"] = 100 * _share(hits, hits + misses)
            metrics[f"yes_{split}"] = 100 * float(hits + false_alarms)
        metrics["f1"] = sum(metrics[f"f1_{split}"] for split in _SPLITS) / len(_SPLITS)
        marks = {
            question.id: float((text := answers.get(question)) is not None and said(text) == question.truth)
            for question in questions
        }
        yes = sum(question.truth == "yes" for question in questions) / max(1, len(questions))
        return Outcome(
            self.name, metrics["f1"], len(questions), answers.missing(questions),
            bootstrap(list(splits.values()), _f1), metrics, 100 * 2 * yes / (1 + yes), answers.duplicates,
            answers.strangers, marks,
        )  # fmt: skip


def said(text: str) -> str:
    """ "no" where the first sentence has the word "no", "No" or "not", else "yes"."""
    words = text.partition(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def _counts(questions: Sequence[Question], answers: Answers, split: str) -> Array:
    """Of each question whether it is a hit, a false alarm, a miss: (question, 3)."""
    rows = []
    for question in questions:
        if split in question.groups:
            text = answers.get(question)
            reply = None if text is None else said(text)
            there = question.truth == "yes"
            # No answer is a miss, or a false alarm: wrong either way.
            rows.append((
                there and reply == "yes", not there and reply != "no", there and reply != "yes",
            ))  # fmt: skip
    return np.array(rows, float).reshape(-1, 3)


def _f1(means: Sequence[Array]) -> Array:
    """The mean over splits, in percent."""
    each = []
    for split in means:
        hits, wrong = split[:, 0], split[:, 1] + split[:, 2]
        each.append(200 * hits / np.maximum(2 * hits + wrong, 1e-12))
    mean: Array = np.mean(each, axis=0)
    return mean


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


TASKS: Mapping[str, Task] = {Pope.name: Pope()}
