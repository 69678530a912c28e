"""Whether a reply about several pictures is right: what changed, in which one, which way a thing moves."""

import re

from llavakit.tiny.talk import heard
from llavakit.tiny.talk.question import Question, Rule
from llavakit.tiny.world.changes import Motion
from llavakit.tiny.world.scene import PLACES
from llavakit.tiny.world.things import KINDS

NTH = ("first", "second", "third", "fourth")
ZH_NTH = "一二三四"
_WAYS: tuple[Motion, ...] = ("left", "right", "up", "down")

_WORDS: dict[str, str] = {
    "added": r"added|new|appear|there is now|now there|extra|more|多了|出现|新",
    "removed": r"gone|missing|removed|disappear|no longer|vanish|taken away|不见|没有了|消失|少了",
    "recoloured": r"turned|colou?r|became|is now|changed|变",
    "moved": r"moved|shift|now (?:at|in|on)|went|移",
    "replaced": r"replaced|instead|became|turned into|swapped|exchanged|换|变成",
}
_NOTHING = re.compile(
    r"nothing|no (?:change|difference)|the same|identical|not changed|没有(?:变|少|不同)|一样|什么都没",
    re.IGNORECASE,
)
_MOTION: dict[Motion, str] = {
    "left": r"\bleft|[向往朝]左|左[移边]", "right": r"\bright|[向往朝]右|右[移边]",
    "up": r"\bup(?:wards?)?\b|to the top|[向往朝]上|上[移升]",
    "down": r"\bdown(?:wards?)?\b|to the bottom|[向往朝]下|下[移降]",
    "still": r"not mov|doesn't move|does not move|nothing moves|still|stays|没有动|不动|没有东西在动",
    "grows": r"bigger|larger|grow|closer|变大", "shrinks": r"smaller|shrink|away|变小",
}  # fmt: skip


def _right_change(question: Question, reply: str) -> bool:
    """Every change: what happened to what, its new colour or place; no other thing, no wrong detail."""
    if question.truth == "nothing":
        return bool(_NOTHING.search(reply)) and not heard.kinds(reply)
    colours, places = heard.colours(question.answer), set[str]()
    due_colours, due_places = set[str](), set[str]()
    for fact in question.truth.split("; "):
        what, *rest = fact.split("|")
        if not re.search(_WORDS[what], reply, re.IGNORECASE):
            return False
        places |= {part for part in rest if part in PLACES.values()}
        if what == "moved":
            due_places.add(rest[-1])
        elif what == "recoloured":
            due_colours.add(rest[-1])
        elif what == "removed":  # a natural colour may be told
            colours |= set((KINDS[rest[0]].colour or "").split())
    said_colours, said_places = heard.colours(reply), heard.places(reply, several=True)
    return (
        heard.kinds(reply) == heard.kinds(question.answer)
        and due_places <= said_places <= places
        and due_colours <= said_colours <= colours
    )


def _right_picture(question: Question, reply: str) -> bool:
    text = reply.lower()
    said = {str(i + 1) for i, nth in enumerate(NTH) if nth in text or f"第{ZH_NTH[i]}张" in text}
    said |= set(re.findall(r"\b(?:picture|image|frame) (\d)", text))
    if question.truth == "none":
        return not said and (heard.denied(reply) or "neither" in text or "没有" in text)
    if re.search(r"\b(both|all|each|same)\b|都有|每张", text):
        said = set(question.truth.split(",")) if "," in question.truth else {"all"}
    return said == set(question.truth.split(","))


def _right_number(question: Question, reply: str) -> bool:
    return heard.numbers(reply) == {int(question.truth)}


def _right_motion(question: Question, reply: str) -> bool:
    """Names the one true way; "away" and "closer" count as getting smaller and bigger."""
    said = {motion for motion, words in _MOTION.items() if re.search(words, reply, re.IGNORECASE)}
    return said == {question.truth.rpartition("|")[2]}


def _right_whether(question: Question, reply: str) -> bool:
    yes, _, motion = question.truth.partition("|")
    said = {way for way in _WAYS if re.search(_MOTION[way], reply, re.IGNORECASE)}
    opening = heard.plain(reply).split()[:1]
    return opening == [yes] and said <= {motion}


RULES: dict[str, Rule] = {
    "changed": _right_change,
    "which_picture": _right_picture,
    "how_many_pictures": _right_number,
    "one_picture": _right_number,
    "moves": _right_motion,
    "whether_moves": _right_whether,
}
