"""A process that measures: asked and answering in lines of JSON, and gone when we are."""

import json
import signal
import subprocess
import sys
import tempfile
from typing import Any, Self

from llavakit.errors import LlavaError, UsageError

_LAST_LINES = 3
_PATIENCE = 5.0  # seconds that a process has to end by itself


class WorkerError(LlavaError):
    """A worker could not do what it was asked; it lives on."""


class DeadWorkerError(WorkerError):
    """A worker has ended by itself."""


class Worker:
    """`python -m module`, in a session of its own: Ctrl-C is for us alone.

    >>> with Worker("ours", "llavakit.bench.workers.ours") as worker:
    ...     worker.ask("load", job=job.as_json())
    """

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """What the worker's method `do` returns.

        Raises:
            UsageError: the user's words were wrong.
            DeadWorkerError: it is no more; the message has its last words.
            WorkerError: it failed otherwise.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise DeadWorkerError(
                f"{self.name} died{self._cause()} at {do!r}; its last words: {self._last_words()}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise (UsageError if answer["exit"] == 2 else WorkerError)(answer["error"])
        found: dict[str, Any] = answer["ok"]
        return found

    def _cause(self) -> str:
        code = self._process.wait()
        if code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f" of {signal.Signals(-code).name}{hint}"
        return f" with exit code {code}"

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return " / ".join(lines[-_LAST_LINES:]) or "none"

    def close(self) -> None:
        """End it, at once where it is in the middle of something."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_PATIENCE)
        for stream in (self._process.stdin, self._process.stdout, self._said):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:  # words that it never read
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
