"""What a picture shows besides things, in words: the place, day and night, writing, clocks, charts, bays."""

from llavakit.tiny.talk.question import Language
from llavakit.tiny.talk.words import article, join, measured, number
from llavakit.tiny.world.scene import Box, Clock, Scene, Writing

ZH_THEMES = {
    "kitchen table": "餐桌", "street": "街道", "farm": "农场", "car park": "停车场", "desert": "沙漠",
    "beach": "海滩", "café": "咖啡馆", "classroom": "教室",
}  # fmt: skip
_ZH_FORMS = {"sign": "块写着“{}”的牌子", "label": "张写着“{}”的标签", "plate": "块写着“{}”的号牌",
             "poster": "张写着“{}”的海报"}  # fmt: skip


def time(clock: Clock) -> str:
    """As a digital clock has it: "3:05"."""
    return f"{clock.hour}:{clock.minute:02}"


def written(writing: Writing, language: Language = "en") -> str:
    """As in "a sign that says OPEN", "the number 47", "一块写着“OPEN”的牌子"."""
    if language == "zh":
        return "一" + _ZH_FORMS.get(writing.form, "行文字“{}”").format(writing.text)
    if writing.form != "bare":
        form = "number plate" if writing.form == "plate" else writing.form
        return f"a {form} that says {writing.text}"
    if writing.text.isdecimal():
        return f"the number {writing.text}"
    return f"the word{'s' if ' ' in writing.text else ''} {writing.text}"


def extras(scene: Scene, language: Language = "en") -> list[tuple[Box, str]]:
    """Writing, clocks and charts, each with its box and a phrase that goes into a list."""
    clock = "一个钟" if language == "zh" else "a clock"
    forms = {"bar": "一张柱状图", "line": "一张折线图"}
    return [
        *((writing.box, written(writing, language)) for writing in scene.writings),
        *((item.box, clock) for item in scene.clocks),
        *((c.box, forms[c.form] if language == "zh" else f"a {c.form} chart") for c in scene.charts),
    ]


def also(scene: Scene, language: Language = "en") -> list[str]:
    """The extras' phrases, two clocks as "two clocks", and the bays."""
    phrases = list(dict.fromkeys(text for _, text in extras(scene, language)))
    if len(scene.clocks) > 1:
        one = "一个钟" if language == "zh" else "a clock"
        several = (
            measured(len(scene.clocks), "个") + "钟"
            if language == "zh"
            else f"{number(len(scene.clocks))} clocks"
        )
        phrases[phrases.index(one)] = several
    if scene.bays:
        n = len(scene.bays)
        phrases.append(measured(n, "个") + "车位" if language == "zh" else f"{number(n)} parking bays")
    return phrases


def where_we_are(scene: Scene, language: Language = "en") -> str | None:
    """As in "a street at night", "夜晚的街道"; None on a mere pattern."""
    if scene.theme is None:
        return None
    if language == "zh":
        return ("夜晚的" if scene.night else "") + ZH_THEMES[scene.theme]
    return article(scene.theme) + (" at night" if scene.night else "")


def bays_told(scene: Scene) -> str:
    """As in "Bays 2 and 5 are taken."; empty without bays."""
    if not scene.bays:
        return ""
    taken = [str(bay.number) for bay in sorted(scene.bays, key=lambda bay: bay.number) if bay.taken]
    if not taken:
        return "No bay is taken."
    return f"Bay{'s' if len(taken) > 1 else ''} {join(taken)} {'are' if len(taken) > 1 else 'is'} taken."
