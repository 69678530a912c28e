"""A kind of task that is easily asked and answered, for the tests of teachers behind an API."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge_server import Told
from llavakit.api import Api
from llavakit.synth.asked import ApiTeacher
from llavakit.synth.kept import Kept
from llavakit.synth.scene import Scene
from llavakit.synth.task import Task


@dataclass(frozen=True)
class Plain:
    """Asks for the scene's caption; what is said should be in capitals."""

    version: str = "1"
    max_tokens: int = 50
    temperature: float = 0.0

    def messages(self, task: Task) -> tuple[dict[str, str], ...]:
        return (
            {"role": "system", "content": "Say the caption in capitals."},
            {"role": "user", "content": task.scene.captions[0]},
        )


KINDS = {"brief": Plain(), "detail": Plain("detail", 100)}


def task(number: int, kind: str = "brief") -> Task:
    return Task(Scene(f"s{number}", f"{number}.jpg", (f"dog {number}",)), kind)


def tasks(count: int, first: int = 0) -> Iterator[Task]:
    return map(task, range(first, first + count))


def usable(task: Task, text: str) -> str:
    return "" if text == task.scene.captions[0].upper() else "it is not the caption in capitals"


def teacher(url: str, kept: Kept | Path, **options: Any) -> ApiTeacher:
    """With what `Api` takes among the options."""
    asking = {
        name: options.pop(name)
        for name in ("concurrency", "timeout", "tries_each", "rpm", "tpm", "key")
        if name in options
    }
    if "tries_each" in asking:
        asking["tries"] = asking.pop("tries_each")
    api = Api("gpt-x", url, **{"key": "k", "pause": 0.01, "who": "teacher", **asking})
    kept = kept if isinstance(kept, Kept) else Kept(kept)
    return ApiTeacher(api, KINDS, kept, **{"usable": usable, **options})


def shout(told: Told) -> None:
    told.say(caption(told).upper())


def caption(told: Told) -> str:
    """What the scene says, whichever time it is asked about."""
    return str(told.body["messages"][1]["content"])
