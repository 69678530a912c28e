"""What every format of rows gives: records by number, and the pass that finds them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol


class Records(Protocol):
    """The rows of a file in its own format, as JSON values, neither checked nor kept.

    `scan` is called once, before anything else: it reads everything in order and finds where each row
    lies, so that any can then be read by itself, from any process.
    """

    def scan(self) -> Iterator[Any]:
        """Every record in order; a `MalformedError` stands for one that is not even JSON.

        Raises:
            LlavaError: it is no file of this format.
        """
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """A record again.

        Raises:
            MalformedError: it is not even JSON.
        """
        ...

    def where(self, index: int) -> tuple[Path, int]:
        """The file that a record is in, and its number there, from 1."""
        ...

    def embedded(self, index: int) -> list[bytes] | None:
        """A record's pictures, encoded, where the file holds them itself; else None.

        Raises:
            MalformedError: they are not whole.
        """
        ...


class Joined:
    """Several files, one after the other."""

    def __init__(self, parts: Sequence[Records]) -> None:
        self.parts = parts

    def scan(self) -> Iterator[Any]:
        for part in self.parts:
            yield from part.scan()

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Any:
        part, own = self._find(index)
        return part[own]

    def where(self, index: int) -> tuple[Path, int]:
        part, own = self._find(index)
        return part.where(own)

    def embedded(self, index: int) -> list[bytes] | None:
        part, own = self._find(index)
        return part.embedded(own)

    def _find(self, index: int) -> tuple[Records, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)
