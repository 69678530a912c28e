"""Instruction data made on the machines of a Ray cluster (Ray Data)."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from llavakit.synth.make import Result
    from llavakit.synth.order import Reader
    from llavakit.synth.task import Task, Teacher

_CHUNK = 50_000  # tasks that Ray is given at a time: so much is held in memory
_BLOCKS = 4  # for each worker, so that a slow one holds up little


@dataclass(frozen=True)
class OnRay:
    """A `Work`: each worker has a teacher of its own, and a reader.

    Attributes:
        teacher: makes one
        together: tasks that a worker is given at a time
        address: of a cluster; None: that of RAY_ADDRESS, or one on this machine
    """

    teacher: "Callable[[], Teacher]"
    reader: "Reader"
    workers: int
    together: int = 256
    address: str | None = None

    def __call__(self, tasks: "Iterable[Task]") -> "Iterator[tuple[Task, str, Result]]":
        """In the order of the tasks.

        Raises:
            UsageError: Ray is not installed, or does not answer.
        """
        from llavakit.train.ray import connected

        waiting = iter(tasks)
        with connected(self.address):
            import ray.data

            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.execution_options.preserve_order = True
            while chunk := list(islice(waiting, _CHUNK)):
                rows = [{"task": pickle.dumps(task)} for task in chunk]
                made = ray.data.from_items(
                    rows, override_num_blocks=min(len(rows), _BLOCKS * self.workers)
                ).map_batches(
                    _Worker,
                    fn_constructor_args=(self.teacher, self.reader),
                    compute=ray.data.ActorPoolStrategy(size=self.workers),
                    batch_size=self.together,
                    num_cpus=1,
                )
                for task, row in zip(chunk, made.iter_rows(), strict=True):
                    text, found = pickle.loads(row["made"])
                    yield task, text, found


class _Worker:
    """Has a teacher, in a process of Ray's."""

    def __init__(self, teacher: "Callable[[], Teacher]", reader: "Reader") -> None:
        self._teacher, self._reader = teacher(), reader

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from llavakit.synth.make import one_by_one

        tasks = [pickle.loads(task) for task in batch["task"]]
        self._teacher.gather(tasks)
        worked = one_by_one(self._teacher, self._reader.read)(tasks)
        made = [pickle.dumps((text, found)) for _, text, found in worked]
        return {"made": np.array(made, dtype=object)}
