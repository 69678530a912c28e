"""Rows that say again what an earlier one says.

Of one picture, a row is one too many where it nearly repeats another: reworded here and there, or of
another kind. Of different pictures only the same long text counts: short answers recur rightly ("No, there
is no dog in the picture."), and so do long ones of a grammar that differ in a number alone. What is compared
is all that a row says, in small letters and without marks; a question only belongs to it where its answer is
short, for a description is the same however it was asked for.

Nothing is drawn and nothing depends on the process, so that every run finds the same. Of each row are kept
its id, a hash of its text and a sketch of it, the smallest hashes of its groups of three words (Broder 1997):
150 to 170 bytes and the id.
"""

import re
import zlib
from array import array
from collections.abc import Iterator
from hashlib import blake2b

from llavakit.synth.task import Turns

_GROUP = 3  # words
_SKETCH = 24  # hashes; what two texts share of all their groups is then known to about 0.1
_NEAR = 0.6  # of the groups of both texts together, those that both have; 60 words, five of them changed
_SHORT = 8  # words of an answer that says nothing without its question
_LONG = 30  # words of a text that no two pictures should share
_MOST_WORDS = 200_000  # whose hashes are kept at hand

_WORD = re.compile(r"[^\W_]+")


class Near:
    """The rows so far."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._ends = array("Q")
        self._sketches = array("I")  # `_SKETCH` for each row; 0 where it has fewer
        self._same_picture = array("I")  # the row before of the same picture, counted from 1
        self._texts, self._pictures = _Table(), _Table()
        self._hashes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def like(self, id: str, turns: Turns, picture: str | None = None) -> str | None:  # noqa: A002
        """The id of an earlier row that this nearly repeats; else None, and it is remembered.

        Args:
            id: of the row
            turns: questions without `<image>`
            picture: which one they are about; if not told, the id up to its last "-", as `Task.id` has it
        """
        words = _said(turns)
        text, of = _key(" ".join(words)), _key(picture or id.rpartition("-")[0] or id)
        groups = self._groups(words)
        row = self._pictures.get(of)
        while row:
            if self._shared(groups, row - 1) >= _NEAR:
                return self._id(row - 1)
            row = self._same_picture[row - 1]
        if len(words) >= _LONG and (same := self._texts.get(text)):
            return self._id(same - 1)
        self._remember(id, text, of, groups)
        return None

    def _remember(self, id_: str, text: int, of: int, groups: list[int]) -> None:
        self._same_picture.append(self._pictures.get(of))
        self._ids += id_.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._ids))
        self._sketches.extend(groups)
        self._sketches.extend([0] * (_SKETCH - len(groups)))
        self._texts.put(text, len(self))
        self._pictures.put(of, len(self))

    def _id(self, row: int) -> str:
        start = self._ends[row - 1] if row else 0
        return self._ids[start : self._ends[row]].decode("utf-8", "surrogatepass")

    def _groups(self, words: list[str]) -> list[int]:
        """The smallest hashes of the groups of words, from 1; the words' own where there are too few."""
        known = self._hashes
        if len(known) > _MOST_WORDS:
            known.clear()
        hashes = [known.get(word) or self._hash(word) for word in words]
        if len(hashes) >= _GROUP:
            hashes = [
                # Mixed with odd constants, so that the order of words counts and all bits move.
                (a * 0x9E3779B1 + b * 0x85EBCA77 + c * 0xC2B2AE3D >> 7) & 0xFFFFFFFF
                for a, b, c in zip(hashes, hashes[1:], hashes[2:], strict=False)
            ]
        return sorted({each or 1 for each in hashes})[:_SKETCH]

    def _hash(self, word: str) -> int:
        self._hashes[word] = found = zlib.crc32(word.encode("utf-8", "surrogatepass")) or 1
        return found

    def _shared(self, groups: list[int], row: int) -> float:
        """About what part of the groups of both texts both have."""
        others = set(self._sketches[row * _SKETCH : (row + 1) * _SKETCH]) - {0}
        smallest = sorted(others.union(groups))[:_SKETCH]
        if not smallest:
            return 1.0
        return len(others.intersection(groups, smallest)) / len(smallest)


class _Table:
    """From keys of 64 bits, not 0, to numbers above 0; 12 bytes for each place, of which at most 3 in 4 are
    taken.
    """

    def __init__(self, places: int = 1 << 10) -> None:
        self._keys, self._values = array("Q", bytes(8 * places)), array("I", bytes(4 * places))
        self._taken = 0

    def get(self, key: int) -> int:
        """0 where there is none."""
        return self._values[self._place(key)]

    def put(self, key: int, value: int) -> None:
        place = self._place(key)
        if not self._keys[place]:
            if 4 * (self._taken + 1) > 3 * len(self._keys):
                self._grow()
                place = self._place(key)
            self._taken += 1
        self._keys[place], self._values[place] = key, value

    def _place(self, key: int) -> int:
        """Where a key is, or would be."""
        keys, last = self._keys, len(self._keys) - 1
        place = key & last
        while (found := keys[place]) and found != key:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        larger = _Table(2 * len(self._keys))
        for key, value in self._items():
            larger.put(key, value)
        self._keys, self._values = larger._keys, larger._values

    def _items(self) -> Iterator[tuple[int, int]]:
        return ((key, value) for key, value in zip(self._keys, self._values, strict=True) if key)


def _said(turns: Turns) -> list[str]:
    words = []
    for question, answer in turns:
        answered = _WORD.findall(answer.lower())
        words += answered if len(answered) >= _SHORT else _WORD.findall(question.lower()) + answered
    return words


def _key(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1
