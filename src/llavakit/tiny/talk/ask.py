"""Asks about a scene: one question, or a conversation, of all the sorts that the modules beside know."""

import random
from collections.abc import Mapping

from llavakit.tiny.talk import captions, compare, furnished, read, reason, several, things
from llavakit.tiny.talk.follow import follow_up
from llavakit.tiny.talk.question import Asked, Language, Maker, Question
from llavakit.tiny.world.scene import Scene

ASK: dict[str, Maker] = {
    **things.MAKERS, **captions.MAKERS, **compare.MAKERS, **reason.MAKERS, **read.MAKERS,
    **several.MAKERS, **furnished.MAKERS,
}  # fmt: skip

Mixture = Mapping[str, float]
EVERYTHING: Mixture = {
    "presence": 12, "any": 2, "colour": 11, "colour_at": 1, "by_colour": 2, "check": 3, "count": 14,
    "where": 8, "absent": 10, "list": 10, "which": 10, "next_to": 2, "brief": 2, "describe": 8,
    "relation": 12, "more_fewer": 4, "largest": 8, "same": 4,
    "category": 4, "theme": 2, "day_night": 2, "unusual": 2, "bays": 1, "step_count": 2,
    "cook": 1, "advertise": 1, "story": 0.5, "one_picture": 0.3, "furnished": 1.2,
    "read": 2.5, "read_number": 0.8, "read_plate": 0.5, "read_check": 0.8, "read_any": 0.6, "read_spell": 0.4,
    "clock": 2, "chart_highest": 0.4, "chart_lowest": 0.4, "chart_value": 0.7, "chart_compare": 0.3,
    "chart_difference": 0.3, "chart_count": 0.25, "chart_read": 0.25, "chart_kind": 0.2, "chart_title": 0.15,
    "chart_colour": 0.2,
}  # fmt: skip
# What is answered in a few words: of a picture, these tell the most for the least reading.
_LONG = {"list", "brief", "describe", "step_count", "cook", "advertise", "story", "one_picture"}
QUICK: Mixture = {kind: weight for kind, weight in EVERYTHING.items() if kind not in _LONG}
# How much oftener each sort is asked where the scene has what it is about.
_OFTEN = {
    "read": 5.0, "chart": 14.0, "clock": 10.0, "bays": 16.0, "theme": 1.5, "day": 1.5, "unusual": 4.0,
    "furnished": 2.0,
}  # fmt: skip
_FOLLOW = 0.4  # share of questions that lean on the one before, where they can
_ZH, _MIXED = 0.12, 0.03  # shares of conversations wholly and partly in Chinese


def fitting(scene: Scene, mixture: Mixture = EVERYTHING) -> dict[str, float]:
    """The mixture for this scene: a chart is asked about mostly where there is one, and seldom where not."""
    present = {
        "read": scene.writings, "chart": scene.charts, "clock": scene.clocks, "bays": scene.bays,
        "theme": scene.theme, "day": scene.night is not None, "unusual": scene.odd is not None,
        "furnished": scene.writings or scene.clocks or scene.charts,
    }  # fmt: skip
    weights = {kind: weight for kind, weight in mixture.items() if kind in ASK}
    for kind in weights:
        family = kind.partition("_")[0]
        if family in present:
            weights[kind] *= _OFTEN[family] if present[family] else 0.25
    if not scene.things:
        spoken_of = {*things.MAKERS, *compare.MAKERS}
        weights = {kind: weight * (0.3 if kind in spoken_of else 1.0) for kind, weight in weights.items()}
    return weights


def ask(scene: Scene, rng: random.Random, kind: str | None = None, language: Language = "en") -> Question:
    """A question about the scene with its true answer; of another kind where the scene cannot support `kind`
    (there is no colour to ask for in an empty picture), or the language has none."""
    return _ask(scene, rng, kind, language, fitting(scene)).question


def _ask(scene: Scene, rng: random.Random, kind: str | None, language: Language, mixture: Mixture) -> Asked:
    kinds, weights = list(mixture), list(mixture.values())
    while True:
        chosen = kind or rng.choices(kinds, weights)[0]
        asked = ASK[chosen](scene, rng, language)
        if asked:
            return asked
        kind = None


def conversation(
    scene: Scene,
    rng: random.Random,
    turns: int,
    mixture: Mixture = EVERYTHING,
    zh: float = _ZH,
) -> list[Question]:
    """Questions about one picture, none asked twice; some lean on the one before. A share `zh` of
    conversations is in Chinese, and a few change language."""
    weights = fitting(scene, mixture)
    draw = rng.random()
    share = 1.0 if draw < zh else 0.4 if draw < zh + _MIXED * (zh > 0) else 0.0
    said: list[Asked] = []
    while len(said) < turns:
        language: Language = "zh" if rng.random() < share else "en"
        for _ in range(8):  # an empty picture soon has nothing new to tell: then a repetition will do
            follow = said and rng.random() < _FOLLOW and follow_up(said[-1], scene, rng, language)
            asked = follow or _ask(scene, rng, None, language, weights)
            if not any(_same(asked, old) for old in said):
                break
        said.append(asked)
    return [asked.question for asked in said]


def _same(one: Asked, other: Asked) -> bool:
    """Whether they ask the same, or tell the same: of the same things, or in the same sentence."""
    a, b = one.question, other.question
    if a.answer == b.answer and len(a.answer) > 5:
        return True
    if one.it and (a.kind, a.truth, one.it) == (b.kind, b.truth, other.it):
        return True
    return a.text.lower().strip("?. ") == b.text.lower().strip("?. ")
