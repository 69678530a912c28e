"""Questions that take a step from what is seen: sorts of things, the place, day or night, what is odd, bays,
counting aloud. What the picture does not tell is not guessed.
"""

import random
from collections.abc import Sequence

from llavakit.tiny.talk import claims, creative
from llavakit.tiny.talk.creative import IN
from llavakit.tiny.talk.question import Asked, Language, Maker, Question, Rule
from llavakit.tiny.talk.relate import elsewhere
from llavakit.tiny.talk.surroundings import ZH_THEMES
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_reason import BAYS, LIGHT, ODD, PLACE, SORTED, STEPS, WHY
from llavakit.tiny.talk.words import (
    NUMBERS,
    article,
    at,
    counted,
    groups,
    having,
    join,
    members,
    named,
    number,
    phrase,
    said_colour,
    sentence,
    spoken,
)
from llavakit.tiny.world.scene import Bay, Scene, Theme, Thing, in_reading_order, place
from llavakit.tiny.world.things import CATEGORIES, KINDS

# In what part of the scenes a question is asked that they cannot answer: enough to learn the honest answer,
# few enough that it does not become the usual one.
_IDLE = {"theme": 0.4, "day_night": 0.3, "unusual": 0.2, "bays": 0.3, "empty": 0.2}

_TAG: dict[Theme, str] = {
    "kitchen table": "kitchen", "street": "street", "farm": "farm", "car park": "wheels",
    "desert": "desert", "beach": "beach", "café": "cafe", "classroom": "classroom",
}  # fmt: skip
_NO_PLACE = {
    "en": "I cannot tell: there is only a plain background.",
    "zh": "看不出来：只有简单的背景。",
}
_NO_LIGHT = {"en": "I cannot tell whether it is day or night.", "zh": "看不出是白天还是夜晚。"}

# ---------------------------------------------------------------- sorts of things

# What members are called where the category's own word is not counted, and the word without a count.
_ONE = {"clothes": "piece of clothing", "furniture": "piece of furniture", "food": "piece of food",
        "sport": "sports thing"}  # fmt: skip
_MASS = {"clothes": "clothes", "furniture": "furniture", "food": "food"}
# Sorts of things that a place may be painted with, and that must not be denied then.
_PAINTED = frozenset({"plant", "building", "furniture", "utensil", "vehicle", "drink", "shape"})


def _counted_sort(category: str, n: int) -> str:
    one = _ONE.get(category, category)
    return f"one {one}" if n == 1 else f"{number(n)} {plural_sort(category)}"


def plural_sort(category: str) -> str:
    """As in "animals", "pieces of clothing"."""
    one = _ONE.get(category)
    return one.replace("piece", "pieces").replace("thing", "things") if one else CATEGORIES[category][0]


