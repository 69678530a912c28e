"""Rows in JSON: an array, or a value on each line, plain or gzipped.

Of a plain file nothing is kept but where each row begins and ends (12 bytes a row). A gzipped one has no
places to go back to: its rows are kept in memory, compressed some at a time.
"""

import codecs
import gzip
import json
import re
import zlib
from array import array
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, cast

from llavakit.data.pictures import read_at
from llavakit.data.rows import MalformedError
from llavakit.errors import LlavaError, UsageError

_WINDOW = 1 << 20  # bytes of an array that are read at a time
_TOGETHER = 64  # rows compressed as one: a third of their size, and 0.2 ms to get one back
_SHOULD = "It should be a JSON array of conversations, or JSON lines"
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class JsonRows:
    """The rows of one file, as `Records`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = False  # whether they stand on lines, not in an array
        self.zipped = path.suffix == ".gz"
        self._starts = array("Q")
        self._sizes = array("I")
        self._packed = Packed()

    def scan(self) -> Iterator[Any]:
        try:
            with gzip.open(self.path) if self.zipped else self.path.open("rb", _WINDOW) as file:
                yield from self._scan(cast(BinaryIO, file))
        except FileNotFoundError:
            raise UsageError(f"{self.path} cannot be read: there is no such file") from None
        except (OSError, EOFError, zlib.error) as error:
            raise LlavaError(f"{self.path} cannot be read: {error}") from None

    def __len__(self) -> int:
        return len(self._packed) if self.zipped else len(self._starts)

    def __getitem__(self, index: int) -> Any:
        if self.zipped:
            return _value(self._packed[index])
        return _value(read_at(self.path, self._starts[index], self._sizes[index]))

    def where(self, index: int) -> tuple[Path, int]:
        return self.path, index + 1

    def embedded(self, index: int) -> list[bytes] | None:
        return None

    def _scan(self, file: BinaryIO) -> Iterator[Any]:
        self.lines, start = _opening(file, self.path)
        rows = _lines(file, start) if self.lines else _elements(file, start, self.path)
        faults, first = 0, None
        for offset, raw, value in rows:
            if isinstance(value, MalformedError):
                faults, first = faults + 1, first or value
            if self.zipped:
                self._packed.append(raw)
            else:
                self._starts.append(offset)
                self._sizes.append(len(raw))
            yield value
        self._packed.close()
        if first is not None and faults == len(self):
            raise LlavaError(f"{self.path}: its first line {first.reason}, and so do all others. {_SHOULD}")


class Packed:
    """JSON values in memory, compressed, any of them to be had by itself."""

    def __init__(self) -> None:
        self._blocks = b""
        self._ends = array("Q")
        self._count = 0
        self._open: list[bytes] = []
        self._done: list[bytes] = []

    def append(self, line: bytes) -> None:
        self._open.append(line.replace(b"\n", b" "))  # JSON has line breaks between values only
        self._count += 1
        if len(self._open) == _TOGETHER:
            self._flush()

    def close(self) -> None:
        """After the last line: only now can they be read."""
        if self._open:
            self._flush()
        self._ends = array("Q", accumulate(map(len, self._done)))
        self._blocks = b"".join(self._done)  # one object, which processes share whatever they read of it
        self._done = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> bytes:
        block = index // _TOGETHER
        start = self._ends[block - 1] if block else 0
        return zlib.decompress(self._blocks[start : self._ends[block]]).split(b"\n")[index % _TOGETHER]

    def _flush(self) -> None:
        self._done.append(zlib.compress(b"\n".join(self._open)))
        self._open = []


def _opening(file: BinaryIO, path: Path) -> tuple[bool, int]:
    """Whether rows stand on lines, and where they begin, behind a byte order mark."""
    head = file.read(4096)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
        raise LlavaError(f"{path} cannot be read as text: it should be UTF-8")
    while not head[start:].strip() and (more := file.read(4096)):
        head += more
    file.seek(start)
    return not head[start:].lstrip().startswith(b"["), start


def _value(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError:
        raise MalformedError("json", "is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise MalformedError("json", f"is not valid JSON: {error}") from None


def _lines(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes, Any]]:
    """(offset, bytes, value or what is wrong with it) of each line that is not blank."""
    for line in file:
        raw = line.strip()
        if raw:
            try:
                value = _value(raw)
            except MalformedError as fault:
                value = fault
            yield offset + line.index(raw[:1]), raw, value
        offset += len(line)


def _elements(file: BinaryIO, offset: int, path: Path) -> Iterator[tuple[int, bytes, Any]]:
    """(offset, bytes, value) of each element of the array in `file`, read a window at a time."""
    decode = codecs.getincrementaldecoder("utf-8")()
    text = ""
    at = known = 0  # where the next element is looked for; text[known] is byte `offset` of the file
    count, size, opened, more = 0, _WINDOW, False, True
    while True:
        try:
            at = _skip_blank(text, at)
            if not opened:
                opened = text[at] == "["
                at += 1
                continue
            if text[at] == "]" and count == 0:
                end = behind = at
            else:
                value, end = _DECODER.raw_decode(text, at)
                behind = _skip_blank(text, end)
            follows = text[behind]
        except (ValueError, IndexError) as error:  # the window ends within the element, or it is no JSON
            if not more:
                # Where it says it is, is counted from the window's beginning.
                fault = getattr(error, "msg", error)
                why = "it is cut short" if isinstance(error, IndexError) else fault
                raise LlavaError(f"{path} is not valid JSON, after row {count}: {why}") from None
            offset += _bytes(text[known:at])
            try:
                chunk = file.read(size)
                text = text[at:] + decode.decode(chunk, not chunk)
            except UnicodeDecodeError:
                raise LlavaError(f"{path} cannot be read as text, after row {count}: not UTF-8") from None
            at, known, more = 0, 0, bool(chunk)
            size *= 2  # until the whole element is in the window
            continue
        except RecursionError:
            raise LlavaError(f"{path} is not valid JSON, after row {count}: it is nested too deep") from None
        if end > at:
            offset += _bytes(text[known:at])
            raw = text[at:end].encode()
            yield offset, raw, value
            offset += len(raw)
            at, known, count, size = behind + 1, end, count + 1, _WINDOW
        if follows == "]":
            if (text[behind + 1 :] + decode.decode(file.read(_WINDOW))).strip():
                raise LlavaError(f"{path} is not valid JSON: something follows the ] of its array")
            return
        if follows != ",":
            raise LlavaError(
                f"{path} is not valid JSON, after row {count}: {follows!r} where a comma should be"
            )


def _skip_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank is not None  # it matches nothing, too
    return blank.end()


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
