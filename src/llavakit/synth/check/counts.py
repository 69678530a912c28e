"""Whether the numbers that an answer gives agree with the things that there are.

Only of complete scenes, and never of crowds. More than there are is always wrong. Fewer are wrong where the
whole picture is spoken of: "there are two dogs in the picture"; "two dogs are asleep" leaves room for a
third. What a caption says is not contradicted, for people count what annotators passed over.
"""

import re

from llavakit.synth.check.claims import counted
from llavakit.synth.check.names import Hit, Names
from llavakit.synth.check.said import NUMBERS, Words, number, words_of
from llavakit.synth.check.told import Told

_IN = r"(?: in (?:the|this|total|all)(?: (?:image|picture|photo|photograph|scene|view))?)?"
_ASKED = re.compile(
    rf"\bhow many ((?:[\w-]+ ){{0,2}}[\w-]+) (?:are|is|can|do)"
    rf" (?:there|visible|shown|present|depicted|be seen|you see|(?=in the )){_IN}(?: in total)? ?\?"
)
_NUMBER = re.compile(rf"\b(?:none|{'|'.join(NUMBERS)}|\d+)\b")


def miscounted(words: Words, hit: Hit, told: Told) -> str:
    """What is wrong with the number that stands before a name, "" where nothing is."""
    found = counted(words, hit)
    there = None if found is None else told.count(hit.name.label)
    if found is None or there is None:
        return ""
    said, whole = found
    if not _wrong(said, there, hit.name.label, whole and hit.name.exact, told):
        return ""
    return f"{' '.join(words[hit.start - 1 : hit.end])} (there are {there})"


def misanswered(question: str, answer: str, names: Names, told: Told) -> str:
    """What is wrong with the answer to "How many … are there?", "" where nothing is or this is not asked."""
    asked = _ASKED.search(question.lower())
    if asked is None:
        return ""
    what = words_of(asked[1])
    hit = next(iter(names.find(what)), None)
    if hit is None or hit.start or hit.end < len(what) or not hit.name.exact:
        return ""
    there, given = told.count(hit.name.label), _NUMBER.search(answer.lower())
    if there is None or given is None:
        return ""
    said = 0 if given[0] == "none" else number(given[0])
    if said is None or not _wrong(said, there, hit.name.label, True, told):
        return ""
    return f"{said} {asked[1]} (there are {there})"


def _wrong(said: int, there: int, label: str, whole: bool, told: Told) -> bool:
    if said == there or (said < there and not whole):
        return False
    if said > there:
        return not any(spoken >= said for of, spoken in told.numbers if of == label)
    return (label, said) not in told.numbers
