"""What the offline teacher's sentences claim, read by other eyes.

Every sentence must be of a known form, and what it claims is computed from the boxes anew, with none of the
teacher's code. What is no such sentence must be a caption's (`test_offline_verdicts.py`).
"""

import re
from collections.abc import Callable, Sequence

from llavakit.synth.scene import Box
from llavakit.synth.task import Task

_COCO = """
person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|parking meter
bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|frisbee
skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|cup|fork
wine glass|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch
potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink
refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush"""
COCO = _COCO.strip().replace("\n", "|").split("|")
_PLURALS = {
    "person": "people", "bus": "buses", "bench": "benches", "sheep": "sheep", "knife": "knives",
    "couch": "couches",
    "wine glass": "wine glasses", "sandwich": "sandwiches", "mouse": "mice", "toothbrush": "toothbrushes",
}  # fmt: skip
_CALLED = {
    "dining table": ("table", "tables"), "sports ball": ("ball", "balls"), "tv": ("TV", "TVs"),
    "scissors": ("pair of scissors", "pairs of scissors"), "skis": ("skis", "skis"),
    "broccoli": ("broccoli", "broccoli"),
}  # fmt: skip
SINGULAR, PLURAL = {}, {}
for _name in COCO:
    _one, _many = _CALLED.get(_name, (_name, _PLURALS.get(_name, f"{_name}s")))
    SINGULAR[_one.lower()], PLURAL[_many.lower()] = _name, _name
PLURAL["scissors"] = "scissors"
_WORDS = """
no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty"""
NUMBERS = {word: n for n, word in enumerate(_WORDS.split())} | {str(n): n for n in range(21, 400)}


