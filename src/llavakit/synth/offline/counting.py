"""Questions about how many there are, whether there is any, and of what there is more."""

from llavakit.synth.offline.facts import Sort
from llavakit.synth.offline.nouns import Noun, sentence
from llavakit.synth.offline.space import PLACES
from llavakit.synth.offline.talk import Pair, Talk

_HOW_MANY = (
    "How many {many} are there in the picture?", "How many {many} can you see?",
    "How many {many} does the picture show?",
    "What is the number of {many} in the picture?", "How many {many} are in view?",
)  # fmt: skip
_SO_MANY = (
    "There {are} {number} in the picture.", "The picture shows {number}.", "I can see {number}.",
    "{number} can be seen in the picture.", "I count {number} in the picture.",
    "There {are} {number} to be seen.",
)  # fmt: skip
_JUST_ONE = (
    "There is one {one} in the picture.", "The picture shows one {one}.", "I can see one {one}.",
    "Just one {one} can be seen in the picture.", "There is only one {one} in the picture.",
)  # fmt: skip
_ANY = (
    "Is there {a} in the picture?", "Can you see {a} in the picture?", "Does the picture show {a}?",
    "Are there any {bare} in the picture?", "Can you see any {bare}?",
)  # fmt: skip
_ANY_MASS = (
    "Is there any {bare} in the picture?",
    "Can you see any {bare} in the picture?",
    "Does the picture show any {bare}?",
)
_YES = (
    "Yes, there {are} {amount} in the picture.",
    "Yes, the picture shows {amount}.",
    "Yes, I can see {amount}.",
)
_NO = (
    "No, there is no {one} in the picture.", "No, there are no {bare} in the picture.",
    "No, the picture does not show any {bare}.", "No, I cannot see {a} in the picture.",
)  # fmt: skip
_NO_MASS = ("No, there is no {bare} in the picture.", "No, the picture does not show any {bare}.")
_NO_PLURAL = ("No, there are no {bare} in the picture.", "No, the picture does not show any {bare}.")
_INSTEAD = ("What it does show is {list}.", "It shows {list} instead.", "What can be seen instead is {list}.")
_MORE = ("Are there {how} {a} than {b} in the picture?", "Does the picture show {how} {a} than {b}?")
_EQUAL = (
    "Are there as many {a} as {b} in the picture?",
    "Does the picture show the same number of {a} and {b}?",
)
_WHICH = ("Which are there more of in the picture, {a} or {b}?", "Of which are there more, {a} or {b}?")


def how_many(talk: Talk) -> Pair | None:
    sort = talk.pick("count", talk.facts.counted())
    if sort is None:
        return None
    talk.used.add(("any", sort.noun.category))
    question = talk.say(_HOW_MANY, many=sort.noun.many)
    wordings = _JUST_ONE if sort.n == 1 else _SO_MANY
    answer = talk.say(wordings, are=sort.are, number=sort.noun.number(sort.n), one=sort.noun.one)
    place = sort.place if sort.known and talk.fresh("where", sort.noun.category) else ""
    if place:
        one = f"The {sort.noun.one}" if sort.noun.human else "It"
        who = one if sort.n == 1 else "Both" if sort.n == 2 else "All of them"
        answer = f"{answer} {who} {sort.are} {PLACES[place]}."
    return question, answer


def is_there(talk: Talk) -> Pair | None:
    """Whether something is there that is, or that is not."""
    if talk.absent and talk.draw.chance(50) and talk.fresh("denied"):
        return denied(talk, talk.draw.one(talk.absent[:6]))
    sort = talk.pick("any", talk.facts.sorts)
    if sort is None:
        return None
    talk.used.add(("count", sort.noun.category))  # that is told with it
    return affirmed(talk, sort)


def affirmed(talk: Talk, sort: Sort) -> Pair:
    talk.used.add(("any", sort.noun.category))
    question = ask_for(talk, sort.noun)
    place = sort.place if sort.alone else ""
    if place and talk.draw.chance(50):
        return question, f"Yes, there is {sort.noun.a} {PLACES[place]}."
    return question, talk.say(_YES, are=sort.are, amount=sort.amount)


def denied(talk: Talk, named: Noun) -> Pair:
    """
    Args:
        named: of `Talk.absent`
    """
    talk.used.add(("any", named.category))
    answer = no(talk, named)
    instead = talk.instead(named)
    if instead and talk.draw.chance(70):
        answer = f"{answer} {talk.say(_INSTEAD, list=instead)}"
    return ask_for(talk, named), answer


def ask_for(talk: Talk, named: Noun) -> str:
    """Whether it is there."""
    wordings = _ANY if named.single_out else _ANY_MASS if named.mass else _ANY[3:]
    return talk.say(wordings, a=named.a, bare=named.bare)


def no(talk: Talk, named: Noun) -> str:
    wordings = _NO if named.single_out else _NO_MASS if named.mass else _NO_PLURAL
    return talk.say(wordings, a=named.a, one=named.one, bare=named.bare)


def compare(talk: Talk) -> Pair | None:
    """Of which of two sorts there is more."""
    counted = talk.facts.counted()
    several = [sort for sort in counted if sort.n > 1]
    if not several or len(counted) < 2 or not talk.fresh("compare"):
        return None
    a = talk.draw.one(several)
    b = talk.draw.one([sort for sort in counted if sort is not a])
    if talk.draw.chance(50):
        a, b = b, a
    names = {"a": a.noun.many, "b": b.noun.many}
    fact = comparison(a, b)
    ask = talk.draw.below(4)
    if ask == 0 and a.n != b.n:
        return talk.say(
            _WHICH, **names
        ), f"{sentence(comparison(*sorted((a, b), key=lambda sort: -sort.n)))}."
    if ask == 1:
        return talk.say(_EQUAL, **names), f"{'Yes' if a.n == b.n else 'No'}, {fact}."
    how = talk.draw.one(("more", "fewer"))
    yes = a.n > b.n if how == "more" else a.n < b.n
    return talk.say(_MORE, how=how, **names), f"{'Yes' if yes else 'No'}, {fact}."


def comparison(a: Sort, b: Sort) -> str:
    """ "there are more dogs than cats: three dogs and two cats" """
    if a.n == b.n:
        return (
            f"there are as many {a.noun.many} as {b.noun.many}: {a.noun.number(a.n)} and {b.noun.number(b.n)}"
        )
    how = "more" if a.n > b.n else "fewer"
    return f"there are {how} {a.noun.many} than {b.noun.many}: {a.noun.number(a.n)} and {b.noun.number(b.n)}"
