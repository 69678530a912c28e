"""How the drawn world is spoken of: captions, questions and their true answers, in plain British English.

Questions vary as people's do; an answer has one wording for one truth, so that a small decoder can learn
it. Everything said follows from the scene, never from its pixels; every choice comes from the caller's `rng`.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llavakit.tiny.things import COLOURS, KINDS, article
from llavakit.tiny.world import PLACES, Scene, Thing, place

QuestionKind = Literal["presence", "colour", "count", "where", "absent", "list", "describe", "which"]

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Question:
    """A question, its canonical answer, and the truth in a word: "yes" or "no"; a colour; a number word;
    a place; what is missing; the kinds present, joined by ", "; a thing or "nothing"."""

    kind: QuestionKind
    text: str
    answer: str
    truth: str


# ---------------------------------------------------------------- phrases


def phrase(thing: Thing) -> str:
    """As in "red car", "banana": a colour is said where it is a choice, not where it is the kind's own."""
    return _named(thing.kind, thing.colour)


def _named(kind: str, colour: str | None, plural: bool = False) -> str:
    noun = KINDS[kind].plural if plural else KINDS[kind].name
    return f"{colour} {noun}" if colour else noun


def _counted(kind: str, colour: str | None, count: int) -> str:
    """As in "a red car", "two red cars"."""
    if count == 1:
        return article(_named(kind, colour))
    return f"{NUMBERS[count]} {_named(kind, colour, plural=True)}"


def at(where: str) -> str:
    """As in "at the top left", "on the right", "in the middle"."""
    preposition = {"left": "on", "right": "on", "middle": "in"}.get(where, "at")
    return f"{preposition} the {where}"


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _groups(scene: Scene) -> dict[tuple[str, str | None], list[Thing]]:
    """Things that share a phrase, in the order in which the first of each is read."""
    groups: dict[tuple[str, str | None], list[Thing]] = {}
    for thing in scene.things:
        groups.setdefault((thing.kind, thing.colour), []).append(thing)
    return groups


def _summary(scene: Scene) -> str:
    """As in "two red cars, a banana and a blue star"."""
    return _join([_counted(*key, len(things)) for key, things in _groups(scene).items()])


def _where_everything_is(scene: Scene) -> str:
    """As in "The red cars are on the left and at the bottom, and the banana is in the middle"."""
    parts = []
    for (kind, colour), things in _groups(scene).items():
        spots = _join([at(spot) for spot in dict.fromkeys(map(place, things))])
        verb = "is" if len(things) == 1 else "are"
        parts.append(f"the {_named(kind, colour, plural=len(things) > 1)} {verb} {spots}")
    text = ", and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return text[0].upper() + text[1:]


# ---------------------------------------------------------------- statements


def caption(scene: Scene, rng: random.Random) -> str:
    """One line that names everything with its count and colour, sometimes with places."""
    if not scene.things:
        return rng.choice(("an empty picture", "a picture of nothing", "nothing but a background"))
    opening = rng.choice(("", "", "a picture of ", "a drawing of ", "an image with "))
    if rng.random() < 0.3:
        return opening + inventory(scene, rng)
    groups = list(_groups(scene).items())
    return opening + _join([_counted(*key, len(copies)) for key, copies in rng.sample(groups, len(groups))])


def aspects(scene: Scene, thing: Thing) -> tuple[str, str, str, str]:
    """What a thing is, where, among how many of its kind, and among how many just like it."""
    kin, twins = len(_having(scene, thing.kind, None)), len(_having(scene, thing.kind, thing.colour))
    return phrase(thing), at(place(thing)), f"one of {NUMBERS[kin]}", f"one of {NUMBERS[twins]} alike"


def inventory(scene: Scene, rng: random.Random) -> str:
    """Each thing by itself with its place, so that all a picture's answers follow from it: "a red car at
    the top left and a banana in the middle"; in reading order, or (a third) in any."""
    if not scene.things:
        return "an empty picture"
    things = rng.sample(scene.things, len(scene.things)) if rng.random() < 1 / 3 else scene.things
    return _join([f"{article(phrase(thing))} {at(place(thing))}" for thing in things])


def describe(scene: Scene, rng: random.Random) -> str:
    """What is there, then where it is."""
    if not scene.things:
        return "The picture is empty: there is only a background."
    if len(scene.things) == 1:
        only = scene.things[0]
        return f"The picture shows {article(phrase(only))} {at(place(only))}."
    opening = rng.choice(("The picture shows", "I see"))
    return f"{opening} {_summary(scene)}. {_where_everything_is(scene)}."


