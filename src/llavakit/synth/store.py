"""A SQLite file of our own, which one process writes and any may read; crash-safe, and never another's."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llavakit.errors import LlavaError, UsageError

_MARK = 0x6C6C6176  # "llav", where SQLite lets a file say whose it is
_VERSION = 1
_WAIT = 30.0  # seconds, for another process that has the file for a moment
_SYNC = (
    1.0  # seconds of work that a failing power may take; an fsync each time took 5 to 45 ms, and all waited
)


class Store:
    """The file; it is made by the first writing, and one that is not there is as good as empty.

    Beside it lies an empty one, `.lock`, which says to others that one writes, and `-wal` while it does.

    A connection may be used by any thread, by one at a time.
    """

    def __init__(self, path: Path, schema: str) -> None:
        """
        Args:
            schema: the tables

        Raises:
            UsageError: the file is there and is something else.
        """
        self.path, self._schema = path, schema
        self._db: sqlite3.Connection | None = None
        self._lock: sqlite3.Connection | None = None
        self._synced = -_SYNC
        if path.exists():
            self._open()

    def rows(self, query: str, value: str) -> list[Any]:
        """
        Raises:
            LlavaError: the file is damaged, or locked by something else.
        """
        if self._db is None and self.path.exists():
            self._open()
        if self._db is None:
            return []
        try:
            return self._db.execute(query, (value,)).fetchall()
        except sqlite3.DatabaseError as error:
            if str(error).startswith("no such table"):
                return []  # another process has made the file, and not yet its tables
            raise LlavaError(f"{self.path} cannot be read: {error}; put a copy of it in its place") from None

    def claim(self) -> None:
        """Become the one that writes, until `close` or the end of this process.

        Raises:
            UsageError: the file is something else.
            LlavaError: another process writes it, or it cannot be written.
        """
        if self._lock is not None:
            return
        with self._faults():
            self.path.absolute().parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
        try:
            self._open()
            with self.writing() as db:
                if not _tables(db):
                    for statement in self._schema.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA application_id = {_MARK}")
                    db.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: what is done in it is kept as a whole, or not at all, whatever ends this process.

        Raises:
            LlavaError: it is not kept; what was there is as it was.
        """
        self.claim()
        assert self._db is not None
        with self._faults():
            self._db.execute("PRAGMA journal_mode = WAL")  # readers are in nobody's way
            self._db.execute(f"PRAGMA synchronous = {'FULL' if self._is_due() else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some faults have undone it already
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        for db in (self._db, self._lock):
            if db is not None:
                with suppress(sqlite3.Error):  # all is written; a full disk cannot tidy up
                    db.close()
        self._db = self._lock = None

    def _is_due(self) -> bool:
        """Whether what is written must reach the disk now, not when the system sees fit."""
        now = time.monotonic()
        due = now - self._synced > _SYNC
        if due:
            self._synced = now
        return due

    def _open(self) -> None:
        if self._db is not None:
            return
        try:
            db = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                self._check(db)
            except BaseException:
                db.close()
                raise
        except sqlite3.OperationalError as error:
            raise UsageError(f"{self.path} cannot be read: {error}") from None
        self._db = db

    def _check(self, db: sqlite3.Connection) -> None:
        try:
            [[mark]] = db.execute("PRAGMA application_id")
            [[version]] = db.execute("PRAGMA user_version")
            foreign = mark != _MARK and (mark or _tables(db))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # no SQLite at all
            foreign = True
        if foreign:
            raise UsageError(f"{self.path} is not a file of kept replies; name one, or one that is not there")
        if mark and version != _VERSION:
            raise UsageError(
                f"{self.path} is in format {version} of kept replies, and this llavakit knows {_VERSION}; "
                "update llavakit, or name another file"
            )

    def _locked(self) -> sqlite3.Connection:
        """A lock that falls with this process, on every system: SQLite's, on a file that stays empty."""
        lock = sqlite3.connect(f"{self.path}.lock", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise LlavaError(
                f"{self.path} is being written by another run; wait for its end, or name another file"
            ) from None
        return lock

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise LlavaError(f"{self.path} cannot be written: {error}; what it held is still there") from None


def _tables(db: sqlite3.Connection) -> int:
    count: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count
