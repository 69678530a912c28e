"""A conversation as the model reads it: stretches of words, learned or not, and pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from llavakit.prompt.encode import IGNORE, Encoded
from llavakit.prompt.tokenizer import Tokenizer


@dataclass(frozen=True)
class Piece:
    """Tokens of one kind that stand together.

    Attributes:
        picture: which of the pictures, from 0; None: words
        learned: whether the model learns to write them
        cut: they lie beyond the greatest length
        text: what they spell, special tokens included; "" for a picture
    """

    ids: tuple[int, ...]
    picture: int | None
    learned: bool
    cut: bool
    text: str


def pieces(encoded: Encoded, tokenizer: Tokenizer, max_length: int) -> Iterator[Piece]:
    """A prompt in pieces, in order; `max_length` is where a run cuts it."""
    shown = {at: i for i, (start, end) in enumerate(encoded.image_spans) for at in range(start, end)}

    def kind(at: int) -> tuple[int | None, bool, bool]:
        return shown.get(at), encoded.labels[at] != IGNORE, at >= max_length

    written: list[int] = []
    for (picture, learned, cut), places in groupby(range(len(encoded.ids)), kind):
        ids = tuple(encoded.ids[at] for at in places)
        text = ""
        if picture is None:
            before = _spelled(tokenizer, written)
            written += ids
            # Decoded with all that stands before: on their own, words would lose the space they begin with.
            text = _spelled(tokenizer, written)[len(before) :]
        yield Piece(ids, picture, learned, cut, text)


def _spelled(tokenizer: Tokenizer, ids: list[int]) -> str:
    text: str = tokenizer.backend.decode(ids, skip_special_tokens=False)
    return text