def _either(words: Sequence[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


NUM = f"(?:{_either([*NUMBERS])})"
NOUN = f"(?:{_either([*SINGULAR, *PLURAL])})"
THING = rf"((?:the|both|all)(?: {NUM})? {NOUN})"
KINDS = rf"((?:the )?{NOUN}(?:, (?:the )?{NOUN})*(?: (?:and|or) (?:the )?{NOUN})?)"
ITEM = rf"(?:an?|some|{NUM}|only one|just one) {NOUN}|skis"
LIST = rf"((?:{ITEM})(?:, (?:{ITEM}))*(?: and (?:{ITEM}))?)"
BE = "(?:is|are|can be seen|can be found)"
_PLACED = {
    "on the left": "left", "on the right": "right", "at the top": "top", "at the bottom": "bottom",
    "in the top left": "top left", "in the top right": "top right", "in the bottom left": "bottom left",
    "in the bottom right": "bottom right", "in the middle": "middle",
}  # fmt: skip
PLACE = rf"((?:{_either([*_PLACED])})(?: side| part)?(?: of the picture)?)"
RELATION = "(to the left of|to the right of|above|below)"


class World:
    """A task's boxes, looked up by what its things are called."""

    def __init__(self, task: Task) -> None:
        self.task, self.scene = task, task.scene
        self.boxes: dict[str, list[Box]] = {}
        for thing in task.scene.things:
            self.boxes.setdefault(thing.category, []).append(thing.box)

    def category(self, noun: str) -> str:
        return SINGULAR.get(noun.lower()) or PLURAL[noun.lower()]

    def here(self, category: str) -> bool:
        return category in self.boxes or category in self.scene.crowds

    def count(self, noun: str) -> int | None:
        """None where nobody can know."""
        category = self.category(noun)
        known = self.scene.complete and category not in self.scene.crowds
        return len(self.boxes.get(category, ())) if known else None

    def the(self, phrase: str) -> list[Box]:
        """What "the dog", "both dogs", "all three dogs" are: no more and no fewer."""
        phrase = phrase.lower()
        found = re.fullmatch(rf"(the|both|all)(?: ({NUM}))? ({NOUN})", phrase)
        assert found, phrase
        boxes = self.boxes[self.category(found[3])]
        assert self.category(found[3]) not in self.scene.crowds, phrase
        if found[1] == "the" and found[2] is None:
            assert len(boxes) == 1 and found[3] in SINGULAR, phrase
        else:
            wanted = 2 if found[1] == "both" else NUMBERS[found[2]]
            assert self.scene.complete and len(boxes) == wanted > 1, phrase
        return boxes

    def one(self, phrase: str) -> Box:
        (box,) = self.the(phrase)
        return box


# ---------------------------------------------------------------- truths, from the boxes


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def is_at(box: Box, place: str) -> bool:
    """
    Args:
        place: as `PLACE` finds it
    """
    words = _PLACED[re.sub(r"( side| part)?( of the picture)?$", "", place.lower())]
    x, y = _middle(box)
    truths = {
        "left": x < 1 / 3 and box[2] <= 0.5, "right": x > 2 / 3 and box[0] >= 0.5,
        "top": y < 1 / 3 and box[3] <= 0.5, "bottom": y > 2 / 3 and box[1] >= 0.5,
        "middle": abs(x - 0.5) < 0.1 and abs(y - 0.5) < 0.1 and max(box[2] - box[0], box[3] - box[1]) < 0.61,
    }  # fmt: skip
    return all(truths[word] for word in words.split())


def is_related(a: Box, relation: str, b: Box) -> bool:
    """The middles are clearly apart, and neither box reaches the other's middle."""
    (ax, ay), (bx, by) = _middle(a), _middle(b)
    return {
        "to the left of": ax < bx - 0.05 and a[2] <= bx and b[0] >= ax,
        "to the right of": ax > bx + 0.05 and a[0] >= bx and b[2] <= ax,
        "above": ay < by - 0.05 and a[3] <= by and b[1] >= ay,
        "below": ay > by + 0.05 and a[1] >= by and b[3] <= ay,
    }[relation]


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def to_edge(box: Box, edge: str) -> float:
    return {"left": box[0], "top": box[1], "right": 1 - box[2], "bottom": 1 - box[3]}[edge]


def far(a: Box, x: float, y: float, wide: float) -> float:
    ax, ay = _middle(a)
    return (wide * (ax - x)) ** 2 + (ay - y) ** 2


def is_nearer(a: Box, b: Box, x: float, y: float) -> bool:
    return all(1.2 * far(a, x, y, wide) < far(b, x, y, wide) for wide in (0.5, 0.75, 1, 1.33, 2))


def in_half(box: Box, half: str) -> bool:
    return {"left": box[2] < 0.5, "right": box[0] > 0.5, "top": box[3] < 0.5, "bottom": box[1] > 0.5}[half]


# ---------------------------------------------------------------- forms of sentences

Form = Callable[..., bool]
FORMS: list[tuple[re.Pattern[str], Form]] = []


def form(*patterns: str) -> Callable[[Form], Form]:
    def known(check: Form) -> Form:
        FORMS.extend((re.compile(rf"{pattern}\.", re.IGNORECASE), check) for pattern in patterns)
        return check

    return known


def listed(world: World, items: str) -> bool:
    """Each is there; "a" is one, a number is the number, "some" are several or no number."""
    for item in re.findall(ITEM, items.lower()):
        how, noun = re.fullmatch(rf"(an?|some|{NUM}|only one|just one|)\s?({NOUN})", item).groups()
        category = world.category(noun)
        n = len(world.boxes.get(category, ()))
        how = how.replace("only ", "").replace("just ", "")
        if not world.here(category):
            return False
        if how in ("a", "an"):
            if n != 1 or category in world.scene.crowds or noun not in SINGULAR:
                return False
        elif how in NUMBERS:
            if world.count(noun) != NUMBERS[how] or (noun in SINGULAR) is not (
                NUMBERS[how] == 1 or noun == "sheep"
            ):
                return False
        elif n == 1 and category not in world.scene.crowds and category not in ("skis", "broccoli"):
            return False
    return True


@form(
    r"(?:The picture(?: also)? shows|You can see|I can (?:see|make out)|It shows|I count|What it does show is"
    r"|In the picture, there (?:is|are)|There (?:is|are)(?: also)?|This is a picture with"
    r"|What can be seen instead is|Among the things to be seen (?:is|are)|Also in the picture (?:is|are)"
    r"|In all, there (?:is|are))"
    rf" {LIST}"
    r"(?: instead| in the picture| in total| to be seen)?",
    rf"(?:Beyond that, |Altogether, )?{LIST} can be seen(?: in the picture)?",
)
def _(world: World, asked: str, items: str) -> bool:
    return listed(world, items)


@form(rf"{THING} {BE} {PLACE}", rf"The ((?:larger|largest) of the {NUM} {NOUN}) is {PLACE}")
def _(world: World, asked: str, thing: str, place: str) -> bool:
    if "of the" in thing:
        boxes = sorted(world.the(thing.partition(" of ")[2]), key=area)
        return area(boxes[-1]) > 1.2 * area(boxes[-2]) and is_at(boxes[-1], place)
    return all(is_at(box, place) for box in world.the(thing))


@form(rf"(it|both|all of them) (?:is|are) {PLACE}")
def _(world: World, asked: str, thing: str, place: str) -> bool:
    boxes = world.boxes[world.category(re.findall(NOUN, asked.lower())[0])]
    return {"it": 1, "both": 2}.get(thing.lower(), len(boxes)) == len(boxes) and all(
        is_at(box, place) for box in boxes
    )


@form(
    rf"{THING} (?:is|are) {PLACE}, and {THING} (?:is|are) {PLACE}",
    rf"While {THING} (?:is|are) {PLACE}, {THING} (?:is|are) {PLACE}",
    rf"{THING} (?:is|are) {PLACE}; {THING} (?:is|are) {PLACE}",
)
def _(world: World, asked: str, a: str, here: str, b: str, there: str) -> bool:
    return all(is_at(box, here) for box in world.the(a)) and all(is_at(box, there) for box in world.the(b))


@form(rf"{THING} and {THING} are both {PLACE}")
def _(world: World, asked: str, a: str, b: str, place: str) -> bool:
    return is_at(world.one(a), place) and is_at(world.one(b), place)


def all_at(world: World, items: str, place: str) -> bool:
    """Single things, each of them there."""
    items = items.lower()
    boxes = [box for noun in re.findall(rf"an? ({NOUN})", items) for box in world.boxes[world.category(noun)]]
    placed = len(boxes) == len(re.findall(ITEM, items)) and all(is_at(box, place) for box in boxes)
    return listed(world, items) and placed


@form(rf"There (?:is|are) {LIST} {PLACE}")
def _(world: World, asked: str, items: str, place: str) -> bool:
    return all_at(world, items, place)


@form(rf"{PLACE}, there (?:is|are) {LIST}")
def _(world: World, asked: str, place: str, items: str) -> bool:
    return all_at(world, items, place)


@form(rf"{THING} (?:is|are) {RELATION} {THING}")
def _(world: World, asked: str, a: str, relation: str, b: str) -> bool:
    return all(is_related(one, relation.lower(), other) for one in world.the(a) for other in world.the(b))


@form(
    rf"{THING} is {RELATION} {THING}, so the direction across the picture is (to the \w+|upwards|downwards)"
)
def _(world: World, asked: str, a: str, relation: str, b: str, way: str) -> bool:
    ways = {
        "to the left of": "to the left",
        "to the right of": "to the right",
        "above": "upwards",
        "below": "downwards",
    }
    start, end = re.findall(THING, asked, re.IGNORECASE)
    right = ways[relation.lower()] == way and (start.lower(), end.lower()) == (b.lower(), a.lower())
    return right and is_related(world.one(a), relation.lower(), world.one(b))


@form(rf"{THING} takes up most of the picture", rf"Most of the picture is taken up by {THING}")
def _(world: World, asked: str, thing: str) -> bool:
    return area(world.one(thing)) > 0.5


@form(rf"{THING} takes up more of the picture than {THING}")
def _(world: World, asked: str, a: str, b: str) -> bool:
    return area(world.one(a)) > 1.2 * area(world.one(b))


@form(rf"{THING} takes up more of the picture than {THING}, and {THING} takes up more than {THING}")
def _(world: World, asked: str, a: str, b: str, c: str, d: str) -> bool:
    first, second, third = (area(world.one(thing)) for thing in (a, b, d))
    return b.lower() == c.lower() and first > 1.2 * second and second > 1.2 * third


@form(rf"So {THING} takes up the most and {THING} the least")
def _(world: World, asked: str, a: str, b: str) -> bool:
    areas = [area(world.one(thing)) for thing in re.findall(THING, asked, re.IGNORECASE)]
    return area(world.one(a)) == max(areas) and area(world.one(b)) == min(areas)


@form(rf"Of these, {THING} takes up the most of the picture")
def _(world: World, asked: str, thing: str) -> bool:
    others = [
        world.one(each) for each in re.findall(THING, asked, re.IGNORECASE) if each.lower() != thing.lower()
    ]
    return bool(others) and all(area(world.one(thing)) > 1.2 * area(box) for box in others)


@form(rf"{THING} is nearer to the (left|right|top|bottom) edge of the picture than {THING}")
def _(world: World, asked: str, a: str, edge: str, b: str) -> bool:
    return to_edge(world.one(a), edge) < to_edge(world.one(b), edge) - 0.05


@form(rf"{THING} is nearer to the middle of the picture than {THING}")
def _(world: World, asked: str, a: str, b: str) -> bool:
    return is_nearer(world.one(a), world.one(b), 0.5, 0.5)


@form(rf"Of these, {THING} is nearest to the (left|right|top|bottom) edge of the picture")
def _(world: World, asked: str, thing: str, edge: str) -> bool:
    others = [
        world.one(each) for each in re.findall(THING, asked, re.IGNORECASE) if each.lower() != thing.lower()
    ]
    return bool(others) and all(to_edge(world.one(thing), edge) < to_edge(box, edge) - 0.05 for box in others)


@form(
    rf"({NUM}) of {THING} (?:is|are) in the left half of the picture, and the other ({NUM}) (?:is|are) in the"
    " right half"
)
def _(world: World, asked: str, left: str, things: str, right: str) -> bool:
    boxes = world.the(things)
    counts = [sum(in_half(box, half) for box in boxes) for half in ("left", "right")]
    return counts == [NUMBERS[left.lower()], NUMBERS[right]] and sum(counts) == len(boxes)


@form(rf"there are (more|fewer|as many) ({NOUN}) (?:than|as) ({NOUN}): ({NUM}) ({NOUN}) and ({NUM}) ({NOUN})")
def _(world: World, asked: str, how: str, a: str, b: str, m: str, one: str, n: str, other: str) -> bool:
    counts = world.count(a), world.count(b)
    right = world.category(a) == world.category(one) and world.category(b) == world.category(other)
    truth = {
        "more": NUMBERS[m] > NUMBERS[n],
        "fewer": NUMBERS[m] < NUMBERS[n],
        "as many": NUMBERS[m] == NUMBERS[n],
    }
    return right and counts == (NUMBERS[m], NUMBERS[n]) and truth[how]
