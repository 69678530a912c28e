"""A teacher that needs no network: a grammar over captions and boxes; all that it says follows from them."""

from collections.abc import Callable, Iterable, Mapping

from llavakit.synth.offline import absent, brief, choice, conversation, detail, reasoning
from llavakit.synth.offline.facts import Facts
from llavakit.synth.offline.talk import Pair, Talk
from llavakit.synth.scene import Scene
from llavakit.synth.task import Reply, Task


class OfflineTeacher:
    """Writes every kind of row, in English, the same for the same task."""

    name = "offline"

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._facts: Facts

    def gather(self, tasks: Iterable[Task]) -> None:
        """Nothing is asked elsewhere."""

    def reply(self, task: Task) -> Reply:
        """In the form of the kind; without text where the scene does not prove enough for it."""
        if task.scene is not self._scene:  # a scene's tasks follow each other
            self._facts, self._scene = Facts(task.scene), task.scene
        return _WRITERS[task.kind](Talk(self._facts, task))


def _pairs(write: Callable[[Talk], list[Pair] | str]) -> Callable[[Talk], Reply]:
    """In blocks of question and answer."""

    def written(talk: Talk) -> Reply:
        found = write(talk)
        if isinstance(found, str):
            return Reply("", found)
        return Reply("\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in found))

    return written


def _text(write: Callable[[Talk], str], short: str) -> Callable[[Talk], Reply]:
    """As it is."""

    def written(talk: Talk) -> Reply:
        text = write(talk)
        return Reply(text) if text else Reply("", short)

    return written


_WRITERS: Mapping[str, Callable[[Talk], Reply]] = {
    "conversation": _pairs(conversation.write),
    "detail": _text(detail.write, "too little is known of the picture to describe it in detail"),
    "brief": _text(brief.write, "no caption is a clean English sentence that agrees with the boxes"),
    "reasoning": _pairs(reasoning.write),
    "choice": _text(choice.write, "nothing is known of which other options would be false"),
    "absent": _pairs(absent.write),
}
