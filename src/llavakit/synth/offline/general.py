"""Questions about the picture as a whole: what it shows, what somebody does, which things there are."""

from collections.abc import Sequence

from llavakit.synth.english import plural
from llavakit.synth.offline import captions, phrases, regions, tables
from llavakit.synth.offline.captions import Caption
from llavakit.synth.offline.facts import Sort, listing, there
from llavakit.synth.offline.talk import Pair, Talk

_SHOWN = (
    "What does the picture show?", "What is shown in this picture?", "What can be seen in the picture?",
    "What is this a picture of?", "Can you tell me what is in the picture?",
    "What do you see in this picture?",
    "How would you sum up the picture in a sentence?", "What is the picture about?",
)  # fmt: skip
_SHOWS = (
    "The picture shows {what}.",
    "It shows {what}.",
    "In the picture, there {are} {what}.",
    "I can see {what}.",
)
_ELSE = (
    "What else can you say about the picture?", "Is there anything else to say about the picture?",
    "Could you put it in other words?", "Can you tell me more about the picture?",
)  # fmt: skip
_SEEN = (
    "Which things can you make out in the picture?", "What objects can be seen in the picture?",
    "What are some of the things in the picture?", "Could you name a few things that the picture shows?",
)  # fmt: skip
_SEES = (
    "You can see {list}.",
    "The picture shows {list}.",
    "I can make out {list}.",
    "Among the things to be seen {are} {list}.",
)
_GROUP = ("Are there any {group} in the picture?", "Does the picture show any {group}?")
_WHICH = ("What {group} can you see in the picture?", "Which {group} does the picture show?")
_GROUPS = {
    "animal": "animals", "vehicle": "vehicles", "fruit": "fruit", "food": "food", "furniture": "furniture",
    "appliance": "kitchen appliances",
}  # fmt: skip
_GROUP_WORDS = {
    group: frozenset(words) | {plural(word) for word in words}
    for group in _GROUPS
    for words in ((*tables.GROUPS[group], *tables.GROUP_HINTS[group]),)
}  # fmt: skip


def opening(talk: Talk) -> Pair | None:
    """What the picture shows: a caption, or the things in it."""
    caption = central(talk)
    if caption is None:
        parts = "" if talk.facts.sorts else regions.opening(talk)
        question = talk.draw.one(_SHOWN)
        return (question, parts) if parts else _list(talk, question) if talk.facts.sorts else None
    return talk.draw.one(_SHOWN), shown(talk, caption)


def central(talk: Talk) -> Caption | None:
    """One of the captions that say what others say too."""
    best = talk.facts.weighed()[:3]
    if not best:
        return None
    caption = talk.draw.one(best)
    talk.used.add(("caption", caption.raw))
    return caption


def shown(talk: Talk, caption: Caption, wordings: Sequence[str] = _SHOWS) -> str:
    """A sentence, whatever the caption is."""
    text = caption.text
    what = phrases.named(text)
    if not what:
        return text
    return talk.say(wordings, what=what, are="are" if phrases.is_several(text) else "is")


def another(talk: Talk) -> Pair | None:
    """A second caption, that says something else."""
    told = _told(talk)
    said = {stem for caption in told for stem in caption.stems}
    for caption in talk.draw.shuffled([*talk.facts.captions, *talk.facts.further]):
        if _goes_with(caption, told) and captions.added(caption, said) > 1:
            talk.used.add(("caption", caption.raw))
            return talk.draw.one(_ELSE), shown(talk, caption)
    return None


def doing(talk: Talk) -> Pair | None:
    """What somebody, or an animal, does."""
    if not talk.fresh("doing"):
        return None
    told = _told(talk)
    for caption in talk.draw.shuffled(talk.facts.captions):
        if phrases.ACTING.isdisjoint(caption.words) or not _goes_with(caption, told):
            continue
        found = phrases.doing(caption.text)
        if found is None:
            continue
        who, what, several = found
        if not all(who in each.words for each in told):
            continue  # somebody else, or the same by another name
        talk.used.add(("caption", caption.raw))
        are = "are" if several else "is"
        verb = "wearing" if what.startswith("wearing ") else "doing"
        return f"What {are} the {who} {verb}?", f"The {who} {are} {what}."
    return None


def _told(talk: Talk) -> list[Caption]:
    found = (*talk.facts.captions, *talk.facts.further)
    return [caption for caption in found if ("caption", caption.raw) in talk.used]


def _goes_with(caption: Caption, told: list[Caption]) -> bool:
    return caption not in told and all(captions.compatible(each, caption) for each in told)


def kinds(talk: Talk) -> Pair | None:
    """Which things there are."""
    if len(talk.facts.sorts) < 3:
        return None
    return _list(talk, talk.draw.one(_SEEN))


def _list(talk: Talk, question: str) -> Pair:
    listed = talk.facts.sorts[:5]
    return question, talk.say(_SEES, list=listing(listed), are=listed[0].are)


def of_group(talk: Talk) -> Pair | None:
    """Which animals, vehicles, … there are; only if no caption speaks of another one."""
    for group in talk.draw.shuffled(tuple(_GROUPS)):
        found = members(talk, group)
        if found and talk.fresh("group", group):
            name = _GROUPS[group]
            for sort in found:
                talk.used |= {("any", sort.noun.category), ("count", sort.noun.category)}
            if talk.draw.chance(50):
                return talk.say(_WHICH, group=name), f"T{there(found)[1:]}."
            question = talk.draw.one(_GROUP).format(group=name)
            if name in ("fruit", "food", "furniture"):
                question = question.replace("Are there", "Is there")
            return question, f"Yes, {there(found)}."
    return None


def members(talk: Talk, group: str) -> list[Sort]:
    """What there is of a group; nothing where a caption speaks of more."""
    found = [
        sort
        for sort in talk.facts.sorts
        if sort.noun.category.replace("_", " ").lower() in tables.GROUPS[group]
    ]
    if not found:
        return []
    spoken = talk.facts.words & _GROUP_WORDS[group]
    known = set().union(*(sort.noun.words for sort in found))
    return found if spoken <= known else []
