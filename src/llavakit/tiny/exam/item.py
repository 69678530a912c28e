"""What an examination is made of: items, the lines they belong to, the figures that come of them.

Knows no scenes' making and no model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from llavakit.evaluate import Score
from llavakit.tiny.world.scene import Scene


@dataclass(frozen=True)
class Item:
    """Something to ask, and how to mark the reply.

    Attributes:
        images: shown with the first turn
        turns: what the user says; the model's own answers stand between, the last one is marked
        mark: whether a reply to the last turn is right
        truth: what is true, in a word or a few
        answer: a right reply, if one is known
        scenes: what the pictures show; none for pictures from outside the drawn world
        seed: of the scene, or of the picture from outside
        group: a part of the line that has a figure of its own
    """

    images: tuple[Image.Image, ...]
    turns: tuple[str, ...]
    mark: Callable[[str], bool]
    truth: str
    answer: str
    scenes: tuple[Scene, ...]
    seed: int
    group: str = ""


@dataclass(frozen=True)
class Marked:
    """An item, without its pictures, and what became of it."""

    item: Item
    reply: str
    right: bool


# Numbers of scenes, of which a line takes as many as it needs, to items.
Items = Callable[[Iterator[int]], Iterator[Item]]


@dataclass(frozen=True)
class Bar:
    """What a figure should reach, or stay under where less is better."""

    value: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.value if self.at_most else value >= self.value


@dataclass(frozen=True)
class Figure:
    """A figure of a line, and how it comes of what was marked."""

    name: str
    measure: Callable[[str, Sequence[Marked]], Score]
    bar: Bar | None = None


@dataclass(frozen=True)
class Line:
    """A line of the examination.

    Attributes:
        missing: why it cannot be asked on this machine, and what helps
        size: how many items it has, where all of them are always asked
    """

    key: str
    items: Items
    figures: tuple[Figure, ...]
    missing: Callable[[], str | None] = lambda: None
    size: Callable[[], int] | None = None

    def count(self, n: int) -> int:
        """How many items are asked where `n` a line are wanted."""
        return n if self.size is None else self.size()


@dataclass(frozen=True)
class Result:
    """A figure's score; `blind` is the same model's where grey pictures stand in for all.

    `groups` are the parts of the line that have figures of their own.
    """

    line: str
    score: Score
    bar: Bar | None = None
    blind: float | None = None
    groups: tuple[Score, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        return None if self.bar is None else self.bar.met(self.score.value)
