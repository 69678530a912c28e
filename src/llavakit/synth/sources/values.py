"""What rows hold, checked field by field."""

import functools
from collections.abc import Collection
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from llavakit.errors import nearest
from llavakit.synth.boxes import BoxError, Convention
from llavakit.synth.scene import Box

_IMAGE = "<image>"  # a picture's place in training data: a caption that holds it would show a second one


class FaultError(Exception):
    """What is wrong with a row, in words to be read after "row 12", and of which kind it is."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


def identifier(*values: Any) -> str:
    """The first of these that can be an id, in letters; else ""."""
    for value in values:
        if type(value) is int or (type(value) is float and value == value):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip().encode("utf-8", "replace").decode()
    return ""


def image_name(value: Any) -> str:
    """A picture's path below the folder of pictures.

    Raises:
        FaultError: it is none, or leads out of that.
    """
    if not isinstance(value, str) or not value.strip():
        raise FaultError("image", "has no `image`: the path of a picture is needed")
    if value[0] == "/" or "\\" in value or ":" in value or ".." in value:
        for path in (PurePosixPath(value), PureWindowsPath(value)):  # wherever the file was made, or is read
            if path.anchor or ".." in path.parts:
                raise FaultError(
                    "image",
                    f"has an image {value!r} outside the folder of pictures: name it relative to that",
                )
    if not value.isprintable() and any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in value):
        raise FaultError("image", f"has an image {value!r} with letters that no file's name should have")
    return value


def sentence(value: str, what: str) -> str:
    """A text on one line, without blanks around it.

    Raises:
        FaultError: it cannot stand in training data.
    """
    if _IMAGE in value:
        raise FaultError("format", f"has a {what} with {_IMAGE} in it, which would be the place of a picture")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FaultError("format", f"has a {what} with half a character: a lone surrogate") from None
        value = value.replace("\0", " ")
    return " ".join(value.split())


def sentences(values: Any, what: str) -> tuple[str, ...]:
    """A text, or a list of texts; blank ones say nothing and are passed over.

    Args:
        what: a text of this list is called
    """
    if values is None:
        return ()
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise FaultError("format", f"has {what}s that are not a list of texts")
    return tuple(text for value in values if (text := sentence(value, what)))


def mentions(values: Any) -> tuple[str, ...]:
    """In-text mentions: texts, or LLaVA-Med's objects of "tokens"."""
    if isinstance(values, list):
        values = [value.get("tokens") if isinstance(value, dict) else value for value in values]
        values = [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]
    return sentences(values, "mention")


@functools.lru_cache(4096)
def _category(value: str) -> str:
    return sentence(value, "category")


class Reader:
    """Reads categories and boxes.

    Attributes:
        convention: of boxes
        known: the categories that may be; None: any
    """

    def __init__(self, convention: Convention, known: Collection[str] | None = None) -> None:
        self.convention = convention
        self.known = None if known is None else frozenset(known)

    def category(self, value: Any, where: str) -> str:
        """
        Args:
            where: for the error, as "instance 3"
        """
        name = _category(value) if isinstance(value, str) else ""
        if not name:
            raise FaultError("category", f"has an {where} of no category: a name is needed")
        if self.known is not None and name not in self.known:
            raise FaultError(
                "category",
                f"has an {where} of category {name!r}, which is unknown; {_hint(name, self.known)}",
            )
        return name

    def box(self, value: Any, where: str, width: Any = None, height: Any = None) -> Box:
        """
        Args:
            where: for the error, as "instance 3 (dog)"
        """
        try:
            return self.convention.read(value, width, height)
        except BoxError as error:
            article = "an" if where[0] in "aeiou" else "a"
            told = "without a box" if value is None else f"with a box {str(value)[:60]} {error.reason}"
            raise FaultError("box", f"has {article} {where} {told}") from None


def _hint(name: str, known: frozenset[str]) -> str:
    hint = nearest(name, known)
    return hint if len(hint) < 200 else f"there are {len(known)} others"
