"""Parts of a picture that somebody put into words, as Visual Genome has them: what can be seen where."""

import re

from llavakit.synth.english import IRREGULAR, plural
from llavakit.synth.offline import captions, phrases, space, tables
from llavakit.synth.offline.nouns import article, join, sentence
from llavakit.synth.offline.space import PLACES, SHORT
from llavakit.synth.offline.talk import Pair, Talk
from llavakit.synth.scene import Box

_MOST = 4  # in one description
_PLAIN = re.compile(r"[A-Za-z][A-Za-z ,'-]{3,80}")
_STARTS = re.compile(r"(?:a|an|the|one|two|three|four|five|six|several|many|some) ", re.IGNORECASE)
_ENDS = re.compile(r" (?:in|on|with|at|of|by|near|next|behind|under|over|that|which|who|is|are|\w+ing)\b")
_PLURALS = frozenset(IRREGULAR.values()) | {plural(word) for word in tables.PEOPLE}
_AT = ("What can be seen {place}?", "What is there {place}?", "What does the picture show {place}?")
_ORDER = (
    "What would you pass, among other things, going through the picture from left to right?",
    "Looking across the picture from left to right, what do you meet?",
)
_SHOWS = ("The picture shows {what}.", "You can see {what}.", "In the picture I can make out {what}.")
_SEEN = (
    "{Place}, you can see {what}.",
    "{Place}, the picture shows {what}.",
    "{Place}, I can make out {what}.",
)


def named(phrase: str) -> str:
    """A phrase as an object, with an article where it lacks one; "" where it may be a sentence."""
    words = " ".join(phrase.strip().strip(".").split())
    if not _PLAIN.fullmatch(words):
        return ""
    words = words if words[:2].isupper() else words[0].lower() + words[1:]
    if not _STARTS.match(words):
        end = _ENDS.search(words)
        head = (words[: end.start()] if end else words).rpartition(" ")[2]
        if not (head.endswith("s") and not head.endswith("ss")) and head not in tables.MASS | _PLURALS:
            words = article(words)
        elif phrases.is_finite(words):
            return ""
        else:
            return words
    return phrases.named(words[0].upper() + words[1:] + ".")


def placed(talk: Talk) -> list[tuple[str, str]]:
    """What is plainly somewhere, and a key of `PLACES`; nothing twice."""
    found = []
    said: set[str] = set()
    for region in talk.draw.some(talk.facts.scene.regions, 24):
        place = space.place(region.box)
        what = named(region.phrase) if place else ""
        caption = captions.read(f"There is {what}.") if what else None
        if caption is not None and said.isdisjoint(caption.stems):
            said |= caption.stems
            found.append((what, place))
    return found


def opening(talk: Talk) -> str:
    """A sentence of some parts; "" where there are too few."""
    names = [what for what, _ in placed(talk)[:3]]
    return talk.say(_SHOWS, what=join(names)) if len(names) > 1 else ""


def at_place(talk: Talk) -> Pair | None:
    """What is somewhere in the picture."""
    if not talk.facts.scene.regions:
        return None
    for _, place in (found := placed(talk)):
        if talk.fresh("at", place):
            here = [what for what, at in found if at == place][:2]
            return talk.say(_AT, place=PLACES[place]), talk.say(
                _SEEN, Place=sentence(PLACES[place]), what=join(here)
            )
    return None


def in_order(talk: Talk) -> Pair | None:
    """Some of them from left to right."""
    row: list[tuple[Box, str]] = []
    said: set[str] = set()
    for region in talk.draw.some(talk.facts.scene.regions, 12):
        box = region.box
        what = named(region.phrase) if len(row) < 4 and all(_apart(box, other) for other, _ in row) else ""
        caption = captions.read(f"There is {what}.") if what else None
        if caption is not None and said.isdisjoint(caption.stems):
            said |= caption.stems
            row.append((box, what))
    if len(row) < 3:
        return None
    names = [what for _, what in sorted(row, key=lambda each: each[0][0] + each[0][2])]
    then = "".join(f", then {name}" for name in names[1:-1])
    return talk.say(
        _ORDER
    ), f"Going from left to right, you first meet {names[0]}{then} and finally {names[-1]}."


def _apart(a: Box, b: Box) -> bool:
    return space.is_left(a, b) or space.is_left(b, a)


def described(talk: Talk) -> list[str]:
    """A few sentences, each about another part of the picture."""
    if not talk.facts.scene.regions:
        return []
    places: dict[str, list[str]] = {}
    for what, place in placed(talk):
        places.setdefault(place, []).append(what)
    return [
        talk.say(_SEEN, Place=sentence(SHORT[place] if i else PLACES[place]), what=join(here[:2]))
        for i, (place, here) in enumerate(list(places.items())[:_MOST])
    ]
