"""The worker's end of `process.Worker`: lines of JSON in, lines of JSON out.

A worker is an object whose methods are asked for by name and return what JSON can say. Whatever libraries
print goes to stderr; when stdin ends, which it does with the parent, so does the process, in the middle of
a computation too.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llavakit.bench.job import Job
from llavakit.errors import LlavaError

Figures = dict[str, Any]


class Contender(ABC):
    """One engine with one model. Times are in seconds, `tokens` what was truly read or written."""

    job: Job

    def load(self, job: dict[str, Any]) -> Figures:
        """Load the model: `seconds`, and what the figures are held against.

        `read_bytes` of weights are read for each token; `products` names the number type in which the
        matrix products of "prefill" and "vision" are computed, None where nobody tells.
        """
        self.job = Job.parse(job)
        return self.open()

    @abstractmethod
    def open(self) -> Figures: ...

    @abstractmethod
    def vision(self, seed: int) -> Figures:
        """Pixels to features: `seconds`."""

    @abstractmethod
    def prefill(self, seed: int) -> Figures:
        """Read a prompt whose picture is encoded already, up to the first token: `seconds`, `tokens`."""

    @abstractmethod
    def answer(self, seed: int) -> Figures:
        """A new picture and words to an answer: seconds to the `first` token, then `per_token`; `tokens`."""

    @abstractmethod
    def turn(self, seed: int) -> Figures:
        """A second question after such an answer, up to the first token: `seconds`, `tokens`, `cached`."""

    @abstractmethod
    def fresh(self, seed: int) -> Figures:
        """The same, everything read anew, picture included: `seconds`, `tokens`."""

    @abstractmethod
    def batch(self, seed: int, rows: int) -> Figures:
        """Answers written together: `rate` in tokens a second, from the first token of all to the last."""

    def memory(self) -> Figures:
        """The largest resident set so far, mapped files included: `peak` in bytes."""
        return {"peak": peak_memory()}


def peak_memory() -> int:
    """Bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def read_through(*paths: Path) -> None:
    """Read files, so that whoever loads them finds them in the page cache as far as memory goes."""
    for path in paths:
        with path.open("rb") as stream:
            while stream.read(1 << 24):
                pass


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def serve(worker: object) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    waiting: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(waiting,), daemon=True).start()
    while True:
        request = json.loads(waiting.get())
        answer = _answer(worker, request.pop("do"), request)
        print(json.dumps(answer), file=answers, flush=True)


def _listen(waiting: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        waiting.put(line)
    os._exit(0)


def _answer(worker: object, do: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": getattr(worker, do)(**arguments)}
    except LlavaError as error:
        return {"error": str(error), "exit": error.exit_code}
    except Exception as error:  # a library's, which may be anything
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}", "exit": 1}
