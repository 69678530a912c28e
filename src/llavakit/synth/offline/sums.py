"""Questions that are answered by counting and reckoning."""

from llavakit.synth.offline import space
from llavakit.synth.offline.facts import Sort, listing
from llavakit.synth.offline.nouns import join, number, sentence
from llavakit.synth.offline.tables import names
from llavakit.synth.offline.talk import Pair, Talk

_MORE = (
    "Are there more {a} than {b} in the picture, and how do you know?",
    "Which are there more of, {a} or {b}, and by how many?",
    "How does the number of {a} compare with that of {b}?",
)  # fmt: skip
_TOGETHER = (
    "How many {a} and {b} are there altogether?",
    "If you counted the {a} and the {b} together, how many would that be?",
)
_LEFT_OVER = (
    "If {k} of {the} were taken away, how many would be left?",
    "Suppose {k} of {the} were not there: how many {many} would remain?",
)
_SHARED = (
    "Could every person in the picture have {a} to themselves?",
    "Are there enough {many} for each person to have one?",
    "If each person took one of the {many}, how would that come out?",
)
_MOST = ("Of {those}, which are there most of?", "Which are the most numerous: {these}?")
_HALF = (
    "Which half of the picture holds more of {the}, the left or the right?",
    "Are there more {many} in the left half of the picture or in the right half?",
)
_PART = "half of the picture"

# What a person may have one of.
_SHAREABLE = names("""
    chair cup fork knife spoon bowl apple orange banana donut sandwich carrot umbrella backpack surfboard kite
    skateboard snowboard bicycle laptop book toothbrush tie frisbee bottle plate glass mug hat motorcycle
    suitcase handbag wine_glass hot_dog cell_phone tennis_racket baseball_bat baseball_glove
""")


def more(talk: Talk) -> Pair | None:
    """Of which of two sorts there is more, and by how much."""
    two = _two(talk)
    if two is None:
        return None
    a, b = two
    question = talk.say(_MORE, a=a.noun.many, b=b.noun.many)
    if a.n == b.n:
        so = f"so there are as many {a.noun.many} as {b.noun.many}"
        return question, f"{_counts(a, b)} Both numbers are the same, {so}."
    few, many = sorted((a, b), key=lambda sort: sort.n)
    step = f"{sentence(number(many.n))} is {number(many.n - few.n)} more than {number(few.n)}"
    return question, f"{_counts(a, b)} {step}, so there are more {many.noun.many} than {few.noun.many}."


def together(talk: Talk) -> Pair | None:
    """How many two sorts are together."""
    two = _two(talk)
    if two is None:
        return None
    a, b = two
    total = number(a.n + b.n)
    question = talk.say(_TOGETHER, a=a.noun.many, b=b.noun.many)
    step = f"{sentence(number(a.n))} and {number(b.n)} make {total}"
    return question, f"{_counts(a, b)} {step}, so there are {total} of them altogether."


def left_over(talk: Talk) -> Pair | None:
    """How many would remain without some of them."""
    sort = talk.pick("left over", [sort for sort in talk.facts.counted() if sort.n > 1])
    if sort is None:
        return None
    k = 1 + talk.draw.below(min(sort.n - 1, 5))
    rest = sort.n - k
    question = talk.say(_LEFT_OVER, k=number(k), the=sort.the, many=sort.noun.many)
    step = f"{sentence(number(sort.n))} less {number(k)} is {number(rest)}"
    return question, (
        f"The picture shows {sort.noun.number(sort.n)}. {step}, so {sort.noun.number(rest)} would remain."
    )


def shared(talk: Talk) -> Pair | None:
    """Whether there is one for each person."""
    people = talk.facts.by_category.get("person")
    if people is None or not people.counted or people.n < 2:
        return None
    sort = talk.pick("shared", [sort for sort in talk.facts.counted() if sort.noun.one in _SHAREABLE])
    if sort is None:
        return None
    question = talk.say(_SHARED, a=sort.noun.a, many=sort.noun.many)
    rest = sort.n - people.n
    if not rest:
        end = "That is one for each person, with none left over."
    elif rest > 0:
        end = f"That is enough: if each person took one, {sort.noun.number(rest)} would be left over."
    else:
        end = f"That is not enough: {people.noun.number(-rest)} would have to go without."
    return question, f"{_counts(people, sort)} {end}"


def most(talk: Talk) -> Pair | None:
    """Of which of three sorts there is most."""
    counted = talk.draw.some(talk.facts.counted(), 3)
    if len(counted) < 3:
        return None
    first = max(counted, key=lambda sort: sort.n)
    if sum(sort.n == first.n for sort in counted) > 1:
        return None
    kinds = [sort.noun.many for sort in counted]
    question = talk.say(_MOST, those=join([f"the {kind}" for kind in kinds]), these=join(kinds, "or"))
    return question, (
        f"There {counted[0].are} {listing(counted)}. The largest of these numbers is {number(first.n)},"
        f" so the {first.noun.many} are the most numerous."
    )


def half(talk: Talk) -> Pair | None:
    """In which half there are more of a sort."""
    for sort in talk.draw.shuffled([sort for sort in talk.facts.counted() if sort.n > 1]):
        sides = [space.half(box) for box in sort.boxes]
        left, right = sides.count("left"), sides.count("right")
        if left + right < sort.n or left == right:
            continue
        here, there = ("left", "right") if left > right else ("right", "left")
        question = talk.say(_HALF, the=sort.the, many=sort.noun.many)
        fewer = min(left, right)
        if fewer:
            most_of = sort.n - fewer
            counts = f"{number(most_of)} are in the {here} {_PART} and {number(fewer)} in the {there}"
            answer = f"Of {sort.the}, {counts}"
        else:
            answer = f"{sentence(sort.all)} are in the {here} {_PART} and none in the {there}"
        return question, f"{answer} half, so the {here} half has more."
    return None


def _two(talk: Talk) -> tuple[Sort, Sort] | None:
    """Two counted sorts, of which one has several members."""
    counted = talk.facts.counted()
    several = [sort for sort in counted if sort.n > 1]
    if not several or len(counted) < 2:
        return None
    a = talk.draw.one(several)
    others = [sort for sort in several if sort is not a]
    if not others or talk.draw.chance(30):
        others = [sort for sort in counted if sort is not a]
    b = talk.draw.one(others)
    return (a, b) if talk.draw.chance(50) else (b, a)


def _counts(a: Sort, b: Sort) -> str:
    return f"There {a.are} {a.noun.number(a.n)} and {b.noun.number(b.n)} in the picture."
