"""What gives a teacher away: talk of what it was shown instead of the picture, and talk of itself.

Patterns run only over texts that have one of their words, which few have.
"""

import re
from collections.abc import Set

from llavakit.synth.check.said import word_set

# Words without which no pattern of leaks matches.
_TELLING = word_set(
    "caption captions captioned bounding coordinate coordinates description descriptions described"
    " according based given provided supplied mentioned mention stated specified unspecified sentence"
    " sentences annotation annotations dataset metadata detected detections listed list jpg jpeg png webp gif"
    " bmp tif tiff context information text boxes"
)
_MATERIAL = r"(?:captions?|descriptions?|sentences?|annotations?|context|text|information|data|list|boxes)"
_GIVEN = r"(?:(?:given|provided|available|supplied|above|following|input|image|picture|scene) )"
_TOLD = r"(?:mentioned|specified|stated|listed|described)"
_HOW = r"(?:explicitly |specifically |directly )?"
_SAYS = (
    r"(?:say|mention|state|tell|describe|indicate|suggest|impl(?:y|ie)|note|refer|specif(?:y|ie)|list"
    r"|provide|do|did|include|give)"
)
# "according to the text on the sign" speaks of the picture.
_THERE = r"(?! (?:on|in|of|at|above|under|below|beside|next|along|inside|written|printed|painted|shown) )"
# With each pattern a word: where the scene's own sentences have it, it may be spoken of.
_LEAKS = [
    (re.compile(pattern), word)
    for word, patterns in {
        "caption": (r"\bcaption(?:s|ed)?\b",),
        "coordinate": (
            r"\b(?:the|their|its|at|box|by|exact|given|these|of|with|following) coordinates?\b",
            r"\bcoordinates? (?:of|are|is|\(|\[|:|indicate|suggest|show|provided|given|\d)",
        ),
        "list": (r"\b(?:the|a) list of (?:objects|things|items)\b", r"\blisted (?:objects|things|items)\b"),
        "": (
            r"\bbounding[- ]box",
            rf"\b(?:the|this|these|that|your) {_GIVEN}?(?:descriptions?|sentences?|context) {_SAYS}",
            r"\b(?:in|from|by|per|to|with|on) (?:the|this|these|your) "
            rf"(?:{_GIVEN}?(?:description|sentence)s?|{_GIVEN}context)\b{_THERE}",
            rf"\bbased on (?:the |this |these |all )?{_GIVEN}*{_MATERIAL}\b{_THERE}",
            rf"\baccording to (?:the |this |these |what )?{_GIVEN}*{_MATERIAL}\b{_THERE}",
            rf"\bfrom (?:the )?{_GIVEN}+{_MATERIAL}\b",
            rf"\b(?:the|your) (?:given|provided|supplied|input) {_MATERIAL}\b",
            r"\b(?:given|with) the (?:information|context|details) (?:provided|given|available)\b",
            rf"\b{_MATERIAL} (?:that )?(?:(?:was|were|is|are|has been|have been) )?(?:provided|given to)\b",
            rf"\b(?:not|never) (?:been )?{_HOW}{_TOLD}\b|n't (?:been )?{_HOW}{_TOLD}\b|\bunspecified\b",
            r"\bno mention of\b|\b(?:does|do|did)(?: not|n't) mention\b",
            rf"\b(?:is|are|was|were) {_HOW}(?:mentioned|described)\b",
            rf"\bas {_TOLD}\b|\b{_TOLD} (?:in|by) the\b",
            r"\b(?:image|object|scene) (?:annotations?|metadata|detections?)\b",
            r"\bthe (?:annotations?|metadata|dataset)\b",
            r"\bdetected (?:objects?|in the (?:image|picture|photo|scene))\b",
            r"\b(?:objects?|items?) (?:are |is |were )?(?:detected|listed)\b",
            r"[\w-]+\.(?:jpe?g|png|webp|gif|bmp|tiff?)\b",
        ),
    }.items()
    for pattern in patterns
]
# "[0.1, 0.2", "(0.12, 0.3", "(12, 5, 30, 20)", "0.482", "0.12 and 0.31", "x1", "COCO_val2014_000000000042";
# "0.5 km" and "0.25 miles" are none.
_PLACES = re.compile(
    r"\[ *\d+(?:\.\d+)? *[,;] *\d|\( *(?:0?\.\d+|1\.0+) *[,;]|\( *\d+ *, *\d+ *, *\d+ *, *\d+ *\)"
    r"|\b0\.\d{3}\b|\b0\.\d{2,} *(?:,|and|to|-) *(?:and )?[01]\.\d{2,}\b|\b[xy][12]\b|_\d{6,}|\d{9,}"
)
_CORNERS = frozenset("xy")

