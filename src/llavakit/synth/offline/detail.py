"""Rows of the kind "detail": captions that say different things, and what the boxes add to them."""

from llavakit.synth.offline import captions, general, phrases, regions, space
from llavakit.synth.offline.captions import Caption
from llavakit.synth.offline.facts import Sort, listing
from llavakit.synth.offline.nouns import number, sentence
from llavakit.synth.offline.placing import halves
from llavakit.synth.offline.space import PLACES, RELATIONS, SHORT
from llavakit.synth.offline.talk import Talk

_NEW = 3  # words that a further caption must add
_LISTED = 6
_SHOWS = ("The picture shows {what}.", "In the picture, there {are} {what}.", "This is a picture of {what}.")
_ALSO = (
    "The picture also shows {list}.", "There {are} also {list} in the picture.",
    "Beyond that, {list} can be seen.",
    "Also in the picture {are} {list}.",
)  # fmt: skip
_FIRST = (
    "The picture shows {list}.",
    "In the picture, there {are} {list}.",
    "This is a picture with {list}.",
)
_IN_ALL = ("In all, there {are} {list}.", "Altogether, {list} can be seen.", "There {are} {list} in total.")
_PLACED = ("{all} {are} {place}.", "{all} can be seen {place}.")
_TWO_PLACED = (
    "{first} {is_} {here}, and {second} {are} {there}.",
    "While {first} {is_} {here}, {second} {are} {there}.",
    "{first} {is_} {here}; {second} {are} {there}.",
)  # fmt: skip
_MOST = ("{thing} takes up most of the picture.", "Most of the picture is taken up by {thing}.")


def write(talk: Talk) -> str:
    """The description; "" where too little is known."""
    told = _captions(talk)
    said = [*told, *_things(talk), *_arrangement(talk)]
    if talk.facts.scene.regions:
        said += regions.described(talk)
    return " ".join(said) if len(said) > 1 else ""


def _captions(talk: Talk) -> list[str]:
    """The caption that says most, and others as far as they add to it."""
    found = talk.facts.weighed()
    if not found:
        return []
    best = sorted(found, key=lambda caption: -2 * min(len(caption.stems), 12) - caption.weight)
    lead = best[0] if len(best) == 1 or talk.draw.chance(70) else best[1]
    told, said, sentences = [lead], set(_stems(talk, lead)), [general.shown(talk, lead, _SHOWS)]
    for caption in (*best, *talk.facts.further):
        if len(told) < 3 and caption not in told and all(captions.compatible(each, caption) for each in told):
            stems = _stems(talk, caption)
            new = len(stems - said)
            further = _further(talk, caption, lead, said) if new >= _NEW and 2 * new > len(stems) else ""
            if further:
                told.append(caption)
                sentences.append(further)
                said |= stems
    talk.used.update(("caption", caption.raw) for caption in told)
    return sentences


def _stems(talk: Talk, caption: Caption, among: set[str] | None = None) -> set[str]:
    """What it says, or these of its stems, things by their category: a sofa is no news after a couch."""
    found = set(caption.stems if among is None else among)
    for sort in talk.facts.sorts:
        here = {word[:5] for word in caption.words & sort.noun.words}
        if here & found:
            found -= here
            found.add(sort.noun.category)
    return found


def _further(talk: Talk, caption: Caption, lead: Caption, said: set[str]) -> str:
    """A caption after the first: about the same ("The dog is lying on a bed."), or about something else; ""
    where a reader might take what it is about for another one.
    """
    text = caption.text
    found = phrases.about(text)
    if found is not None:
        whom, what, _ = found
        who = whom.rpartition(" ")[2]
        if who in lead.words and _is_one(talk, who):
            return f"The {whom} {what}."
    subject = {word[:5] for word in phrases.subject(caption.order)} & caption.stems
    if not subject or not said.isdisjoint(_stems(talk, caption, subject)):
        return ""
    what = phrases.named(text)
    return f"There {'are' if phrases.is_several(text) else 'is'} {what}." if what else text


def _is_one(talk: Talk, who: str) -> bool:
    """Whether two captions that say "a dog", or both "two dogs", mean the same."""
    sorts = [sort for sort in talk.facts.sorts if who in sort.noun.single or who in sort.noun.several]
    return all(sort.known or (sort.noun.human and who in sort.noun.single) for sort in sorts)


def _things(talk: Talk) -> list[str]:
    """What captions leave out: things, and numbers."""
    told = [caption for caption in talk.facts.captions if ("caption", caption.raw) in talk.used]
    words = set().union(*(caption.words for caption in told))
    sorts = talk.facts.sorts
    new = [sort for sort in sorts if words.isdisjoint(sort.noun.hints)][:_LISTED]
    found = []
    if new:
        wordings = _ALSO[talk.draw.below(2) * 2 :] if told else _FIRST
        found.append(talk.say(wordings, are=new[0].are, list=listing(new)))
    counted = [
        sort for sort in sorts
        if sort.counted and sort not in new and (
            words.isdisjoint(sort.noun.words)  # "a couple" may be those two people: no others
            or (sort.n > 1 and number(sort.n) not in words)
        )
    ]  # fmt: skip
    if counted and told:
        counted = sorted(counted[:4], key=lambda sort: sort.n == 1)
        wordings = _FIRST[:2] if counted[0].n == 1 else _IN_ALL
        found.append(talk.say(wordings, are=counted[0].are, list=listing(counted)))
    return found


def _arrangement(talk: Talk) -> list[str]:
    """Where things are: the largest, some by their place, some by each other."""
    draw, known = talk.draw, talk.facts.known()
    found = []
    alone = [sort for sort in known if sort.n == 1]
    filling = [sort for sort in alone if space.fills(sort.hull)]
    if len(filling) == 1:
        found.append(talk.say(_MOST, thing=filling[0].the))
    placed = draw.some([sort for sort in known if sort.place], 4)
    found += _placed(talk, placed)
    rest = [sort for sort in known[:8] if sort not in placed and sort not in filling]
    spread = [words for sort in rest if sort.counted and sort.n > 1 and (words := halves(sort))]
    found += [f"{words}." for words in spread[:1]]
    found += _related(talk, rest, placed)
    return found


def _placed(talk: Talk, placed: list[Sort]) -> list[str]:
    found = []
    if len(placed) > 1:
        a, b = placed[:2]
        if a.place == b.place and a.n == b.n == 1:
            found.append(f"{sentence(a.the)} and {b.the} are both {PLACES[a.place]}.")
        elif a.place != b.place:
            found.append(talk.say(
                _TWO_PLACED, first=a.all, is_=a.are, here=PLACES[a.place], second=b.all, are=b.are,
                there=SHORT[b.place],
            ))  # fmt: skip
        placed = placed[2:] if found else placed
    for sort in placed[:2]:
        place = SHORT[sort.place] if found else PLACES[sort.place]
        found.append(talk.say(_PLACED, all=sort.all, are=sort.are, place=place))
    return found


def _related(talk: Talk, rest: list[Sort], placed: list[Sort]) -> list[str]:
    """One or two things that have no place of their own, by where they are from another one."""
    found = []
    for a in rest[:3]:
        for b in placed + rest:
            how = space.relation(a.boxes, b.boxes) if a is not b else ""
            if how and talk.fresh("relation", *sorted((a.noun.category, b.noun.category))):
                found.append(f"{sentence(a.all)} {a.are} {RELATIONS[how]} {b.the}.")
                break
    return found[:2]
