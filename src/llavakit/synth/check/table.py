"""The table of names: what COCO's categories are called in English, in the singular and in the plural."""

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llavakit.synth.check.said import AUXILIARIES, COLOURS, ENDS, FUNCTION, PREPOSITIONS, Words, word_set
from llavakit.synth.english import plural

_TABLE = Path(__file__).with_name("names.toml")
_ALIKE = word_set("sheep cattle aircraft deer fish moose")  # one and many
# Of these there are no two, or nobody knows what two of them are: a box of skis holds a pair.
_NO_PLURAL = word_set(
    "skis scissors luggage baggage silverware cutlery furniture food fruit wildlife broccoli"
)
_ARTICLES = word_set(
    "a an the one this that another each every no any my your his her its their whole half peeled sliced"
    " single"
)
_SHORT = 4  # letters: no singular is made from a name like "bus" or "lens"


# What may follow a noun that stands alone.
_GO_ON = (FUNCTION | PREPOSITIONS | AUXILIARIES | word_set(", or sits lies rests sitting lying")) - {
    "one",
    "two",
}


@dataclass(frozen=True, slots=True)
class Sense:
    """When a word is the name of a thing, and not something else."""

    alone: bool = False
    not_before: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()

    def meant(self, words: Words, start: int, end: int, plural: bool) -> bool:
        before = words[start - 1] if start else ""
        after = words[end] if end < len(words) else "."
        if before in self.not_before or after in self.not_after:
            return False
        if not self.alone or plural:
            return True
        if before not in _ARTICLES or not (after in _GO_ON or after in ENDS):
            return False
        # "an orange and white cat", "an orange, white and black cat"
        follows = words[end + 1] if end + 1 < len(words) else ""
        return after not in (",", "and", "or") or follows not in COLOURS


@dataclass(frozen=True, slots=True)
class Name:
    """A word, or several, in one of its forms.

    Attributes:
        label: what it is counted as: the category, or the group, as "vehicle"
        needs: of these, something must be there for it to be said; none: whoever says it claims nothing
        tells: what is there when it is said of a scene
        exact: whether it means all of the category, so that "two" of it are two of that; a woman is not every
            person
        inert: it names no thing at all
    """

    label: str = ""
    needs: frozenset[str] = frozenset()
    tells: frozenset[str] = frozenset()
    exact: bool = False
    plural: bool = False
    inert: bool = False
    sense: Sense | None = None


@functools.cache
def table() -> Mapping[str, Any]:
    """As the file has it."""
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))


@functools.cache
def from_table() -> Mapping[tuple[str, ...], Name]:
    """By its words, what each name and hint of the table is, in the singular and in the plural."""
    read, found = table(), _Found()
    for category in _split(read["categories"]):
        its = frozenset((category,))
        whole = _split(read["whole"].get(category, ""))
        found.add(category, Name(category, its, its, exact=True))
        for other in _split(read["names"].get(category, "")):
            found.add(other, Name(category, its, its, exact=other in whole))
    for doer, told in read["doers"].items():
        who, *what = _split(told)
        found.add(doer, Name(who, frozenset((who,)), frozenset((who, *what))))
    for word, told in read["either"].items():
        of = frozenset(_split(told))
        found.add(word, Name(word.removesuffix(" of"), of, of))
    for group, fields in read["groups"].items():
        label = f"any {group}"  # what is said of a group tells of no category in it
        for word in _split(fields["names"]):
            found.add(word, Name(group, frozenset((label, *_split(fields["of"]))), frozenset((label,))))
        for word in _split(fields["hints"]):
            found.add(word, Name(tells=frozenset((label,))))
    for category, hints in read["hints"].items():
        for word in _split(hints):
            found.add(word, Name(tells=frozenset((category,))))
    for words in _split(read["inert"]["words"]):
        found[tuple(words.split())] = Name(inert=True)
    return found


class _Found(dict[tuple[str, ...], Name]):
    def add(self, words: str, name: Name) -> None:
        """In both forms. A name is stronger than a hint, and the first of two; all that is told adds up."""
        for form, many in forms(tuple(words.split())):
            old = self.get(form, Name())
            kept = old if old.needs or not name.needs else replace(name, plural=many)
            tells = old.tells if old.needs and name.needs else old.tells | name.tells
            self[form] = replace(kept, tells=tells, sense=_sense(words))


def _sense(words: str) -> Sense | None:
    fields = table()["senses"].get(words)
    if fields is None:
        return None
    before, after = (words_in(fields.get(key, "")) for key in ("not_before", "not_after"))
    return Sense(bool(fields.get("alone")), before, after)


def forms(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The singular and the plural, and whether it is that."""
    *front, last = words
    if last in _ALIKE or last in _NO_PLURAL:
        yield words, last in _ALIKE
        return
    yield words, False
    if last == "of":  # a glass of something
        yield (*front[:-1], plural(front[-1]), last), True
        return
    yield (*front, plural(last)), True
    if last.endswith("s") and not last.endswith("ss") and len(last) > _SHORT:  # a category called "curtains"
        yield (*front, last[:-1]), False


def spoken(category: str) -> tuple[str, ...]:
    """A category's words: "bow_(weapon)" of LVIS is a bow."""
    plain = re.sub(r"\([^)]*\)", " ", category.lower().replace("_", " "))
    return tuple(re.findall(r"[^\W_]+(?:[-'][^\W_]+)*", plain))


def words_in(text: str) -> frozenset[str]:
    return frozenset(_split(text))


def _split(words: str) -> list[str]:
    return [word.replace("_", " ") for word in words.split()]