_PICTURE = r"(?:image|picture|photo)"
# Patterns of refusals, each with words without which it does not match.
_REFUSALS = [
    (word_set(words), re.compile("|".join(patterns), re.MULTILINE))
    for words, *patterns in (
        (
            "sorry apologies apologize apologise",
            r"\b(?:i'm|i am|we're|we are) (?:very |so |really )?sorry\b",
            r"^(?:sorry|apologies)\b|\bi apologi[sz]e\b|\bmy apologies\b",
        ),
        (
            "ai artificial language text-based",
            r"\bas an? (?:ai|artificial intelligence|large language model|language model|text-based)\b",
            r"\bi(?:'m| am) (?:an? )?(?:ai|(?:large )?language model)\b",
        ),
        (
            "cannot can't not couldn't don't won't unable able",
            r"\bi(?:'m| am) (?:unable|not able|only able)\b",
            r"\bi (?:can't|cannot|can not|could not|couldn't|do not|don't|am not able to|won't) "
            r"(?:(?:actually|directly|really|physically) )?"
            rf"(?:(?:see|view) (?:(?:the|an|any|this|that|your|actual) )*{_PICTURE}|access|analy[sz]e|assist"
            r"|help|provide|determine|process|describe|comply|generate|create|answer|fulfill"
            r"|have (?:access|the ability|enough|any|an? image|sufficient|visual))\b",
        ),
        (
            "provide provided upload uploaded share shared attach attached send given available included",
            rf"\bno {_PICTURE} (?:is |was |has been |were )?"
            r"(?:provided|attached|given|available|uploaded|shared|included)\b",
            r"\b(?:please|could you|can you) (?:provide|upload|share|attach|send)\b",
        ),
        (
            "sure certainly course absolutely okay ok here",
            r"^(?:sure|certainly|of course|absolutely|okay|ok)\b[,!.]? *(?:here|i can|i'd|i'll|let me)\b",
            r"^here(?:'s| is| are) (?:the|a|an|your|my|some) (?:[\w-]+ ){0,3}"
            r"(?:description|caption|conversation|questions?|sentence|answer|summary|response|example)\b",
        ),
        (
            "let feel hope help assist",
            r"\blet me know if\b|\bfeel free to\b|\bi hope (?:this|that) helps\b",
            r"\bhow (?:can|may) i (?:help|assist) you\b",
        ),
    )
]

# Chinese: the same, in fewer words.
_LEAKS_ZH = re.compile(
    r"边界框|坐标|图片说明|描述(?:中)?(?:提到|说|指出)"
    r"|根据(?:提供的|所给的|给定的)?(?:描述|文字|文本|信息|标题)"
)
_REFUSALS_ZH = re.compile(
    r"作为(?:一个|一名)?(?:AI|人工智能|语言模型)|(?:抱歉|对不起)[,,]|我(?:无法|不能)(?:看到|查看|访问|提供)"
)
_QUOTED = re.compile(r'"[^"\n]{0,200}"|“[^”\n]{0,200}”')  # what is written in the picture


def leak(text: str, words: Set[str], scene_text: str, language: str = "en") -> str:
    """What speaks of the sentences and numbers that a teacher was shown; "" where nothing does.

    Args:
        words: of the text
        scene_text: what the scene's own sentences say: of a caption that is in the picture one may speak
    """
    if language == "zh" and (found := _LEAKS_ZH.search(text)):
        return found[0]
    placed = "0." in text or "[" in text or "(" in text or "_0" in text or "0000" in text or words & _CORNERS
    if placed and (found := _PLACES.search(text.lower())):
        return found[0]
    if words.isdisjoint(_TELLING):
        return ""
    small = _plain(text)
    for pattern, word in _LEAKS:
        if (found := pattern.search(small)) and not (word and word in scene_text.lower()):
            return found[0]
    return ""


def refusal(text: str, words: Set[str], language: str = "en") -> str:
    """Where an assistant speaks of itself instead of the picture; "" where it does not."""
    if language == "zh" and (found := _REFUSALS_ZH.search(text)):
        return found[0]
    for needed, pattern in _REFUSALS:
        if not words.isdisjoint(needed) and (found := pattern.search(_plain(text))):
            return found[0]
    return ""


def _plain(text: str) -> str:
    return _QUOTED.sub('""', text.lower().replace("’", "'"))
