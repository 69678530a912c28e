"""Replies that were paid for, kept under a hash of what was asked: nothing is paid twice.

One SQLite file. What was asked and has no reply yet stands in it too: after a kill, that may have been paid
and counts as such; in a batch, it is waited for. Knows no prices and no network.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llavakit.synth.store import Store

# A text is the last of its row: what is summed up is read without it.
_SCHEMA = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY, id TEXT, kind TEXT, model TEXT, again INTEGER, guess INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, batch INTEGER, answered_by TEXT, finish TEXT,
    time TEXT, reason TEXT, text TEXT
);
CREATE TABLE open (
    key TEXT PRIMARY KEY, id TEXT, kind TEXT, model TEXT, again INTEGER, guess INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, batch INTEGER
);
CREATE TABLE paid (
    model TEXT, batch INTEGER, replies INTEGER, lost INTEGER, prompt_tokens INTEGER,
    completion_tokens INTEGER, PRIMARY KEY (model, batch)
);
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that goes out.

    Attributes:
        key: the hash of what is asked of whom
        id, kind: of the task
        again: how often the task was asked before
        guess: tokens of the prompt, by our own count
        prompt_tokens, completion_tokens: that it may cost at most
        batch: it goes in a batch
    """

    key: str
    id: str
    kind: str
    model: str
    again: int
    guess: int
    prompt_tokens: int
    completion_tokens: int
    batch: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a request.

    Attributes:
        text: the reply; "" where there is none, or nothing was said
        reason: why there is none, else ""
        finish: why it ends where it does, as the server tells it
    """

    text: str
    reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answered_by: str | None = None
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """Tokens of a model's replies, one by one or in batches.

    Attributes:
        lost: requests that may have been paid, and whose replies never came; their tokens are the most that
            they can have been
    """

    batch: bool
    replies: int
    lost: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Usual:
    """What a model's replies of a kind were like.

    Attributes:
        completion_tokens: of one
        ratio: tokens of a prompt as the server counts them, to our own count
    """

    replies: int
    completion_tokens: float
    ratio: float


class Kept:
    """A file of replies. Any number of processes may read it while one writes.

    It is made by the first writing; one that is not there is as good as empty.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UsageError: the file is there and is something else.
        """
        self.path = path
        self._store = Store(path, _SCHEMA)

    def get(self, key: str) -> Held | None:
        """What came of a request."""
        found = self._store.rows(
            "SELECT text, reason, prompt_tokens, completion_tokens, answered_by, finish FROM replies"
            " WHERE key = ?", key,
        )  # fmt: skip
        return Held(*found[0]) if found else None

    def opened(self, key: str) -> Opened | None:
        """A request that has no reply yet."""
        found = self._store.rows("SELECT * FROM open WHERE key = ?", key)
        return _opened(found[0]) if found else None

    def asked(self, key: str) -> Opened | None:
        """A request that went out at some time, whatever came of it."""
        fields = "key, id, kind, model, again, guess, prompt_tokens, completion_tokens, batch"
        found = self._store.rows(f"SELECT {fields} FROM replies WHERE key = ?", key)
        return self.opened(key) or (_opened(found[0]) if found else None)

    def paid(self, model: str) -> list[Paid]:
        """What a model was paid for, ever."""
        found = self._store.rows(
            "SELECT batch, replies, lost, prompt_tokens, completion_tokens FROM paid WHERE model = ?", model
        )
        return [Paid(bool(batch), *counts) for batch, *counts in found]

    def usual(self, model: str) -> dict[str, Usual]:
        """Of each kind that the model has written."""
        found = self._store.rows(
            "SELECT kind, count(*), avg(completion_tokens), total(prompt_tokens) / total(guess) FROM replies"
            " WHERE model = ? AND reason = '' AND prompt_tokens > 0 AND guess > 0 GROUP BY kind", model,
        )  # fmt: skip
        return {kind: Usual(*values) for kind, *values in found}

    def claim(self) -> None:
        """Become the one that writes, while nothing is under way.

        What was sent before, one by one, and not heard of counts as paid: a run was cut off.

        Raises:
            UsageError: the file is something else.
            LlavaError: another process writes it; it cannot be written.
        """
        with self._store.writing() as db:
            _count_left(db)

    def open(self, requests: Iterable[Opened]) -> None:
        """These go out.

        Raises:
            LlavaError: none of them is kept, as the disk is full or another process writes.
        """
        with self._store.writing() as db:
            rows = (tuple(map(_plain, astuple(request))) for request in requests)
            db.executemany("INSERT OR REPLACE INTO open VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def settle(self, *settled: tuple[Opened, Held]) -> None:
        """This came of requests that went out. The first reply to each stays; a failure makes way for one.

        Raises:
            LlavaError: none of it is kept, as the disk is full or another process writes.
        """
        with self._store.writing() as db:
            for request, held in settled:
                _settle(db, request, held)

    def lose(self, request: Opened) -> None:
        """This one may have been paid, and its reply never came; it may be sent again."""
        with self._store.writing() as db:
            _pay(db, request.model, False, 0, 1, request.prompt_tokens, request.completion_tokens)

    def drop(self, request: Opened) -> None:
        """This one is given up without a reply, and was not paid, but as `lose` was told."""
        with self._store.writing() as db:
            db.execute("DELETE FROM open WHERE key = ?", (request.key,))

    def forget_batches(self) -> int:
        """Wait no longer for batches, as they were never sent; returns how many requests stood in them."""
        with self._store.writing() as db:
            return db.execute("DELETE FROM open WHERE batch").rowcount

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _count_left(db: sqlite3.Connection) -> None:
    """What a killed run had sent may have been paid."""
    left = db.execute(
        "SELECT model, count(*), sum(prompt_tokens), sum(completion_tokens) FROM open"
        " WHERE NOT batch GROUP BY model"
    ).fetchall()
    for model, count, prompt, completion in left:
        _pay(db, model, False, 0, count, prompt, completion)
    db.execute("DELETE FROM open WHERE NOT batch")


def _settle(db: sqlite3.Connection, request: Opened, held: Held) -> None:
    waited_for = db.execute("DELETE FROM open WHERE key = ?", (request.key,)).rowcount
    if waited_for and not held.reason:  # else it was read before
        _pay(db, request.model, request.batch, 1, 0, held.prompt_tokens, held.completion_tokens)
    row = (
        request.key, request.id, request.kind, request.model, request.again, request.guess,
        held.prompt_tokens, held.completion_tokens, request.batch, held.answered_by, held.finish,
        datetime.now(UTC).isoformat(timespec="seconds"), held.reason, held.text,
    )  # fmt: skip
    places = ", ".join("?" * len(row))
    # SQLite has no UPDATE of a whole row.
    db.execute("DELETE FROM replies WHERE key = ? AND reason != ''", (request.key,))
    db.execute(f"INSERT OR IGNORE INTO replies VALUES ({places})", tuple(map(_plain, row)))


def _pay(
    db: sqlite3.Connection, model: str, batch: bool, replies: int, lost: int, prompt: int, completion: int
) -> None:
    db.execute(
        "INSERT INTO paid VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " replies = replies + excluded.replies, lost = lost + excluded.lost,"
        " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
        " completion_tokens = completion_tokens + excluded.completion_tokens",
        (_plain(model), batch, replies, lost, prompt, completion),
    )


def _opened(row: Any) -> Opened:
    return replace(Opened(*row), batch=bool(row[-1]))


def _plain(value: Any) -> Any:
    """SQLite's texts are UTF-8, which has nothing for half a character; whole ones are put together."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
