"""Questions that set things side by side: relations, more or fewer, bigger or smaller, the same colour.

Only asked where the scene leaves no doubt.
"""

import random
from collections.abc import Sequence

from llavakit.tiny.talk import claims
from llavakit.tiny.talk.question import Asked, Language, Maker, Question, Rule
from llavakit.tiny.talk.relate import (
    ABSENT,
    absent_rule,
    alone,
    ask_relation,
    called,
    elsewhere,
    relation_rule,
    singled_out,
    unlisted,
    with_an_absent,
)
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_compare import COLOURED, SIZED, TALLIED
from llavakit.tiny.talk.words import counted, having, join, members, number, phrase, sentence, spoken
from llavakit.tiny.world.scene import Scene, Thing, area
from llavakit.tiny.world.things import CATEGORIES, COLOURS, KINDS, colour_of

_BIGGER = 1.4  # times the area: less than this is hard to see
# Categories whose members nobody would dispute, and that can be counted in the plural.
_COUNTED = ("animal", "vehicle", "fruit", "vegetable", "instrument", "tool")


# ---------------------------------------------------------------- more or fewer


def _tally(n: int, singular: str, plural: str) -> str:
    return f"{'no' if n == 0 else number(n)} {singular if n == 1 else plural}"


def _more_fewer(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    kinds = list(dict.fromkeys(thing.kind for thing in scene.things))
    if not kinds:
        return None
    if language == "en" and rng.random() < 0.2:
        pool = {
            key: (len(members(scene, key)), key, CATEGORIES[key][0], CATEGORIES[key][0]) for key in _COUNTED
        }
        here = [key for key, (n, *_) in pool.items() if n]
        if not here:
            return None
        away = [key for key in pool if key not in here]
    else:
        away = [elsewhere(scene, rng)]
        pool = {
            kind: (len(having(scene, kind)), kind, KINDS[kind].plural, spoken(kind, rng)[1])
            for kind in kinds + away
        }
        here = kinds
    if len(here) > 1 and rng.random() < 0.88:
        keys = rng.sample(here, 2)
    else:
        keys = rng.sample([rng.choice(here), rng.choice(away)], 2)
    (m, *first), (n, *second) = (pool[key] for key in keys)
    order = "more" if m > n else "fewer" if m < n else "equal"
    if language == "zh":
        return _zh_more(keys, (m, n), rng)
    form = rng.choice((order, "more", "fewer", "equal", "which more", "which more", "which fewer"))
    text = worded(TALLIED["en"][form], rng, s=first[2], t=second[2])
    counts = [_tally(m, *first[:2]), _tally(n, *second[:2])]
    subject = first[1]
    if form.startswith("which ") and order not in ("equal", form[6:]):
        subject, order, counts = second[1], form[6:], counts[::-1]
    if order == "equal":
        fact = f"there are as many {first[1]} as {second[1]}: {join(counts)}."
    else:
        fact = f"there are {order} {subject}: {join(counts)}."
    if form.startswith("which "):
        return Asked(Question("more_fewer", text, sentence(fact), "equal" if order == "equal" else subject))
    answer = f"{'Yes' if form == order else 'No'}, {fact}"
    return Asked(Question("more_fewer", text, answer, "yes" if form == order else "no"))


def _zh_more(keys: Sequence[str], counts: tuple[int, int], rng: random.Random) -> Asked:
    (a, b), (m, n) = (KINDS[key] for key in keys), counts
    form = rng.choice(("more", "which more"))
    text = worded(TALLIED["zh"][form], rng, a=a.zh, b=b.zh)
    sums = [_zh_tally(m, a.measure, a.zh), _zh_tally(n, b.measure, b.zh)]
    if m == n:
        fact = f"{a.zh}和{b.zh}一样多：{'，'.join(sums)}。"
    elif m > n or form == "more":
        fact = f"{a.zh}更{'多' if m > n else '少'}：{'，'.join(sums)}。"
    else:
        fact = f"{b.zh}更多：{'，'.join(sums[::-1])}。"
    if form == "more":
        truth = "yes" if m > n else "no"
        return Asked(Question("more_fewer", text, f"{'是的' if m > n else '不是'}，{fact}", truth, "zh"))
    truth = "equal" if m == n else keys[0] if m > n else keys[1]
    return Asked(Question("more_fewer", text, fact, truth, "zh"))


def _zh_tally(n: int, measure: str, noun: str) -> str:
    return f"没有{noun}" if n == 0 else f"{'两' if n == 2 else number(n, 'zh')}{measure}{noun}"


# ---------------------------------------------------------------- bigger or smaller


def _largest(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    words = SIZED[language]
    if rng.random() < ABSENT:
        return with_an_absent(scene, rng, language, "largest", [words["bigger"], words["smaller"]])
    for _ in range(4):
        asked = rng.choice((_extreme, _is_bigger))(scene, rng, language)
        if asked:
            return asked
    return None


def _extreme(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    big = rng.random() < 0.6
    family = None
    things: Sequence[Thing] = scene.things
    if language == "en" and rng.random() < 0.3:
        families = [key for key in _COUNTED if len(members(scene, key)) > 1]
        if not families:
            return None
        family = rng.choice(families)
        things = members(scene, family)
    if len(things) < 2 or (family is None and unlisted(scene)):
        return None
    first, second = sorted(things, key=_seen_area, reverse=big)[:2]
    if not _plainly_bigger(*((first, second) if big else (second, first))) or not alone(scene, first):
        return None
    size, said = "biggest" if big else "smallest", phrase(first, language)
    if language == "zh":
        text = worded(SIZED["zh"][size], rng)
        return Asked(
            Question("largest", text, f"最{'大' if big else '小'}的是{said}。", first.kind, "zh"), (first,)
        )
    text = worded(SIZED["en"][f"{size} of" if family else size], rng, family=family or "")
    answer = f"The {said} is the {size}{' ' + family if family else ''}."
    return Asked(Question("largest", text, answer, first.kind), (first,))


def _seen_area(thing: Thing) -> float:
    """Of what the picture's edge leaves of it."""
    x0, y0, x1, y1 = thing.box
    return area((max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)))


def _plainly_bigger(a: Thing, b: Thing) -> bool:
    return _seen_area(a) >= _BIGGER * _seen_area(b)


def _is_bigger(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    there = singled_out(scene)
    pairs = [(a, b) for a in there for b in there if _plainly_bigger(a, b)]
    if not pairs:
        return None
    big, small = rng.choice(pairs)
    a, b = rng.sample((big, small), 2)
    (a_asked, a_said), (b_asked, b_said) = (called(scene, thing, rng, language) for thing in (a, b))
    form = rng.choice(("bigger", "smaller", "which bigger", "which smaller"))
    text = worded(SIZED[language][form], rng, a=a_asked, b=b_asked)
    if form.startswith("which"):
        winner = big if form == "which bigger" else small
        named_first, named_last = (a_said, b_said) if winner is a else (b_said, a_said)
        size = form[6:]
        opening, truth, it = "", winner.kind, winner
    else:
        size, named_first, named_last, it = "bigger" if a is big else "smaller", a_said, b_said, a
        truth = "yes" if size == form else "no"
        opening = {
            ("yes", "en"): "Yes, ",
            ("no", "en"): "No, ",
            ("yes", "zh"): "是的，",
            ("no", "zh"): "不是，",
        }[truth, language]
    if language == "zh":
        answer = f"{opening}{named_first}比{named_last}{'大' if size == 'bigger' else '小'}。"
    else:
        answer = sentence(f"{opening}the {named_first} is {size} than the {named_last}.")
    return Asked(Question("largest", text, answer, truth, language), (it,))


# ---------------------------------------------------------------- the same colour


def _same(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language == "zh":
        return None
    for _ in range(4):
        asked = rng.choice((_both_colours, _all_colours, _in_colour))(scene, rng)
        if asked:
            return asked
    return None


def _both_colours(scene: Scene, rng: random.Random) -> Asked | None:
    there = [t for t in singled_out(scene) if len(having(scene, t.kind)) == 1 and colour_of(t)]
    if len(there) < 2:
        return None
    a, b = rng.sample(there, 2)
    if rng.random() < 0.5:
        twins = [(x, y) for x in there for y in there if x is not y and colour_of(x) == colour_of(y)]
        a, b = rng.choice(twins) if twins else (a, b)
    text = worded(COLOURED["both"], rng, a=spoken(a.kind, rng)[0], b=spoken(b.kind, rng)[0])
    if colour_of(a) == colour_of(b):
        return Asked(Question("same", text, f"Yes, both are {colour_of(a)}.", "yes"), (a, b))
    answer = f"No, the {a.kind} is {colour_of(a)} and the {b.kind} is {colour_of(b)}."
    return Asked(Question("same", text, answer, "no"), (a, b))


def _all_colours(scene: Scene, rng: random.Random) -> Asked | None:
    kinds = list(dict.fromkeys(t.kind for t in scene.things if len(having(scene, t.kind)) > 1))
    if not kinds:
        return None
    found = having(scene, kind := rng.choice(kinds))
    colours = [colour for thing in found if (colour := colour_of(thing))]
    if len(colours) < len(found):
        return None
    text, plural = worded(COLOURED["all"], rng, s=spoken(kind, rng)[1]), KINDS[kind].plural
    if len(set(colours)) == 1:
        return Asked(Question("same", text, f"Yes, the {plural} are all {colours[0]}.", "yes"), tuple(found))
    answer = f"No, the {plural} are {join(list(dict.fromkeys(colours)))}."
    return Asked(Question("same", text, answer, "no"), tuple(found))


def _in_colour(scene: Scene, rng: random.Random) -> Asked | None:
    """Only where every colour is known, and none is mixed: is a zebra black?"""
    worn = [colour_of(thing) for thing in scene.things]
    if not worn or None in worn or any(" " in (colour or "") for colour in worn) or unlisted(scene):
        return None
    colour = rng.choice([c for c in worn if c] if rng.random() < 0.55 else list(COLOURS))
    found = having(scene, None, colour)
    text = worded(COLOURED["any"], rng, colour=colour)
    if not found:
        return Asked(Question("same", text, f"No, nothing in the picture is {colour}.", "no"))
    kinds = dict.fromkeys(thing.kind for thing in found)
    listed = join([counted(kind, None, len(having(scene, kind, colour))) for kind in kinds])
    answer = f"Yes, {listed} {'is' if len(found) == 1 else 'are'} {colour}."
    return Asked(Question("same", text, answer, "yes"), tuple(found))


# ---------------------------------------------------------------- rules


def _more_fewer_rule(question: Question, reply: str) -> bool:
    if question.truth in ("yes", "no"):
        return claims.polarity(reply) == question.truth and _counts_agree(question, reply)
    if question.truth == "equal":
        return claims.of("amount", reply)[:1] == ["equal"] and _counts_agree(question, reply)
    sort = "kind" if claims.of("kind", question.truth) else "category"
    return claims.of(sort, reply)[:1] == claims.of(sort, question.truth) and _counts_agree(question, reply)


def _counts_agree(question: Question, reply: str) -> bool:
    said, true = (
        sorted(n for sort, n in claims.claims(t) if sort == "number") for t in (reply, question.answer)
    )
    return not said or said == true


def _largest_rule(question: Question, reply: str) -> bool:
    if question.truth.startswith("no "):
        return absent_rule(question, reply)
    if question.truth in ("yes", "no"):
        said = claims.of("size", reply)
        return claims.polarity(reply) == question.truth and (
            not said or said == claims.of("size", question.answer)
        )
    return claims.of("kind", reply)[:1] == claims.of("kind", question.answer)[:1] and not (
        set(claims.of("colour", reply)) - set(claims.of("colour", question.answer))
    )


def _same_rule(question: Question, reply: str) -> bool:
    return claims.agrees(question, reply, "kind", "colour")


MAKERS: dict[str, Maker] = {
    "relation": ask_relation,
    "more_fewer": _more_fewer,
    "largest": _largest,
    "same": _same,
}
RULES: dict[str, Rule] = {
    "relation": relation_rule,
    "more_fewer": _more_fewer_rule,
    "largest": _largest_rule,
    "same": _same_rule,
}
