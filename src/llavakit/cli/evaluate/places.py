"""Where a task's files are."""

from pathlib import Path
from typing import TYPE_CHECKING

from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.evaluate.task import Task

DATA = Path("playground/data/eval")  # as LLaVA's own instructions have it


def folder_of(task: "Task", data: Path | None) -> Path:
    """Where the task's files are: its own folder below `data`, whatever its case, or `data` itself."""
    from llavakit.evaluate.hub import PREFIX, fetched

    base = data or DATA
    if str(base).startswith(PREFIX):
        return fetched(str(base).removeprefix(PREFIX))
    if not base.is_dir():
        raise UsageError(
            f"{base}: there is no such folder; llava eval --where {task.name} says what is needed"
        )
    names = {_plain(task.name), _plain(task.folder or task.name)}
    own = [path for path in sorted(base.iterdir()) if path.is_dir() and _plain(path.name) in names]
    return own[0] if own else base


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
