"""What is to be made: of each scene of a source its tasks; and what makes a row of a reply."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from llavakit.synth.absent import Absent
from llavakit.synth.check import Checker
from llavakit.synth.kinds import Kind
from llavakit.synth.plan import Plan, scenes
from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.sources import Source
from llavakit.synth.task import Made, RejectedError, Reply, Task

_OF_ABSENT = ("conversation", "choice", "absent")  # kinds that may speak of what is not there
_LOOKED_AT = 20_000  # scenes from which is learned what stands beside what


@dataclass(frozen=True)
class Reader:
    """Replies to rows; can be sent to another machine."""

    kinds: Mapping[str, Kind]
    checker: Checker

    def read(self, task: Task, reply: Reply) -> Made:
        """
        Raises:
            RejectedError: there is no reply, or it is of no use.
        """
        if not reply.text:
            raise RejectedError("no reply", reply.reason or "the teacher said nothing")
        return self.checker.check(task, self.kinds[task.kind].read(task, reply.text))

    def fault(self, task: Task, text: str) -> str:
        """Why a reply is of no use, "" where it is."""
        try:
            self.read(task, Reply(text))
        except RejectedError as error:
            return error.reason
        return ""


class Order:
    """
    Attributes:
        reader: of the replies
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        reader: Reader,
        *,
        seed: int = 0,
        limit: int | None = None,
        exhaustive: bool = True,
    ) -> None:
        """
        Args:
            limit: scenes, at most
            exhaustive: whether a source that says its scenes are complete is believed
        """
        self.source, self.plan, self.reader, self.seed, self.limit = source, plan, reader, seed, limit
        self.exhaustive = exhaustive

    def tasks(
        self,
        on_scene: Callable[[Scene | SceneError], None] = lambda found: None,
        on_unasked: Callable[[str, str], None] = lambda kind, why: None,
    ) -> Iterator[Task]:
        """All tasks, in the source's order, the same each time.

        Args:
            on_scene: told of each scene, the faulty ones too, before its tasks come
            on_unasked: told of each kind that cannot be asked of a scene, and why
        """
        for found in scenes(self.source, self.limit):
            on_scene(found)
            if isinstance(found, SceneError):
                continue
            if not self.exhaustive:
                found = replace(found, complete=False)
            tasks, why = self.plan.of(found, self.seed, self._usable)
            for kind, reason in why.items():
                on_unasked(kind, reason)
            for task in tasks:
                absent = self._absent.of(task) if self._absent and task.kind in _OF_ABSENT else ()
                if task.kind == "absent" and not absent:
                    on_unasked(task.kind, "nothing is known to be absent")
                else:
                    yield replace(task, absent=absent)

    def _usable(self, scene: Scene, kind: str) -> str:
        return self.reader.kinds[kind].usable(scene)

    @cached_property
    def _absent(self) -> Absent | None:
        vocabulary = self.source.vocabulary()
        if not vocabulary or not self.exhaustive:
            return None
        first = islice(scenes(self.source, self.limit), _LOOKED_AT)
        seen = (found for found in first if isinstance(found, Scene))
        return Absent(vocabulary, seen, self.reader.checker.named)
