"""Captions: which are English sentences, what they look like tidied, and which of them go together."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import eq

from llavakit.synth.offline.lexicon import COLORS, ENGLISH, FOREIGN, FUNCTION, JUNK, NUMBERS, RIVALS
from llavakit.synth.offline.nouns import sentence
from llavakit.synth.offline.tables import names

_BETWEEN = str.maketrans(dict.fromkeys(string.punctuation, " "))  # "three giraffe's" are giraffes, too
_CURLY = str.maketrans("‘’“”–—", "''\"\"--")
# Links, markup, questions, our own forms.
_JUNK = re.compile(
    r"[<>{}\[\]|\\@#^*_~=?]|\.{4}|https?:|www\.|^this (?:photo|image|picture)"
    r"|(?:question|answer|options?) *:|(?:^|\s)[A-F][.)] ",
    re.IGNORECASE,
)
_OF_TEXT = re.compile(
    r"\bfig(?:ure|s|\b)|\btables?\b|\bet al|\b(?:shown|see|study|studies|paper|above|below|section)\b",
    re.IGNORECASE,
)
# What most captions are, and what is found out much faster.
_PLAIN = re.compile(r"(?!this )[a-z][a-z ,'-]+\.?\s*", re.IGNORECASE)
_NEAT = re.compile(r"[A-Za-z][A-Za-z'-]*(?:,? [A-Za-z][A-Za-z'-]*)*\.?")
_MAY_DOUBLE = names("that had very long bye knock night can one")  # "very very small"
_WRONG = re.compile(r"\b(?:[Aa] [aeiouAEIOUhH]|[Aa]n [^aeiouAEIOU])")  # or right, with a word like "uniform"
_ARTICLE = re.compile(r"\b([Aa])(n?) +(?=(\w+))")
# One that somebody wrote in haste: "Man holding a bag".
_BARE = re.compile(
    r"(?:man|woman|boy|girl|person|guy|lady|child|surfer|skier|skateboarder|snowboarder)\b(?!')", re.I
)
_VOWEL = re.compile(r"(?!uni(?!n)|use|uku|uti|eu|ewe|one\b|once)[aeiou]|hour|honest|heir", re.IGNORECASE)


@dataclass(slots=True)
class Caption:
    """One sentence about the picture.

    Attributes:
        raw: as the source has it
        order: its words in their order, in small letters
        words: these as a set
        weight: how much of it others say too, once they were weighed
    """

    raw: str
    order: list[str]
    words: set[str]
    weight: int = -1
    _stems: set[str] | None = None

    @property
    def stems(self) -> set[str]:
        """Beginnings of the words that say something, to compare captions by."""
        if self._stems is None:
            self._stems = {word[:5] for word in self.words - FUNCTION if len(word) > 2}
        return self._stems

    @property
    def text(self) -> str:
        """Tidied: one sentence, or several."""
        return tidy(self.raw)


def read(raw: str) -> Caption | None:
    """None where it is too short or long, junk, or not English."""
    if not raw.isascii():
        raw = raw.translate(_CURLY)
        if sum(letter > "\x7f" for letter in raw) > 2:  # "café" is English
            return None
    if not 8 <= len(raw) <= 800 or not (_PLAIN.fullmatch(raw) or not _JUNK.search(raw)):
        return None
    order = order_of(raw)
    words = set(order)
    if not 3 <= len(order) <= 120 or not JUNK.isdisjoint(words):
        return None
    if ENGLISH.isdisjoint(words) or (
        not FOREIGN.isdisjoint(words) and len(words & ENGLISH) <= len(words & FOREIGN)
    ):
        return None
    return Caption(raw, order, words)


def read_mention(raw: str) -> Caption | None:
    """The same of what a text says of a figure; None where it speaks of the text, or of figures."""
    return None if _OF_TEXT.search(raw) else read(raw)


def order_of(raw: str) -> list[str]:
    """Its words in their order, in small letters."""
    return raw.lower().translate(_BETWEEN).split()


@lru_cache(maxsize=1024)
def tidy(raw: str) -> str:
    """With a capital letter and a full stop, single spaces, and the right one of "a" and "an"."""
    text = raw.strip()
    if not _NEAT.fullmatch(text):
        text = " ".join(text.replace('"', "").replace("`", "'").split())
        text = re.sub(r"\s+([,.;:!])", r"\1", text)
        text = re.sub(r"([,;:!])(?=[A-Za-z])", r"\1 ", text)
        text = re.sub(r"([,;:!.])[,;:.]+", r"\1", text)
        text = re.sub(r"([a-z]{2})\.(?=[A-Z])", r"\1. ", text)
        text = text.strip(" ,;:-_'").strip()
    if not text[1:].islower() and sum(map(str.isupper, text)) > 0.6 * sum(map(str.isalpha, text)):
        text = text.lower()
    said = text.lower().split()
    if any(map(eq, said, said[1:])):  # "a a dog"
        pairs = zip(text.split(), said, ["", *said], strict=False)
        text = " ".join(word for word, now, before in pairs if now != before or now in _MAY_DOUBLE)
    if _WRONG.search(text):
        text = _ARTICLE.sub(_right, text)
    if _BARE.match(text):
        text = f"a {text[0].lower()}{text[1:]}"
    return sentence(text if text.endswith((".", "!")) else f"{text}.")


def _right(found: re.Match[str]) -> str:
    vowel = _VOWEL.match(found[3]) and not found[3].isupper()
    return f"{found[1]}{'n' if vowel else ''} "


def weigh(captions: Sequence[Caption]) -> None:
    """Set how much of each caption the others say too, in words."""
    if not captions or captions[0].weight >= 0:
        return
    counts: dict[str, int] = {}
    for caption in captions:
        for stem in caption.stems:
            counts[stem] = min(counts.get(stem, -1) + 1, 3)
    for caption in captions:
        caption.weight = sum([counts[stem] for stem in caption.stems])


def agreeing(captions: Sequence[Caption], words: set[str], alone: bool, bird: bool) -> list[Caption]:
    """Those that do not contradict each other in who is there, by the majority.

    Args:
        words: of all of them
        alone: whether there is one person
        bird: whether there is a bird
    """
    kept = list(captions)
    for sides, matters in zip(RIVALS, (True, alone, bird), strict=True):
        if not matters or sum(not side.isdisjoint(words) for side in sides) < 2:
            continue
        takes = [[not side.isdisjoint(caption.words) for side in sides] for caption in kept]
        if any(sum(each) > 1 for each in takes):
            continue  # they are different ones
        votes = [sum(side) for side in zip(*takes, strict=True)] if takes else []
        if sum(map(bool, votes)) > 1:
            winner = votes.index(max(votes))
            kept = [
                caption for caption, each in zip(kept, takes, strict=True) if each[winner] or not any(each)
            ]
    return kept


def compatible(first: Caption, second: Caption) -> bool:
    """Whether both can be said in one text: they name the same colours and numbers, or only one names any."""
    for words in (COLORS, NUMBERS):
        of_first, of_second = first.words & words, second.words & words
        if of_first and of_second and of_first != of_second:
            return False
    return True


def added(second: Caption, said: set[str]) -> int:
    """How many words it says that were not said yet; -1 where most of what it says was."""
    new = len(second.stems - said)
    return new if 2 * new > len(second.stems) else -1
