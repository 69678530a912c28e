"""Exact rules for replies in free words: which words a right reply has, and which it has not.

Knows no scenes and no model.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from llavakit.errors import UsageError, nearest
from llavakit.tiny.world.things import KINDS

Words = tuple[str, ...]


class Rule(NamedTuple):
    """A reply is right if it has one of each group of `all`, has none of `none`, and begins with one of
    `starts` (if there are any).

    A word is matched whole, in any case, and also with the ending of a plural; Chinese is matched anywhere.
    """

    all: tuple[Words, ...] = ()
    none: Words = ()
    starts: Words = ()

    @classmethod
    def of(cls, groups: Iterable[str] = (), none: str = "", starts: str = "") -> "Rule":
        """From strings of alternatives: "pot|teapot"."""
        return cls(tuple(map(_split, groups)), _split(none), _split(starts))

    def __add__(self, other: object) -> "Rule":
        """Both at once; only one of the two may say how a reply starts."""
        if not isinstance(other, Rule):
            return NotImplemented
        return Rule(self.all + other.all, self.none + other.none, self.starts or other.starts)


def marks(rule: Rule, reply: str) -> bool:
    """Whether the reply is right."""
    plain = _plain(reply)
    if plain and plain[-1] not in ".!?。":
        plain += "."  # a bare "No" is matched as "No." is
    return (
        all(_has(plain, group) for group in rule.all)
        and not _has(plain, rule.none)
        and (not rule.starts or any(re.match(_pattern(word), plain) for word in rule.starts))
    )


_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_CHINESE_NUMBERS = ("零", "一", "二|两|俩|兩", "三", "四", "五", "六", "七", "八", "九", "十")
_COLOURS = {
    "red": "红", "orange": "橙|橘", "yellow": "黄", "green": "绿", "blue": "蓝", "purple": "紫|violet",
    "pink": "粉", "black": "黑", "white": "白", "brown": "棕|褐|咖啡色", "grey": "gray|灰",
}  # fmt: skip
_NEGATIONS = (
    "no|not|none|nothing|without|neither|nobody|cannot|isn't|aren't|wasn't|don't|doesn't|can't|couldn't|isnt|dont|"
    "can not|absent|missing|没|不|无|沒"
)
_HEDGES = "maybe|perhaps|might|possibly|probably|not sure|unsure|hard to tell|hard to say|也许|可能|大概"
_YES = "yes|yeah|yep|yup|sure|indeed|correct|right.|是的|是。|有的|有。|有，|有.|对"
_NO = "no,|no.|no!|nope|none.|not really|no such|没有。|没有，|没有.|不是|否"
# What is never part of a painted place, so that naming it where it is not is an invention.
_PORTABLE = (
    "animal",
    "fruit",
    "vegetable",
    "food",
    "drink",
    "vehicle",
    "instrument",
    "clothes",
    "toy",
    "sport",
)
_PEOPLE = ("person", "people", "man", "men", "woman", "women", "child", "children", "boy", "girl")
_AMBIGUOUS = ("bird", "sweet")  # an owl is one too; an adjective


def number(value: int, about: str = "", chinese: bool = False) -> Rule:
    """This number and no other up to twenty; if it is none, of one of `about` or in a word."""
    zero = [f"{about}|{_NO}|none|zero|0"] if value == 0 and about else []
    if chinese:
        # "一" is in too many words to be held against a reply.
        others = [word for i, word in enumerate(_CHINESE_NUMBERS) if i not in (value, 1)]
        digits = "|".join(str(i) for i in range(21) if i != value)
        own = f"{value}|{_CHINESE_NUMBERS[value]}" + ("|没" if value == 0 else "")
        return Rule.of([own, *zero], f"{'|'.join(others)}|{digits}|{_HEDGES}")
    others = [f"{i}|{word}" for i, word in enumerate(_NUMBERS) if i != value]
    own = f"{value}|{_NUMBERS[value]}"
    own += {0: f"|{_NEGATIONS}", 1: "|single|just a|only a"}.get(value, "")
    return Rule.of([own, *zero], "|".join([*others, _HEDGES]))


def colour(name: str, chinese: bool = False) -> Rule:
    """This colour (or these: "black and white") and no other."""
    names = name.split(" and ")
    for one in names:
        if one not in _COLOURS:
            raise UsageError(f"no reply names the colour {one!r}; {nearest(one, _COLOURS)}")
    own = [_COLOURS[one] if chinese else f"{one}|{_COLOURS[one]}" for one in names]
    others = [f"{other}|{words}" for other, words in _COLOURS.items() if other not in names]
    return Rule.of(own, "|".join([*others, _HEDGES]))


_SIDES = {
    "top": "top|upper|up|上", "bottom": "bottom|lower|down|low|下", "left": "left|左", "right": "right|右",
    "middle": "middle|center|centre|central|中间|中央|中心|正中",
}  # fmt: skip


def place(name: str, chinese: bool = False) -> Rule:
    """This ninth of the picture: "top left", "right", "middle"."""
    sides = name.split()
    for side in sides:
        if side not in _SIDES:
            raise UsageError(f"no reply names the place {side!r}; {nearest(side, _SIDES)}")
    others = [words for side, words in _SIDES.items() if side not in sides and side != "middle"]
    return Rule.of([_SIDES[side] for side in sides], "|".join([*others, _HEDGES]))


def time(clock: str) -> Rule:
    """This time, as "7:30", and no other in figures."""
    hour, minute = map(int, clock.split(":"))
    name, following = _NUMBERS[hour], hour % 12 + 1
    ways = [clock, f"0{clock}", f"{hour}.{minute:02}", f"{hour} {minute:02}"]
    ways += {
        0: [
            f"{hour} o'clock",
            f"{name} o'clock",
            f"{hour} oclock",
            f"{name} oclock",
            f"{hour}点整",
            f"{hour}点",
        ],
        15: [f"quarter past {name}", f"quarter past {hour}", f"{name} fifteen"],
        30: [f"half past {name}", f"half past {hour}", f"{name} thirty", f"{hour}点半"],
        45: [f"quarter to {_NUMBERS[following]}", f"quarter to {following}", f"{name} forty five"],
    }.get(minute, [])
    return Rule.of(["|".join(ways)], _HEDGES)


def polarity(answer: str, about: str = "", chinese: bool = False) -> Rule:
    """It says yes, or it says no; in that word, or in a sentence with one of `about`."""
    if answer == "yes":
        return Rule.of([f"{_YES}|{about}"], f"{_NEGATIONS}|{_HEDGES}")
    return Rule.of([_NEGATIONS, f"{_NO}|{about}"], _HEDGES if chinese else f"yes|yeah|yep|{_HEDGES}")


def missing(what: str, chinese: bool = False) -> Rule:
    """It says that `what` (in any of these words) is not there."""
    return Rule.of([_NEGATIONS, f"{what}|no such"], _HEDGES if chinese else f"yes|{_HEDGES}")


def only(present: frozenset[str], named: Words) -> Rule:
    """No person, and no animal, vehicle, food … that is neither present nor in the words of the rule."""
    known = {word for kind in present for word in kind.split()} | {
        word for group in named for alternative in group.split("|") for word in alternative.split()
    }
    portable = [kind for kind in KINDS.values() if kind.category in _PORTABLE and kind.name not in _AMBIGUOUS]
    invented = [
        name for kind in portable if known.isdisjoint(kind.name.split()) for name in (kind.name, kind.plural)
    ]
    return Rule((), (*invented, *(word for word in _PEOPLE if word not in known)))


def chinese(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def _split(words: str) -> Words:
    return tuple(filter(None, map(str.strip, words.split("|"))))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("-", " ")
    return " ".join(re.sub(r"[*_\"“”]", "", text).split())


@lru_cache(None)
def _pattern(word: str) -> str:
    plain = re.escape(_plain(word))
    if not word.isascii():
        return plain
    plural = "(?:e?s)?" if word[-1].isalpha() and word not in _NUMBERS else ""
    # 7 is neither in 17 nor in 7:30 nor in 7.5, but it may end a sentence.
    return rf"(?<![a-z0-9])(?<!\d[.:,]){plain}{plural}(?![a-z0-9]|'[a-z]|[.:,]\d)"


def _has(plain: str, words: Words) -> bool:
    return any(re.search(_pattern(word), plain) for word in words)
