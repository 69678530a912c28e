"""Rows of the kind "brief": one caption, and not the longest."""

from llavakit.synth.offline.captions import Caption
from llavakit.synth.offline.tables import names
from llavakit.synth.offline.talk import Talk

_ARTICLES = names("a an the two three four several")  # others read like headlines


def write(talk: Talk) -> str:
    """One that says in few words what the others say too; "" where there is none."""
    found = talk.facts.weighed()
    if len(found) > 2:
        found.remove(max(found, key=lambda caption: len(caption.raw)))
    best = sorted(found, key=_worth)[-2:]
    return talk.draw.one(best).text if best else ""


def _worth(caption: Caption) -> float:
    """What it says that others say too, per word, few words being no merit of their own."""
    return caption.weight / (len(caption.order) + 4) + (caption.order[0] in _ARTICLES) / 4
