"""Records put down on disk while a file is read, to be found again by picture."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from llavakit.errors import LlavaError

_SETTINGS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA temp_store = FILE")


class Shelf:
    """A database without a name: what does not fit into its 2 MB of memory goes into a temporary file, and
    the system takes that back whenever and however the process ends.
    """

    def __init__(self, *tables: str) -> None:
        """
        Args:
            tables: statements of SQL that make them
        """
        self._base = sqlite3.connect("", check_same_thread=False)
        for statement in (*_SETTINGS, *tables):
            self.do(statement)

    def do(self, statement: str) -> None:
        """
        Raises:
            LlavaError: the disk is full.
        """
        try:
            self._base.execute(statement)
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def fill(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """
        Raises:
            LlavaError: as `do`.
        """
        try:
            self._base.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def find(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._base.execute(statement, values)
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def _fault(self, error: sqlite3.Error) -> LlavaError:
        return LlavaError(
            f"annotations are sorted in a temporary file, which failed ({error}): make room on the disk of "
            "/var/tmp, or set TMPDIR to a folder of another"
        )
