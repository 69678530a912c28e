"""What a caption's grammar allows to make of it: "A man riding a wave." is no sentence, but what it names can
be shown, and asked what it does. In doubt a caption is left as it is.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from llavakit.synth.english import IRREGULAR, plural
from llavakit.synth.offline.lexicon import (
    ACTORS,
    ALWAYS,
    BARE,
    COLORS,
    FINITE,
    LAYS,
    LINKS,
    NO_PARTICIPLES,
    THIRD,
)
from llavakit.synth.offline.tables import names

_SEVERAL = "Two|Three|Four|Five|Six|Seven|Eight|Nine|Ten|Several"
_RELATIVE = re.compile(r"\b(?:that|which|who)(?: is| are| has| have|'s)\b")
_WORD = re.compile(r"[a-z'-]+")
_STARTS = re.compile(rf"(?:An?|One|{_SEVERAL}|Many|Some|Various|Multiple|Lots of) ")
_PLURAL_START = re.compile(
    rf"(?:{_SEVERAL}|Many|Some|Various|Multiple|Lots|A couple of|A few|A number of|A bunch of|A lot of) "
)
_AROUND = names("up down out off onto into together some two")
_PLURALS = tuple(sorted({*IRREGULAR.values()} - {"fish"}))
_OBJECTS = names("a an the his her their its")
_PICTURED = re.compile(
    r"(?:An?|The|Some) (?:\w+ ){0,2}?(?:picture|photo|photograph|image|shot|view|close|scene|painting|drawing"
    r"|collage|closeup)\b|.*\b(?:picture|image|photo)\b"
)  # fmt: skip

_WHO = "|".join(sorted({*ACTORS, *map(plural, ACTORS)}, key=lambda word: (-len(word), word)))
ACTING = frozenset(_WHO.split("|"))  # without one of these words `doing` finds nothing
_ACTING = re.compile(
    rf"(?P<det>An?|The|One|{_SEVERAL}) (?P<like>(?:[\w-]+ ){{0,3}}?)(?P<who>{_WHO})"
    r"(?P<be> (?:that |who )?(?:is|are))? (?P<what>(?P<verb>[a-z]+ing)\b[^.!]*)\.$"
)

_ABOUT = re.compile(
    rf"(?P<det>An?|{_SEVERAL}) (?P<whom>[^.]+?) "
    r"(?P<link>in|on|at|next|near|behind|under|inside|beside|between|along|around|across|from|among"
    r"|above|below|with|(?:that|who) (?:is|are)|[a-z]+ed|[a-z]+ing|made|seen|shown) (?P<rest>[^.]+)\.$"
)


@lru_cache(maxsize=1024)
def named(text: str) -> str:
    """A tidied caption that is a noun and what belongs to it, less its capital letter and full stop; "" if it
    may be a sentence, or several.
    """
    if not _STARTS.match(text) or text.count(".") != 1 or "!" in text or ";" in text or _PICTURED.match(text):
        return ""
    words = _WORD.findall(_RELATIVE.sub(" that ", text[:-1].lower()))
    several = is_several(text)
    for i, (before, word) in enumerate(pairwise(["", *words])):
        if _is_finite(word, before, several):
            return ""
        if i == 6 and not any(each in LINKS or each.endswith(("ing", "ed")) for each in words[:i]):
            return ""
    return text[0].lower() + text[1:-1]


def is_finite(words: str) -> bool:
    """Whether a verb among these words may make a sentence of them."""
    order = _WORD.findall(_RELATIVE.sub(" that ", words.lower()))
    return any(_is_finite(word, before, True) for before, word in pairwise(["", *order]))


def _is_finite(word: str, before: str, several: bool) -> bool:
    """Whether it may be the verb of a sentence that is about one thing, or about several."""
    if word in FINITE or word in THIRD:
        return True
    if before.endswith("ed") and word in _OBJECTS:  # "a man colored his hair"
        return True
    if before == "to":
        return False
    return word in ALWAYS or word in (BARE if several else LAYS)


def is_several(text: str) -> bool:
    """Whether a noun phrase takes "are"."""
    return _PLURAL_START.match(text) is not None


@lru_cache(maxsize=1024)
def doing(text: str) -> tuple[str, str, bool] | None:
    """Of a caption like "A small dog lying on a bed.", who is asked about ("dog"), what it does ("lying on a
    bed") and whether it is several; None where it is no such caption.
    """
    found = _ACTING.match(text)
    if found is None or found["verb"] in NO_PARTICIPLES:
        return None
    several = found["det"] not in ("A", "An", "The", "One")
    if _again(found["what"], several) or not _only_adjectives(found["like"].split()):
        return None
    if several != (found["who"] not in ACTORS or found["who"] == "people"):
        return None
    if found["be"] and (" are" in found["be"]) != several:
        return None
    return found["who"], found["what"], several


@lru_cache(maxsize=1024)
def about(text: str) -> tuple[str, str, bool] | None:
    """Of a noun phrase as a caption, "A white toilet next to a wall.", what it is about ("white toilet"),
    what is said of it ("is next to a wall") and whether it is several; None where that is not plain.
    """
    found = _ABOUT.match(text) if named(text) else None
    if found is None or not _only_adjectives(found["whom"].split()):
        return None
    several = found["det"] not in ("A", "An")
    if several and not found["whom"].endswith(("s", *_PLURALS)):  # "two giraffe"
        return None
    link, rest = found["link"], found["rest"]
    if link in ("that is", "who is", "that are", "who are"):
        if link.endswith("are") != several:
            return None
        said = rest
    elif link == "with":
        if any(word.endswith(("ing", "ed")) for word in rest.split()):
            return None
        return found["whom"], f"{'have' if several else 'has'} {rest}", several
    else:
        said = f"{link} {rest}"
    return found["whom"], f"{'are' if several else 'is'} {said}", several


def subject(order: Sequence[str]) -> list[str]:
    """Of a caption's words those that tell what it is about: up to the first link or verb."""
    for i, (word, after) in enumerate(pairwise((*order, "")), 0):
        # "a man holding a bag", "a clock mounted on a wall"; not "a blue lined bathroom"
        participle = word.endswith(("ing", "ed")) and (
            after in LINKS or after in _OBJECTS or after in _AROUND
        )
        if i > 1 and (participle or word in LINKS or word in FINITE or word in THIRD):
            return list(order[:i])
    return list(order)


def _only_adjectives(words: list[str]) -> bool:
    if "and" in words:
        return (COLORS | {"and"}).issuperset(words)
    return not any(
        word in ("a", "an", "the", "or") or word in LINKS or word in FINITE or word.endswith(("ing", "ed"))
        for word in words
    )


def _again(rest: str, several: bool) -> bool:
    """Whether another finite verb follows, so that the caption's own is not what it seems."""
    words = _WORD.findall(_RELATIVE.sub(" that ", rest.lower()))
    return any(_is_finite(word, before, several) for before, word in pairwise(words))
