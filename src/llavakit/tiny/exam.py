"""The embedded model's examination: questions on scenes that no training run has seen."""

import random
from collections.abc import Callable, Sequence
from typing import get_args

from PIL import Image

from llavakit.errors import UsageError
from llavakit.evaluate.score import Score, accuracy, f1
from llavakit.tiny.dataset import SCENES
from llavakit.tiny.language import Question, QuestionKind, ask, correct
from llavakit.tiny.world import Scene, make_scene, render

# Asks a model many questions, each about one picture; returns its replies.
Answer = Callable[[Sequence[tuple[str, Image.Image]]], list[str]]

LINES: tuple[QuestionKind, ...] = get_args(QuestionKind)
_COUNTED = {"zero", "one", "two", "three", "four"}


def questions(kind: QuestionKind, n: int, seed: int = 0) -> list[tuple[Scene, Question]]:
    """`n` questions of one kind, each on a scene of its own; seeds lie above training's."""
    rng = random.Random(f"exam {kind} {seed}")
    asked: list[tuple[Scene, Question]] = []
    number = SCENES + 1 + seed * 1_000_000
    while len(asked) < n:
        number += 1
        scene = make_scene(number)
        question = ask(scene, rng, kind)
        if question.kind == kind and (kind != "count" or question.truth in _COUNTED):
            asked.append((scene, question))
    return asked


def examine(
    answer: Answer,
    n: int = 300,
    seed: int = 0,
    on_line: Callable[[Score], None] | None = None,
    kinds: Sequence[QuestionKind] = LINES,
) -> list[Score]:
    """Ask `n` questions of each kind and score the replies.

    The last line guards the one about absent things: a model that denies everything would be
    perfect at that, and shows here.

    Raises:
        UsageError: `n` is not positive.
    """
    if n < 1:
        raise UsageError(f"n is {n}: ask at least one question a line")
    scores: list[Score] = []
    kept: list[bool] = []

    def add(score: Score) -> None:
        scores.append(score)
        if on_line is not None:
            on_line(score)

    for kind in kinds:
        asked = questions(kind, n, seed)
        replies = answer([(question.text, render(scene)) for scene, question in asked])
        add(_score(kind, [question for _, question in asked], replies))
        if kind in ("colour", "where"):
            kept += ["there is no" not in reply.lower() for reply in replies]
    if kept:
        add(accuracy("present things not denied", kept))
    return scores


def _score(kind: QuestionKind, asked: Sequence[Question], replies: Sequence[str]) -> Score:
    right = [correct(question, reply) for question, reply in zip(asked, replies, strict=True)]
    if kind == "presence":
        truths = [question.truth == "yes" for question in asked]
        # A reply that is not the truth counts as its opposite, also where it is neither yes nor no.
        said = [truth if ok else not truth for truth, ok in zip(truths, right, strict=True)]
        return f1("presence (F1)", truths, said)
    constant = None if kind in ("absent", "list", "describe") else [question.truth for question in asked]
    name = {"count": "count 0–4", "absent": "absent things said to be absent"}.get(kind, kind)
    return accuracy(name, right, constant)
