"""Rows of the kind "choice": a question with options, of which one is right and all others provably wrong."""

from collections.abc import Callable, Sequence

from llavakit.synth.offline import space
from llavakit.synth.offline.facts import Sort
from llavakit.synth.offline.nouns import Noun, number, sentence
from llavakit.synth.offline.space import OPPOSITE, RELATIONS, SHORT
from llavakit.synth.offline.talk import Talk

Asked = tuple[str, list[str], int]  # question, options, which is right

_LETTERS = "ABCDEF"
_OPTIONS = 4

_HOW_MANY = (
    "How many {many} are there in the picture?", "How many {many} does the picture show?",
    "What is the number of {many} in the picture?",
)  # fmt: skip
_HERE = (
    "Which of these is in the picture?",
    "Which of these can be seen in the picture?",
    "Which one of these does the picture show?",
)
_NOT_HERE = (
    "Which of these is not in the picture?", "Which of these cannot be seen in the picture?",
    "Which one of these does the picture not show?",
)  # fmt: skip
_WHERE = (
    "Where in the picture is the {one}?",
    "In which part of the picture is the {one}?",
    "Where is the {one}?",
)
_RELATED = ("How does {a} lie in relation to {b} in the picture?", "Where {are} {a}, seen from {b}?")
_MORE = ("Which is true of the picture?", "Which of these statements about the picture is right?")
_LARGEST = ("Which of these takes up the most of the picture?", "Which of these fills most of the picture?")
_EDGE = ("Which of these is nearest to the {edge} edge of the picture?",)
_GROUPS = {
    "animal": "an animal", "vehicle": "a vehicle", "food": "something to eat",
    "furniture": "a piece of furniture",
    "appliance": "a kitchen appliance", "sport": "a piece of sports equipment",
}  # fmt: skip
_CORNERS = ("top left", "top right", "bottom left", "bottom right")


def write(talk: Talk) -> str:
    """The question with its options and the letter of the right one; "" where there is no such question."""
    for maker in talk.draw.in_turn(_MAKERS):
        asked = maker(talk)
        if asked is not None:
            question, options, right = asked
            order = talk.draw.shuffled(range(len(options)))
            lines = [f"{_LETTERS[i]}. {options[place]}" for i, place in enumerate(order)]
            return "\n".join([f"Question: {question}", *lines, f"Answer: {_LETTERS[order.index(right)]}"])
    return ""


def _how_many(talk: Talk) -> Asked | None:
    sort = talk.pick("count", talk.facts.counted())
    if sort is None:
        return None
    least = max(1, sort.n - talk.draw.below(_OPTIONS))
    numbers = range(least, least + _OPTIONS)
    written = str if talk.draw.chance(50) else lambda n: sentence(number(n))
    return talk.say(_HOW_MANY, many=sort.noun.many), [written(n) for n in numbers], sort.n - least


def _here(talk: Talk) -> Asked | None:
    sort = talk.pick("here", talk.facts.sorts)
    if sort is None or not talk.absent:
        return None
    others = talk.draw.some(talk.absent[:8], _OPTIONS - 1)
    return talk.say(_HERE), [_called(sort.noun), *map(_called, others)], 0


def _not_here(talk: Talk) -> Asked | None:
    sorts = talk.draw.some(talk.facts.sorts[:8], _OPTIONS - 1)
    if len(sorts) < 2 or not talk.absent:
        return None
    missing = talk.draw.one(talk.absent[:6])
    return talk.say(_NOT_HERE), [_called(missing), *(_called(sort.noun) for sort in sorts)], 0


def _where(talk: Talk) -> Asked | None:
    sort = talk.pick("where", [sort for sort in talk.facts.alone() if sort.place])
    if sort is None:
        return None
    question, place = talk.say(_WHERE, one=sort.noun.one), sort.place
    for places in (_CORNERS, ("left", "right", "middle"), ("top", "bottom", "middle")):
        if place in places:
            return question, [sentence(SHORT[each]) for each in places], places.index(place)
    return None


def _related(talk: Talk) -> Asked | None:
    alone = talk.draw.shuffled(talk.facts.alone()[:6])
    for i, a in enumerate(alone):
        for b in alone[i + 1 :]:
            how = space.relation(a.boxes, b.boxes)
            if how:
                options = [how, OPPOSITE[how]]
                question = talk.say(_RELATED, a=a.the, b=b.the, are=a.are)
                return question, [sentence(f"{RELATIONS[each]} {b.the}") for each in options], 0
    return None


def _more(talk: Talk) -> Asked | None:
    counted = talk.draw.some(talk.facts.counted(), 2)
    if len(counted) < 2:
        return None
    a, b = counted
    names = a.noun.many, b.noun.many
    options = [
        f"There are more {names[0]} than {names[1]}.", f"There are fewer {names[0]} than {names[1]}.",
        f"There are as many {names[0]} as {names[1]}.",
    ]  # fmt: skip
    return talk.say(_MORE), options, 0 if a.n > b.n else 1 if a.n < b.n else 2


def _largest(talk: Talk) -> Asked | None:
    alone = talk.draw.some(talk.facts.alone()[:8], _OPTIONS)
    if len(alone) < 2:
        return None
    areas = [space.area(sort.hull) for sort in alone]
    first = areas.index(max(areas))
    if not all(i == first or space.larger(areas[first], each) for i, each in enumerate(areas)):
        return None
    return talk.say(_LARGEST), [_the(sort) for sort in alone], first


def _nearest(talk: Talk) -> Asked | None:
    alone = talk.draw.some(talk.facts.alone()[:8], _OPTIONS)
    if len(alone) < 2:
        return None
    for edge in talk.draw.shuffled(("left", "right", "top", "bottom")):
        first = space.before([space.edges(sort.hull)[edge] for sort in alone])
        if first is not None:
            return talk.say(_EDGE, edge=edge), [_the(sort) for sort in alone], first
    return None


def _of_group(talk: Talk) -> Asked | None:
    """Which of the things is an animal, a vehicle, …: as far as it is known what each is."""
    known = [sort for sort in talk.facts.sorts if sort.noun.group]
    for group in talk.draw.shuffled(tuple(_GROUPS)):
        members = [sort for sort in known if sort.noun.group == group]
        others = [sort for sort in known if sort.noun.group != group]
        if members and others and talk.draw.chance(60):
            member = talk.draw.one(members)
            shown = [member, *talk.draw.some(others, _OPTIONS - 1)]
            return (
                f"Which of these things in the picture is {_GROUPS[group]}?",
                [_called(sort.noun) for sort in shown],
                0,
            )
    return None


def _called(named: Noun) -> str:
    return sentence(named.one if named.single_out else named.bare)


def _the(sort: Sort) -> str:
    return sentence(sort.the)


_MAKERS: Sequence[Callable[[Talk], Asked | None]] = (
    _how_many, _how_many, _here, _here, _not_here, _not_here, _where, _where, _related, _more, _largest,
    _nearest, _of_group,
)  # fmt: skip
