"""Questions about what can be read off a picture: signs, numbers, clocks and (`read_charts`) charts.

Words are given back in the case they are printed in. Marking ignores case and quotation marks and wants
every letter.
"""

import random
import re

from llavakit.tiny.talk import read_charts
from llavakit.tiny.talk.question import Asked, Language, Maker, Question, Rule
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_read import WORDINGS, WORDINGS_ZH
from llavakit.tiny.talk.words import NUMBERS, at, join
from llavakit.tiny.world.clocks import HOURS, digital, figures, spoken, spoken_zh
from llavakit.tiny.world.scene import PLACES, Scene, Writing, cell
from llavakit.tiny.world.sign_words import WORDS

# Share of pictures without writing (a clock) that are asked what they say (what time it is) all the same.
_ABSENT = 0.12
# Their drawings have letters, figures or hands on them.
_LETTERED = frozenset({"taxi", "police car", "ambulance", "stop sign", "clock", "watch", "ruler", "bus"})
_TELLING = frozenset({"clock", "watch"})

_NOUNS: dict[str, tuple[str, ...]] = {
    "sign": ("sign", "sign", "sign", "board"),
    "label": ("label", "label", "sign", "tag"),
    "plate": ("plate", "sign"),
    "poster": ("poster", "poster", "sign"),
    "bare": ("text", "writing"),
}
_NUMBER = re.compile(r"[$£€]?\d+(?:[.,]\d+)?%?")
_PLATE = re.compile(r"[A-Z]{2}\d{2,3} ?[A-Z]{0,3}")


# ---------------------------------------------------------------- makers


def _wording(kind: str, rng: random.Random, language: Language, **words: str) -> str:
    return worded((WORDINGS_ZH if language == "zh" else WORDINGS)[kind], rng, **words)


def _noun(writing: Writing, rng: random.Random) -> str:
    return rng.choice(_NOUNS[writing.form])


def _only_signs(scene: Scene) -> bool:
    """Whether nothing but its signs has anything to read."""
    return not (scene.charts or scene.bays or any(digital(clock) for clock in scene.clocks))


def _bare_of_text(scene: Scene) -> bool:
    unlettered = all(thing.kind not in _LETTERED for thing in scene.things)
    return not scene.writings and not scene.clocks and _only_signs(scene) and unlettered


def says(texts: list[str], language: Language = "en") -> str:
    """As in `It says "OPEN" and "CAFE".`"""
    if language == "zh":
        return f"上面写着{join([f'“{text}”' for text in texts], 'zh')}。"
    return "It says " + join([f'"{text}"' for text in texts]) + "."


def _absent(kind: str, what: str, zh: str, rng: random.Random, language: Language) -> Asked | None:
    """That there is nothing of the sort, now and then."""
    if rng.random() >= _ABSENT:
        return None
    text = _wording(kind, rng, language, n="sign")
    answer = f"图里没有{zh}。" if language == "zh" else f"There is no {what} in the picture."
    return Asked(Question(kind.partition(",")[0], text, answer, "nothing", language))


def _in_order(scene: Scene) -> list[Writing]:
    return sorted(scene.writings, key=lambda writing: (*cell(writing.box), writing.box))


