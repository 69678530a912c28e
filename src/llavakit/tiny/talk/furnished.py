"""Whether there is a sign, a clock or a chart, and where: what is read is a matter of `read`."""

import random

from llavakit.tiny.talk.asking import question
from llavakit.tiny.talk.question import Asked, Language, Maker
from llavakit.tiny.talk.words import article, at, having
from llavakit.tiny.world.scene import PLACES, Box, Scene, cell

# Chinese noun and measure
_NAMES = {"sign": ("牌子", "块"), "clock": ("钟", "个"), "chart": ("图表", "张")}


def _furnished(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    boxes: dict[str, list[Box]] = {
        "sign": [writing.box for writing in scene.writings if writing.form == "sign"],
        "clock": [clock.box for clock in scene.clocks],
        "chart": [chart.box for chart in scene.charts],
    }
    if scene.writings and not boxes["sign"]:  # a poster may pass for one
        del boxes["sign"]
    if having(scene, "clock") or having(scene, "watch"):
        del boxes["clock"]
    here = [name for name in boxes if boxes[name]]
    name = rng.choice(here if here and rng.random() < 0.7 else list(boxes))
    found = boxes[name]
    zh, measure = _NAMES[name]
    words = {"n": zh, "m": measure} if language == "zh" else {"n": name, "s": f"{name}s", "a": article(name)}
    if len(found) > 1:
        return None
    where = rng.random() < 0.35
    if not found:
        none = f"图里没有{zh}。" if language == "zh" else f"There is no {name} in the picture."
        if where:
            missing = zh if language == "zh" else name
            return Asked(question("absent", "where", none, missing, rng, language, **words))
        answer = f"没有，{none}" if language == "zh" else f"No, {none[0].lower()}{none[1:]}"
        return Asked(question("presence", "presence", answer, "no", rng, language, **words))
    spot = PLACES[cell(found[0])]
    if where:
        answer = f"{zh}{at(spot, 'zh')}。" if language == "zh" else f"The {name} is {at(spot)}."
        return Asked(question("where", "where", answer, spot, rng, language, **words))
    if language == "zh":
        answer = f"有，一{measure}{zh}{at(spot, 'zh')}。"
    else:
        answer = f"Yes, there is {article(name)} {at(spot)}."
    return Asked(question("presence", "presence", answer, "yes", rng, language, **words))


MAKERS: dict[str, Maker] = {"furnished": _furnished}
