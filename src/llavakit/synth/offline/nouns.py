"""English nouns: what a category is called, one of it and several, and by which words others call it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from llavakit.synth.english import IRREGULAR, plural
from llavakit.synth.offline import tables

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_AN = re.compile(
    r"(?!uni(?!n)|use|uku|ute|uro|eu|ewe|one\b|once)[aeiou]|hour|honest|heir|x-ray|suv\b|mp3", re.I
)
_WIDER = re.compile(r" *\([^)]*\)")  # LVIS tells homonyms apart so: "crab_(animal)"
_NAMED = re.compile(r"[a-z][a-z' -]*")


@dataclass(frozen=True, slots=True)
class Noun:
    """
    Attributes:
        category: as the source has it
        one, many: "dog", "dogs"; "pair of scissors", "pairs of scissors"
        bare: without a number: "dogs", "broccoli"
        counted: whether it may be said how many there are
        mass: whether `bare` is a singular
        single_out: whether there is such a thing as one of it, as there is of a dog, not of broccoli
        human: whether "it" is the wrong word
        a: with its article, as "an apple"
        head: the last word of the category, in small letters
        single, several, words: in small letters, which mean one of it, more than one, or either
        hints: words from which one might conclude that some of it is there; with the former
        group: "animal", "food", …, "" where that is unknown
    """

    category: str
    one: str
    many: str
    bare: str
    counted: bool
    mass: bool
    single_out: bool
    human: bool
    a: str
    head: str
    single: frozenset[str]
    several: frozenset[str]
    words: frozenset[str]
    hints: frozenset[str]
    group: str

    def number(self, count: int) -> str:
        """ "one dog", "two dogs" """
        return f"{number(count)} {self.one if count == 1 else self.many}"

    def amount(self, count: int) -> str:
        """As it is listed: "a dog", "two dogs"."""
        return self.a if count == 1 else f"{number(count)} {self.many}"

    @property
    def some(self) -> str:
        """More than one, or of what has no number: "some dogs", "some broccoli"."""
        return f"some {self.bare}"


def number(count: int) -> str:
    """In words as far as people write it so; 0 is "no"."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def article(noun: str) -> str:
    return f"{'an' if _AN.match(noun) else 'a'} {noun}"


def join(parts: Sequence[str], last: str = "and") -> str:
    """ "a, b and c" """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def sentence(words: str) -> str:
    """With a capital letter."""
    return words[:1].upper() + words[1:]


@lru_cache(maxsize=1 << 14)
def noun(category: str) -> Noun | None:
    """None where the name is none that an English sentence can hold."""
    name = " ".join(_WIDER.sub("", category.replace("_", " ")).lower().split())
    if not _NAMED.fullmatch(name):
        return None
    spoken, wider = tables.SPOKEN.get(name, (name, False))
    last = name.rpartition(" ")[2]
    mass = name in tables.MASS or last in tables.MASS
    paired = last in tables.PAIRS
    plurals = not paired and (last in tables.PLURAL or _is_plural(last))
    one, many = (f"pair of {spoken}", f"pairs of {spoken}") if paired else (spoken, plural(spoken))
    bare = spoken if mass or paired or plurals else many
    if mass or plurals:
        one = many = bare
    a = f"some {bare}" if mass else bare if plurals else article(one)
    single, several = _words(name, plurals)
    return Noun(
        category, one, many, bare, not (mass or plurals or wider), mass,
        not (mass or plurals), last == "person" or last in tables.PEOPLE | tables.DOERS, a, last,
        single, several, single | several, frozenset(_hints(name, single | several)), group(name),
    )  # fmt: skip


def _is_plural(word: str) -> bool:
    """Of a category that is named in the plural, as "trees", it is unknown what one instance is."""
    return (
        word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in tables.SINGULAR
        and word not in IRREGULAR
    )  # fmt: skip


def _words(name: str, plurals: bool) -> tuple[frozenset[str], frozenset[str]]:
    """Single words that mean one, and several, of what is called `name`; of a compound, its last word."""
    singles = {name.rpartition(" ")[2], *tables.SYNONYMS.get(name, ())}
    if plurals:
        return frozenset(), frozenset(singles)
    if name == "person":
        singles |= tables.PEOPLE | tables.DOERS
    irregular = {f"{word}s" for word in singles if word in IRREGULAR}  # people write "persons", too
    return frozenset(singles), frozenset({*map(plural, singles), *irregular})


def _hints(name: str, words: Iterable[str]) -> set[str]:
    of_groups = [group for group, names in tables.GROUPS.items() if name in names]
    more = [*tables.HINTS.get(name, ()), *(word for each in of_groups for word in tables.GROUP_HINTS[each])]
    more += tables.GROUPS.get(name, ())  # a dog is an animal
    parts = [*name.split(), *more]
    joined = name.replace(" ", "")
    return {*words, *parts, *map(plural, parts), joined, plural(joined)}


def group(name: str) -> str:
    """What sort of thing is called so; that of "polar bear" is that of "bear"."""
    for known in (name, "" if name in tables.SYNONYMS else name.rpartition(" ")[2]):
        for each, names in tables.GROUPS.items():
            if known in names:
                return each
    return ""