def _category(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """Which of a sort there are; or what sorts there are."""
    if language == "en" and scene.things and rng.random() < 0.4:
        return _in_common(scene, rng)
    pool = [key for key in CATEGORIES if key != "object"]
    there = [key for key in pool if members(scene, key)]
    away = [key for key in pool if key not in there and not (scene.theme and key in _PAINTED)]
    category = rng.choice(there if there and rng.random() < 0.8 else away)
    found = members(scene, category)
    plural, zh = CATEGORIES[category]
    text = worded(SORTED[language]["which"], rng, s=zh if language == "zh" else _MASS.get(category, plural))
    parts = [counted(*key, len(t), language) for key, t in groups(Scene(things=tuple(found))).items()]
    if language == "zh":
        answer = f"图里的{zh}有{join(parts, 'zh')}。" if found else f"图里没有{zh}。"
    elif not found:
        verb = "is" if category in ("food", "furniture") else "are"
        answer = f"There {verb} no {_MASS.get(category, plural)} in the picture."
    else:
        verb = "is" if len(found) == 1 else "are"
        answer = f"There {verb} {_counted_sort(category, len(found))}: {join(parts)}."
    truth = ", ".join(dict.fromkeys(thing.kind for thing in found)) or "nothing"
    return Asked(Question("category", text, answer, truth, language), tuple(found))


def _in_common(scene: Scene, rng: random.Random) -> Asked:
    here = list(dict.fromkeys(KINDS[t.kind].category for t in in_reading_order(scene.things)))
    names = [_MASS.get(category, CATEGORIES[category][0]) for category in here]
    if len(here) == 1 and rng.random() < 0.35:
        away = [key for key in CATEGORIES if key not in (*here, "object", "food")]
        other = rng.choice(away)
        s, t = rng.sample((names[0], _MASS.get(other, CATEGORIES[other][0])), 2)
        text = worded(SORTED["en"]["either"], rng, s=s, t=t)
    else:
        text = worded(SORTED["en"]["common"], rng)
    if len(here) > 1:
        answer = f"They are different things: {join(names)}."
    elif len(scene.things) == 1:
        answer = f"It is {article(_ONE.get(here[0], here[0]))}."
    else:
        answer = f"They are all {names[0]}."
    return Asked(Question("category", text, answer, ", ".join(here)), scene.things)


# ---------------------------------------------------------------- the place


def _theme(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if scene.theme is None and rng.random() > _IDLE["theme"]:
        return None
    form = rng.choice(("where", "where", "which", "is it", "why"))
    if language == "zh" and form == "why":
        form = "where"
    other = rng.choice([theme for theme in IN if theme != scene.theme])
    guess = scene.theme if scene.theme and rng.random() < 0.5 else other
    names = {theme: ZH_THEMES[theme] if language == "zh" else article(theme) for theme in IN}
    if form == "why":
        if scene.theme is None:
            return Asked(Question("theme", worded(PLACE["en"]["why"], rng, guess=article(other)),
                                  _NO_PLACE["en"], "cannot tell"))  # fmt: skip
        text = worded(PLACE["en"]["why"], rng, guess=article(scene.theme))
        return Asked(Question("theme", text, _why_here(scene), scene.theme))
    a, b = rng.sample((names[scene.theme or guess], names[other]), 2)
    if a == b:
        b = names[rng.choice([theme for theme in IN if theme != other])]
    text = worded(PLACE[language][form], rng, guess=names[guess], a=a, b=b)
    if scene.theme is None:
        return Asked(Question("theme", text, _NO_PLACE[language], "cannot tell", language))
    fact = f"这是{names[scene.theme]}。" if language == "zh" else f"this is {names[scene.theme]}."
    if form != "is it":
        return Asked(Question("theme", text, sentence(fact), scene.theme, language))
    true = guess == scene.theme
    opening = ("是的，" if true else "不是，") if language == "zh" else ("Yes, " if true else "No, ")
    return Asked(Question("theme", text, opening + fact, "yes" if true else "no", language))


def _why_here(scene: Scene) -> str:
    """By what belongs there; else by the background alone."""
    assert scene.theme is not None
    belonging = [t for t in scene.things if _TAG[scene.theme] in KINDS[t.kind].tags]
    parts = [counted(*key, len(t)) for key, t in list(groups(Scene(things=tuple(belonging))).items())[:3]]
    signs = join(parts) if parts else "the background"
    return f"I see that it is {article(scene.theme)} by {signs}."


# ---------------------------------------------------------------- day or night


def _day_night(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if scene.night is None and rng.random() > _IDLE["day_night"]:
        return None
    form = rng.choice(("which", "which", "night", "day", "why"))
    if language == "zh" and form == "why":
        form = "which"
    text = worded(LIGHT[language][form], rng)
    if scene.night is None:
        return Asked(Question("day_night", text, _NO_LIGHT[language], "cannot tell", language))
    light = "night" if scene.night else "day"
    if form == "why":
        return Asked(Question("day_night", text, _why_light(scene, light), light))
    fact = {"night": "现在是夜晚。", "day": "现在是白天。"}[light] if language == "zh" else f"it is {light}."
    if form == "which":
        return Asked(Question("day_night", text, sentence(fact), light, language))
    true = form == light
    opening = ("是的，" if true else "不是，") if language == "zh" else ("Yes, " if true else "No, ")
    return Asked(Question("day_night", text, opening + fact, "yes" if true else "no", language))


def _why_light(scene: Scene, light: str) -> str:
    lamp = {"night": "moon", "day": "sun"}[light]
    seen = f" and there is a {lamp}" if having(scene, lamp) else ""
    return f"It is {light}: the sky is {'dark' if light == 'night' else 'bright'}{seen}."


def why(asked: Asked, scene: Scene, rng: random.Random, language: Language = "en") -> Asked | None:
    """ "How do you know?", after the place or the time of day was told; None after anything else."""
    kind = asked.question.kind
    if language == "zh" or kind not in ("theme", "day_night"):
        return None
    text = worded(WHY, rng)
    if kind == "theme":
        answer, truth = _NO_PLACE["en"], "cannot tell"
        if scene.theme:
            answer, truth = _why_here(scene), scene.theme
    else:
        answer, truth = _NO_LIGHT["en"], "cannot tell"
        if scene.night is not None:
            truth = "night" if scene.night else "day"
            answer = _why_light(scene, truth)
    return Asked(Question(kind, text, answer, truth))


# ---------------------------------------------------------------- what is odd


def _unusual(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language == "zh":
        return None
    if scene.theme is None and rng.random() > _IDLE["unusual"]:
        return None
    if scene.odd is None or scene.theme is None:
        return Asked(Question("unusual", worded(ODD["what"], rng), "Nothing here looks unusual.", "nothing"))
    odd, spot = scene.things[scene.odd], IN[scene.theme]
    fact = f"{article(phrase(odd))} does not belong {spot}."
    belonging = [
        t for t in scene.things if t.kind != odd.kind and _TAG[scene.theme] in KINDS[t.kind].tags
    ]  # fmt: skip
    if rng.random() < 0.8 or not belonging:
        return Asked(Question("unusual", worded(ODD["what"], rng), sentence(fact), odd.kind), (odd,))
    thing = rng.choice((odd, rng.choice(belonging)))
    text = worded(ODD["belongs"], rng, a=spoken(thing.kind, rng)[0])
    if thing is odd:
        return Asked(Question("unusual", text, f"No, {fact}", "no"), (odd,))
    return Asked(Question("unusual", text, f"Yes, {article(phrase(thing))} belongs {spot}.", "yes"), (thing,))


# ---------------------------------------------------------------- parking bays


def _bays(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language == "zh":
        return None
    if not scene.bays and rng.random() > _IDLE["bays"]:
        return None
    bays = sorted(scene.bays, key=lambda bay: bay.number)
    form = rng.choice(("occupied", "occupied", "occupied", "free", "free", "how many", "is it", "is it",
                       "what in", "which bay", "any free"))  # fmt: skip
    taken = form == "occupied" or (form in ("how many", "is it") and rng.random() < 0.5)
    state = "occupied" if taken else "free"
    found = [bay for bay in bays if bay.taken == taken]
    numbers = [bay.number for bay in bays]
    n = rng.choice(numbers) if numbers and rng.random() < 0.88 else rng.choice(
        [i for i in range(1, 15) if i not in numbers]
    )  # fmt: skip
    key = f"{form} {state}" if form in ("how many", "is it") else form
    there = [(t, bay) for t in scene.things if (bay := _bay_of(t, bays)) and len(having(scene, t.kind)) == 1]
    thing = rng.choice(there) if there else None
    if form == "which bay" and bays and thing is None:
        return None
    name = spoken(thing[0].kind, rng)[0] if thing else "car"
    text = worded(BAYS[key], rng, n=str(n), a=name)
    if not bays:
        return Asked(Question("bays", text, "There are no parking bays in the picture.", "no bays"))
    if form == "which bay" and thing:
        answer = f"The {phrase(thing[0])} is in bay {thing[1].number}."
        return Asked(Question("bays", text, answer, str(thing[1].number)), (thing[0],))
    if form in ("is it", "what in"):
        return _one_bay(scene, bays, n, form, taken, text)
    if form == "how many":
        if len(found) == 1:
            answer = f"One bay is {state}."
        else:
            amount = f"{sentence(number(len(found)))} bays are" if found else "No bay is"
            answer = f"{amount} {state}."
        return Asked(Question("bays", text, answer, str(len(found))))
    listed = _listed([bay.number for bay in found], state)
    truth = ", ".join(str(bay.number) for bay in found) or "none"
    if form == "any free":
        listed = f"Yes, {listed[0].lower()}{listed[1:]}" if found else "No, no bay is free."
        truth = truth if found else "none"
    return Asked(Question("bays", text, listed, truth))


def _listed(numbers: Sequence[int], state: str) -> str:
    if not numbers:
        return f"No bay is {state}."
    if len(numbers) == 1:
        return f"The only {state} bay is {numbers[0]}."
    return f"The {state} bays are {join([str(n) for n in numbers])}."


def _bay_of(thing: Thing, bays: Sequence[Bay]) -> Bay | None:
    x, y = thing.centre
    for bay in bays:
        if bay.taken and bay.box[0] < x < bay.box[2] and bay.box[1] < y < bay.box[3]:
            return bay
    return None


def _one_bay(scene: Scene, bays: Sequence[Bay], n: int, form: str, taken: bool, text: str) -> Asked:
    bay = next((bay for bay in bays if bay.number == n), None)
    if bay is None:
        return Asked(Question("bays", text, f"There is no bay {n}.", "no bay"))
    if form == "is it":
        true = bay.taken == taken
        state = "occupied" if bay.taken else "free"
        answer = f"{'Yes' if true else 'No'}, bay {n} is {state}."
        return Asked(Question("bays", text, answer, "yes" if true else "no"))
    inside = [t for t in scene.things if _bay_of(t, bays) is bay]
    if not inside:
        return Asked(
            Question("bays", text, f"Bay {n} is {'occupied' if bay.taken else 'free'}.",
                     "occupied" if bay.taken else "free")
        )  # fmt: skip
    return Asked(
        Question("bays", text, f"There is {article(phrase(inside[0]))} in bay {n}.", inside[0].kind),
        (inside[0],),
    )


# ---------------------------------------------------------------- counting aloud


def _step_count(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language == "zh":
        return None
    kinds = list(dict.fromkeys(t.kind for t in scene.things))
    if not kinds and rng.random() > _IDLE["empty"]:
        return None
    if not kinds or rng.random() < 0.06:
        kind = elsewhere(scene, rng)
        text = worded(STEPS["things of a kind"], rng, s=spoken(kind, rng)[1])
        return Asked(
            Question("step_count", text, f"There are no {KINDS[kind].plural} in the picture.", "zero")
        )
    if rng.random() < 0.12 and len(scene.things) <= 10:
        found, plural, text = list(in_reading_order(scene.things)), "things", worded(STEPS["everything"], rng)
        singular = "thing"
    else:
        kinds.sort(key=lambda kind: len(having(scene, kind)))
        kind = kinds[-1] if rng.random() < 0.6 else rng.choice(kinds)
        found = having(scene, kind)
        colour = said_colour(found[0]) if rng.random() < 0.15 else None
        if colour and all(said_colour(thing) for thing in found):
            found = having(scene, kind, colour)
        else:
            colour = None
        asked = f"{colour} {spoken(kind, rng)[1]}" if colour else spoken(kind, rng)[1]
        text = worded(STEPS["things of a kind"], rng, s=asked)
        singular, plural = named(kind, colour), named(kind, colour, plural=True)
    steps = [f"{number(i)} {at(place(thing))}" for i, thing in enumerate(found, 1)]
    total = "there is one " + singular if len(found) == 1 else f"there are {number(len(found))} {plural}"
    answer = f"{sentence(', '.join(steps))}: {total}."
    return Asked(Question("step_count", text, answer, number(len(found))), tuple(found))


# ---------------------------------------------------------------- rules


def _numbers(text: str) -> list[str]:
    return [name for sort, name in claims.claims(text) if sort == "number"]


def _category_rule(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return claims.denies(reply) and not claims.of("kind", reply)
    kinds = claims.of("kind", question.answer)
    if not kinds:  # sorts alone
        return set(claims.of("category", reply)) == set(question.truth.split(", "))
    numbers = _numbers(reply)
    return set(claims.of("kind", reply)) == set(kinds) and set(numbers) <= set(_numbers(question.answer))


def _theme_rule(question: Question, reply: str) -> bool:
    if question.truth == "cannot tell":
        return bool(claims.of("doubt", reply))
    if question.truth in ("yes", "no"):
        said = claims.of("theme", reply)
        return claims.polarity(reply) == question.truth and said in (
            [], claims.of("theme", question.answer)
        )  # fmt: skip
    return not claims.of("doubt", reply) and claims.of("theme", reply)[:1] == [question.truth]


def _light_rule(question: Question, reply: str) -> bool:
    if question.truth == "cannot tell":
        return bool(claims.of("doubt", reply))
    if question.truth in ("yes", "no"):
        said = claims.of("light", reply)
        return claims.polarity(reply) == question.truth and said in (
            [], claims.of("light", question.answer)
        )  # fmt: skip
    return claims.of("light", reply) == [question.truth]


def _unusual_rule(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return claims.denies(reply) and not claims.of("kind", reply)
    if question.truth in ("yes", "no"):
        return claims.polarity(reply) == question.truth
    return claims.of("kind", reply) == [question.truth]


def _bays_rule(question: Question, reply: str) -> bool:
    truth, numbers = question.truth, _numbers(reply)
    if truth in ("none", "no bays", "no bay"):
        return claims.denies(reply) and set(numbers) <= set(_numbers(question.answer))
    if truth in ("yes", "no"):
        return claims.polarity(reply) == truth
    if truth in ("occupied", "free"):
        return claims.of("bay", reply) == [truth]
    if truth in KINDS:
        return claims.of("kind", reply) == [truth]
    if truth == "0":
        return claims.denies(reply) or numbers == ["0"]
    return set(numbers) == set(truth.split(", "))


def _step_rule(question: Question, reply: str) -> bool:
    """The sum at the end is what counts; the steps before it must not be fewer or more."""
    if question.truth == "zero":
        return claims.denies(reply) or _numbers(reply) == ["0"]
    n = str(NUMBERS.index(question.truth)) if question.truth in NUMBERS else question.truth
    numbers = _numbers(reply)
    return numbers[-1:] == [n] and (len(numbers) == 1 or numbers[:-1] == [str(i + 1) for i in range(int(n))])


MAKERS: dict[str, Maker] = {
    "category": _category,
    "theme": _theme,
    "day_night": _day_night,
    "unusual": _unusual,
    "bays": _bays,
    "step_count": _step_count,
    **creative.MAKERS,
}
RULES: dict[str, Rule] = {
    "category": _category_rule,
    "theme": _theme_rule,
    "day_night": _light_rule,
    "unusual": _unusual_rule,
    "bays": _bays_rule,
    "step_count": _step_rule,
    **creative.RULES,
}
