"""What can be said of turns without the picture: their form, language and length."""

import re
from collections.abc import Sequence, Set

from llavakit.synth.check.said import FOREIGN, FUNCTION
from llavakit.synth.task import RejectedError, Turns

LANGUAGES = ("en", "zh")

# Fewest and most words of an answer, by kind; of Chinese, characters. GPT-4's answers of LLaVA-Bench have 7
# to 39 in conversations, 50 to 121 in detail, 71 to 166 in reasoning; a grammar says less.
ANSWERS = {
    "conversation": (1, 150), "detail": (12, 400), "reasoning": (12, 400), "brief": (3, 60), "choice": (1, 1),
    "absent": (1, 100),
}  # fmt: skip
_QUESTION = (2, 60)
_OPTION = 20  # words, at most
_LONG = ("detail", "reasoning")  # a reply of these that ends without a full stop was cut off
_ENDED = ('.', "!", "?", '"', "'", ")", "]", ":", "…", "”", "’", "。", "!", "?", "」")  # fmt: skip
_FEW = 5  # different words, of which a language cannot be told by its small words
_MANY = 25  # different words, of which some must be small ones
_SMALL = 0.08  # of them, in English; lists of things have least
_ENGLISH = FUNCTION | {"a", "in"}
_SAME = 0.2  # of words that differ in a long text; a model that is stuck has less
_STUCK = 60

# Controls, halves of pairs, what stands for a character that could not be read, and what places pictures.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffd]|<image>")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z\u00aa-\u024f\u1e00-\u1eff]")  # a letter that is not Latin


def check_form(turns: Turns) -> None:
    """
    Raises:
        RejectedError: no turns, an empty one, `<image>`, or the same question twice.
    """
    if not turns:
        raise RejectedError("form", "it has no turns")
    texts = [text for turn in turns for text in turn]
    if not all(texts) or any(map(str.isspace, texts)):
        raise RejectedError("form", "it has an empty turn")
    if odd := _ODD.search("\n".join(texts)):
        raise RejectedError("form", f"it holds {odd[0]!r}")
    if len(turns) > 1 and len({question.lower() for question, _ in turns}) < len(turns):
        raise RejectedError("duplicate", "it asks the same question twice")


def check_language(text: str, words: Set[str], language: str) -> None:
    """
    Args:
        words: the different ones of the text

    Raises:
        RejectedError: another script, or another language in the same.
    """
    if language == "zh":
        letters = len(_LETTER.findall(text))
        if letters and 2 * len(_HAN.findall(text)) < letters:
            raise RejectedError("language", "it is not in Chinese")
        return
    if not text.isascii() and 10 * len(_FOREIGN.findall(text)) > len(text):
        raise RejectedError("language", "it is not in Latin letters")
    if len(words) > _FEW:
        english, foreign = len(words & _ENGLISH), len(words & FOREIGN)
        if foreign > english or (len(words) > _MANY and english < _SMALL * len(words)):
            raise RejectedError("language", "it does not read as English")


def check_lengths(kind: str, turns: Turns, language: str) -> None:
    """
    Raises:
        RejectedError: too long, too short, cut off, or going round in circles.
    """
    least, most = ANSWERS[kind]
    for place, (question, answer) in enumerate(turns, 1):
        if kind == "choice":
            break
        asked, said = (_words(text, language) for text in (question, answer))
        which = f" {place}" if len(turns) > 1 else ""
        if not least <= len(said) <= most:
            raise RejectedError(
                "length", f"answer{which} has {len(said)} words: {least} to {most} are asked for"
            )
        if not _QUESTION[0] <= len(asked) <= _QUESTION[1]:
            raise RejectedError("length", f"question{which} has {len(asked)} words")
        if len(said) > _STUCK and len(set(said)) < _SAME * len(said):
            raise RejectedError("form", f"answer{which} repeats itself")
        if kind in _LONG and not answer.rstrip().endswith(_ENDED):
            raise RejectedError("form", f"it ends in the middle of a sentence: {answer[-30:]!r}")


def check_options(options: Sequence[str]) -> None:
    """
    Raises:
        RejectedError: two that say the same, or one that is too long.
    """
    if len({_bare(option) for option in options}) < len(options):
        raise RejectedError("form", "two options say the same")
    if any(len(option.split()) > _OPTION for option in options):
        raise RejectedError("length", f"an option has more than {_OPTION} words")


def _bare(option: str) -> str:
    return re.sub(r"^(?:an?|the) |[.!]$", "", option.strip().lower())


def _words(text: str, language: str) -> Sequence[str]:
    return _HAN.findall(text) if language == "zh" else text.split()
