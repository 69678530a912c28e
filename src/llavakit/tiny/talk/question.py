"""A question with its true answer, and what every maker of questions is: the seam of this folder."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llavakit.tiny.world.scene import Scene, Thing

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Question:
    """A question, its canonical answer, and the truth in a word or a few, which marking compares with.

    `kind` names the rule that marks a reply (`mark.correct`); `truth` is what that rule expects.
    """

    kind: str
    text: str
    answer: str
    truth: str
    language: Language = "en"


@dataclass(frozen=True)
class Asked:
    """A question, and the things it singled out: "it" or "they" in the next question."""

    question: Question
    it: tuple[Thing, ...] = ()


# Asks something of a scene; None where the scene cannot support it (no colour in an empty picture), or
# where the maker does not speak the language. All its choices come from the generator it is given.
Maker = Callable[[Scene, random.Random, Language], Asked | None]
# Whether a reply, in whatever words, says what is true.
Rule = Callable[[Question, str], bool]
