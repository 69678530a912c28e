"""One row of a file, as far as the report needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from llavakit.synth.task import KINDS, Turns

UNKNOWN = "unknown"
_PLACE = "<image>"  # how the official format says where a picture goes
_LONGEST_NAME = 60  # letters of a kind, a teacher, a reason
# What rows' ids end with: the official LLaVA-Bench files' words, and ours.
_ENDINGS = {"conv": "conversation", "complex": "reasoning"} | {kind: kind for kind in KINDS}


@runtime_checkable
class Conversation(Protocol):
    """A row that was read and checked already."""

    @property
    def id(self) -> str: ...
    @property
    def images(self) -> tuple[str, ...]: ...
    @property
    def turns(self) -> tuple[tuple[str, str], ...]: ...


class UnreadableError(Exception):
    """Why a row is none, in words to be read after "row 12"."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of instruction data.

    Attributes:
        named, unsupported: how many things its answers name that the scene could tell of, and which of these
            it does not tell of; None where the row says nothing of that
    """

    id: str
    kind: str
    images: tuple[str, ...]
    turns: Turns
    teacher: str
    named: int | None
    unsupported: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reply that became no row; `why` is a short key, `reason` is in words."""

    id: str
    kind: str
    image: str
    why: str
    reason: str
    text: str


def kept(row: Any) -> Kept:
    """
    Raises:
        UnreadableError: it is no row of instruction data.
    """
    if isinstance(row, Exception):  # as readers tell of a row that they could not read
        raise UnreadableError(str(getattr(row, "reason", row)))
    if not isinstance(row, Mapping):
        if isinstance(row, Conversation):
            return Kept(row.id, kind_of({}, row.id), row.images, _paired(row.turns), "", None, None)
        raise UnreadableError("is not an object")
    id_, given = _text(row.get("id")), row.get("conversations")
    if not isinstance(given, list | tuple) or not given:
        raise UnreadableError("has no `conversations`: a list of turns is needed")
    sides = []
    for place, turn in enumerate(given, 1):
        who, said = (turn.get("from"), turn.get("value")) if isinstance(turn, Mapping) else (None, None)
        if who not in ("human", "gpt") or not isinstance(said, str):
            raise UnreadableError(
                f'has a turn {place} that is not {{"from": "human" or "gpt", "value": text}}'
            )
        sides.append((str(who), said))
    named = row.get("named")
    return Kept(
        id_, kind_of(row, id_), _images(row), _paired(sides), _name(_text(row.get("teacher"))),
        named if type(named) is int and named >= 0 else None, _unsupported(row),
    )  # fmt: skip


def rejected(row: Any) -> Rejected:
    """
    Raises:
        UnreadableError: it is no rejected row.
    """
    if isinstance(row, Exception):
        raise UnreadableError(str(getattr(row, "reason", row)))
    if not isinstance(row, Mapping) or not isinstance(row.get("reason_kind"), str):
        raise UnreadableError("is no rejected row: it has no `reason_kind`")
    id_ = _text(row.get("id"))
    why = _name(row["reason_kind"]) or UNKNOWN
    image = next(iter(_images(row)), "")
    return Rejected(id_, kind_of(row, id_), image, why, _text(row.get("reason")), _text(row.get("text")))


def kind_of(row: Mapping[str, Any], id_: str) -> str:
    """What the row says, else what its id ends with, else `UNKNOWN`."""
    given = row.get("kind")
    if isinstance(given, str) and given.strip():
        return _name(given)
    ending = id_.replace("_", "-").rpartition("-")
    return _ENDINGS.get(ending[2].lower(), UNKNOWN) if ending[1] else UNKNOWN


def _paired(sides: Sequence[tuple[str, str]]) -> Turns:
    """Questions with their answers, without the place of the picture."""
    if sides and sides[0][0] == "gpt":  # ShareGPT's rows sometimes begin so
        sides = sides[1:]
    if any(who != ("gpt" if place % 2 else "human") for place, (who, _) in enumerate(sides)):
        raise UnreadableError("has two turns of the same side in a row")
    if len(sides) < 2:
        raise UnreadableError("has no answer")
    pairs = zip(sides[::2], sides[1::2], strict=False)
    return tuple(
        (question.replace(_PLACE, "").strip(), answer.strip()) for (_, question), (_, answer) in pairs
    )


def _images(row: Mapping[str, Any]) -> tuple[str, ...]:
    given = row.get("image", row.get("images"))
    if isinstance(given, str):
        return (given,) if given else ()
    return tuple(each for each in given if isinstance(each, str)) if isinstance(given, list | tuple) else ()


def _unsupported(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    given = row.get("unsupported")
    if not isinstance(given, list | tuple):
        return None
    return tuple(_name(each) for each in given if isinstance(each, str))


def _name(text: str) -> str:
    """Short, and such that every terminal and file takes it: JSON may hold halves of letters."""
    return text.strip()[:_LONGEST_NAME].encode("utf-8", "replace").decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, bool) else str(value)
