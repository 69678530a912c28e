"""A teacher who is asked no more: what was replied is kept, and nothing else is known."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from llavakit.synth.kept import Kept
from llavakit.synth.request import Prompt, Requests, Usable
from llavakit.synth.task import Reply, Task


class Recalled:
    """A `Teacher`. Made anew in each process that needs one: files of replies may be read by many.

    Attributes:
        name: the model's that replied
    """

    def __init__(
        self, model: str, kinds: Mapping[str, Prompt], kept: Path, usable: Usable, tries: int = 2
    ) -> None:
        """
        Args:
            kept: the file of replies
            usable, tries: as `Requests`'s
        """
        self.name = model
        self._requests = Requests(model, kinds, Kept(kept), usable=usable, tries=tries)

    def gather(self, tasks: Iterable[Task]) -> None:
        """Nobody is asked."""

    def reply(self, task: Task) -> Reply | None:
        return self._requests.reply(task)
