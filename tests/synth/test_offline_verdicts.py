"""Whether all that a reply of the offline teacher says is true.

Reasons, denials, questions with yes and no, options, and what must be a caption's; the forms of plain
statements are in `test_offline_claims.py`.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from llavakit.synth.task import Task
from synth.test_offline_claims import (
    FORMS,
    KINDS,
    NOUN,
    NUM,
    NUMBERS,
    PLACE,
    RELATION,
    THING,
    World,
    form,
    in_half,
    is_at,
    is_nearer,
    is_related,
)

SIDE, HALF = "(left|right)", "(left|right|top|bottom)"
_LIES = rf"{THING} lies wholly in the {HALF} half of the picture"

# ---------------------------------------------------------------- steps of reasons


def things(text: str) -> list[str]:
    return [thing.lower() for thing in re.findall(THING, text, re.IGNORECASE)]


def nouns(text: str) -> list[str]:
    return re.findall(rf"\b{NOUN}\b", text.lower())


@form(rf"({NUM}) is ({NUM}) more than ({NUM}), so there are more ({NOUN}) than ({NOUN})")
def _(world: World, asked: str, m: str, more: str, n: str, a: str, b: str) -> bool:
    m_, more_, n_ = (NUMBERS[each.lower()] for each in (m, more, n))
    return m_ - n_ == more_ > 0 and (world.count(a), world.count(b)) == (m_, n_)


@form(rf"Both numbers are the same, so there are as many ({NOUN}) as ({NOUN})")
def _(world: World, asked: str, a: str, b: str) -> bool:
    return world.count(a) == world.count(b) is not None


@form(rf"({NUM}) and ({NUM}) make ({NUM}), so there are ({NUM}) of them altogether")
def _(world: World, asked: str, *said: str) -> bool:
    m, n, total, again = (NUMBERS[each.lower()] for each in said)
    return [world.count(noun) for noun in nouns(asked)] == [m, n] and m + n == total == again


@form(rf"({NUM}) less ({NUM}) is ({NUM}), so ({NUM}) ({NOUN}) would remain")
def _(world: World, asked: str, *said: str) -> bool:
    n, k, rest, again = (NUMBERS[each.lower()] for each in said[:4])
    taken = re.search(rf"\b({NUM}) of the", asked)
    return n - k == rest == again and world.count(said[4]) == n and bool(taken) and NUMBERS[taken[1]] == k


def per_person(world: World, asked: str) -> int | None:
    """How many more there are than people."""
    (noun,) = {
        world.category(each): each for each in nouns(asked) if world.category(each) != "person"
    }.values()
    people, count = world.count("person"), world.count(noun)
    return None if people is None or count is None else count - people


@form("That is one for each person, with none left over")
def _(world: World, asked: str) -> bool:
    return per_person(world, asked) == 0


@form(rf"That is enough: if each person took one, ({NUM}) {NOUN} would be left over")
def _(world: World, asked: str, rest: str) -> bool:
    return per_person(world, asked) == NUMBERS[rest] > 0


@form(rf"That is not enough: ({NUM}) (?:person|people) would have to go without")
def _(world: World, asked: str, rest: str) -> bool:
    return per_person(world, asked) == -NUMBERS[rest] < 0


@form(rf"The largest of these numbers is ({NUM}), so the ({NOUN}) are the most numerous")
def _(world: World, asked: str, most: str, noun: str) -> bool:
    others = {world.category(each): world.count(each) for each in nouns(asked)}
    first = others.pop(world.category(noun))
    return (
        first == NUMBERS[most]
        and len(others) == 2
        and all(n is not None and n < first for n in others.values())
    )


@form(
    rf"Of {THING}, ({NUM}) are in the {SIDE} half of the picture and ({NUM}) in the {SIDE} half, so the"
    rf" {SIDE} half has more"
)
def _(world: World, asked: str, all_: str, m: str, here: str, n: str, there: str, more: str) -> bool:
    boxes = world.the(all_)
    counts = [sum(in_half(box, half) for box in boxes) for half in (here, there)]
    return (
        counts == [NUMBERS[m], NUMBERS[n]]
        and sum(counts) == len(boxes)
        and counts[0] > counts[1]
        and more == here
    )


@form(
    rf"{THING} are in the {SIDE} half of the picture and none in the (?:left|right) half, so the {SIDE} half"
    " has more"
)
def _(world: World, asked: str, all_: str, here: str, more: str) -> bool:
    return all(in_half(box, here) for box in world.the(all_)) and more == here


@form(rf"{THING} is the furthest to the left(?: of the three)?, and {THING} is the furthest to the right")
def _(world: World, asked: str, a: str, b: str) -> bool:
    return is_related(world.one(a), "to the left of", world.one(b))


def _in_order(world: World, row: list[str]) -> bool:
    return len(row) > 2 and all(
        is_related(world.one(a), "to the left of", world.one(b)) for a, b in pairwise(row)
    )


@form(r"From left to right the order is therefore: (.*)", r"Going from left to right, you first meet (.*)")
def _(world: World, asked: str, row: str) -> bool:
    if things(asked) and set(things(asked)) != set(things(row)):
        return False
    known = re.fullmatch(rf"{THING}(?:, (?:then )?{THING})* and (?:finally )?{THING}", row, re.IGNORECASE)
    return bool(known) and _in_order(world, things(row))


@form(rf"That leaves {THING}, which is between them")
def _(world: World, asked: str, middle: str) -> bool:
    three = sorted(things(asked), key=lambda thing: sum(world.one(thing)[::2]))
    return three[1] == middle.lower() and _in_order(world, three)


@form(
    rf"{_LIES}, which is the half that is kept, so {THING} would"
    " still be there",
    rf"{_LIES}, and only the [a-z]+ half is kept, so {THING} would"
    " be cut away",
)
def _(world: World, asked: str, a: str, half: str, b: str) -> bool:
    return a.lower() == b.lower() and in_half(world.one(a), half)


@form(rf"{_LIES} and so cannot take up more than that half")
def _(world: World, asked: str, a: str, half: str) -> bool:
    return in_half(world.one(a), half)


@form(rf"Measured from middle to middle, {THING} is less far from {THING} than {THING} is")
def _(world: World, asked: str, a: str, to: str, b: str) -> bool:
    box = world.one(to)
    return is_nearer(world.one(a), world.one(b), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


@form(rf"So {THING} is closer to {THING}")
def _(world: World, asked: str, c: str, a: str) -> bool:
    other = next(thing for thing in things(asked) if thing not in (a.lower(), c.lower()))
    box = world.one(c)
    return is_nearer(world.one(a), world.one(other), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


# What things are for, by what the question asks.
USES = {
    "eaten": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
    "move about": "person bird cat dog horse sheep cow elephant bear zebra giraffe",
    "another place": "bicycle car motorcycle airplane bus train truck boat",
    "on wheels": "bicycle car motorcycle bus truck skateboard", "sit on": "chair couch bench",
    "electricity": "tv microwave toaster refrigerator laptop hair_drier cell_phone",
    "drink from": "cup wine_glass",
    "be carried in": "backpack handbag suitcase", "eat with": "fork knife spoon", "be read": "book",
    "the time": "clock", "the rain": "umbrella", "sleep in": "bed", "what to do": "traffic_light stop_sign",
    "sport": "frisbee skis snowboard sports_ball baseball_bat baseball_glove skateboard surfboard"
             " tennis_racket",
}  # fmt: skip
_NAMES = rf"((?:the {NOUN})(?:, the {NOUN})*(?: and the {NOUN})?)"
_DOES = (
    rf"(?:{_NAMES} (?:could|would|need|run|tell|is|are|does|do)[a-z ]*"
    rf"|(?:somebody|other things) [a-z ]*?(?:on|from|in|with) {_NAMES})"
)


@form(rf"Of these, {_DOES}, since {KINDS} [a-z ]+", rf"{KINDS} [a-z ]+, so {_DOES}")
def _(world: World, asked: str, *said: str) -> bool:
    names = [name for each in said if each for name in nouns(each)]
    (use,) = [fit for key, fit in USES.items() if key in asked]
    fit = {name.replace("_", " ") for name in use.split()}
    return all(world.category(name) in fit and world.here(world.category(name)) for name in names)


# ---------------------------------------------------------------- what is not there


@form(
    rf"there (?:is|are) no ({NOUN}) in the picture", rf"the picture does not show (?:any|an?) ({NOUN})",
    rf"I cannot see an? ({NOUN}) in the picture", rf"There are none: no ({NOUN}) can be seen in the picture",
)  # fmt: skip
def _(world: World, asked: str, noun: str) -> bool:
    category = world.category(noun)
    texts = [*world.scene.captions, *world.scene.mentions, *(region.phrase for region in world.scene.regions)]
    words = set(re.findall("[a-z]+", " ".join(texts).lower()))
    last = noun.lower().split()[-1]
    spoken = {last, f"{last}s", last.removesuffix("s"), last.removesuffix("es")} & words
    asked_for = [world.category(each) for each in nouns(asked)]
    return (
        world.scene.complete and category in world.task.absent and not world.here(category) and not spoken
        and category in asked_for
    )  # fmt: skip


# ---------------------------------------------------------------- questions with yes and no

Truth = Callable[..., bool | None]
_ALWAYS_YES = (
    "(?:Are there|Is there|Does the picture show) any (?:animals|vehicles|fruit|food|furniture|kitchen"
    " appliances)(?: in the picture)?"
)


def _compared(world: World, how: str, a: str, b: str) -> bool | None:
    m, n = world.count(a), world.count(b)
    if m is None or n is None:
        return None
    return {"more": m > n, "fewer": m < n, "same": m == n}[how]


def clearly(box: tuple[float, ...], place: str) -> bool | None:
    if is_at(box, place):
        return True
    words, x, y = place.lower(), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    away = {"left": x > 0.4, "right": x < 0.6, "top": y > 0.4, "bottom": y < 0.6}
    return False if any(word in words and gone for word, gone in away.items()) else None


QUESTIONS: list[tuple[str, Truth]] = [
    (_ALWAYS_YES, lambda world: True),
    (rf"(?:Is there|Are there|Can you see|Does the picture show) (?:an?|any) ({NOUN})(?: in the picture)?",
     lambda world, noun: world.here(world.category(noun))),
    (rf"Is {THING} {PLACE}", lambda world, thing, place: clearly(world.one(thing), place)),
    (rf"(?:Is|Are) {THING} {RELATION} {THING}", lambda world, a, how, b: all(
        is_related(one, how.lower(), other) for one in world.the(a) for other in world.the(b))),
    (rf"(?:Are there|Does the picture show) (more|fewer) ({NOUN}) than ({NOUN})(?: in the picture)?",
     _compared),
    (rf"Are there as many ({NOUN}) as ({NOUN}) in the picture",
     lambda world, a, b: _compared(world, "same", a, b)),
    (rf"Does the picture show the same number of ({NOUN}) and ({NOUN})",
     lambda world, a, b: _compared(world, "same", a, b)),
    (rf"If only the (\w+) half of the picture were kept, would {THING} still be in it",
     lambda world, half, thing: in_half(world.one(thing), half)),
    (rf"Suppose the picture were cut in two and the (\w+) half kept: would {THING} be part of it",
     lambda world, half, thing: in_half(world.one(thing), half)),
]  # fmt: skip
_QUESTIONS = [(re.compile(rf"{pattern}\?", re.IGNORECASE), truth) for pattern, truth in QUESTIONS]


def truth_of(world: World, question: str) -> bool | None:
    for pattern, truth in _QUESTIONS:
        found = pattern.fullmatch(question)
        if found:
            return truth(world, *found.groups())
    raise AssertionError(f"no known question: {question}")


# ---------------------------------------------------------------- what must be a caption's


def plain(text: str) -> list[str]:
    """Words, whatever was tidied: articles, doubled words, capitals."""
    words = ["a" if word == "an" else word for word in re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower())]
    return [word for i, word in enumerate(words) if i == 0 or word != words[i - 1]]


_LEADS = [plain(text) for text in (
    "", "The picture shows", "It shows", "In the picture, there is", "In the picture, there are", "I can see",
    "This is a picture of", "There is", "There are",
)]  # fmt: skip


def is_told(world: World, sentence: str) -> bool:
    """Whether a caption says this, alone, after a lead, or with its subject made definite."""
    words = plain(sentence)
    texts = [*world.scene.captions, *world.scene.mentions]
    captions = [plain(text) for text in texts]
    pieces = [plain(piece) for text in texts for piece in re.split(r"[.!]\s*", text)]
    for caption in (*captions, *pieces):
        for variant in (caption, ["a", *caption]):
            if caption and any(words == [*lead, *variant] for lead in _LEADS):
                return True
        verb = next((i for i, word in enumerate(words) if word in ("is", "are", "has", "have")), 0)
        who, rest = words[1:verb], words[verb + 1 :]
        if words[0] == "the" and who and rest and caption[-len(rest) :] == rest:
            before = [
                word for word in caption[: -len(rest)] if word not in ("is", "are", "that", "who", "with")
            ]
            numbers = ("a", "the", "one", "several", *NUMBERS)
            if (
                before[-len(who) :] == who
                and (before[0] in numbers or before == who)
                and len(before) < len(who) + 5
            ):
                return True
    return False


def agrees(world: World, caption: str) -> bool:
    """Whether the numbers that a caption gives are those of the boxes, where there are any."""
    told = re.findall(rf"\b({NUM}) ({NOUN})\b", caption.lower())
    counts = [(NUMBERS[n], world.count(noun)) for n, noun in told if world.here(world.category(noun))]
    return all(count in (None, n) or n == 1 for n, count in counts)


def faults(task: Task, question: str, answer: str) -> list[str]:
    """What of an answer is false, or of no known form."""
    world, found = World(task), []
    sign = re.match(r"(Yes|No)[.,] ", answer)
    if sign:
        truth = truth_of(world, question)
        if truth is not (sign[1] == "Yes"):
            found.append(f"{question} {sign[0]}: the boxes say {truth}")
        answer = answer[sign.end() :]
    for sentence in re.split(r"(?<=[.!]) (?=[A-Z])", answer.removeprefix("None. ")):
        try:
            checks = [
                check(world, question, *match.groups())
                for pattern, check in FORMS
                if (match := pattern.fullmatch(sentence))
            ]
        except (AssertionError, KeyError, ValueError, StopIteration) as error:
            checks = [False]
            sentence = f"{sentence} ({error!r})"
        if not any(checks) and not (is_told(world, sentence) and agrees(world, sentence)):
            found.append(f"{question} … {sentence}")
    return found
