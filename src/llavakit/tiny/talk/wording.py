"""A question as somebody might type it: a wording picked from a table, filled, and roughened.

People leave out capitals and marks, spell colour either way, say please, and slip.
"""

import random
import re
from collections.abc import Sequence

_PICTURE = ("picture",) * 7 + ("image",) * 5 + ("photo",) * 3 + ("drawing", "scene", "pic", "pic")
_OPENINGS = ("hey, ", "hi, ", "hello, ", "ok, ", "so, ", "and ", "please ", "now ", "hey ", "could you say: ")
_ENDINGS = (" please", ", please", " thanks", " pls")
# The small words of which a letter may be wrong. Never nouns, colours or places: those carry the question.
_SLIPS = re.compile(
    r"\b(what|where|there|many|which|does|picture|image|colour|color|the|this|describe|tell|are|have|any)\b",
    re.IGNORECASE,
)
_ZH_MARKS = "？。！?"
_HAN = re.compile(r"[一-鿿]")


def worded(table: Sequence[str], rng: random.Random, **words: str) -> str:
    """One wording of the table with `words` (and `{pic}`, a word for picture) filled in, roughened."""
    text = rng.choice(table).format(pic=rng.choice(_PICTURE), **words)
    if _HAN.search(text):
        return text.rstrip(_ZH_MARKS) if rng.random() < 0.25 else text
    return _roughened(text[:1].upper() + text[1:] if rng.random() < 0.9 else text, rng)


def _roughened(text: str, rng: random.Random) -> str:
    if rng.random() < 0.4:
        text = text.replace("colour", "color").replace("Colour", "Color")
    if rng.random() < 0.3:
        text = text.replace("'", "")
    if rng.random() < 0.03:
        text = rng.choice(_OPENINGS) + text[:1].lower() + text[1:]
        text = text[:1].upper() + text[1:]
    elif rng.random() < 0.04 and "lease" not in text and text[-1:] in "?.":
        text = text[:-1] + rng.choice(_ENDINGS) + text[-1]
    if rng.random() < 0.02:
        text = _slipped(text, rng)
    if rng.random() < 0.22:
        text = text.lower()
    mark = rng.random()
    if mark < 0.16:
        return text.rstrip("?.!")
    if mark < 0.18 and text.endswith("?"):
        return text + "?"
    return text


def _slipped(text: str, rng: random.Random) -> str:
    """With one letter of a small word left out or exchanged with the next."""
    found = list(_SLIPS.finditer(text))
    if not found:
        return text
    word = rng.choice(found)
    i = rng.randrange(word.start() + 1, word.end() - 1)
    if rng.random() < 0.5:
        return text[:i] + text[i + 1 :]
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
