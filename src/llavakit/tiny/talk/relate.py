"""Where things stand to each other, and how questions single a thing out.

Only asked where the scene leaves no doubt: of two things nearly level, nobody can say which is higher.
"""

import random
from collections.abc import Sequence

from llavakit.tiny.talk import claims
from llavakit.tiny.talk.question import Asked, Language, Question
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_compare import RELATED
from llavakit.tiny.talk.words import groups, having, join, named, phrase, said_colour, sentence, spoken
from llavakit.tiny.world.scene import Scene, Thing, in_reading_order, relation
from llavakit.tiny.world.things import KINDS, colour_of

ABSENT = 0.12  # share of questions about something that is not there
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_ZH_SIDE = {"left of": "左边", "right of": "右边", "above": "上面", "below": "下面"}
# Sorts of things that no place is painted with.
_LOOSE = ("animal", "fruit", "vegetable", "food", "vehicle", "instrument", "clothes", "toy", "sport", "tool")


def singled_out(scene: Scene) -> list[Thing]:
    """The things that a phrase points at alone."""
    return [thing for thing in scene.things if alone(scene, thing)]


def alone(scene: Scene, thing: Thing) -> bool:
    """Whether its kind, or its kind and colour, names it alone."""
    colour = said_colour(thing)
    return len(having(scene, thing.kind)) == 1 or (
        colour is not None
        and len(having(scene, thing.kind, colour)) == 1
        and all(colour_of(other) is not None for other in having(scene, thing.kind))
    )


def called(scene: Scene, thing: Thing, rng: random.Random, language: Language) -> tuple[str, str]:
    """What a question calls a thing that is singled out, and what the answer does."""
    if len(having(scene, thing.kind)) > 1 or rng.random() < 0.25:
        return phrase(thing, language), phrase(thing, language)
    name = named(thing.kind, language=language)
    return (name if language == "zh" else spoken(thing.kind, rng)[0]), name


def unlisted(scene: Scene) -> bool:
    """Whether the picture shows more than its things: a place's houses, writing, charts, clocks."""
    return bool(scene.theme or scene.writings or scene.charts or scene.clocks or scene.bays)


def elsewhere(scene: Scene, rng: random.Random) -> str:
    """A kind that is not there, of a sort that no place is painted with."""
    here = {thing.kind for thing in scene.things}
    return rng.choice([k.name for k in KINDS.values() if k.category in _LOOSE and k.name not in here])


def absence(kind: str, language: Language) -> str:
    return f"图里没有{KINDS[kind].zh}。" if language == "zh" else f"There is no {kind} in the picture."


def with_an_absent(
    scene: Scene, rng: random.Random, language: Language, sort: str, tables: Sequence[Sequence[str]]
) -> Asked | None:
    """A question about two things of which one is not there."""
    there = singled_out(scene)
    if not there:
        return None
    missing = elsewhere(scene, rng)
    here = called(scene, rng.choice(there), rng, language)[0]
    gone = KINDS[missing].zh if language == "zh" else missing
    a, b = rng.sample((here, gone), 2)
    text = worded(rng.choice(tables), rng, a=a, b=b)
    return Asked(Question(sort, text, absence(missing, language), f"no {missing}", language))


# ---------------------------------------------------------------- relations


def _side(side: str) -> str:
    return f"to the {side}" if side in ("left of", "right of") else side


