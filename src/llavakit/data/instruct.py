"""Instruction data in the official LLaVA format, read and checked.

A file is a JSON array, or JSON lines, of `{"id", "image", "conversations": [{"from": "human" |
"gpt", "value"}]}` (`docs/Finetune_Custom_Data.md` of the official repository). Knows nothing of
templates or tokens; pictures are opened only when an example is asked for.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from PIL.Image import Image

from llavakit.errors import LlavaError
from llavakit.media import open_image
from llavakit.prompt.messages import Message, assistant, user

IMAGE = "<image>"  # how the format says where a picture goes, whatever the tokenizer calls it


@dataclass(frozen=True)
class Row:
    """One conversation.

    Attributes:
        id: as the file has it, in letters
        images: paths of its pictures, relative to the folder of pictures
        turns: who speaks ("human" or "gpt", the human first) and what, `IMAGE` where pictures go
    """

    id: str
    images: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]

    def messages(self, open_picture: Callable[[str], Image]) -> tuple[Message, ...]:
        """The conversation, its pictures opened by `open_picture`.

        In a row with pictures, `IMAGE` in a human turn places them; a text-only row keeps it as
        letters.
        """
        waiting = [open_picture(path) for path in self.images]
        messages = []
        for who, words in self.turns:
            if who == "gpt":
                messages.append(assistant(words))
                continue
            shown, waiting = waiting[: words.count(IMAGE)], waiting[words.count(IMAGE) :]
            messages.append(user(*shown, words.replace(IMAGE, "").strip() if self.images else words))
        return tuple(messages)


class InstructData:
    """The rows of `path` as conversations; pictures lie under the folder `images_root`.

    Raises:
        LlavaError: as `read_rows`.
    """

    def __init__(self, path: Path, images_root: Path) -> None:
        self.rows = read_rows(path)
        self.images_root = images_root

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Message, ...]:
        return self.rows[index].messages(lambda name: open_image(self.images_root / name))


def read_rows(path: Path) -> list[Row]:
    """Every row of a file, in order.

    Raises:
        LlavaError: the file cannot be read, is empty, or a row is not of the format; the message
            gives the row's number, from 1.
    """
    rows = []
    for number, values in enumerate(_records(path), start=1):
        try:
            rows.append(_row(values, number))
        except _RowError as fault:
            raise LlavaError(f"{path}: row {number} {fault}") from None
    if not rows:
        raise LlavaError(f"{path} has no rows: it should be a JSON array of conversations, or JSON lines")
    return rows


class _RowError(Exception):
    """What is wrong with a row, to be read after its number."""


def _records(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LlavaError(f"{path} cannot be read as text: {error}") from None
    pieces = [text] if text.lstrip().startswith("[") else text.split("\n")
    for line, piece in enumerate(pieces, start=1):
        if not piece.strip():
            continue
        try:
            found = json.loads(piece)
        except ValueError as error:
            where = f"line {line} of {path}" if len(pieces) > 1 else str(path)
            raise LlavaError(f"{where} is not valid JSON: {error}") from None
        if isinstance(found, list):
            yield from found
        else:
            yield found


def _row(values: Any, number: int) -> Row:
    if not isinstance(values, dict):
        raise _RowError('is not an object: write {"id": …, "image": …, "conversations": […]}')
    turns = values.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise _RowError("has no `conversations`: a list of turns is needed")
    said = [_turn(turn, place) for place, turn in enumerate(turns, start=1)]
    if said[0][0] == "gpt":  # ShareGPT's rows sometimes begin so; the official code drops that turn too
        del said[0]
    if any(who != ("gpt" if i % 2 else "human") for i, (who, _) in enumerate(said)):
        raise _RowError("has two turns of the same side in a row: human and gpt must take turns")
    if len(said) < 2:
        raise _RowError("has no answer to learn from: a human turn and a gpt turn are needed")
    images = _images(values.get("image"))
    places = sum(words.count(IMAGE) for who, words in said if who == "human")
    if places < len(images) or (places > len(images) > 1):
        raise _RowError(
            f"has {len(images)} image and {places} {IMAGE} in its human turns: write one for each"
        )
    return Row(str(values.get("id", number)), images, tuple(said))


def _turn(turn: Any, place: int) -> tuple[str, str]:
    who, words = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
    if who not in ("human", "gpt") or not isinstance(words, str):
        raise _RowError(f'has a turn {place} that is not {{"from": "human" or "gpt", "value": text}}')
    return who, words


def _images(value: Any) -> tuple[str, ...]:
    """`image` is a path, a list of paths, or absent."""
    names = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise _RowError("has an `image` that is neither a path nor a list of paths")
    for name in names:
        for path in (PurePosixPath(name), PureWindowsPath(name)):  # wherever the file was made, or is read
            if path.anchor or ".." in path.parts:
                raise _RowError(
                    f"has an image {name!r} outside the folder of pictures: name it relative to that"
                )
    return tuple(names)
