"""English words by what they do in a sentence: the word lists of `lexicon.toml` and the forms that follow.

No parser stands behind this, and no model: a list of function words, verbs and adjectives, and the endings of
English. Whatever is in none of the lists is taken for a noun.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DETERMINER, ADJECTIVE, VERB, NOUN, ADVERB, AUXILIARY, WH, OTHER = "DAVNRXWO"

_FILE = Path(__file__).with_name("lexicon.toml")
_VOWELS = "aeiou"
_MOST_TAGS, _LONG = 100_000, 40  # words that are remembered, and letters of one


class Tags(dict[str, str]):
    """What a word does; of one that is in no list, by its ending."""

    def __missing__(self, word: str) -> str:
        tag = _by_ending(word)
        if len(self) < _MOST_TAGS and len(word) < _LONG:
            self[word] = tag
        return tag


class Lexicon:
    """
    Attributes:
        auxiliaries: from a form to what it is called: "are" to "is"
        requests: base forms of the verbs that a request may begin with
        both: verbs whose base form is a noun as well
        transparent: nouns that stand for what follows their "of": "kind of bird" is a bird
        tags: what a word in small letters does, any word
        abstract: nouns that are no things one could point at
    """

    def __init__(self) -> None:
        held = tomllib.loads(_FILE.read_text(encoding="utf-8"))
        words = {name: text.split() for name, text in held["words"].items()}
        self.auxiliaries = {
            form: name for name, forms in held["auxiliaries"].items() for form in forms.split()
        }
        self.requests = frozenset(words["verbs"]) | frozenset(words["nouns_too"])
        self.both = frozenset(words["nouns_too"])
        self.transparent = frozenset(words["transparent"])
        self.abstract = frozenset(words["abstract"])
        self._singular: dict[str, str] = held["singular"]
        self._alike = frozenset(held["singular_alike"]["words"].split())
        self.tags: Mapping[str, str] = Tags(_listed(held, words, self.auxiliaries))

    def singular(self, noun: str) -> str:
        """Of a noun in small letters; what is no plural stays as it is."""
        whole, dash, last = noun.rpartition("-")
        if dash:
            return whole + dash + self.singular(last)
        if noun in self._singular:
            return self._singular[noun]
        if (
            len(noun) < 4
            or noun in self._alike
            or not noun.endswith("s")
            or noun.endswith(("ss", "us", "is"))
        ):
            return noun
        if noun.endswith("ies"):
            return noun[:-3] + "y"
        if noun.endswith(("sses", "shes", "ches", "xes", "zzes", "oes", "uses")) and noun not in _E_BEFORE_S:
            return noun[:-2]
        return noun[:-1]


_E_BEFORE_S = frozenset(
    ("houses", "causes", "clauses", "uses", "horses", "greenhouses", "warehouses", "excuses")
)


def _listed(
    held: dict[str, dict[str, str]], words: dict[str, list[str]], auxiliaries: dict[str, str]
) -> dict[str, str]:
    """What was written last holds: a word that is a function word is nothing else."""
    tags: dict[str, str] = {}
    for verb in words["verbs"]:
        tags |= dict.fromkeys((verb, _third_person(verb), _gerund(verb), *_past(verb)), VERB)
    for verb in words["nouns_too"]:
        tags |= dict.fromkeys((_gerund(verb), *_past(verb)), VERB)
        tags |= dict.fromkeys((verb, _third_person(verb)), NOUN)
    tags |= dict.fromkeys(held["irregular"]["verbs"].split(), VERB)
    for name in ("ing_nouns", "ed_nouns", "ly_nouns", "transparent"):
        tags |= dict.fromkeys(words[name], NOUN)
    for name, tag in (
        ("adjectives", ADJECTIVE), ("adverbs", ADVERB), ("prepositions", OTHER), ("pronouns", OTHER),
        ("determiners", DETERMINER),
    ):  # fmt: skip
        tags |= dict.fromkeys(words[name], tag)
    tags |= dict.fromkeys(auxiliaries, AUXILIARY)
    return tags | dict.fromkeys(str(held["wh"]).split(), WH)


def _by_ending(word: str) -> str:
    if not word[0].isalpha():
        return DETERMINER if word[0].isdigit() else OTHER  # "'s" begins a phrase: see `phrases.py`
    if not word.isascii() and word[0] > "\u024f":
        return OTHER  # no Latin letter: nothing is known of other scripts
    if len(word) > 4:
        if word.endswith(("ing", "ed")):
            return VERB
        if word.endswith("ly"):
            return ADVERB
        if len(word) > 5 and word.endswith(("ous", "less", "ful", "ible")):
            return ADJECTIVE
    return NOUN


def _third_person(verb: str) -> str:
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in _VOWELS else verb + "s"


def _doubled(verb: str) -> str:
    """ "sit" becomes "sitt", as before "ing"; of words as short as this the stress is where it must be."""
    short = len(verb) <= 4 and len(verb) >= 3
    if short and verb[-1] not in "aeiouwxy" and verb[-2] in _VOWELS and verb[-3] not in _VOWELS:
        return verb + verb[-1]
    return verb


def _gerund(verb: str) -> str:
    silent = verb.endswith("e") and not verb.endswith(("ee", "oe", "ye", "ie"))
    return (verb[:-1] if silent else _doubled(verb)) + "ing"


def _past(verb: str) -> tuple[str, ...]:
    if verb.endswith("e"):
        return (verb + "d",)
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return (verb[:-1] + "ied",)
    return (_doubled(verb) + "ed", verb + "en") if verb.endswith("t") else (_doubled(verb) + "ed",)


@cache
def lexicon() -> Lexicon:
    return Lexicon()
