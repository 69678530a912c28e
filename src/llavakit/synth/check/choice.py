"""Whether a multiple-choice question has one right option, and that is the one."""

import re

from llavakit.synth.check.counts import misanswered
from llavakit.synth.check.names import Names
from llavakit.synth.check.plain import check_options
from llavakit.synth.check.said import words_of
from llavakit.synth.check.told import Told
from llavakit.synth.task import Made, RejectedError, Turns

_OPTION = re.compile(r"^([A-Z])\. (.+)$", re.MULTILINE)
_DENIES = re.compile(r"\b(?:not|cannot|no|never|absent|missing|lacks)\b|n't\b")
# Which of several things is there: any other of them that is there would be right as well.
_IN = r"in (?:the|this) (?:image|picture|photo|scene)"
_WHICH = re.compile(
    r"\b(?:which|what) (?:one )?of (?:these|the following)(?: \w+)? (?:can be seen|(?:do|can) you see"
    rf"|(?:is|are) (?:visible|present|shown|there)|(?:is|are|appears?) {_IN})(?: {_IN})?\??$"
)


def check_choice(turns: Turns, names: Names, told: Told) -> Made:
    """
    Raises:
        RejectedError: the letter stands for no option, two options say the same or are both right, or what
            is right is not supported.
    """
    ((question, letter),) = turns
    options = dict(_OPTION.findall(question))
    if letter not in options:
        raise RejectedError("form", f"the answer {letter[:20]!r} is the letter of no option")
    check_options(list(options.values()))
    stem = question.split("\n", 1)[0]
    small = stem.lower()
    denies = _DENIES.search(small) is not None
    here = {key: _unsupported(option, names, told) for key, option in options.items()}
    named, missing = here[letter]
    made = Made(turns, named, () if denies else tuple(missing))
    if missing and not denies:
        raise RejectedError(
            "support", f"the right option names what is not there: {', '.join(missing)}", made
        )
    if denies and named and not missing and _WHICH.search(_DENIES.sub("", small).replace("  ", " ")):
        raise RejectedError("support", f"option {letter} is there, and should not be", made)
    if _WHICH.search(small):
        for key, (count, absent) in here.items():
            if key != letter and count and not absent:
                raise RejectedError("support", f"option {key} is there as well", made)
    if wrong := misanswered(stem, options[letter], names, told):
        raise RejectedError("support", f"it miscounts: {wrong}", made)
    return made


def _unsupported(option: str, names: Names, told: Told) -> tuple[int, list[str]]:
    """How many things an option names, and which of them are not there."""
    hits = list(names.find(words_of(option)))
    return len({hit.name.label for hit in hits}), [
        hit.name.label for hit in hits if not told.supports(hit.name)
    ]
