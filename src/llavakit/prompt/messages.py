"""A conversation: messages of words and pictures.

Where a picture stands is said by the structure of a message alone; the letters `<image>` in
somebody's text are just letters.
"""

from dataclasses import dataclass
from typing import Literal

from PIL import Image

Part = str | Image.Image


@dataclass(frozen=True)
class Message:
    """One side's turn."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words, without the pictures."""
        return " ".join(part.strip() for part in self.content if isinstance(part, str)).strip()

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return tuple(part for part in self.content if not isinstance(part, str))


def user(*content: Part) -> Message:
    return Message("user", content)


def assistant(text: str) -> Message:
    return Message("assistant", (text,))


def system(text: str) -> Message:
    """Replaces the template's system prompt; empty: none at all."""
    return Message("system", (text,))
