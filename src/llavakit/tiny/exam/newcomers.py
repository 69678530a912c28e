"""Questions as newcomers type them, about scenes composed by hand: the held-out test of the model's language.

The questions are in `newcomers.toml`, written before any wording the model trains on. Each has an exact rule.
Knows no pixels and no wordings but its own.
"""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from llavakit.errors import LlavaError, nearest
from llavakit.tiny.exam import newcomers_rules as rules
from llavakit.tiny.exam.newcomers_rules import Rule, marks
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.sketch import Sketch

__all__ = ["FAMILIES", "Case", "Rule", "cases", "load", "marks"]

FILE = Path(__file__).with_name("newcomers.toml")
FAMILIES = (
    "describe", "list", "what", "which", "colour", "count", "where", "relation", "compare", "size",
    "presence", "absent", "premise", "sign", "number", "bar chart", "line chart", "clock", "category", "cook",
    "advertisement", "unusual", "day or night", "theme", "stepwise", "follow-up", "bays", "Chinese",
    "two pictures", "frames", "greeting", "itself", "outside",
)  # fmt: skip


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"there is no family {name!r}; {nearest(name, FAMILIES)}")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Question(_Strict):
    """One question and its rule, in words or by a shorthand that stands for the usual words.

    In `all`, `none` and `starts`, `a|b` are alternatives.

    Attributes:
        earlier: what is asked before it; the model's own answers stand
        all: each must be in the reply
        none: none may be in the reply
        starts: how the reply may begin
        count: short for: this number and no other
        colour: short for: this colour and no other
        place: short for: this ninth of the picture and no other
        time: short for: this time as "7:30"
        answer: short for: it says yes, or it says no
        about: such an answer, or a count of none, comes in a word ("No."), or in a sentence with one of these
        missing: short for: it says that this is not there
        only: short for: no thing or person that is not in the picture
        right: a reply that the rule must accept
        wrong: a reply that the rule must reject
    """

    family: Annotated[str, AfterValidator(_family)]
    ask: str = Field(min_length=1)
    earlier: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: str = ""
    starts: str = ""
    count: int | None = Field(None, ge=0, le=10)
    colour: str = ""
    place: str = ""
    time: str = ""
    answer: Literal["yes", "no"] | None = None
    about: str = ""
    missing: str = ""
    only: bool = False
    right: str = ""
    wrong: str = ""

    @property
    def chinese(self) -> bool:
        return rules.chinese(self.ask)

    def rule(self, present: frozenset[str] = frozenset()) -> Rule:
        """What a right reply has and has not; `present` are the kinds that are in the picture."""
        rule = Rule.of(self.all, self.none, self.starts)
        if self.count is not None:
            rule += rules.number(self.count, self.about, self.chinese)
        if self.colour:
            rule += rules.colour(self.colour, self.chinese)
        if self.place:
            rule += rules.place(self.place, self.chinese)
        if self.time:
            rule += rules.time(self.time)
        if self.answer:
            rule += rules.polarity(self.answer, self.about, self.chinese)
        if self.missing:
            rule += rules.missing(self.missing, self.chinese)
        if self.only:
            rule += rules.only(present, self.all)
        return rule

    @model_validator(mode="after")
    def _says_something(self) -> "Question":
        if not any(self.rule()):
            raise ValueError(f"the question {self.ask!r} has no rule")
        return self


class Sitting(_Strict):
    """One or several pictures, or none, or one from outside the drawn world, and what is asked about them."""

    name: str
    pictures: tuple[Sketch, ...] = ()
    outside: str = ""
    questions: tuple[Question, ...]


class _Book(_Strict):
    sitting: tuple[Sitting, ...]


@dataclass(frozen=True)
class Case:
    """One question to put to a model, and how to mark its reply.

    Attributes:
        name: of the sitting
        scenes: none, one or several pictures
        outside: the kind of picture from outside the drawn world that is shown instead, or ""
        earlier: what is asked before it
    """

    name: str
    scenes: tuple[Scene, ...]
    outside: str
    family: str
    earlier: tuple[str, ...]
    ask: str
    rule: Rule
    right: str = ""
    wrong: str = ""


def load(path: Path = FILE) -> tuple[Sitting, ...]:
    """All that newcomers ask, by what they are shown."""
    try:
        # By way of JSON, whose arrays may become tuples where types are strict.
        return _Book.model_validate_json(json.dumps(tomllib.loads(path.read_text("utf-8")))).sitting
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise LlavaError(f"{path.name} cannot be read: {error}") from None


def cases(path: Path = FILE) -> Iterator[Case]:
    """Every question with the scenes it is about, in the file's order."""
    for sitting in load(path):
        scenes = tuple(picture.scene() for picture in sitting.pictures)
        present = frozenset(thing.kind for scene in scenes for thing in scene.things)
        for asked in sitting.questions:
            yield Case(
                sitting.name, scenes, sitting.outside, asked.family, asked.earlier, asked.ask,
                asked.rule(present), asked.right, asked.wrong,
            )  # fmt: skip
