"""What a teacher is asked for, and what it replies."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from llavakit.synth.scene import Scene

# What can be asked for, in the order in which a picture's rows are written.
KINDS = ("conversation", "detail", "reasoning", "brief", "choice", "absent")

Turns = tuple[tuple[str, str], ...]  # question, answer


@dataclass(frozen=True, slots=True)
class Task:
    """One row of data to be made.

    Attributes:
        kind: one of `KINDS`
        seed: of the whole run; what is drawn for this task follows from it, the scene's id and the kind
        absent: categories that are not in the picture, that the kind "absent" may ask about; none where the
            scene is not complete
    """

    scene: Scene
    kind: str
    seed: int = 0
    absent: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Of the row: unique in its file."""
        return f"{self.scene.id}-{self.kind}"

    def draw(self, *purpose: object) -> int:
        """A number below 2**64 that follows from the task and the purpose alone, whoever asks and when."""
        return drawn(self.seed, self.scene.id, self.kind, *purpose)


def drawn(*of: object) -> int:
    """A number below 2**64 that follows from what is given."""
    told = "\x1f".join(map(str, of))
    return int.from_bytes(hashlib.blake2b(told.encode(errors="replace"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a teacher says of a task.

    Attributes:
        text: in the form that the kind's prompt asks for; "" where there is none
        reason: why there is none, else ""
        again: how often it was asked again, because what it said could not be used
    """

    text: str
    reason: str = ""
    again: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A reply, read and found good.

    Attributes:
        turns: questions without `<image>`
        named: how many things its answers name that the scene could tell of
        unsupported: which of these the scene does not tell of
    """

    turns: Turns
    named: int = 0
    unsupported: tuple[str, ...] = ()


class RejectedError(Exception):
    """Why a reply is not used.

    Attributes:
        kind: the sort of fault, a short key: "form", "leak", "support", "language", "length", "refusal",
            "duplicate", "no reply"
        reason: in words
        made: what could be read, where something could
    """

    def __init__(self, kind: str, reason: str, made: Made | None = None) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason, self.made = kind, reason, made


class Teacher(Protocol):
    """Whoever writes the data.

    Attributes:
        name: what rows call it
    """

    name: str

    def gather(self, tasks: Iterable[Task]) -> None:
        """Ask whatever must be asked elsewhere, so that `reply` has it at hand. May take hours; what came is
        kept if it is interrupted.
        """

    def reply(self, task: Task) -> Reply | None:
        """What it says; None where it was not asked, because time or money ended."""
