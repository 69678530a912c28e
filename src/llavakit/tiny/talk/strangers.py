"""Questions about what no picture of this world shows: people, and things nobody draws here."""

import random
from typing import Literal

from llavakit.tiny.talk.asking import question
from llavakit.tiny.talk.question import Asked, Language
from llavakit.tiny.talk.words import article

# singular, plural, Chinese noun, measure
_STRANGERS: tuple[tuple[str, str, str, str], ...] = (
    *((("person", "people", "人", "个"),) * 4),
    ("man", "men", "男人", "个"), ("woman", "women", "女人", "个"), ("child", "children", "孩子", "个"),
    ("boy", "boys", "男孩", "个"), ("girl", "girls", "女孩", "个"), ("baby", "babies", "婴儿", "个"),
    ("face", "faces", "人脸", "张"), ("hand", "hands", "手", "只"), ("sword", "swords", "剑", "把"),
    ("vase", "vases", "花瓶", "个"), ("mirror", "mirrors", "镜子", "面"),
    ("fridge", "fridges", "冰箱", "台"), ("pillow", "pillows", "枕头", "个"),
    ("blanket", "blankets", "毯子", "条"), ("kettle", "kettles", "水壶", "个"),
    ("toothbrush", "toothbrushes", "牙刷", "把"), ("hippo", "hippos", "河马", "头"),
    ("rhino", "rhinos", "犀牛", "头"), ("jellyfish", "jellyfish", "水母", "只"),
    ("peacock", "peacocks", "孔雀", "只"), ("submarine", "submarines", "潜艇", "艘"),
    ("tank", "tanks", "坦克", "辆"), ("spacesuit", "spacesuits", "宇航服", "件"),
    ("harp", "harps", "竖琴", "架"), ("flute", "flutes", "长笛", "支"), ("statue", "statues", "雕像", "座"),
    ("bridge", "bridges", "桥", "座"), ("volcano", "volcanoes", "火山", "座"),
    ("keyboard", "keyboards", "键盘", "个"), ("sandal", "sandals", "凉鞋", "只"),
    ("dragon", "dragons", "龙", "条"), ("necklace", "necklaces", "项链", "条"),
    ("wheelbarrow", "wheelbarrows", "手推车", "辆"),
)  # fmt: skip


def stranger(
    way: Literal["presence", "count", "colour", "where"], rng: random.Random, language: Language
) -> Asked:
    """Asked whether there is one, how many, what colour or where; there is none."""
    one, several, zh, measure = rng.choice(_STRANGERS)
    words = {"n": zh, "m": measure} if language == "zh" else {"n": one, "s": several, "a": article(one)}
    none = f"图里没有{zh}。" if language == "zh" else f"There is no {one} in the picture."
    if way == "presence":
        answer = f"没有，{none}" if language == "zh" else f"No, {none[0].lower()}{none[1:]}"
        return Asked(question("presence", way, answer, "no", rng, language, **words))
    if way == "count":
        answer = none if language == "zh" else f"There are no {several} in the picture."
        return Asked(question("count", way, answer, "0", rng, language, **words))
    return Asked(question("absent", way, none, zh if language == "zh" else one, rng, language, **words))
