"""Batches in OpenAI's file format: requests out, replies in, at half the price and within a day.

The files are sent and fetched by whoever has the account; a request that went into a file waits for its reply
and is asked for in no other way meanwhile.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from llavakit.api.replies import Said, read_completion, read_error
from llavakit.errors import LlavaError, UsageError
from llavakit.synth.kept import Held, Kept, Opened
from llavakit.synth.request import Prompt, Request, Requests, Usable, held_of
from llavakit.synth.task import Task

# Of one file, as OpenAI's reference of "create batch" says (2026-11).
MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000

_TOGETHER = 500  # replies that are kept in one go
_EXAMPLES = 20  # broken lines that are named


def write_batches(
    tasks: Iterable[Task],
    model: str,
    kinds: Mapping[str, Prompt],
    kept: Kept,
    prefix: Path,
    *,
    usable: Usable = lambda task, text: "",
    tries: int = 2,
    without: Collection[str] = (),
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
) -> list[Path]:
    """Requests for what is neither kept nor waited for, in files `prefix-001.jsonl` and so on.

    Numbers go on behind those of files that are there, which may be on their way.

    Args:
        usable, tries: as `Requests`'s
        without: parameters that the model does not take: "temperature", "max_tokens"

    Raises:
        LlavaError: a file cannot be written; those before it are whole.
    """
    kept.claim()
    requests = Requests(model, kinds, kept, usable=usable, tries=tries)
    written: list[Path] = []
    file = _File(prefix)
    try:
        for task in tasks:
            request = requests.wanted(task)
            if request is None or request.key in file.opened or kept.opened(request.key) is not None:
                continue
            line = _line(request, without)
            if len(file.opened) == most_requests or (file.opened and file.size + len(line) > most_bytes):
                written.append(file.finish(kept))
                file = _File(prefix)
            file.add(request, line)
        if file.opened:
            written.append(file.finish(kept))
    finally:
        file.drop()
    return written


@dataclass
class BatchRead:
    """What stood in a batch's output or error file.

    Attributes:
        replies: that are kept now
        before: that had been read before
        failed: requests without a reply, by reason; they are wanted again
        unknown: of requests that no file of ours held
        broken: lines that are none of such a file; `faults` names the first
    """

    replies: int = 0
    before: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    broken: int = 0
    faults: list[str] = field(default_factory=list)


def read_batch(path: Path, kept: Kept) -> BatchRead:
    """Keep the replies of a batch's output file, or the failures of its error file.

    Files may come in any order, and again.

    Raises:
        UsageError: the file cannot be read.
        LlavaError: replies cannot be kept; those before are.
    """
    kept.claim()
    found = BatchRead()
    together: list[tuple[Opened, Held]] = []
    for number, line in _lines(path):
        try:
            key, said = _said(line)
        except ValueError as error:
            found.broken += 1
            if len(found.faults) < _EXAMPLES:
                found.faults.append(f"{path}, line {number}: {error}")
            continue
        _sort(key, said, kept, found, together)
        if len(together) == _TOGETHER:
            kept.settle(*together)
            together.clear()
    kept.settle(*together)
    return found


def _sort(key: str, said: Said, kept: Kept, found: BatchRead, together: list[tuple[Opened, Held]]) -> None:
    """Count a line, and add it to what is to be kept if it says something new."""
    asked = kept.asked(key)
    if asked is None:
        found.unknown += 1
        return
    held = kept.get(key)
    in_vain = held is not None and (not held.reason or bool(said.reason))
    if kept.opened(key) is None and in_vain:
        found.before += 1
        return
    if said.reason:
        found.failed[said.reason] = found.failed.get(said.reason, 0) + 1
    else:
        found.replies += 1
    together.append((asked, held_of(said, asked)))


def _said(line: bytes) -> tuple[str, Said]:
    """
    Raises:
        ValueError: it is no line of an output or error file; says why.
    """
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        raise ValueError("no `custom_id`, so it is no line of a batch's output or error file")
    key, response, fault = row["custom_id"], row.get("response"), row.get("error")
    if isinstance(response, dict) and response.get("status_code") == 200:
        said = read_completion(response.get("body"))
        return key, said or Said("", "the server's answer is not one of a chat model")
    if isinstance(response, dict) and "status_code" in response:
        told = read_error(response.get("body"))
        return key, Said("", f"the server answered {response['status_code']}: {told['message']}")
    if fault:
        told = read_error(fault)
        return key, Said("", ": ".join(filter(None, (told["code"], told["message"]))) or "it failed")
    raise ValueError("neither `response` nor `error`, so it is no line of an output or error file")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None


def _line(request: Request, without: Collection[str]) -> bytes:
    body = {name: value for name, value in request.body().items() if name not in without}
    row = {
        "custom_id": request.key, "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": request.model} | body,
    }  # fmt: skip
    return json.dumps(row).encode() + b"\n"


class _File:
    """A file of requests that takes its name when it is finished.

    Attributes:
        opened: its requests, by key
        size: in bytes
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._partial = prefix.with_name(f".{prefix.name}.part")
        self._file: BinaryIO | None = None
        self.opened: dict[str, Opened] = {}
        self.size = 0

    def add(self, request: Request, line: bytes) -> None:
        try:
            if self._file is None:
                self._partial.absolute().parent.mkdir(parents=True, exist_ok=True)
                self._file = self._partial.open("wb")
            self._file.write(line)
        except OSError as error:
            raise self._fault(error) from None
        self.opened[request.key] = request.opened(batch=True)
        self.size += len(line)

    def finish(self, kept: Kept) -> Path:
        assert self._file is not None
        path = self._free()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(path)
        except OSError as error:
            raise self._fault(error) from None
        try:
            kept.open(self.opened.values())
        except LlavaError:
            path.unlink()  # nobody would wait for its replies
            raise
        return path

    def drop(self) -> None:
        with suppress(OSError):  # what could not be written has been told
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _free(self) -> Path:
        number = 1
        while (path := self._prefix.with_name(f"{self._prefix.name}-{number:03d}.jsonl")).exists():
            number += 1
        return path

    def _fault(self, error: OSError) -> LlavaError:
        return LlavaError(f"{self._free()} cannot be written: {error.strerror or error}")
