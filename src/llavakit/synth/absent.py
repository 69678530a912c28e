"""What is not in a picture and might well be: the things that questions about absent ones ask for.

A model that invents things invents plausible ones. So most of those asked for are what most often stands
beside the things that are there, in the same source, as POPE's hardest questions have it (Li et al. 2023).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from llavakit.synth.scene import Scene
from llavakit.synth.task import Task

_PLAUSIBLE, _ANY = 6, 4  # categories that a task may choose from


class Absent:
    """How often categories are seen together; of those that never are, nothing is kept."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        scenes: Iterable[Scene],
        named: Callable[[Scene], Iterable[str]] = lambda scene: (),
    ) -> None:
        """
        Args:
            vocabulary: categories that the source searches every picture for
            named: categories that a scene's sentences speak of; what is spoken of is not called absent
        """
        self._names = tuple(vocabulary)
        self._place = {name: i for i, name in enumerate(self._names)}
        self._named = named
        self._beside: dict[int, Counter[int]] = {}
        for scene in scenes:
            here = self._here(scene)
            for i in here:
                self._beside.setdefault(i, Counter()).update(here)

    def of(self, task: Task) -> tuple[str, ...]:
        """Categories that are not in the task's picture: the likeliest first, then some of all."""
        if not task.scene.complete or not self._names:
            return ()
        here = self._here(task.scene)
        there = here | {self._place[name] for name in self._named(task.scene) if name in self._place}
        beside = Counter[int]()
        for i in here:
            beside.update(self._beside.get(i, ()))
        likely = sorted((i for i in beside if i not in there), key=lambda i: (-beside[i], i))[:_PLAUSIBLE]
        size = len(self._names)
        start, step = task.draw("absent") % size, max(1, size // _ANY)
        some = dict.fromkeys((start + k * step) % size for k in range(_ANY))
        return tuple(self._names[i] for i in (*likely, *(i for i in some if i not in there | set(likely))))

    def _here(self, scene: Scene) -> set[int]:
        found = {self._place.get(thing.category) for thing in scene.things}
        found |= {self._place.get(category) for category in scene.crowds}
        return {i for i in found if i is not None}
