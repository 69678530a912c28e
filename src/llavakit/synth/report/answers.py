"""What short answers say: yes or no, a number, an option's letter."""

import re
from collections.abc import Sequence

from llavakit.synth.report.phrases import Options, is_word

YES, NO, NEITHER = "yes", "no", "neither"
NUMBERS = (*map(str, range(11)), "11–20", "more", "none named")
"""How counts are grouped."""

_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_NUMBERS = {word: value for value, word in enumerate(_WORDS)} | {"no": 0, "none": 0, "dozen": 12, "single": 1}
_LETTER = re.compile(r"\s*\(?([A-Z])\)?\s*(?:[.:),]|$)")


def yes_or_no(answer: Sequence[str], polar: bool) -> str | None:
    """What an answer's first word says; None where nobody asked for it, and it says neither.

    Args:
        answer: its tokens
        polar: whether the question begins with an auxiliary, as "is"
    """
    first = answer[0] if answer else ""
    if first in (YES, NO) and (polar or len(answer) == 1 or not is_word(answer[1])):
        return first
    return NEITHER if polar else None


def number(answer: Sequence[str]) -> str:
    """Of an answer to "how many": the first number in it, as one of `NUMBERS`."""
    for word in answer:
        if word in _NUMBERS:
            value = _NUMBERS[word]
        elif word.isdecimal() and word.isascii():
            value = int(word) if len(word) < 9 else 10**9
        else:
            continue
        return str(value) if value <= 10 else "11–20" if value <= 20 else "more"
    return "none named"


def letter(answer: str, options: Options) -> str | None:
    """Which option is chosen, by its letter or its very words; None: none of them."""
    said = _LETTER.match(answer)
    if said is not None and any(said[1] == name for name, _ in options):
        return said[1]
    text = answer.strip().rstrip(".").lower()
    return next((name for name, option in options if option.rstrip(".").lower() == text), None)
