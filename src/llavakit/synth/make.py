"""A run: scenes to tasks, a teacher's replies to rows; what cannot be used is put aside with its reason.

The file of rows follows from the source, the settings and the replies alone, in the source's order. A run
that was killed is simply made again: replies that were paid for are kept elsewhere (`kept.py`), and a
grammar's cost nothing.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from llavakit.errors import LlavaError
from llavakit.synth.near import Near
from llavakit.synth.scene import SceneError
from llavakit.synth.task import Made, RejectedError, Reply, Task, Teacher

Read = Callable[[Task, Reply], Made]  # raises RejectedError
Result = Made | RejectedError | None  # None: nobody was asked
Work = Callable[[Iterable[Task]], Iterable[tuple[Task, str, Result]]]  # with the reply's text

_EXAMPLES = 5  # faulty scenes that are named, of each kind


@dataclass
class Tally:
    """What came of a run.

    Attributes:
        scenes: that could be used
        faulty: that could not, by the sort of fault, with the first of each
        unasked: by kind and reason, what could not be asked of a scene
        asked, made: by kind
        open: tasks that no teacher was asked, as time or money ended
        rejected: by kind and the sort of fault
        named, unsupported: things that answers name, and how many of these the scenes do not tell of
    """

    scenes: int = 0
    faulty: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[SceneError]] = field(default_factory=dict)
    unasked: Counter[tuple[str, str]] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    open: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: int = 0
    unsupported: int = 0

    def fault(self, error: SceneError) -> None:
        self.faulty[error.kind] += 1
        kept = self.examples.setdefault(error.kind, [])
        if len(kept) < _EXAMPLES:
            kept.append(error)

    def told(self) -> dict[str, Any]:
        """As `--json` prints it."""
        kinds = {
            kind: {
                "asked": asked, "made": self.made[kind], "accepted": round(self.made[kind] / asked, 6),
                "rejected": {why: n for (of, why), n in sorted(self.rejected.items()) if of == kind},
            }
            for kind, asked in self.asked.items()
        }  # fmt: skip
        unasked: dict[str, dict[str, int]] = {}
        for (kind, why), count in sorted(self.unasked.items()):
            unasked.setdefault(kind, {})[why] = count
        return {
            "scenes": self.scenes, "faulty": dict(self.faulty),
            "faults": [str(error) for errors in self.examples.values() for error in errors],
            "rows": self.made.total(), "rejected": self.rejected.total(), "open": self.open, "kinds": kinds,
            "not_asked": unasked, "named": self.named, "unsupported": self.unsupported,
            "unsupported_share": round(self.unsupported / self.named, 6) if self.named else 0.0,
        }  # fmt: skip


def one_by_one(teacher: Teacher, read: Read) -> Work:
    """Here, in this process."""

    def work(tasks: Iterable[Task]) -> Iterator[tuple[Task, str, Result]]:
        for task in tasks:
            reply = teacher.reply(task)
            yield task, "" if reply is None else reply.text, result(task, reply, read)

    return work


def result(task: Task, reply: Reply | None, read: Read) -> Result:
    if reply is None:
        return None
    try:
        return read(task, reply)
    except RejectedError as error:
        return error


def make(
    tasks: Iterable[Task],
    work: Work,
    teacher: str,
    out: Path,
    rejected: Path,
    tally: Tally,
    on_row: Callable[[], None] = lambda: None,
) -> None:
    """Write the rows of `tasks` to `out`, and what was rejected to `rejected`; both appear whole.

    Args:
        out: .jsonl gets a row a line, .json one array, as the official trainer wants it
        teacher: what rows call it

    Raises:
        LlavaError: a file cannot be written; what was there is as it was.
    """
    near = Near()
    with _Rows(out) as rows, _Rows(rejected) as others:
        for task, text, found in work(tasks):
            on_row()
            if found is None:
                tally.open += 1
                continue
            tally.asked[task.kind] += 1
            if (
                isinstance(found, Made)
                and (like := near.like(task.id, found.turns, picture=task.scene.image)) is not None
            ):
                found = RejectedError("duplicate", f"it says nearly what {like} says", found)
            said = found if isinstance(found, Made) else found.made
            if said is not None:
                tally.named += said.named
                tally.unsupported += len(said.unsupported)
            if isinstance(found, Made):
                tally.made[task.kind] += 1
                rows.add(_row(task, found, teacher))
            else:
                tally.rejected[task.kind, found.kind] += 1
                others.add(_rejected(task, found, text))


def _row(task: Task, made: Made, teacher: str) -> dict[str, Any]:
    """In the official format. The picture stands before the first question or behind it, as LLaVA's rows have
    it.
    """
    conversations = []
    for place, (question, answer) in enumerate(made.turns):
        if not place:
            question = f"{question}\n<image>" if task.draw("picture") % 2 else f"<image>\n{question}"
        conversations += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {
        "id": task.id, "image": task.scene.image, "conversations": conversations, "kind": task.kind,
        "teacher": teacher, "named": made.named, "unsupported": made.unsupported,
    }  # fmt: skip


def _rejected(task: Task, error: RejectedError, text: str) -> dict[str, Any]:
    return {
        "id": task.id, "image": task.scene.image, "kind": task.kind, "reason_kind": error.kind,
        "reason": error.reason, "text": text,
    }  # fmt: skip


class _Rows:
    """A file of rows that takes its name when the block ends without error.

    Not `write_whole`, which wants all bytes at once: these files have no bound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")  # what a killed run leaves, the next one takes
        self._array = path.suffix == ".json"
        self._count = 0
        self._file: IO[str]

    def __enter__(self) -> "_Rows":
        try:
            self._path.absolute().parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w", encoding="utf-8", errors="replace")
        except OSError as error:
            raise self._fault(error) from None
        return self

    def add(self, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False)
        if self._array:
            line = f"{',' if self._count else '['}\n{line}"
        self._count += 1
        try:
            self._file.write(line if self._array else f"{line}\n")
        except OSError as error:
            raise self._fault(error) from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._array:
                self._file.write("\n]\n" if self._count else "[]\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            if kind is None:
                self._partial.replace(self._path)
        except OSError as error:
            if kind is None:
                raise self._fault(error) from None
        finally:
            self._close()

    def _close(self) -> None:
        with suppress(OSError):  # what could not be written has been told
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _fault(self, error: OSError) -> LlavaError:
        return LlavaError(f"{self._path} cannot be written: {error.strerror or error}")