def _read(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if not scene.writings:
        kind = rng.choice(("read", "read, anything"))
        return _absent(kind, "writing", "文字", rng, language) if _bare_of_text(scene) else None
    writings = _in_order(scene)
    spots = [PLACES[cell(writing.box)] for writing in writings]
    if len(set(spots)) == len(spots) > 1 and (rng.random() < 0.5 or not _only_signs(scene)):
        i = rng.randrange(len(writings))
        asked = {"n": _noun(writings[i], rng), "at": at(spots[i], language)}
        text, texts = _wording("read, at", rng, language, **asked), [writings[i].text]
    elif _only_signs(scene) and (len(writings) > 1 or writings[0].form == "bare" or rng.random() < 0.5):
        text, texts = _wording("read, anything", rng, language), [writing.text for writing in writings]
    elif len(writings) == 1:
        text, texts = _wording("read", rng, language, n=_noun(writings[0], rng)), [writings[0].text]
    else:
        return None
    return Asked(Question("read", text, says(texts, language), "\n".join(texts), language))


def _read_number(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if _bare_of_text(scene):
        return _absent("read_number", "number", "数字", rng, language)
    numbers = [writing for writing in scene.writings if _NUMBER.fullmatch(writing.text)]
    partly = [writing for writing in scene.writings if re.search(r"\d", writing.text)]
    if not _only_signs(scene) or len(numbers) != len(partly) or len(numbers) > 1:
        return None
    if not numbers:
        return _absent("read_number", "number", "数字", rng, language)
    number = numbers[0].text
    kind = "read_number"
    if language == "en" and re.search(r"[.$£€]", number) and rng.random() < 0.5:
        kind = "read_number, price"
    text = _wording(kind, rng, language, n=_noun(numbers[0], rng))
    answer = f"数字是{number}。" if language == "zh" else f"The number is {number}."
    return Asked(Question("read_number", text, answer, number, language))


def _one_text(scene: Scene, language: Language) -> Writing | None:
    """The only thing there is to read."""
    return scene.writings[0] if language == "en" and len(scene.writings) == 1 and _only_signs(scene) else None


def _read_plate(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    plates = [writing for writing in scene.writings if _PLATE.fullmatch(writing.text)]
    if language != "en" or len(plates) != 1:
        return None
    text = _wording("read_plate", rng, language)
    return Asked(Question("read", text, says([plates[0].text]), plates[0].text))


def _read_check(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    writing = _one_text(scene, language)
    if writing is None:
        return None
    yes = rng.random() < 0.5
    asked = writing.text if yes else _another(writing.text, rng)
    told = says([writing.text])
    answer = f"{'Yes' if yes else 'No'}, i{told[1:]}"
    text = _wording("read_check", rng, language, n=_noun(writing, rng), x=asked)
    return Asked(Question("read_check", text, answer, "yes" if yes else "no"))


def _another(text: str, rng: random.Random) -> str:
    """Something else that it might say: of the same sort, in the same case."""
    if _NUMBER.fullmatch(text):
        other = "".join(rng.choice("123456789") if letter.isdigit() else letter for letter in text)
        return other if other != text else other + "0"
    word = rng.choice([word for word in WORDS if word.lower() != text.lower()])
    return word if text.isupper() else word.lower() if text.islower() else word.title()


def _read_any(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language != "en":
        return None
    if _bare_of_text(scene):
        if rng.random() >= _ABSENT:
            return None
        text = _wording("read_any", rng, language)
        return Asked(Question("read_any", text, "No, there is no writing in the picture.", "no"))
    if not scene.writings or not _only_signs(scene):
        return None
    told = says([writing.text for writing in _in_order(scene)])
    return Asked(Question("read_any", _wording("read_any", rng, language), f"Yes, i{told[1:]}", "yes"))


def _read_spell(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    writing = _one_text(scene, language)
    if writing is None or not writing.text.isalpha() or len(writing.text) < 2:
        return None
    spelt = "-".join(writing.text)
    text = _wording("read_spell", rng, language, n=_noun(writing, rng))
    return Asked(Question("read_spell", text, f"It is spelt {spelt}.", spelt))


def _clock(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if not scene.clocks and all(thing.kind not in _TELLING for thing in scene.things):
        return _absent("clock", "clock", "时钟", rng, language)
    if len(scene.clocks) != 1 or any(":" in writing.text for writing in scene.writings):
        return None
    clock = scene.clocks[0]
    answer = f"现在是{spoken_zh(clock)}。" if language == "zh" else f"It is {spoken(clock)}."
    return Asked(Question("clock", _wording("clock", rng, language), answer, figures(clock), language))


MAKERS: dict[str, Maker] = {
    "read": _read,
    "read_number": _read_number,
    "read_plate": _read_plate,
    "read_check": _read_check,
    "read_any": _read_any,
    "read_spell": _read_spell,
    "clock": _clock,
    **read_charts.MAKERS,
}


# ---------------------------------------------------------------- rules

_NONE = re.compile(r"\b(no|not|nothing|none|don't|doesn't|isn't|cannot|can't)\b|没有|没", re.IGNORECASE)
_QUOTED = re.compile(r'["“«「]([^"”»」]+)["”»」]|(?<!\w)[\'‘]([^\'’]+)[\'’](?!\w)')
# What comes before the words themselves where a reply has no quotation marks.
_CARRIER = re.compile(
    r"^\W*(?:it|this|that|the (?:\w+ )?(?:\w+)|上面|牌子上|图中|图里)\s*(?:says|reads|is|写着|写的是|是)\W*",
    re.IGNORECASE,
)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def _right_text(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return bool(_NONE.search(reply)) and not _QUOTED.search(reply)
    wanted = sorted(_plain(text) for text in question.truth.split("\n"))
    if quoted := [_plain(a or b).rstrip(".,") for a, b in _QUOTED.findall(reply)]:
        return sorted(quoted) == [text.rstrip(".,") for text in wanted]
    rest = _plain(_CARRIER.sub("", reply, count=1)).rstrip(".!。 ")
    if len(wanted) == 1:
        return rest == wanted[0] or _holds(_plain(reply), wanted[0], long=True)
    return all(_holds(rest, text) for text in wanted)


def _holds(reply: str, text: str, long: bool = False) -> bool:
    """Whether the text stands in the reply as words of its own. `long`: only if it cannot be an everyday
    word of the reply's own, like "it" or "the"."""
    if long and len(text) < 4:
        return False
    return bool(re.search(rf"(?<![\w$£€])(?<!\d[.:,]){re.escape(text)}(?![\w%]|[.:,]\d)", reply))


def _right_number(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return bool(_NONE.search(reply)) and not re.search(r"\d", reply)
    said = [re.sub(r"[$£€%]", "", number) for number in _NUMBER.findall(reply)]
    said = said or [str(NUMBERS.index(w)) for w in re.findall(r"[a-z]+", reply.lower()) if w in NUMBERS]
    return set(said) == {re.sub(r"[$£€%]", "", question.truth)}


def _yes_or_no(question: Question, reply: str) -> bool:
    said = re.findall(r"\b(yes|no|not|isn't|doesn't)\b", reply.lower())
    return bool(said) and ("yes" if said[0] == "yes" else "no") == question.truth


def _spelt_right(question: Question, reply: str) -> bool:
    letters = re.findall(r"\b\w\b", re.sub(r"\bis\b|\bit\b", " ", reply, flags=re.IGNORECASE))
    return "".join(letters).casefold() == question.truth.replace("-", "").casefold()


_HOUR = {name: hour for hour, name in enumerate(HOURS, 1)}
_MINUTE = {
    "five": 5, "ten": 10, "fifteen": 15, "quarter": 15, "twenty": 20, "twenty-five": 25, "thirty": 30,
    "half": 30, "thirty-five": 35, "forty": 40, "forty-five": 45, "fifty": 50, "fifty-five": 55,
}  # fmt: skip
_H = rf"(?P<hour>{'|'.join(sorted(HOURS, key=len, reverse=True))}|1[0-2]|[1-9])"
_M = rf"(?P<minute>{'|'.join(sorted(_MINUTE, key=len, reverse=True))}|\d{{1,2}})"
_TIMES = (
    re.compile(r"\b(?P<hour>\d{1,2}) ?[:.：h] ?(?P<minute>\d\d)\b", re.ASCII),  # 是 is no letter here
    re.compile(rf"\b{_M}(?: minutes?)? (?P<side>past|after|to|before|till) {_H}\b"),
    re.compile(rf"\bhalf {_H}\b"),
    re.compile(rf"\b{_H}[ -]{_M}\b"),
    re.compile(rf"\b{_H} ?(?:o'? ?clock|am\b|pm\b|a\.m|p\.m)"),
)
_ZH_NUMBER = r"[一二三四五六七八九十两零〇\d]+"
_ZH_TIME = re.compile(rf"({_ZH_NUMBER})点(?:钟|整)?(半|一刻|三刻|{_ZH_NUMBER}分?)?")


def times(reply: str) -> set[str]:
    """Every time a reply names, each as in "4:30": 4:30, 16.30, half past four, four thirty, 四点半 …"""
    text = (
        reply.lower().replace("’", "'").replace("a quarter", "quarter").replace("twenty five", "twenty-five")
    )
    found = set()
    for pattern in _TIMES:
        for match in pattern.finditer(text):
            parts = match.groupdict()
            hour = _HOUR.get(parts["hour"]) or int(parts["hour"])
            if pattern.pattern.startswith(r"\bhalf"):
                minute = 30
            else:
                said = parts.get("minute") or "0"
                minute = _MINUTE[said] if said in _MINUTE else int(said)
            if parts.get("side") in ("to", "before", "till"):
                hour, minute = hour - 1, 60 - minute
            found.add(f"{(hour - 1) % 12 + 1}:{minute:02}")
        text = pattern.sub(" ", text)
    for hour_zh, rest in _ZH_TIME.findall(text):
        quarters = {"": 0, "半": 30, "一刻": 15, "三刻": 45}
        minute = quarters[rest] if rest in quarters else _from_zh(rest.rstrip("分"))
        found.add(f"{(_from_zh(hour_zh) - 1) % 12 + 1}:{minute:02}")
    return found


def _from_zh(numeral: str) -> int:
    if numeral.isdigit() and numeral.isascii():
        return int(numeral)
    digits = {numeral_: i for i, numeral_ in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
    tens, ten, ones = numeral.rpartition("十")
    value = digits.get(ones[-1:], 0)
    return value + (10 * (digits.get(tens[-1:], 1) if tens else 1) if ten else 0)


def _right_time(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return bool(_NONE.search(reply)) and not times(reply)
    return times(reply) == {question.truth}


RULES: dict[str, Rule] = {
    "read": _right_text,
    "read_number": _right_number,
    "read_check": _yes_or_no,
    "read_any": _yes_or_no,
    "read_spell": _spelt_right,
    "clock": _right_time,
    **read_charts.RULES,
}
