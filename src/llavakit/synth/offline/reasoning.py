"""Rows of the kind "reasoning": questions whose answers take steps over what is known, and spell them out."""

from itertools import permutations

from llavakit.synth.offline import general, regions, space, sums, uses
from llavakit.synth.offline.facts import Sort
from llavakit.synth.offline.nouns import join, sentence
from llavakit.synth.offline.space import PLACES, RELATIONS
from llavakit.synth.offline.talk import Maker, Pair, Talk

_FEW = 8  # things of which some are set in order: the largest

_LEAD = ("In the picture, there {are} {what}.", "This is a picture of {what}.")  # before the steps
_PASSED = (
    "In which order do {those} come, from left to right?",
    "If you looked across the picture from left to right, in which order would you meet {those}?",
)
_NAME_SOME = "What would you pass, among other things, going through the picture from left to right?"
_KEPT = (
    "If only the {half} half of the picture were kept, would {the} still be in it?",
    "Suppose the picture were cut in two and the {half} half kept: would {the} be part of it?",
)
_NO_MORE = (
    "How can you tell that {the} takes up no more than half of the picture?",
    "Why can {the} not take up more than half of the picture?",
)
_POINTED = (
    "If somebody pointed from {a} to {b}, in which direction would they point across the picture?",
    "In which direction would your eyes move across the picture, going from {a} to {b}?",
)
_WAYS = {"left": "to the left", "right": "to the right", "above": "upwards", "below": "downwards"}
_CLOSER = ("Is {c} closer to {a} or to {b} in the picture?", "Which of the two is {c} closer to, {a} or {b}?")
_BETWEEN = (
    "Which of {those} is between the other two, from left to right?",
    "Of {those}, which comes in between, seen from left to right?",
)
_SIZES = (
    "Put {those} in order by how much of the picture they take up, the most first.",
    "Of {those}, which takes up the most of the picture, and which the least?",
)
_HALF = "half of the picture"


def write(talk: Talk) -> list[Pair] | str:
    """One pair, or why there is none."""
    for maker in talk.draw.in_turn(_MAKERS):
        pair = maker(talk)
        if pair is not None:
            question, answer = pair
            plain = not answer.startswith(("Yes", "No"))
            caption = general.central(talk) if plain and talk.draw.chance(40) else None
            if caption is not None:
                answer = f"{general.shown(talk, caption, _LEAD)} {answer}"
            return [(question, answer)]
    return "what is known of the picture leads to no conclusion"


def _in_a_row(talk: Talk, most: int) -> list[Sort]:
    """Single things from left to right, each plainly behind the one before."""
    row: list[Sort] = []
    for sort in talk.draw.shuffled(talk.facts.alone()[:_FEW]):
        if len(row) < most and all(
            space.is_left(sort.hull, each.hull) or space.is_left(each.hull, sort.hull) for each in row
        ):
            row.append(sort)
    return sorted(row, key=lambda sort: sort.hull[0] + sort.hull[2])


def _those(talk: Talk, sorts: list[Sort]) -> str:
    """In an order that gives nothing away."""
    return join([sort.the for sort in talk.draw.shuffled(sorts)])


def _order(talk: Talk) -> Pair | None:
    row = _in_a_row(talk, 5)
    if len(row) < 3:
        return None
    things = [sort.the for sort in row]
    question = _NAME_SOME if talk.draw.chance(25) else talk.say(_PASSED, those=_those(talk, row))
    if talk.draw.chance(50):
        return question, (
            f"{sentence(things[0])} is the furthest to the left, and {things[-1]} is the furthest to the"
            f" right. From left to right the order is therefore: {join(things)}."
        )
    then = "".join(f", then {thing}" for thing in things[1:-1])
    return question, f"Going from left to right, you first meet {things[0]}{then} and finally {things[-1]}."


