"""Rows of the kind "absent": questions about things that one might expect and that are not there."""

from llavakit.synth.offline import counting
from llavakit.synth.offline.nouns import Noun, sentence
from llavakit.synth.offline.talk import Pair, Talk

_MOST = 3  # denials in a row of data

_TAKEN_FOR_GRANTED = (
    ("Where {are} the {things}?", 2), ("What color {are} the {things}?", 1),
    ("What can you say about the {things}?", 1),
    ("How large {are} the {things}?", 1),
)  # fmt: skip
_LOTS = tuple(wording for wording, share in _TAKEN_FOR_GRANTED for _ in range(share))
_DOING = "What {are} the {things} doing?"
_HOW_MANY = (
    "How many {many} are there in the picture?",
    "How many {many} can you see?",
    "How many {many} does the picture show?",
)
_NONE = (
    "There are none: no {one} can be seen in the picture.",
    "None. There is no {one} in the picture.",
    "There are no {many} in the picture.",
)
_NOT_THERE = (
    "There is no {one} in the picture.",
    "The picture does not show {a}.",
    "I cannot see {a} in the picture.",
)
_NOT_THERE_BARE = ("There {are} no {bare} in the picture.", "The picture does not show any {bare}.")
_INSTEAD = ("What it does show is {list}.", "It shows {list} instead.", "What can be seen instead is {list}.")


def write(talk: Talk) -> list[Pair] | str:
    """Mostly denials, and often a question that is to be affirmed, lest "no" be always right."""
    if not talk.absent:
        return "nothing is known to be absent that the captions might not mean"
    likely = talk.draw.some(talk.absent[:6], 1 + talk.draw.below(_MOST))
    pairs = [_denied(talk, named) for named in likely]
    there = talk.draw.some(talk.facts.sorts[:6], 1 + talk.draw.below(2))
    pairs += [counting.affirmed(talk, sort) for sort in there]
    return talk.draw.shuffled(pairs)


def _denied(talk: Talk, named: Noun) -> Pair:
    ask = talk.draw.below(5)
    if ask < 2:
        return counting.denied(talk, named)
    if ask == 2 and named.single_out:
        question = talk.say(_HOW_MANY, many=named.many)
        answer = talk.say(_NONE, one=named.one, many=named.many)
    else:
        things = named.one if named.single_out else named.bare
        are = "is" if named.single_out or named.mass else "are"
        wording = _DOING if named.group == "animal" and talk.draw.chance(40) else talk.draw.one(_LOTS)
        question = wording.format(are=are, things=things)
        wordings = _NOT_THERE if named.single_out else _NOT_THERE_BARE
        answer = talk.say(wordings, one=named.one, a=named.a, bare=named.bare, are=are)
    instead = talk.instead(named)
    if instead and talk.draw.chance(80):
        answer = f"{answer} {talk.say(_INSTEAD, list=instead)}"
    return question, sentence(answer)
