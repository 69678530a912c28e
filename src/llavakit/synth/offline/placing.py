"""Questions about where things are, and how they lie to each other."""

from llavakit.synth.offline import space
from llavakit.synth.offline.facts import Sort, there
from llavakit.synth.offline.nouns import join, number, sentence
from llavakit.synth.offline.space import OPPOSITE, PLACES, RELATIONS
from llavakit.synth.offline.talk import Pair, Talk

_FEW = 6  # things that relations are sought among: the largest

_WHERE = (
    "Where {are} the {things}?", "Where in the picture {are} the {things}?",
    "In which part of the picture {are} the {things}?", "Where can the {things} be found?",
)  # fmt: skip
_THERE = ("{all} {are} {place}.", "{all} can be found {place}.", "{all} can be seen {place}.")
_SIDES = {
    ("left", "right"): "on the left or on the right side",
    ("top", "bottom"): "at the top or at the bottom",
}
_AT = ("What can be seen {place}?", "What is there {place}?", "Can you name something {place}?")
_RELATED = (
    "Where {are} {a} in relation to {b}?",
    "How {are} {a} placed relative to {b}?",
    "Where {are} {a}, seen from {b}?",
)
_EITHER = {
    "left": "to the left or to the right of", "right": "to the left or to the right of",
    "above": "above or below", "below": "above or below",
}  # fmt: skip
_LARGER = (
    "Which takes up more of the picture, {a} or {b}?", "Which one fills more of the picture: {a} or {b}?",
    "Does {a} or {b} take up more room in the picture?",
)  # fmt: skip
_LARGEST = (
    "Which of these takes up the most of the picture: {things}?",
    "Of {those}, which takes up the most of the picture?",
)
_EDGE = (
    "Which is nearest to the {edge} edge of the picture: {things}?",
    "Of {those}, which is nearest to the {edge} edge of the picture?",
)


def where(talk: Talk) -> Pair | None:
    placed = [sort for sort in talk.facts.known() if sort.place]
    sort = talk.pick("where", placed)
    if sort is None:
        return None
    place = sort.place
    if sort.n == 1 and talk.draw.chance(40):
        return _which_side(talk, sort, place)
    things = sort.noun.one if sort.n == 1 else sort.noun.many
    question = talk.say(_WHERE, are=sort.are, things=things)
    return question, talk.say(_THERE, all=sort.all, are=sort.are, place=PLACES[place])


def _which_side(talk: Talk, sort: Sort, place: str) -> Pair:
    """Asked with the answers in the question, or to be said yes or no to."""
    the, words = sort.the, PLACES[place]
    sides = [pair for pair in _SIDES if place.endswith(pair) or place.startswith(pair)]
    pair = talk.draw.one(sides) if sides else ("left", "right")
    if sides and talk.draw.chance(40):
        return f"Is {the} {_SIDES[pair]} of the picture?", f"{sentence(the)} is {words}."
    asked = talk.draw.one(pair)
    yes = "Yes" if asked in place.split() else "No"
    return f"Is {the} {PLACES[asked]}?", f"{yes}, {the} is {words}."


def at_place(talk: Talk) -> Pair | None:
    """What is on a side of the picture; not that nothing else is."""
    alone = talk.facts.alone()
    for side in talk.draw.shuffled(("left", "right", "top", "bottom")):
        found = [
            sort for sort in alone
            if side in sort.place.split() and ("where", sort.noun.category) not in talk.used
        ][:3]  # fmt: skip
        if found and talk.fresh("at", side):
            place = PLACES[side]
            talk.used.update(("where", sort.noun.category) for sort in found)
            question = talk.say(_AT, place=place)
            if talk.draw.chance(50):
                return question, f"{sentence(place)}, {there(found)}."
            return question, f"{sentence(there(found))} {place}."
    return None


def relation(talk: Talk) -> Pair | None:
    """How one thing, or all of its sort, lies to another."""
    found = related(talk)
    if found is None:
        return None
    a, b, how = found
    words, draw = RELATIONS[how], talk.draw
    ask = draw.below(4)
    fact = f"{a.all} {a.are} {words} {b.the}"
    if ask == 0:
        return talk.say(_RELATED, are=a.are, a=a.the, b=b.the), f"{sentence(fact)}."
    if ask == 1:
        return f"{sentence(a.are)} {a.the} {_EITHER[how]} {b.the}?", f"{sentence(fact)}."
    if ask == 2 and b.n == 1:
        return f"What is {words} {b.the}?", f"{sentence(fact)}."
    asked = how if draw.chance(50) else OPPOSITE[how]
    return (
        f"{sentence(a.are)} {a.the} {RELATIONS[asked]} {b.the}?",
        f"{'Yes' if asked == how else 'No'}, {fact}.",
    )


