"""Whether what a reply names is there.

A thing that an answer claims to be there must be among the scene's things or be spoken of in its sentences.
One that is not makes the row of no use. Reasoning speaks of the world too, and of what may be inferred:
there, as many are let pass as `TOLERATED` says, if they are not stated to be in the picture.
"""

from collections.abc import Iterator

from llavakit.synth.check.claims import stated, status
from llavakit.synth.check.counts import misanswered, miscounted
from llavakit.synth.check.names import Hit, Names
from llavakit.synth.check.said import Words, word_set, words_of
from llavakit.synth.check.told import Told
from llavakit.synth.task import Made, RejectedError, Turns

TOLERATED = {"reasoning": 1 / 3}  # of the things that its answer names, how many may be unsupported
_ASKS = ("is there", "are there", "do you see", "can you see", "does the picture show", "does the image show")
_DEFINITE = word_set("the this that these those his her its their")
_NEAR = 2  # words between an article and its noun, at most, with what describes it


def check_support(turns: Turns, kind: str, words: Words, asked: Words, names: Names, told: Told) -> Made:
    """
    Args:
        words: of all answers
        asked: of the questions, where the teacher wrote them

    Raises:
        RejectedError: things are named that are not there, or miscounted.
    """
    named: set[str] = set()
    missing: dict[str, str] = {}  # by label, what is said
    sure, wrong = kind not in TOLERATED, ""
    for hit in names.find(words):
        label = hit.name.label
        if told.supports(hit.name):
            named.add(label)
            if told.counted and not wrong:
                wrong = miscounted(words, hit, told)
        elif status(words, hit, kind == "reasoning") == "claimed":
            missing.setdefault(label, _said(words, hit))
            sure = sure or stated(words, hit)
    for text, hit in _presumed(turns, asked, names, told):
        missing.setdefault(hit.name.label, _said(text, hit))
    named |= missing.keys()
    if told.counted and not wrong:
        faults = (misanswered(question, answer, names, told) for question, answer in turns)
        wrong = next(filter(None, faults), "")
    made = Made(turns, len(named), tuple(missing))
    if missing and (sure or len(missing) > TOLERATED[kind] * len(named)):
        raise RejectedError("support", f"it names what is not there: {', '.join(missing.values())}", made)
    if wrong:
        raise RejectedError("support", f"it miscounts: {wrong}", made)
    return made


def affirmed(question: str, answer: str, names: Names) -> list[tuple[Words, Hit]]:
    """What is said to be there by an answer that says yes to "Is there …?"."""
    if answer[:3].lower() != "yes" or not question.lower().startswith(_ASKS) or " or " in question:
        return []
    words = words_of(question)
    return [(words, hit) for hit in names.find(words)[:1]]


def _presumed(turns: Turns, asked: Words, names: Names, told: Told) -> Iterator[tuple[Words, Hit]]:
    """What is not there though questions take it for granted ("what does the dog do?"), or are affirmed."""
    for hit in names.find(asked):
        before = asked[max(0, hit.start - 1 - _NEAR) : hit.start]
        if not told.supports(hit.name) and not _DEFINITE.isdisjoint(before):
            yield asked, hit
    for question, answer in turns:
        for words, hit in affirmed(question, answer, names):
            if not told.supports(hit.name):
                yield words, hit


def _said(words: Words, hit: Hit) -> str:
    return " ".join(words[hit.start : hit.end])
