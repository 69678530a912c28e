"""One row of instruction data: from what a file holds, checked, to a conversation.

A row is `{"id", "image", "conversations": [{"from": "human" | "gpt", "value"}]}`
(`docs/Finetune_Custom_Data.md` of the official repository), or `{"id", "image", "caption"}` for a picture
and what it shows. Knows nothing of files, templates or tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from PIL.Image import Image

from llavakit.errors import RecordError
from llavakit.prompt.messages import Message, assistant, user

IMAGE = "<image>"  # how the format says where a picture goes, whatever the tokenizer calls it


class MalformedError(Exception):
    """What is wrong with a row, in words to be read after "row 12", and of which kind it is."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


class RowError(RecordError):
    """A row that cannot be used in a run; its `kind` is one of `llavakit.data.check.KINDS`."""


@dataclass(frozen=True)
class Row:
    """One conversation.

    Attributes:
        id: as the file has it, in letters; where it has none, its number
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
        return self.with_pictures([open_picture(name) for name in self.images])

    def with_pictures(self, pictures: list[Image]) -> tuple[Message, ...]:
        """The conversation with `pictures`, one for each name in `images`."""
        waiting = pictures
        messages = []
        for who, words in self.turns:
            if who == "gpt":
                messages.append(assistant(words))
                continue
            shown, waiting = waiting[: words.count(IMAGE)], waiting[words.count(IMAGE) :]
            messages.append(user(*shown, words.replace(IMAGE, "").strip() if self.images else words))
        return tuple(messages)

    @property
    def words(self) -> int:
        """About how long it is; a picture counts as 128 words, as in the official trainer's grouping."""
        return sum(len(words.split()) for _, words in self.turns) + 128 * len(self.images)


def parse_row(values: Any, number: int) -> Row:
    """What a file holds for its row `number` (from 1), checked.

    Raises:
        MalformedError: it is not of the format, or says something that cannot be meant.
    """
    if not isinstance(values, dict):
        raise MalformedError("format", 'is not an object: write {"id": …, "image": …, "conversations": […]}')
    if "video" in values:
        raise MalformedError("format", "has a `video`: only pictures are trained on")
    images = _images(values.get("image", values.get("images")))
    turns = values.get("conversations")
    if turns is None and isinstance(values.get("caption"), str):
        turns = _captioned(values["caption"], images)
    if not isinstance(turns, list) or not turns:
        raise MalformedError("format", "has no `conversations`: a list of turns is needed")
    said = [_turn(turn, place) for place, turn in enumerate(turns, start=1)]
    if said[0][0] == "gpt":  # ShareGPT's rows sometimes begin so; the official code drops that turn too
        del said[0]
    if any(who != ("gpt" if i % 2 else "human") for i, (who, _) in enumerate(said)):
        raise MalformedError(
            "order", "has two turns of the same side in a row: human and gpt must take turns"
        )
    if len(said) < 2:
        raise MalformedError("order", "has no answer to learn from: a human turn and a gpt turn are needed")
    _check_places(said, images)
    return Row(row_id(values) or str(number), images, tuple(said))


def row_id(values: Any) -> str:
    """What a row is called, in letters; "" where it has no `id`."""
    given = values.get("id") if isinstance(values, dict) else None
    return "" if given is None else str(given)


def _captioned(caption: str, images: tuple[str, ...]) -> list[dict[str, str]]:
    if not images or not caption.strip():
        raise MalformedError(
            "format", "has a caption but no picture" if caption.strip() else "has an empty caption"
        )
    return [{"from": "human", "value": IMAGE * len(images)}, {"from": "gpt", "value": caption}]


def _turn(turn: Any, place: int) -> tuple[str, str]:
    who, words = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
    if who not in ("human", "gpt") or not isinstance(words, str):
        raise MalformedError(
            "format", f'has a turn {place} that is not {{"from": "human" or "gpt", "value": text}}'
        )
    if not words.isascii():
        try:
            words.encode()
        except UnicodeEncodeError:
            raise MalformedError(
                "format", f"has a turn {place} with half a character: a lone surrogate"
            ) from None
    return who, words


def _check_places(said: list[tuple[str, str]], images: tuple[str, ...]) -> None:
    """Every picture has its place, and no human turn is empty."""
    asked = [words for who, words in said if who == "human"]
    places = sum(words.count(IMAGE) for words in asked)
    if places < len(images) or (places > len(images) > 1):
        raise MalformedError(
            "placeholders",
            f"has {len(images)} image and {places} {IMAGE} in its human turns: write one for each",
        )
    left = len(images)
    for place, words in enumerate(asked):
        shown = min(words.count(IMAGE), left)
        left -= shown
        if not shown and not (words.replace(IMAGE, "") if images else words).strip():
            raise MalformedError(
                "empty", f"has an empty turn {2 * place + 1}: the human says and shows nothing"
            )


def _images(value: Any) -> tuple[str, ...]:
    """`image` is a path, a list of paths, or absent."""
    names = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise MalformedError("format", "has an `image` that is neither a path nor a list of paths")
    for name in names:
        for path in (PurePosixPath(name), PureWindowsPath(name)):  # wherever the file was made, or is read
            if path.anchor or ".." in path.parts:
                raise MalformedError(
                    "format",
                    f"has an image {name!r} outside the folder of pictures: name it relative to that",
                )
    return tuple(names)
