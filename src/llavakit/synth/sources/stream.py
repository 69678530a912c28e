"""JSON of any size, a value at a time, plain or gzipped: in lines, a list, or an object of lists."""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from llavakit.errors import UsageError
from llavakit.synth.sources.values import FaultError

Layout = Literal["lines", "list", "lists"]  # a value on each line; one list; an object of lists

_WINDOW = 1 << 20  # bytes that are read at a time
LONGEST = 1 << 24  # of one value: a picture's is some kilobytes, and what has no end must not fill the memory
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError:
        raise UsageError(f"{path} cannot be read: there is no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise UsageError(f"{path} cannot be read: {why or error}") from None


def rows(path: Path, layout: Layout) -> Iterator[tuple[int, Any]]:
    """(number from 1, value) of each row; a `FaultError` is the value of a line that has none.

    Of lines, the number is the line's; in an object of lists, rows are counted through.

    Raises:
        UsageError: the file cannot be read, or is broken where it is not on lines.
    """
    if layout == "lines":
        return lines(path)
    listed = (value for _, place, value in members(path) if place)
    return enumerate(listed, 1)


def lines(path: Path) -> Iterator[tuple[int, Any]]:
    """As `rows`."""
    with reading(path) as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if len(line) == LONGEST and not line.endswith(b"\n"):
                while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                    pass
                yield number, FaultError("format", f"is longer than {LONGEST >> 20} MiB")
                continue
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            line = line.strip()
            if line:
                yield number, _value(line)


def _value(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError:
        return FaultError("format", "is not UTF-8")
    except json.JSONDecodeError as error:
        return FaultError("format", f"is not valid JSON: {error.msg} (column {error.colno})")
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists
        return FaultError("format", "is not valid JSON: it has a number too long, or is nested too deep")


def members(path: Path) -> Iterator[tuple[str, int, Any]]:
    """(name of the list, number in it from 1, value) of each element in an object of lists, as they come.

    The name of a list that is the whole file is "". What is a member and no list has the number 0.

    Raises:
        UsageError: the file cannot be read or is not valid JSON.
    """
    with reading(path) as file:
        text = Window(file, path)
        if text.peek() == "[":
            yield from _elements(text, "")
        else:
            yield from _members(text)
        if text.peek():
            raise text.error("something follows its end")


def _members(text: "Window") -> Iterator[tuple[str, int, Any]]:
    text.take("{")
    if text.peek() == "}":
        text.take("}")
        return
    while True:
        name = str(text.value())
        text.take(":")
        if text.peek() == "[":
            yield from _elements(text, name)
        else:
            yield name, 0, text.value()
        if text.take(",}") == "}":
            return


def _elements(text: "Window", name: str) -> Iterator[tuple[str, int, Any]]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    number = 0
    while True:
        value = text.value()
        number += 1
        yield name, number, value
        text.after = f" after element {number} of {name!r}" if name else f" after row {number}"
        if text.take(",]") == "]":
            return


class Window:
    """A piece of a file's text that moves on, and grows while a value does not fit in.

    Attributes:
        after: where in the file one is, for errors
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._more = "", 0, True
        self.after = ""

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            assert blank is not None  # it matches nothing, too
            self._at = blank.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill(_WINDOW):
                return ""

    def take(self, wanted: str) -> str:
        """The next character, which has to be one of these."""
        found = self.peek()
        if not found:
            raise self.error("it is cut short")
        if found not in wanted:
            raise self.error(f"{found!r} where {' or '.join(map(repr, wanted))} should be")
        self._at += 1
        return found

    def value(self) -> Any:
        if not self.peek():
            raise self.error("it is cut short")
        size = _WINDOW
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if not self._more or (end < len(self._text) and self._text[end] not in ".eE"):
                    self._at = end
                    return value  # else it might be the half of a number
                why = "it is cut short"
            except json.JSONDecodeError as error:
                why = error.msg
            except (ValueError, RecursionError):
                raise self.error("a number is too long, or lists are nested too deep") from None
            if len(self._text) - self._at > LONGEST or not self._fill(size):
                raise self.error(why)
            size *= 2

    def _fill(self, size: int) -> bool:
        if not self._more:
            return False
        chunk = self._file.read(size)
        self._more = bool(chunk)
        try:
            text = self._decode.decode(chunk, not chunk)
        except UnicodeDecodeError:
            raise self.error("it is not UTF-8") from None
        self._text, self._at = self._text[self._at :] + text, 0
        return True

    def error(self, why: str) -> UsageError:
        return UsageError(f"{self._path} is not valid JSON{self.after}: {why}; make or fetch the file again")