# ---------------------------------------------------------------- questions

# What one asks, with the thing it singles out (None: none, or several): "it" in the next question.
_Asked = tuple[Question, Thing | None]

_PICTURE = ("picture",) * 5 + ("image",) * 3 + ("photo", "drawing", "scene")
_ABRUPT = 0.12  # share of yes-or-no, colour and count questions that ask for a single word

_WORDINGS: dict[str, tuple[str, ...]] = {
    "presence": (
        "Is there {a}?", "Is there {a} in the {pic}?", "Do you see {a}?", "Can you see {a} in the {pic}?",
        "Does the {pic} show {a}?", "Does this {pic} have {a}?", "Can you spot {a}?",
        "Are there any {s}?", "Are there any {s} in the {pic}?", "Do you see any {s}?",
        "Do you see any {s} in the {pic}?", "Can you see any {s}?",
    ),
    "presence, abrupt": (
        "Is there {a}? Answer yes or no.", "Yes or no: is there {a}?", "Is there {a}? Answer in one word.",
        "Are there any {s}? Yes or no?",
    ),
    "colour": (
        "What colour is the {n}?", "What colour is the {n} in the {pic}?", "What is the colour of the {n}?",
        "Which colour is the {n}?", "Tell me the colour of the {n}.", "What colour does the {n} have?",
        "The {n} is what colour?", "Can you tell me what colour the {n} is?", "And the colour of the {n}?",
    ),
    "colour, abrupt": (
        "What colour is the {n}? Answer in one word.", "What colour is the {n}? Just one word.",
        "In one word, what colour is the {n}?",
    ),
    "colours": (
        "What colour are the {s}?", "What colour are the {s} in the {pic}?", "What is the colour of the {s}?",
        "Which colour are the {s}?", "Tell me the colour of the {s}.",
    ),
    "count": (
        "How many {s} are there?", "How many {s} are in the {pic}?", "How many {s} do you see?",
        "How many {s} can you see in the {pic}?", "How many {s} does the {pic} show?", "Count the {s}.",
        "Can you count the {s}?", "What is the number of {s}?", "Tell me how many {s} there are.",
        "How many {s}?",
    ),
    "count, abrupt": (
        "How many {s} are there? Answer in one word.", "How many {s} are there? Just the number.",
        "In one word, how many {s} are there?",
    ),
    "where": (
        "Where is the {n}?", "Where is the {n} in the {pic}?", "Where in the {pic} is the {n}?",
        "In which part of the {pic} is the {n}?", "What is the position of the {n}?",
        "Where can I find the {n}?", "Where do you see the {n}?", "Tell me where the {n} is.",
        "Can you tell me where the {n} is?", "Where's the {n}?",
    ),
    "wheres": (
        "Where are the {s}?", "Where are the {s} in the {pic}?", "Where in the {pic} are the {s}?",
        "Where can I find the {s}?", "Where do you see the {s}?", "Tell me where the {s} are.",
    ),
    "list": (
        "What is in the {pic}?", "What's in the {pic}?", "What is in this {pic}?", "What do you see?",
        "What can you see in the {pic}?", "What does the {pic} show?", "List the things in the {pic}.",
        "Name everything in the {pic}.", "What things are there?", "Which objects are in the {pic}?",
        "Tell me what you see.", "What is this?",
    ),
    "describe": (
        "Describe the {pic}.", "Please describe the {pic}.", "Can you describe the {pic}?",
        "Describe this {pic} in detail.", "Describe what you see.", "Tell me about the {pic}.",
        "Give me a description of the {pic}.", "What is going on in the {pic}?",
        "Describe what is in the {pic} and where it is.", "Tell me everything about this {pic}.",
    ),
    "which": (
        "What is {at}?", "What is {at} of the {pic}?", "What's {at}?", "What do you see {at}?",
        "What can you see {at} of the {pic}?", "Which thing is {at}?", "What thing is {at} of the {pic}?",
        "Is there anything {at}?", "Tell me what is {at}.", "Name the thing {at}.",
    ),
    "colour of it": (
        "What colour is it?", "And what colour is it?", "Which colour is it?", "What is its colour?",
    ),
    "place of it": ("Where is it?", "And where is it?", "Where is it in the {pic}?", "Where can I find it?"),
}  # fmt: skip


