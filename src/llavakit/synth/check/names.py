"""Names of things found in texts: from words to the categories that they name."""

from collections.abc import Sequence
from typing import NamedTuple

from llavakit.synth.check.said import AUXILIARIES, FUNCTION, PREPOSITIONS, Words
from llavakit.synth.check.table import Name, forms, from_table, spoken, table, words_in

_NEVER = FUNCTION | PREPOSITIONS | AUXILIARIES  # "can" is a category of LVIS


class Hit(NamedTuple):
    """A name at words[start:end]."""

    start: int
    end: int
    name: Name


class Names:
    """All names that are looked for in texts: those of the table, and those of a source's categories."""

    def __init__(self, vocabulary: Sequence[str] = ()) -> None:
        self._single: dict[str, Name] = {}
        # Of those of several words, by the first: how many words follow it, longest first, and which.
        self._several: dict[str, list[tuple[int, dict[tuple[str, ...], Name]]]] = {}
        parts = ("heads", "fore", "likenesses")
        self._heads, self._fore, self._likenesses = (words_in(table()[part]["words"]) for part in parts)
        self._categories: dict[str, tuple[frozenset[str], str]] = {}
        for words, name in from_table().items():
            self._put(words, name)
        for category in vocabulary:
            self._take(category)
        self._firsts = frozenset((*self._single, *self._several))

    def category(self, category: str) -> tuple[frozenset[str], str]:
        """What is there when a thing of this category is, and what such things are counted as."""
        known = self._categories.get(category)
        if known is None:
            name = self._of(spoken(category)) or Name()
            known = name.tells or frozenset((category,)), name.label if name.needs else category
            self._categories[category] = known
        return known

    def find(self, words: Words) -> list[Hit]:
        """Names in a text, in its order; the longest where several begin at a word. Inert ones and hints are
        passed over, and so is what belongs to another thing's name.
        """
        return [
            hit for hit in self._hits(words, False) if hit.name.needs and not self._borrowed(words, *hit[:2])
        ]

    def told(self, words: Words) -> list[Hit]:
        """Names and hints in what is said of a scene: as `find`, and those in other things' names too, for a
        caption that tells of a pizza box may well tell of a pizza.
        """
        return self._hits(words, True)

    def _hits(self, words: Words, of_scene: bool) -> list[Hit]:
        firsts, several, found, behind = self._firsts, self._several, [], 0
        for start in [i for i, word in enumerate(words) if word in firsts]:
            if start < behind:
                continue
            word = words[start]
            name, end = self._single.get(word), start + 1
            for length, rests in several.get(word, ()):
                longer = rests.get(tuple(words[start + 1 : start + 1 + length]))
                if longer is not None and not (of_scene and longer.inert):
                    name, end = longer, start + 1 + length
                    break
            sense = None if name is None else name.sense
            if name is None or (sense is not None and not sense.meant(words, start, end, name.plural)):
                continue
            # A hot dog is no dog; but an apple tree, which only hints at apples, may hint at trees as well.
            behind = end if name.needs or not of_scene else start + 1
            found.append(Hit(start, end, name))
        return found

    def _borrowed(self, words: Words, start: int, end: int) -> bool:
        """Whether the name is but a part of another thing's, or that of a likeness."""
        if end < len(words) and words[end] in self._heads:
            return True
        if not start:
            return False
        if words[start - 1] in self._fore:
            return True
        return start > 2 and words[start - 2] == "of" and words[start - 3] in self._likenesses

    def _of(self, words: tuple[str, ...]) -> Name | None:
        if len(words) < 2:
            return self._single.get(words[0]) if words else None
        for length, rests in self._several.get(words[0], ()):
            if length == len(words) - 1:
                return rests.get(words[1:])
        return None

    def _take(self, category: str) -> None:
        """A source's category: one that the table has no name for is one of its own."""
        words, own = spoken(category), frozenset((category,))
        known = self._of(words)
        if not words or (known is not None and known.needs):
            return
        for form, plural in forms(words):
            old = self._of(form) or Name()
            if not old.needs and (len(form) > 1 or form[0] not in _NEVER):
                self._put(form, Name(category, own, old.tells | own, exact=True, plural=plural))

    def _put(self, words: tuple[str, ...], name: Name) -> None:
        if len(words) < 2:
            self._single[words[0]] = name
            return
        lengths = self._several.setdefault(words[0], [])
        for length, rests in lengths:
            if length == len(words) - 1:
                rests[words[1:]] = name
                return
        lengths.append((len(words) - 1, {words[1:]: name}))
        lengths.sort(key=lambda each: -each[0])
