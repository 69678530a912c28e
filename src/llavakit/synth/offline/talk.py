"""One row in the making: what is known of the picture, what is drawn, and what was spoken of already."""

from collections.abc import Callable, Sequence

from llavakit.synth.offline.draws import Draw
from llavakit.synth.offline.facts import Facts, Sort, listing
from llavakit.synth.offline.nouns import Noun, sentence
from llavakit.synth.task import Task

Pair = tuple[str, str]  # question, answer
Maker = Callable[["Talk"], Pair | None]


class Talk:
    """
    Attributes:
        absent: what may be said not to be in the picture, the likeliest to be expected there first
        used: what was asked already
    """

    def __init__(self, facts: Facts, task: Task) -> None:
        self.facts, self.draw = facts, Draw(task)
        self._names = task.absent
        self._absent: list[Noun] | None = None
        self.used: set[tuple[str, ...]] = set()

    @property
    def absent(self) -> list[Noun]:
        if self._absent is None:
            self._absent = self.facts.absent(self._names)
        return self._absent

    def say(self, wordings: Sequence[str], **words: str) -> str:
        """One of the wordings, filled in, with a capital letter."""
        return sentence(self.draw.one(wordings).format(**words))

    def fresh(self, *of: str) -> bool:
        """Whether this was not asked; now it was."""
        new = of not in self.used
        self.used.add(of)
        return new

    def pick(self, purpose: str, sorts: Sequence[Sort]) -> Sort | None:
        """One of the sorts that was not picked for this purpose before."""
        left = [sort for sort in sorts if (purpose, sort.noun.category) not in self.used]
        if not left:
            return None
        sort = self.draw.one(left)
        self.used.add((purpose, sort.noun.category))
        return sort

    def instead(self, like: Noun) -> str:
        """What there is where something else was expected: most of all the same sort of thing."""
        sorts = self.facts.sorts
        alike = [sort for sort in sorts if like.group and sort.noun.group == like.group]
        return listing(self.draw.some(alike or sorts[:4], 1 + self.draw.below(2)))
