"""From marked items to figures."""

import re
from collections.abc import Sequence

from llavakit.evaluate import Score, accuracy, f1, ratio
from llavakit.tiny.exam.item import Marked
from llavakit.tiny.talk import heard
from llavakit.tiny.talk.asking import painted
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.themes import TAGS

_PLACES = re.compile("|".join(TAGS), re.IGNORECASE)


def share(name: str, marked: Sequence[Marked]) -> Score:
    """The share of right replies; chance is the commonest truth."""
    return accuracy(name, [m.right for m in marked], [m.item.truth for m in marked])


def plain_share(name: str, marked: Sequence[Marked]) -> Score:
    """The share of right replies, where no constant answer makes sense as a yardstick."""
    return accuracy(name, [m.right for m in marked])


def wrong_share(name: str, marked: Sequence[Marked]) -> Score:
    return accuracy(name, [not m.right for m in marked])


def yes_f1(name: str, marked: Sequence[Marked]) -> Score:
    """A reply that is not the truth counts as its opposite, also where it is neither yes nor no."""
    truths = [m.item.truth == "yes" for m in marked]
    return f1(name, truths, [t if m.right else not t for t, m in zip(truths, marked, strict=True)])


def recall(name: str, marked: Sequence[Marked]) -> Score:
    """Of the kinds of things in the pictures, how many the descriptions name."""
    pairs = [(_kinds(m.item.scenes), _named(m.reply)) for m in marked]
    return ratio(name, [(len(there & named), len(there)) for there, named in pairs])


def precision(name: str, marked: Sequence[Marked]) -> Score:
    """Of the kinds that the descriptions name, how many are in the pictures.

    What only the background shows (a street's houses) need not be named, and is not wrong.
    """
    told = []
    for m in marked:
        named = _named(m.reply)
        there = _kinds(m.item.scenes)
        behind = frozenset[str]().union(*map(painted, m.item.scenes)) - there
        told.append((len(named & there), len(named - behind)))
    return ratio(name, told)


def _named(reply: str) -> set[str]:
    """The kinds that a reply names; a car park is not a car."""
    return heard.kinds(_PLACES.sub(" ", reply))


def _kinds(scenes: Sequence[Scene]) -> frozenset[str]:
    return frozenset(thing.kind for scene in scenes for thing in scene.things)
