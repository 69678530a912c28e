"""Questions about what things are for, as far as their names tell: what has wheels, what can be eaten."""

from dataclasses import dataclass

from llavakit.synth.offline import tables
from llavakit.synth.offline.facts import Sort, listing
from llavakit.synth.offline.nouns import join, sentence
from llavakit.synth.offline.tables import names
from llavakit.synth.offline.talk import Pair, Talk


@dataclass(frozen=True)
class _Use:
    """
    Attributes:
        ask: what is asked for, after "Which of the things in the picture"
        can: what is said of those; verbs as for several, with the singular's ending beside
        why: the reason, after names of such things in general
        categories: of which this is true
    """

    ask: str
    can: str
    why: str
    categories: frozenset[str]


_USES = (
    _Use("could be eaten", "{those} could be eaten", "{are} food", frozenset(tables.GROUPS["food"])),
    _Use("could move about on their own", "{those} could move about on {its} own", "{are} living beings",
         frozenset({"person", *tables.GROUPS["animal"]})),
    _Use("could take somebody to another place", "{those} could take somebody to another place",
         "{are} made to travel in or on", frozenset(tables.GROUPS["vehicle"])),
    _Use("run on wheels", "{those} run{s} on wheels", "{have} wheels",
         names("bicycle car motorcycle bus truck skateboard van taxi")),
    _Use("could somebody sit on", "somebody could sit on {those}", "{are} made to sit on",
         names("chair couch bench sofa stool armchair")),
    _Use("need electricity to work", "{those} need{s} electricity", "{do} not work without electricity",
         names("tv microwave toaster refrigerator laptop hair_drier cell_phone dishwasher")),
    _Use("could somebody drink from", "somebody could drink from {those}", "{are} made to drink from",
         names("cup wine_glass mug")),
    _Use("could other things be carried in", "other things could be carried in {those}",
         "{are} made to carry things in", names("backpack handbag suitcase")),
    _Use("would somebody eat with", "somebody would eat with {those}", "{are} made to eat with",
         names("fork knife spoon")),
    _Use("could be read", "{those} could be read", "{are} made to be read", names("book magazine newspaper")),
    _Use("could tell somebody the time", "{those} could tell somebody the time", "{show} the time",
         names("clock watch")),
    _Use("would keep the rain off", "{those} would keep the rain off", "{are} made for rainy weather",
         names("umbrella")),
    _Use("are used in sport", "{those} {is_} used in sport", "{are} sports equipment",
         frozenset(tables.GROUPS["sport"])),
    _Use("tell drivers what to do", "{those} tell{s} drivers what to do", "{are} there to guide the traffic",
         names("traffic_light stop_sign")),
    _Use("could somebody sleep in", "somebody could sleep in {those}", "{are} made to sleep in",
         names("bed")),
)  # fmt: skip
_OF_USE = frozenset().union(*(use.categories for use in _USES))
_ASKED = (
    "Which of the things in the picture {ask}?", "Among the things in the picture, which ones {ask}?",
    "Which of the things in the picture {ask}, and why?",
)  # fmt: skip
_THERE = ("The picture shows {list}.", "There {are} {list} in the picture.")
_LISTED = 5


def which(talk: Talk) -> Pair | None:
    """Which of what is there serves a purpose, or is of a nature; not that nothing else does."""
    sorts = talk.facts.sorts
    named = {name for sort in sorts if (name := _plain(sort)) in _OF_USE}
    if not named or named == {"person"}:  # that people are alive is hardly a conclusion
        return None
    for use in talk.draw.in_turn(_USES):
        if use.categories.isdisjoint(named - {"person"}):
            continue
        fitting = [sort for sort in sorts if _plain(sort) in use.categories][:3]
        others = [sort for sort in sorts if _plain(sort) not in use.categories]
        shown = {id(sort) for sort in (*fitting, *others[: _LISTED - len(fitting)])}
        listed = [sort for sort in sorts if id(sort) in shown]
        return talk.say(_ASKED, ask=use.ask), _answer(talk, use, fitting, listed)
    return None


def _plain(sort: Sort) -> str:
    return sort.noun.category.replace("_", " ").lower()


def _answer(talk: Talk, use: _Use, fitting: list[Sort], listed: list[Sort]) -> str:
    one = len(fitting) == 1 and fitting[0].are == "is"
    mass = len(fitting) == 1 and fitting[0].noun.mass
    those = join([f"the {sort.noun.one if sort.are == 'is' else sort.noun.bare}" for sort in fitting])
    kinds = join([sort.noun.bare for sort in fitting])
    can = use.can.format(
        those=those,
        is_="is" if one else "are",
        its="their" if not one or fitting[0].noun.human else "its",
        s="s" if one else "",
        do="does" if one else "do",
    )
    why = use.why.format(
        are="is" if mass else "are", have="has" if mass else "have", do="does" if mass else "do",
        show="shows" if mass else "show",
    )  # fmt: skip
    there = talk.say(_THERE, are=listed[0].are, list=listing(listed))
    if len(listed) == len(fitting):
        return f"{there} {sentence(kinds)} {why}, so {can}."
    return f"{there} Of these, {can}, since {kinds} {why}."