def related(talk: Talk) -> tuple[Sort, Sort, str] | None:
    """Two sorts and how they lie to each other, as was not asked yet."""
    known = talk.draw.shuffled(talk.facts.known()[:_FEW])
    for i, a in enumerate(known):
        for b in known[i + 1 :]:
            how = space.relation(a.boxes, b.boxes)
            if how and talk.fresh("relation", *sorted((a.noun.category, b.noun.category))):
                return a, b, how
    return None


def larger(talk: Talk) -> Pair | None:
    """What takes up more of the picture, of two things or of several."""
    alone = talk.draw.shuffled(talk.facts.alone()[:_FEW])
    if len(alone) < 2 or not talk.fresh("larger"):
        return None
    asked = alone[: 2 + talk.draw.below(min(len(alone), 4) - 1)]
    areas = [space.area(sort.hull) for sort in asked]
    first = areas.index(max(areas))
    if not all(i == first or space.larger(areas[first], each) for i, each in enumerate(areas)):
        return None
    largest = sentence(asked[first].the)
    if len(asked) == 2:
        a, b = (sort.the for sort in asked)
        answer = f"{largest} takes up more of the picture than {asked[1 - first].the}."
        return talk.say(_LARGER, a=a, b=b), answer
    question = talk.say(_LARGEST, things=_or(asked), those=_and(asked))
    return question, f"Of these, {asked[first].the} takes up the most of the picture."


def nearest(talk: Talk) -> Pair | None:
    """What is nearest to an edge, or to the middle."""
    alone = talk.draw.shuffled(talk.facts.alone()[:_FEW])
    if len(alone) < 2:
        return None
    asked = alone[: 2 + talk.draw.below(min(len(alone), 3) - 1)]
    for edge in talk.draw.shuffled(("left", "right", "top", "bottom", "middle")):
        if edge == "middle":
            a, b = asked[:2]
            middle = (0.5, 0.5, 0.5, 0.5)
            near, far = (a, b) if space.nearer(a.hull, b.hull, middle) else (b, a)
            if space.nearer(near.hull, far.hull, middle) and talk.fresh("nearest"):
                question = f"Which is nearer to the middle of the picture, {a.the} or {b.the}?"
                return (
                    question,
                    f"{sentence(near.the)} is nearer to the middle of the picture than {far.the}.",
                )
            continue
        first = space.before([space.edges(sort.hull)[edge] for sort in asked])
        if first is not None and talk.fresh("nearest"):
            if len(asked) == 2:
                a, b = asked
                near, far = (b, a) if first else (a, b)
                question = f"Which is nearer to the {edge} edge of the picture, {a.the} or {b.the}?"
                return (
                    question,
                    f"{sentence(near.the)} is nearer to the {edge} edge of the picture than {far.the}.",
                )
            question = talk.say(_EDGE, edge=edge, things=_or(asked), those=_and(asked))
            return question, f"Of these, {asked[first].the} is nearest to the {edge} edge of the picture."
    return None


def member(talk: Talk) -> Pair | None:
    """Where the largest of its sort is."""
    for sort in talk.draw.shuffled([sort for sort in talk.facts.counted() if 1 < sort.n < 20]):
        areas = [space.area(box) for box in sort.boxes]
        first = areas.index(max(areas))
        place = space.place(sort.boxes[first])
        plain = all(i == first or space.larger(areas[first], each) for i, each in enumerate(areas))
        if place and plain and talk.fresh("member", sort.noun.category):
            which = f"the {'larger' if sort.n == 2 else 'largest'} of {sort.the}"
            return f"Where is {which}?", f"{sentence(which)} is {PLACES[place]}."
    return None


def spread(talk: Talk) -> Pair | None:
    """How many of a sort are in each half of the picture."""
    for sort in talk.draw.shuffled([sort for sort in talk.facts.counted() if sort.n > 1]):
        found = halves(sort)
        if found is not None and talk.fresh("spread", sort.noun.category):
            return f"How are {sort.the} spread over the picture?", f"{found}."
    return None


def halves(sort: Sort) -> str | None:
    """How many are in the left half and in the right half; None where one is in neither, or all in one."""
    sides = [space.half(box) for box in sort.boxes]
    left, right = sides.count("left"), sides.count("right")
    if left + right < sort.n or not left or not right:
        return None
    others = "the other one" if right == 1 else f"the other {number(right)}"
    are = "is" if left == 1 else "are"
    return (
        f"{sentence(number(left))} of {sort.the} {are} in the left half of the picture, and {others}"
        f" {'is' if right == 1 else 'are'} in the right half"
    )


def _or(sorts: list[Sort]) -> str:
    return join([sort.the for sort in sorts], "or")


def _and(sorts: list[Sort]) -> str:
    return join([sort.the for sort in sorts])
