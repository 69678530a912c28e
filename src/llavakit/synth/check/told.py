"""What a scene tells: which things are there, how many, and what its sentences speak of."""

from collections.abc import Mapping
from dataclasses import dataclass

from llavakit.synth.check.names import Names
from llavakit.synth.check.said import COLOURS, ENDS, NUMBERS, PREPOSITIONS, Words, number, words_of
from llavakit.synth.check.table import Name
from llavakit.synth.scene import Scene

_FAR = 3  # words between a number and what it counts, in a caption: "two large passenger jets"
_COUPLE = ("couple", "pair")
_COUNTS = frozenset((*NUMBERS, *_COUPLE))
_STOPS = (ENDS | PREPOSITIONS | {","}) - {"of"}


@dataclass(frozen=True, slots=True)
class Told:
    """
    Attributes:
        things: that are there by the boxes
        spoken: that the sentences speak of, or hint at
        counts: how many there are, by label
        counted: labels of what is counted for certain, and is not there if it has no count
        numbers: by label, what numbers the sentences give
        text: the sentences
        words: different ones of these
    """

    things: frozenset[str]
    spoken: frozenset[str]
    counts: Mapping[str, int]
    counted: frozenset[str]
    numbers: frozenset[tuple[str, int]]
    text: str
    words: frozenset[str]

    def supports(self, name: Name) -> bool:
        return not name.needs.isdisjoint(self.things) or not name.needs.isdisjoint(self.spoken)

    def count(self, label: str) -> int | None:
        """How many things there are; None where that is not known."""
        return self.counts.get(label, 0) if label in self.counted else None


class Teller:
    """What scenes tell; that of the last one is kept, as its rows come one after the other."""

    def __init__(self, names: Names, counted: frozenset[str]) -> None:
        """
        Args:
            counted: labels of categories that complete scenes have all things of
        """
        self._names, self._counted = names, counted
        self._last: tuple[Scene, Told] | None = None

    def of(self, scene: Scene) -> Told:
        if self._last is None or self._last[0] is not scene:
            self._last = scene, self._told(scene)
        return self._last[1]

    def __getstate__(self) -> tuple[Names, frozenset[str]]:
        return self._names, self._counted

    def __setstate__(self, state: tuple[Names, frozenset[str]]) -> None:
        self._names, self._counted = state
        self._last = None

    def _told(self, scene: Scene) -> Told:
        names = self._names
        found: dict[str, int] = {}
        for thing in scene.things:
            found[thing.category] = found.get(thing.category, 0) + 1
        counts: dict[str, int] = {}
        things: set[str] = set()
        for category, count in found.items():
            tells, label = names.category(category)
            things |= tells
            counts[label] = counts.get(label, 0) + count
        counted = self._counted if scene.complete else frozenset()
        for category in scene.crowds:
            tells, label = names.category(category)
            things |= tells
            counted -= {label}
        text = " . ".join((*scene.captions, *(region.phrase for region in scene.regions), *scene.mentions))
        words = words_of(text)
        spoken, numbers = self._spoken(words)
        return Told(frozenset(things), spoken, counts, counted, numbers, text, frozenset(words))

    def _spoken(self, words: Words) -> tuple[frozenset[str], frozenset[tuple[str, int]]]:
        """What sentences tell of, and how many of it."""
        spoken: set[str] = set()
        numbers: set[tuple[str, int]] = set()
        numbered = not _COUNTS.isdisjoint(words) or any(map(str.isdecimal, words))
        for hit in self._names.told(words):
            spoken |= hit.name.tells
            if numbered and (told := _number_before(words, hit.start)) is not None:
                numbers |= {(self._names.category(key)[1], told) for key in hit.name.tells}
        return frozenset(spoken), frozenset(numbers)


def _number_before(words: Words, start: int) -> int | None:
    """The number that counts what begins at `start`, as "two large dogs" has one."""
    for place in range(start - 1, max(-1, start - 2 - _FAR), -1):
        word = words[place]
        if word in _STOPS or (word == "and" and words[place + 1] not in COLOURS):
            return None
        if (told := number(word)) is not None:
            return told
        if word in _COUPLE:
            return 2
    return None
