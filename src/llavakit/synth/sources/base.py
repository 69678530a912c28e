"""What all sources do: scenes one after the other, faults named, no id twice."""

import hashlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from llavakit.errors import UsageError
from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.sources.values import FaultError, identifier


class Source(Protocol):
    """Scenes from somewhere.

    Attributes:
        name: for messages
    """

    name: str

    def __iter__(self) -> Iterator[Scene | SceneError]:
        """All of them, from the beginning, in the same order each time; little is held in memory.

        Raises:
            UsageError: the file cannot be read on, or there was nothing in it.
        """

    def vocabulary(self) -> tuple[str, ...]:
        """The categories that every picture was searched for, sorted; none where scenes are not complete."""

    def count(self) -> int | None:
        """How many scenes there are, with the faulty ones; None where only reading them all tells."""


class Told:
    """A source that is a file. What it is made of is read anew for each iteration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def _read(self) -> Iterator[Scene | SceneError]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Scene | SceneError]:
        seen = Seen()
        nothing = True
        for found in self._read():
            nothing = False
            if isinstance(found, Scene) and not seen.add(found.id):
                found = self._error(
                    found.row, found.id, FaultError("duplicate", "has the id of an earlier one")
                )
            yield found
        if nothing:
            raise UsageError(f"{self.name}: nothing is in it")

    def vocabulary(self) -> tuple[str, ...]:
        return ()

    def count(self) -> int | None:
        return None

    def _error(self, row: int, called: Any, fault: FaultError) -> SceneError:
        return SceneError(self.name, row, identifier(called), fault.reason, fault.kind)


def check_told(scene: Scene) -> Scene:
    """
    Raises:
        FaultError: nothing at all is told of its picture.
    """
    if not (scene.captions or scene.things or scene.regions or scene.mentions or scene.crowds):
        raise FaultError("captions", "tells nothing of its picture: it has neither captions nor things")
    return scene


class Seen:
    """Which texts there were before, by their hashes: 12 to 24 bytes a text, whatever its length.

    Of a million, two have one hash with a chance of 1 in 37 million.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 << 10))
        self._count = 0

    def add(self, text: str) -> bool:
        """Whether it is new."""
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1
        new = self._put(key)
        if new:
            self._count += 1
            if self._count * 3 > len(self._table) * 2:
                self._grow()
        return new

    def _put(self, key: int) -> bool:
        table = self._table
        last = len(table) - 1  # a power of two, less one
        at = key & last
        while table[at]:
            if table[at] == key:
                return False
            at = (at + 1) & last
        table[at] = key
        return True

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(2 * len(old) * old.itemsize))
        for key in old:
            if key:
                self._put(key)