def ask_relation(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    words = RELATED[language]
    if rng.random() < ABSENT:
        sides = [words[side] for side in _OPPOSITE]
        return with_an_absent(scene, rng, language, "relation", [*sides, words["where"]])
    there = singled_out(scene)
    ways = [_is_beside] * 3 + [_what_is_beside] * 3 + [_where_to] * 2 + [_which_further]
    for _ in range(10):
        if there and (asked := rng.choice(ways)(scene, there, rng, language)):
            return asked
    return None


def _pair(scene: Scene, there: list[Thing], rng: random.Random) -> tuple[Thing, Thing, str] | None:
    pairs = [
        (a, b, side) for a in there for b in there if a is not b and (side := relation(a, b, scene.aspect))
    ]
    return rng.choice(pairs) if pairs else None


def _is_beside(scene: Scene, there: list[Thing], rng: random.Random, language: Language) -> Asked | None:
    if (found := _pair(scene, there, rng)) is None:
        return None
    a, b, side = found
    (a_asked, a_said), (b_asked, b_said) = (called(scene, thing, rng, language) for thing in (a, b))
    true = rng.random() < 0.5
    text = worded(RELATED[language][side if true else _OPPOSITE[side]], rng, a=a_asked, b=b_asked)
    if language == "zh":
        answer = f"{'是的' if true else '不是'}，{a_said}在{b_said}的{_ZH_SIDE[side]}。"
    else:
        answer = f"{'Yes' if true else 'No'}, the {a_said} is {_side(side)} the {b_said}."
    return Asked(Question("relation", text, answer, "yes" if true else "no", language), (a,))


def _where_to(scene: Scene, there: list[Thing], rng: random.Random, language: Language) -> Asked | None:
    if (found := _pair(scene, there, rng)) is None:
        return None
    a, b, side = found
    (a_asked, a_said), (b_asked, b_said) = (called(scene, thing, rng, language) for thing in (a, b))
    text = worded(RELATED[language]["where"], rng, a=a_asked, b=b_asked)
    if language == "zh":
        answer = f"{a_said}在{b_said}的{_ZH_SIDE[side]}。"
    else:
        answer = f"The {a_said} is {_side(side)} the {b_said}."
    return Asked(Question("relation", text, answer, side, language), (a,))


def _which_further(scene: Scene, there: list[Thing], rng: random.Random, language: Language) -> Asked | None:
    if language == "zh" or (found := _pair(scene, there, rng)) is None:
        return None
    a, b, side = found
    (a_asked, a_said), (b_asked, _) = (called(scene, thing, rng, language) for thing in (a, b))
    first, second = rng.sample((a_asked, b_asked), 2)
    text = worded(RELATED["en"]["which " + side], rng, a=first, b=second)
    more = {"left of": "further left", "right of": "further right", "above": "higher", "below": "lower"}[side]
    return Asked(Question("relation", text, f"The {a_said} is {more}.", a_said), (a,))


def _offset(a: Thing, b: Thing, side: str, aspect: float) -> float:
    """How far `a` is on that side of `b`, in shorter sides of the picture."""
    across = (a.centre[0] - b.centre[0]) * max(aspect, 1.0)
    down = (a.centre[1] - b.centre[1]) / min(aspect, 1.0)
    return {"left of": -across, "right of": across, "above": -down, "below": down}[side]


def _beside(b: Thing, side: str, scene: Scene) -> list[Thing] | None:
    """What is on that side of `b`; None where something is halfway: the upper left is arguably left."""
    found = []
    for thing in in_reading_order(scene.things):
        if thing is b:
            continue
        if relation(thing, b, scene.aspect) == side:
            found.append(thing)
        elif _offset(thing, b, side, scene.aspect) > 0.1:
            return None
    return found


def _what_is_beside(scene: Scene, there: list[Thing], rng: random.Random, language: Language) -> Asked | None:
    if scene.bays or scene.writings or scene.charts or scene.clocks or len(scene.things) < 2:
        return None
    told = [(b, side, found) for b in there for side in _OPPOSITE
            if (found := _beside(b, side, scene)) is not None and len(found) <= 4]  # fmt: skip
    full = [option for option in told if option[2]]
    empty = [] if scene.theme else [option for option in told if not option[2]]
    if not full and (not empty or rng.random() < 0.93):
        return None
    b, side, found = rng.choice(empty if not full or (empty and rng.random() < 0.15) else full)
    asked, said = called(scene, b, rng, language)
    text = worded(RELATED[language]["what " + side], rng, b=asked)
    kept = groups(Scene(things=tuple(found)))
    truth = ", ".join(dict.fromkeys(thing.kind for thing in found)) or "nothing"
    if language == "zh":
        names = [phrase(things[0], "zh") for things in kept.values()]
        what = f"是{join(names, 'zh')}" if found else "什么也没有"
        answer = f"{said}的{_ZH_SIDE[side]}{what}。"
    else:
        names = [f"the {named(*key, plural=len(things) > 1)}" for key, things in kept.items()]
        subject = sentence(join(names)) if found else "Nothing"
        answer = f"{subject} {'are' if len(found) > 1 else 'is'} {_side(side)} the {said}."
    return Asked(Question("relation", text, answer, truth, language), tuple(found))


# ---------------------------------------------------------------- rules


def relation_rule(question: Question, reply: str) -> bool:
    if question.truth.startswith("no "):
        return absent_rule(question, reply)
    if question.truth in ("yes", "no"):
        if claims.polarity(reply) != question.truth:
            return False
        side = claims.of("relation", reply)
        return not side or side == claims.of("relation", question.answer)
    if question.truth in _OPPOSITE:
        return claims.of("relation", reply) == [question.truth]
    if question.answer.endswith(("left.", "right.", "higher.", "lower.")):
        return claims.of("kind", reply)[:1] == claims.of("kind", question.answer)[:1] and (
            claims.of("colour", reply)[:1] == claims.of("colour", question.answer)[:1]
        )
    return claims.agrees(question, reply, "kind")


def absent_rule(question: Question, reply: str) -> bool:
    """Says that what the truth names ("no cat") is missing."""
    missing = question.truth.removeprefix("no ")
    return claims.denies(reply) and claims.of("kind", reply)[:1] in ([missing], [])