def _between(talk: Talk) -> Pair | None:
    row = _in_a_row(talk, 3)
    if len(row) < 3:
        return None
    left, middle, right = (sort.the for sort in row)
    return talk.say(_BETWEEN, those=_those(talk, row)), (
        f"{sentence(left)} is the furthest to the left of the three, and {right} is the furthest to the"
        f" right. That leaves {middle}, which is between them."
    )


def _in_half(talk: Talk) -> Sort | None:
    return talk.pick("half", [sort for sort in talk.facts.alone() if space.half(sort.hull)])


def _kept(talk: Talk) -> Pair | None:
    """Whether something is in one half of the picture."""
    sort = _in_half(talk)
    if sort is None:
        return None
    side = space.half(sort.hull)
    half = talk.draw.one(("left", "right") if side in ("left", "right") else ("top", "bottom"))
    question = talk.say(_KEPT, half=half, the=sort.the)
    lies = f"{sentence(sort.the)} lies wholly in the {side} {_HALF}"
    if half == side:
        end = f"which is the half that is kept, so {sort.the} would still be there"
        return question, f"Yes. {lies}, {end}."
    return question, f"No. {lies}, and only the {half} half is kept, so {sort.the} would be cut away."


def _no_more(talk: Talk) -> Pair | None:
    """Of something in one half that it cannot take up more than that."""
    sort = _in_half(talk)
    if sort is None:
        return None
    lies = f"{sentence(sort.the)} lies wholly in the {space.half(sort.hull)} {_HALF}"
    return talk.say(_NO_MORE, the=sort.the), f"{lies} and so cannot take up more than that half."


def _pointed(talk: Talk) -> Pair | None:
    """In which direction one thing is from another."""
    alone = talk.draw.shuffled(talk.facts.alone()[:_FEW])
    for a in alone:
        for b in alone:
            how = space.relation(b.boxes, a.boxes) if a is not b else ""
            if how:
                where = f"{sentence(a.the)} is {PLACES[a.place]}. " if a.place else ""
                lies = f"{sentence(b.the)} is {RELATIONS[how]} {a.the}"
                answer = f"{where}{lies}, so the direction across the picture is {_WAYS[how]}."
                return talk.say(_POINTED, a=a.the, b=b.the), answer
    return None


def _closer(talk: Talk) -> Pair | None:
    """Which of two things is the nearer one to a third."""
    for c, a, b in permutations(talk.draw.some(talk.facts.alone()[:6], 4), 3):
        if space.nearer(a.hull, b.hull, c.hull):
            first, second = (a, b) if talk.draw.chance(50) else (b, a)
            return talk.say(_CLOSER, a=first.the, b=second.the, c=c.the), (
                f"Measured from middle to middle, {a.the} is less far from {c.the} than {b.the} is."
                f" So {c.the} is closer to {a.the}."
            )
    return None


def _sizes(talk: Talk) -> Pair | None:
    """Three things in order of their size in the picture."""
    chosen: list[Sort] = []
    for sort in talk.draw.shuffled(talk.facts.alone()[:_FEW]):
        area = space.area(sort.hull)
        others = [space.area(each.hull) for each in chosen]
        if len(chosen) < 3 and all(space.larger(area, each) or space.larger(each, area) for each in others):
            chosen.append(sort)
    if len(chosen) < 3:
        return None
    most, second, least = (sort.the for sort in sorted(chosen, key=lambda sort: -space.area(sort.hull)))
    return talk.say(_SIZES, those=_those(talk, chosen)), (
        f"{sentence(most)} takes up more of the picture than {second}, and {second} takes up more than"
        f" {least}. So {most} takes up the most and {least} the least."
    )


_MAKERS: tuple[Maker, ...] = (
    _order, _order, regions.in_order, _between, _kept, _no_more, _pointed, _closer, _sizes,
    uses.which, uses.which, sums.more, sums.more, sums.together, sums.left_over, sums.shared, sums.shared,
    sums.most, sums.half,
)  # fmt: skip
