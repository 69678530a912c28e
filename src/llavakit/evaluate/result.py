"""A task's result on disk: the score, and of each question what was asked, answered and true."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from llavakit.errors import LlavaError, UsageError
from llavakit.evaluate.answers import Question
from llavakit.evaluate.outcome import Outcome
from llavakit.files import write_whole

FILE = "result.json"
_VERSION = 1


@dataclass(frozen=True)
class Result:
    """What a model, or a file of answers, came to in one task; questions and texts may be unknown.

    `folders` are where the questions' pictures were.
    """

    model: str
    outcome: Outcome
    questions: Sequence[Question] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """`result.json` in the folder, as a whole or not at all.

        Raises:
            LlavaError: it cannot be written.
        """
        path = folder / FILE
        told = {
            "version": _VERSION, "model": self.model, **self.outcome.told(),
            "marks": dict(self.outcome.marks),
            "questions": [_written(question) for question in self.questions], "texts": dict(self.texts),
            "folders": list(self.folders),
        }  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LlavaError(f"{folder} cannot be written: {error.strerror or error}") from None
        write_whole(path, f"{json.dumps(told, ensure_ascii=False, indent=1)}\n".encode())
        return path

    @classmethod
    def read(cls, path: Path) -> "Result":
        """From a `result.json`, or the folder that holds one.

        Raises:
            UsageError: it is not there, or is something else.
        """
        path = path / FILE if path.is_dir() else path
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["version"] != _VERSION:
                raise UsageError(f"{path}: written by another version of llavakit; score the answers again")
            names = {each.name for each in fields(Outcome)}
            values = {name: value for name, value in told.items() if name in names}
            outcome = Outcome(**values | {"interval": tuple(told["interval"]), "notes": tuple(told["notes"])})
            questions = tuple(_question(each) for each in told["questions"])
            return cls(told["model"], outcome, questions, told["texts"], tuple(told["folders"]))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: not a result of llava eval ({error!r})") from None


def _written(question: Question) -> dict[str, Any]:
    """Without pictures that are no files: they would be all of it."""
    files = [name for name in question.images if not name.startswith("data:")]
    return asdict(question) | {"images": files}


def _question(told: Mapping[str, Any]) -> Question:
    lists = {name: tuple(told[name]) for name in ("images", "choices", "groups")}
    return Question(**{**told, **lists})


def results_in(path: Path) -> list[Result]:
    """All below a folder, in the order of their paths; or the one that `path` is.

    Raises:
        UsageError: there is none, or one cannot be read.
    """
    if path.is_file():
        return [Result.read(path)]
    found = sorted(path.rglob(FILE)) if path.is_dir() else []
    if not found:
        raise UsageError(f"{path}: no {FILE} here; llava eval TASK --model … writes them to its --out")
    return [Result.read(each) for each in found]


def slug(model: str) -> str:
    """A model's name as a folder's."""
    return re.sub(r"[^\w.+-]+", "--", model.strip("/")).strip("-.") or "model"
