"""Whether questions about absent things are answered with a denial, and whether these are absent indeed.

Some questions of such a row may be about what is there, so that not every answer is no.
"""

from collections.abc import Collection

from llavakit.synth.check.claims import DENY, status
from llavakit.synth.check.names import Names
from llavakit.synth.check.said import words_of
from llavakit.synth.check.support import affirmed
from llavakit.synth.check.told import Told
from llavakit.synth.task import Made, RejectedError, Turns

_FIRST = 6  # words among which an answer that names nothing must deny: "No.", "There are none."
_FURTHER = frozenset(("other", "others", "more", "additional", "another", "second", "further", "else"))


def check_absence(turns: Turns, names: Names, certain: Collection[str], told: Told) -> Made:
    """
    Args:
        certain: labels of what would be among the scene's things if it were there

    Raises:
        RejectedError: no answer denies, or one denies what may be there, or names what is not.
    """
    named: set[str] = set()
    missing: dict[str, str] = {}
    faults, denials = [], 0
    for place, (question, answer) in enumerate(turns, 1):
        words = words_of(answer)
        denied = []
        for hit in names.find(words):
            named.add(hit.name.label)
            what, there = status(words, hit, False), told.supports(hit.name)
            if what == "denied" and words[hit.start - 1] not in _FURTHER:
                denied.append((hit.name.label, there))
            elif what == "claimed" and not there:
                missing[hit.name.label] = " ".join(words[hit.start : hit.end])
        faults += [f"answer {place} denies {label}, which is there" for label, there in denied if there]
        if not denied and not DENY.isdisjoint(words[:_FIRST]):
            denied = [(hit.name.label, told.supports(hit.name)) for hit in names.find(words_of(question))]
            if not denied:
                faults.append(f"answer {place} denies something of which nothing is known")
        if denied and not any(label in certain and not there for label, there in denied):
            faults.append(f"answer {place} denies {denied[0][0]}, which is not known to be absent")
        denials += bool(denied)
        for asked, hit in affirmed(question, answer, names):
            if not told.supports(hit.name):
                missing[hit.name.label] = " ".join(asked[hit.start : hit.end])
    made = Made(turns, len(named | missing.keys()), tuple(missing))
    if missing:
        faults.insert(0, f"it names what is not there: {', '.join(missing.values())}")
    elif not denials:
        faults.append("no answer denies anything")
    if faults:
        raise RejectedError("support", faults[0], made)
    return made
