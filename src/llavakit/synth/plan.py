"""Which rows are asked for of which scene."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from llavakit.errors import UsageError, nearest
from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.task import KINDS, Task, drawn

PAPER = {"conversation": 58.0, "detail": 23.0, "reasoning": 77.0}  # thousands of rows (LLaVA, section 3)
_ONE = 2.0**64

Usable = Callable[[Scene, str], str]  # why a kind cannot be asked of a scene, "" where it can


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        shares: by kind; how often it is drawn, in any unit
        one: of each scene one row, its kind drawn by the shares; else a row of every kind
    """

    shares: Mapping[str, float]
    one: bool = False

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """`paper`, `all`, kinds with commas between, or kinds with shares: `conversation=3,absent=1`.

        Raises:
            UsageError: an unknown kind, or a share that is none.
        """
        if text == "paper":
            return cls(PAPER, one=True)
        if text == "all":
            return cls(dict.fromkeys(KINDS, 1.0))
        shares: dict[str, float] = {}
        weighed = "=" in text
        for part in text.split(","):
            kind, equals, share = (piece.strip() for piece in part.partition("="))
            if kind not in KINDS:
                raise UsageError(f"no kind of row {kind!r} ({nearest(kind, (*KINDS, 'all', 'paper'))})")
            if kind in shares:
                raise UsageError(f"the kind {kind!r} is named twice")
            if weighed and not equals:
                raise UsageError(f"{kind} has no share: give each kind one, as {kind}=1, or none")
            try:
                shares[kind] = float(share) if weighed else 1.0
            except ValueError:
                shares[kind] = 0.0
            if not 0 < shares[kind] < float("inf"):
                raise UsageError(f"the share of {kind} is {share!r}: give a number above 0")
        return cls(shares, weighed)

    def of(self, scene: Scene, seed: int, usable: Usable) -> tuple[list[Task], dict[str, str]]:
        """What is asked of a scene; and why each kind that should be asked cannot be."""
        order = [kind for kind in KINDS if kind in self.shares]
        why = {kind: reason for kind in order if (reason := usable(scene, kind))}
        tasks = [Task(scene, kind, seed) for kind in order if kind not in why]
        if not self.one:
            return tasks, why
        if not tasks:
            return [], why
        total = sum(self.shares[task.kind] for task in tasks)
        point = drawn(seed, scene.id, "kind") / _ONE * total
        for task in tasks:
            point -= self.shares[task.kind]
            if point < 0:
                return [task], {}
        return tasks[-1:], {}


def scenes(source: Iterable[Scene | SceneError], limit: int | None) -> Iterator[Scene | SceneError]:
    """The first so many, faulty ones not counted."""
    good = 0
    for found in source:
        if limit is not None and good >= limit:
            return
        good += isinstance(found, Scene)
        yield found
