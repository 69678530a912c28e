"""What an answer claims: which things are there, which are not, and how many.

A name claims that a thing is there, unless its clause denies it ("there is no dog"), or only supposes it ("a
dog may have been here"). What is denied is what directly follows the denial: in "there is no dog on the
couch" that is the dog; of the couch nothing is claimed.
"""

import re
from itertools import pairwise
from typing import Literal

from llavakit.synth.check.names import Hit
from llavakit.synth.check.said import ENDS, PREPOSITIONS, Words, number, word_set

Status = Literal["claimed", "denied", "open"]

_FAR = 9  # words over which a denial or a supposition is looked for
_LIST = 3  # words between commas of a list, at most: "no cats, dogs or birds"
DENY = word_set(
    "no not without neither nor none never cannot n't isn't aren't wasn't weren't doesn't don't didn't"
    " can't hasn't haven't lacks lack absence absent missing nobody nothing"
)
_TURNS = word_set("but however instead although though while whereas yet only rather except")
# What makes a supposition of that which follows, in every kind of row.
_SUPPOSE = word_set(
    "possibly perhaps maybe might may could would likely probably if whether as-if resemble resembles"
    " resembling resembled imagine imagining pretend pretending"
)
# And in reasoning, which speaks of the world as well as of the picture.
_WONDER = _SUPPOSE | word_set(
    "can should must potential potentially typically usually often generally commonly sometimes suggest"
    " suggests suggesting indicate indicates indicating imply implies known tend tends such like example"
    " instance other others any or to for help helps allow allows allowing when where unless ensure"
    " ensures prevent avoid avoiding without rather than typical common usual many most some these"
)
_SUPPOSED_AFTER = word_set("may might could would")
_DEFINITE = word_set("the this that these those his her its their my your 's")

# Behind a name, that it is not there: "a dog is not to be seen".
_DENIED_AFTER = re.compile(
    r"(?:is|are|was|were) (?:nowhere|absent|missing)|(?:cannot|can't|can not) be (?:seen|found)"
    r"|(?:(?:is|are|was|were) not|isn't|aren't)"
    r" (?:in|visible|present|there|shown|seen|here|part|to|depicted|anywhere|among)"
)

# Words that open a statement about the whole picture, right before a number; and what may follow the thing.
_OPENERS = word_set(
    "are is see shows show features depicts contains displays showcases captures includes has have"
    " exactly only just total"
)
_ABOUT = word_set("or to about least most nearly almost around than approximately roughly some over")
_PICTURE = word_set("image picture photo photograph scene view total all")
_EXISTS = frozenset((("there", "is"), ("there", "are")))
_SHOWN = word_set("image picture photo photograph scene background foreground")
_VISIBLE = word_set("visible present shown depicted overall altogether")


def status(words: Words, hit: Hit, wonders: bool) -> Status:
    """What a text does with a name.

    Args:
        wonders: whether it is reasoning
    """
    suppose = _WONDER if wonders else _SUPPOSE
    # Words since a comma; whether a preposition is between, and whether no more than a list is.
    since, crossed, listed = 0, False, True
    for place in range(hit.start - 1, max(-1, hit.start - 1 - (2 * _FAR if wonders else _FAR)), -1):
        word = words[place]
        if word in ENDS or (word in _TURNS and not wonders):
            break
        if word == ",":
            listed = listed and since <= _LIST
            since = 0
            continue
        since += 1
        if word in DENY and words[place + 1] != ",":
            if not listed:
                break
            return "open" if crossed else "denied"
        if word in suppose:
            return "open"
        crossed = crossed or word in PREPOSITIONS
    if _DENIED_AFTER.match(" ".join(words[hit.end : hit.end + 3])):
        return "denied"
    before, behind = words[max(0, hit.start - 3) : hit.start], words[hit.end : hit.end + 3]
    if not _SUPPOSED_AFTER.isdisjoint(behind) and _DEFINITE.isdisjoint(before):
        return "open"
    return "claimed"


def stated(words: Words, hit: Hit) -> bool:
    """Whether a sentence tells what the picture shows: "there is a dog", "in the image, a dog …"."""
    start = next((i + 1 for i in range(hit.start - 1, -1, -1) if words[i] in ENDS), 0)
    before = words[start : hit.start]
    return not _SHOWN.isdisjoint(before) or not _EXISTS.isdisjoint(pairwise(before))


def counted(words: Words, hit: Hit) -> tuple[int, bool] | None:
    """How many of a thing an answer says there are, and whether it says so of the whole picture; None where
    it gives no number. Only a number right before a name counts, and "one" only of the whole picture.
    """
    if not hit.start:
        return None
    told = number(words[hit.start - 1])
    if hit.start > 1 and words[hit.start - 2] in _ABOUT:
        return None
    if told is None or not (hit.name.plural or told < 2):
        return None
    whole = _of_all(words, hit.start - 1, hit.end)
    return (told, whole) if whole or told > 1 else None


def _of_all(words: Words, start: int, end: int) -> bool:
    """Whether words[start:end], as "two dogs", is said of the whole picture: "there are two dogs in it"."""
    opener = words[start - 1] if start else "."
    if opener == "of" and start > 1:
        opener = words[start - 2]
    if opener not in _OPENERS:
        return False
    after = words[end : end + 3]
    if not after or after[0] in ENDS or after[0] in (",", "and") or after[0] in _VISIBLE:
        return True
    return after[0] == "in" and not _PICTURE.isdisjoint(after[1:3])