def _worded(wording: str, rng: random.Random, **words: str) -> str:
    """A question as somebody might type it: one in seven without capitals, some without the mark."""
    text = rng.choice(_WORDINGS[wording]).format(pic=rng.choice(_PICTURE), **words)
    if rng.random() < 0.3:
        text = text.replace("colour", "color")
    if rng.random() < 0.15:
        text = text.lower()
    return text.rstrip("?.") if rng.random() < 0.12 else text


def _absent_kind(scene: Scene, rng: random.Random, coloured: bool = False) -> str:
    """A kind that is not there; half the time akin to one that is."""
    here = {thing.kind for thing in scene.things}
    away = [k.name for k in KINDS.values() if k.name not in here and (k.tintable or k.colour or not coloured)]
    families = {KINDS[name].category for name in here}
    akin = [name for name in away if KINDS[name].category in families]
    return rng.choice(akin if akin and rng.random() < 0.5 else away)


def _absent_colour(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    """A kind that is there in a colour that it is not there in."""
    kinds = list(dict.fromkeys(thing.kind for thing in scene.things if thing.colour))
    if not kinds:
        return None
    kind = rng.choice(kinds)
    worn = {thing.colour for thing in scene.things if thing.kind == kind}
    return kind, rng.choice([colour for colour in COLOURS if colour not in worn])


def _absent(scene: Scene, rng: random.Random) -> tuple[str, str | None]:
    """What is not there: in a quarter the right kind in a wrong colour, else another kind."""
    recoloured = _absent_colour(scene, rng)
    if recoloured and rng.random() < 0.3:
        return recoloured
    kind = _absent_kind(scene, rng)
    return kind, rng.choice(list(COLOURS)) if KINDS[kind].tintable and rng.random() < 0.3 else None


def _having(scene: Scene, kind: str, colour: str | None) -> list[Thing]:
    return [t for t in scene.things if t.kind == kind and colour in (None, t.colour)]


def _mention(scene: Scene, rng: random.Random, share: float = 0.5) -> tuple[str, str | None]:
    """Something that is there, named with its colour in `share` of the cases that allow it."""
    kind = rng.choice(list(dict.fromkeys(thing.kind for thing in scene.things)))
    thing = rng.choice(_having(scene, kind, None))
    return kind, thing.colour if rng.random() < share else None


def _presence(scene: Scene, rng: random.Random) -> _Asked | None:
    yes = bool(scene.things) and rng.random() < 0.54  # an empty scene only has noes
    kind, colour = _mention(scene, rng) if yes else _absent(scene, rng)
    found = _having(scene, kind, colour)
    abrupt = rng.random() < _ABRUPT
    text = _worded("presence, abrupt" if abrupt else "presence", rng,
                   a=article(_named(kind, colour)), s=_named(kind, colour, plural=True))  # fmt: skip
    if abrupt:
        answer = "Yes" if yes else "No"
    elif not yes:
        answer = f"No, there is no {_named(kind, colour)} in the picture."
    elif len(found) == 1:
        answer = f"Yes, there is {article(phrase(found[0]))} {at(place(found[0]))}."
    else:
        shared = found[0].colour if len({thing.colour for thing in found}) == 1 else None
        answer = f"Yes, there are {_counted(kind, shared, len(found))} in the picture."
    return Question("presence", text, answer, "yes" if yes else "no"), found[0] if len(found) == 1 else None


def _colour_word(thing: Thing) -> str | None:
    return thing.colour or KINDS[thing.kind].colour


def _colour(scene: Scene, rng: random.Random) -> _Asked | None:
    """Of a kind whose copies all have one colour; a painted thing rather than a naturally coloured one."""
    kinds: dict[str, set[str | None]] = {}
    for thing in scene.things:
        kinds.setdefault(thing.kind, set()).add(_colour_word(thing))
    plain = [kind for kind, words in kinds.items() if len(words) == 1 and None not in words]
    painted = [kind for kind in plain if KINDS[kind].tintable]
    if not plain:
        return None
    kind = rng.choice(painted if painted and rng.random() < 0.85 else plain)
    (colour,) = kinds[kind]
    assert colour is not None
    found = _having(scene, kind, None)
    if len(found) > 1:
        text = _worded("colours", rng, s=KINDS[kind].plural)
        return Question("colour", text, f"The {KINDS[kind].plural} are {colour}.", colour), None
    if rng.random() < _ABRUPT and colour in COLOURS:
        text = _worded("colour, abrupt", rng, n=kind)
        return Question("colour", text, colour.capitalize(), colour), found[0]
    text = _worded("colour", rng, n=kind)
    return Question("colour", text, f"The {kind} is {colour}.", colour), found[0]


# How often a count is asked for where a scene offers it: scenes offer ones far more than fours.
_COUNT_WEIGHT = {0: 0.22, 1: 0.40, 2: 1.5, 3: 2.0, 4: 2.2}


def _count(scene: Scene, rng: random.Random) -> _Asked | None:
    if rng.random() < 0.1:
        total = len(scene.things)
        noun = rng.choice(("things", "objects"))
        return _counting(noun[:-1], noun, total, rng), scene.things[0] if total == 1 else None
    offers: dict[int, list[tuple[str, str | None]]] = {0: [_absent(scene, rng)]}
    for kind, colour in {(t.kind, colour): None for t in scene.things for colour in (None, t.colour)}:
        offers.setdefault(len(_having(scene, kind, colour)), []).append((kind, colour))
    (count,) = rng.choices(list(offers), [_COUNT_WEIGHT[min(count, 4)] for count in offers])
    kind, colour = rng.choice(offers[count])
    question = _counting(_named(kind, colour), _named(kind, colour, plural=True), count, rng)
    return question, _having(scene, kind, colour)[0] if count == 1 else None


def _counting(singular: str, plural: str, count: int, rng: random.Random) -> Question:
    truth = NUMBERS[count]
    if rng.random() < _ABRUPT:
        return Question("count", _worded("count, abrupt", rng, s=plural), truth.capitalize(), truth)
    amount = "is one" if count == 1 else f"are {truth if count else 'no'}"
    answer = f"There {amount} {singular if count == 1 else plural} in the picture."
    return Question("count", _worded("count", rng, s=plural), answer, truth)


def _where(scene: Scene, rng: random.Random) -> _Asked | None:
    if not scene.things:
        return None
    kind, colour = _mention(scene, rng, share=0.3)
    found = _having(scene, kind, colour)
    if len(found) > 1 and rng.random() < 0.75:  # rather a thing that is alone in its colour, if there is one
        alone = [key for key, things in _groups(scene).items() if len(things) == 1]
        kind, colour = rng.choice(alone) if alone else (kind, colour)
        found = _having(scene, kind, colour)
    spots = list(dict.fromkeys(map(place, found)))
    everywhere = _join([at(spot) for spot in spots])
    if len(found) > 1:
        name = _named(kind, colour, plural=True)
        text = _worded("wheres", rng, s=name)
        return Question("where", text, f"The {name} are {everywhere}.", ", ".join(spots)), None
    if len(_having(scene, kind, None)) == 1 and rng.random() < 0.7:
        colour = None
    name = _named(kind, colour)
    text = _worded("where", rng, n=name)
    return Question("where", text, f"The {name} is {everywhere}.", spots[0]), found[0]


def _missing(scene: Scene, rng: random.Random) -> _Asked | None:
    """The colour or the place of what is not there. Only kinds that do have a colour are asked for it:
    else "What colour is the rainbow?" would always mean that there is none."""
    if rng.random() < 0.5:
        kind = _absent_kind(scene, rng, coloured=True)
        text = _worded("colour", rng, n=kind)
        return Question("absent", text, f"There is no {kind} in the picture.", kind), None
    kind, colour = _absent(scene, rng)
    name = _named(kind, colour)
    text = _worded("where", rng, n=name)
    return Question("absent", text, f"There is no {name} in the picture.", name), None


def _list(scene: Scene, rng: random.Random) -> _Asked | None:
    answer = f"I see {_summary(scene)}." if scene.things else "I see nothing: the picture is empty."
    return Question("list", _worded("list", rng), answer, _kinds_in(scene)), _only(scene)


def _describe(scene: Scene, rng: random.Random) -> _Asked | None:
    text = _worded("describe", rng)
    return Question("describe", text, describe(scene, rng), _kinds_in(scene)), _only(scene)


def _kinds_in(scene: Scene) -> str:
    return ", ".join(dict.fromkeys(thing.kind for thing in scene.things)) or "nothing"


def _only(scene: Scene) -> Thing | None:
    return scene.things[0] if len(scene.things) == 1 else None


def _which(scene: Scene, rng: random.Random) -> _Asked | None:
    """What is at a place: where one thing has its middle, or (a fifth) where nothing reaches."""
    alone: dict[str, Thing] = {}
    bare: list[str] = []
    for (row, column), spot in PLACES.items():
        inside = [thing for thing in scene.things if place(thing) == spot]
        reach = max((_share(t, row, column) for t in scene.things if t not in inside), default=0.0)
        if len(inside) == 1 and reach < 0.25:
            alone[spot] = inside[0]
        if not inside and reach < 0.05:
            bare.append(spot)
    if bare and (rng.random() < 0.2 or not alone):
        spot = rng.choice(bare)
        answer, truth, thing = f"There is nothing {at(spot)}.", "nothing", None
    elif alone:
        spot, thing = rng.choice(list(alone.items()))
        answer, truth = f"There is {article(phrase(thing))} {at(spot)}.", phrase(thing)
    else:
        return None
    return Question("which", _worded("which", rng, at=at(spot)), answer, truth), thing


def _share(thing: Thing, row: int, column: int) -> float:
    """What part of a ninth of the picture the thing's box covers."""
    x0, y0, x1, y1 = thing.box
    width = min(x1, (column + 1) / 3) - max(x0, column / 3)
    height = min(y1, (row + 1) / 3) - max(y0, row / 3)
    return 9 * max(0.0, width) * max(0.0, height)


_ASK: dict[QuestionKind, Callable[[Scene, random.Random], _Asked | None]] = {
    "presence": _presence, "colour": _colour, "count": _count, "where": _where, "absent": _missing,
    "list": _list, "describe": _describe, "which": _which,
}  # fmt: skip
Mixture = dict[QuestionKind, float]
EVERYTHING: Mixture = {
    "presence": 0.22, "colour": 0.15, "count": 0.22, "where": 0.14, "absent": 0.07,
    "list": 0.06, "describe": 0.05, "which": 0.08,
}  # fmt: skip
# Taking for granted what a question names is learned easily and unlearned late: ask more often for the
# colour and the place of what is not there, and as often of what is.
DOUBT: Mixture = {
    "presence": 0.20, "colour": 0.13, "count": 0.13, "where": 0.16, "absent": 0.25,
    "list": 0.04, "describe": 0.03, "which": 0.06,
}  # fmt: skip


def ask(scene: Scene, rng: random.Random, kind: QuestionKind | None = None) -> Question:
    """A question about the scene with its true answer; of another kind where the scene cannot support
    `kind` (there is no colour to ask for in an empty picture)."""
    return _ask(scene, rng, kind)[0]


def _ask(
    scene: Scene, rng: random.Random, kind: QuestionKind | None = None, mixture: Mixture = EVERYTHING
) -> _Asked:
    while True:
        chosen = kind or rng.choices(list(mixture), list(mixture.values()))[0]
        asked = _ASK[chosen](scene, rng)
        if asked:
            return asked
        kind = None


def conversation(
    scene: Scene, rng: random.Random, turns: int, mixture: Mixture = EVERYTHING
) -> list[Question]:
    """Questions about one picture, none asked twice; some ask on about "it", the thing just spoken of."""
    said: list[Question] = []
    it: Thing | None = None
    while len(said) < turns:
        for _ in range(8):  # an empty picture soon has nothing new to tell: then a repetition will do
            follow = _follow_up(said[-1], it, rng) if said and it and rng.random() < 0.45 else None
            question, thing = (follow, it) if follow else _ask(scene, rng, mixture=mixture)
            if not any(_same(question, old) for old in said):
                break
        said.append(question)
        it = thing
    return said


def _same(a: Question, b: Question) -> bool:
    if a.answer == b.answer and " " in a.answer:
        return True
    return a.text.lower().rstrip("?.") == b.text.lower().rstrip("?.")


def _follow_up(last: Question, it: Thing, rng: random.Random) -> Question | None:
    """What colour it is, or where: whichever was not just asked."""
    colour = _colour_word(it)
    kinds = [k for k in ("colour", "where") if k != last.kind and (k == "where" or colour)]
    if last.kind == "which" and "where" in kinds:
        kinds.remove("where")
    if not kinds:
        return None
    if rng.choice(kinds) == "colour" and colour:
        return Question("colour", _worded("colour of it", rng), f"It is {colour}.", colour)
    return Question("where", _worded("place of it", rng), f"It is {at(place(it))}.", place(it))


# ---------------------------------------------------------------- marking

_COLOUR_WORDS = {*COLOURS, "white", "grey", "brown"}
_SPELLINGS = {"gray": "grey", "violet": "purple", "upper": "top", "lower": "bottom"}
_SPELLINGS |= {"center": "middle", "centre": "middle"}
_NOUNS = {noun: kind.name for kind in KINDS.values() for noun in (kind.name, kind.plural)}
_NOUN = re.compile(rf"\b({'|'.join(_NOUNS)})\b")
_NO = re.compile(r"\b(no|none|nothing|empty)\b|(\bnot|n't) (\w+ )?(see|find|a|an|any|there|in|one|visible)\b")
_SEEN = re.compile(r"\bthere (is|are)\b|\bi (can )?see\b")
_SPOT = re.compile(r"\b(?:(top|bottom) (left|right)|(top|bottom|left|right|middle))\b")


def correct(question: Question, reply: str) -> bool:
    """Whether a reply, in whatever words, says what is true. One that hedges ("red or blue") does not."""
    words = re.findall(r"[a-z']+|\d+", reply.lower().replace("’", "'"))
    words = [_SPELLINGS.get(word, word) for word in words]
    text = " ".join(words)
    kinds = _spoken_kinds(text)
    colours = _COLOUR_WORDS.intersection(words)
    denied = bool(_NO.search(text))
    truth = question.truth
    match question.kind:
        case "presence":
            return _polarity(words, text, denied) == truth
        case "colour":
            return colours == _COLOUR_WORDS.intersection(truth.split())
        case "count":
            return (_numbers(words) or {"zero" if denied else ""}) == {truth}
        case "where":
            return _places(text, several=", " in truth) == set(truth.split(", "))
        case "absent":
            return denied and kinds <= _spoken_kinds(truth)
        case "list" | "describe":
            return kinds == _spoken_kinds(truth) and (bool(kinds) or denied)
        case "which":
            own = {word for kind in kinds for word in (KINDS[kind].colour or "").split()}
            if truth == "nothing":
                return denied and not kinds
            return kinds == _spoken_kinds(truth) and colours <= {*truth.split(), *own} and not denied


def _spoken_kinds(text: str) -> set[str]:
    return {_NOUNS[noun] for noun in _NOUN.findall(text)}


def _polarity(words: list[str], text: str, denied: bool) -> str | None:
    if words and words[0] in ("yes", "yeah", "yep"):
        return "yes"
    if denied or (words and words[0] == "nope"):
        return "no"
    return "yes" if _SEEN.search(text) else None


def _numbers(words: list[str]) -> set[str]:
    """The numbers said, as words; a number beyond `NUMBERS` stays in digits."""
    numbers = {str(value): word for value, word in enumerate(NUMBERS)}
    return {numbers.get(word, word) for word in words if word in NUMBERS or word.isdigit()}


def _places(text: str, several: bool) -> set[str]:
    """The places named; where one is asked for, single words make one ("on the left, at the top")."""
    spots = {" ".join(part for part in match if part) for match in _SPOT.findall(text)}
    if several or any(" " in spot for spot in spots) or re.search(r"\band (at|in|on)\b", text):
        return spots
    if spots != {"middle"}:
        spots.discard("middle")  # "at the top, in the middle" is the top
    return {" ".join(sorted(spots, key=("top", "bottom", "middle", "left", "right").index))}


# ---------------------------------------------------------------- small talk

SMALL_TALK: list[tuple[str, str]] = [
    ("Hello!", "Hello! Show me a picture and ask me about it."),
    ("Hi", "Hello! Show me a picture and ask me about it."),
    ("Good morning", "Good morning! Show me a picture and ask me about it."),
    ("Who are you?", "I am llavakit's tiny model. I can talk about simple drawn scenes."),
    ("What is your name?", "I am llavakit's tiny model."),
    ("What are you?", "I am llavakit's tiny model, a small vision assistant trained on drawn scenes."),
    ("What can you do?", "I can tell what is in a simple drawing: things, colours, counts and places."),
    ("What can I ask you?", "Ask me what is in the picture, how many there are, what colour, or where."),
    ("Can you help me?", "Yes. Ask me what is in the picture, how many there are, what colour, or where."),
    ("Do you understand photos?", "No, I only know simple drawn scenes. A larger model understands photos."),
    ("How are you?", "I am well, thank you. Shall we look at a picture?"),
    ("Thank you", "You are welcome."),
    ("Thanks!", "You are welcome."),
    ("Goodbye", "Goodbye!"),
]
