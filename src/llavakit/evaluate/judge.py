"""A judge: a language model behind any OpenAI-compatible API, asked what answers are worth.

Every judgement is kept at once, a line each, under a hash of what was asked of whom: a run that was killed
goes on where it was, and a finished one is repeated without a network. Knows nothing of benchmarks.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from llavakit.api import URL, Api, Said
from llavakit.errors import LlavaError, UsageError

_BEGINNING = '{"key": "'  # of every line that is kept; a torn one is a part of such a line

Value = TypeVar("Value")
Row = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a judge is asked.

    Attributes:
        id: of the question, for people who read the kept judgements
        prompt: the version of the wording; another version is another request
        messages: as the API takes them
        max_tokens: that the reply may have
    """

    id: str
    prompt: str
    messages: tuple[Mapping[str, str], ...]
    temperature: float = 0.0
    max_tokens: int = 1024

    def key(self, model: str) -> str:
        """The hash that the judgement of this model is kept under."""
        asked = [model, self.prompt, list(map(dict, self.messages)), self.temperature, self.max_tokens]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "messages": list(map(dict, self.messages)), "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }  # fmt: skip


@dataclass(frozen=True)
class Judgement(Generic[Value]):
    """
    Attributes:
        value: what was read from the reply; None where the judgement is missing
        text: the reply, where there was one
        reason: why it is missing, else ""
        kept: whether it was there already, and nobody asked
    """

    id: str
    value: Value | None
    text: str
    reason: str
    kept: bool


class Judge:
    """A model at an address, and the judgements of it that are kept.

    Attributes:
        api: counts what was asked in this run; None: nobody is asked, and what is not kept is missing
    """

    def __init__(
        self,
        model: str,
        url: str | None = URL,
        key: str | None = None,
        *,
        kept: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
        **asking: Any,
    ) -> None:
        """
        Args:
            url, key, asking: as `Api`'s; without a url nobody is asked
            kept: the file of judgements, JSON lines; read first and appended to
            progress: told how many judgements are there, of how many

        Raises:
            UsageError: an address that is none, or a file of something else.
        """
        self.model, self.kept, self._progress = model, kept, progress
        self.api = None if url is None else Api(model, url, key, who="judge", **asking)
        self._held, self._unended = ({}, False) if kept is None else _read(kept)
        self._now: set[str] = set()  # asked in this run, with whatever success
        if self.api is not None and self._held:
            self.api.heard = True  # it was a judge's address before

    def ask(
        self, requests: Sequence[Request], parse: Callable[[Request, str], Value | None]
    ) -> list[Judgement[Value]]:
        """The judgements of all requests, in their order; those that are kept are not asked for.

        One that failed, or that `parse` makes nothing of, is missing; the next run asks for it again, this
        one does not.

        Raises:
            UsageError: no key or a wrong one, no such model, nothing at this address.
            LlavaError: the server cannot be reached, nothing more is paid for, the disk is full.
        """

        def readable(row: Row | None, request: Request) -> bool:
            return row is not None and bool(row["text"]) and parse(request, row["text"]) is not None

        keys = [request.key(self.model) for request in requests]
        wanted = {
            key: request
            for key, request in zip(keys, requests, strict=True)
            if key not in self._now and not readable(self._held.get(key), request)
        }
        of_each = Counter(keys)
        done = sum(count for key, count in of_each.items() if key not in wanted)
        self._progress(done, len(requests))

        asked = list(wanted.items())

        def settle(number: int, said: Said) -> None:
            nonlocal done
            key, request = asked[number]
            row = self._row(key, request) | asdict(said)
            if not row["reason"] and not readable(row, request):
                row["reason"] = _unreadable(said.text)
            self._append(row)
            self._held[key] = row
            self._now.add(key)
            done += of_each[key]
            self._progress(done, len(requests))

        if asked and self.api is not None:
            self.api.ask([request.body() for _, request in asked], settle)
        found = []
        for key, request in zip(keys, requests, strict=True):
            row = self._held.get(key) or {"text": "", "reason": "not among the kept judgements"}
            value = parse(request, row["text"]) if row["text"] else None
            reason = "" if value is not None else row["reason"] or _unreadable(row["text"])
            found.append(Judgement(request.id, value, row["text"], reason, key not in wanted))
        return found

    def _row(self, key: str, request: Request) -> Row:
        return {
            "key": key, "id": request.id, "model": self.model, "prompt": request.prompt,
            "messages": list(map(dict, request.messages)), "temperature": request.temperature,
        }  # fmt: skip

    def _append(self, row: Row) -> None:
        if self.kept is None:
            return
        line = json.dumps(row) + "\n"
        try:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            with self.kept.open("a", encoding="utf-8") as file:
                file.write("\n" + line if self._unended else line)
        except OSError as error:
            raise LlavaError(f"{self.kept} cannot be written: {error.strerror or error}") from None
        self._unended = False


def _read(path: Path) -> tuple[dict[str, Row], bool]:
    """The last judgement under each key, and whether the last line lacks its end.

    A torn line, which is what a killed run leaves, is passed over.

    Raises:
        UsageError: not such a file.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    held: dict[str, Row] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        try:
            row = json.loads(line)
        except ValueError:
            if line.startswith(_BEGINNING) or _BEGINNING.startswith(line.strip()):
                continue
            row = None
        if isinstance(row, dict) and all(type(row.get(name)) is str for name in ("key", "text", "reason")):
            held[row["key"]] = row
        else:
            raise UsageError(
                f"{path}, line {number}: not a judgement; name a file of judgements, or one that is not there"
            )
    return held, bool(data) and not data.endswith(b"\n")


def _unreadable(text: str) -> str:
    return f"no judgement can be read from {text[:80]!r}" if text else "the judge said nothing"
