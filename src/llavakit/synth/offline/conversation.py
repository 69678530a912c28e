"""Rows of the kind "conversation": a few questions, from the whole to its parts."""

from llavakit.synth.offline import counting, general, placing, regions
from llavakit.synth.offline.talk import Maker, Pair, Talk

_MOST = 6
_LEAST = 3

# In the order in which they are asked; the number is how many of them are drawn from, for a share.
_MAKERS: tuple[tuple[Maker, int], ...] = (
    (general.doing, 3), (general.kinds, 1), (general.of_group, 1), (counting.how_many, 4),
    (counting.is_there, 3),
    (placing.where, 3), (placing.at_place, 1), (regions.at_place, 3), (placing.spread, 1),
    (placing.member, 1), (placing.relation, 3),
    (placing.larger, 2), (placing.nearest, 1), (counting.compare, 2),
)  # fmt: skip
_LOTS = tuple(place for place, (_, share) in enumerate(_MAKERS) for _ in range(share))


def write(talk: Talk) -> list[Pair] | str:
    """The pairs, or why there are too few."""
    first = general.opening(talk)
    if first is None:
        return "neither captions nor things can be spoken of"
    wanted = _LEAST - 1 + talk.draw.below(_MOST - _LEAST + 1)
    found: list[tuple[int, Pair]] = []
    asked = {first[0]}
    for place in talk.draw.in_turn(_LOTS):
        if len(found) == wanted:
            break
        pair = _MAKERS[place][0](talk)
        if pair is not None and pair[0] not in asked:
            asked.add(pair[0])
            found.append((place, pair))
    while len(found) < _LEAST - 1:
        pair = _one_more(talk)
        if pair is None or pair[0] in asked:
            return f"what is known of the picture makes fewer than {_LEAST} questions"
        asked.add(pair[0])
        found.append((-1, pair))
    return [first, *(pair for _, pair in sorted(found, key=lambda each: each[0]))]


def _one_more(talk: Talk) -> Pair | None:
    """Where little is known: another caption, or a question near to one that was asked."""
    pair = general.another(talk)
    if pair is None:
        talk.used -= {key for key in talk.used if key[0] in ("count", "any")}
        pair = counting.how_many(talk) if talk.fresh("again") else counting.is_there(talk)
    return pair
