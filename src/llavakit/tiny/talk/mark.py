"""Whether a reply says what is true: any wording of the truth passes, a hedge ("red or blue") does not."""

import re

from llavakit.tiny.talk import compare, heard, outside, read, reason, rules_several
from llavakit.tiny.talk.question import Question, Rule
from llavakit.tiny.world.things import KINDS


def correct(question: Question, reply: str) -> bool:
    """Whether the reply is right, by the rule of the question's kind."""
    return _ALL[question.kind](question, reply)


def _allowed_colours(question: Question) -> set[str]:
    """What a reply may name beside the truth: the question's colours, and natural ones of what is named."""
    named = heard.kinds(question.answer) | heard.kinds(question.text)
    natural = {word for kind in named for word in (KINDS[kind].colour or "").split()}
    return heard.colours(question.answer) | heard.colours(question.text) | natural


def _presence(question: Question, reply: str) -> bool:
    truth = heard.kinds(question.answer) | heard.kinds(question.text) | heard.kinds(question.truth)
    strays = bool(truth) and not heard.kinds(reply) <= truth
    return heard.polarity(reply) == question.truth and not strays


def _check(question: Question, reply: str) -> bool:
    sure = heard.polarity(reply) == question.truth
    return sure and heard.colours(reply) <= heard.colours(question.answer) | heard.colours(question.text)


def _colour(question: Question, reply: str) -> bool:
    return heard.colours(reply) == heard.colours(question.truth) and not heard.denied(reply)


def _count(question: Question, reply: str) -> bool:
    return heard.numbers(reply) == {int(question.truth)}


def _where(question: Question, reply: str) -> bool:
    if question.truth == "everywhere":
        return heard.everywhere(reply)
    truth = set(question.truth.split(", "))
    return heard.places(reply, several=len(truth) > 1) == truth and not heard.denied(reply)


def _absent(question: Question, reply: str) -> bool:
    asked = heard.kinds(question.truth) | heard.kinds(question.text) | heard.kinds(question.answer)
    return heard.denied(reply) and heard.kinds(reply) <= asked and heard.polarity(reply) != "yes"


def _inventory(question: Question, reply: str) -> bool:
    truth = heard.kinds(question.answer)
    if not truth:  # an empty picture, or one of writing alone
        return not heard.kinds(reply) and (heard.denied(reply) == heard.denied(question.answer))
    return heard.kinds(reply) == truth


def _which(question: Question, reply: str) -> bool:
    truth = heard.kinds(question.truth)
    if question.truth == "nothing":
        return heard.denied(reply) and not heard.kinds(reply)
    read = re.match(r"(?:an? [\w ]+ that says|the words?|the number|an?) (.+)", question.truth)
    if read:  # writing, a clock or a chart
        return heard.plain(read[1]) in heard.plain(reply)
    named = heard.kinds(reply) - (heard.kinds(question.text) - truth)
    wanted = heard.kinds(question.answer) - (heard.kinds(question.text) - truth)
    return named == wanted and heard.colours(reply) <= _allowed_colours(question) and not heard.denied(reply)


def _by_colour(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return heard.denied(reply) and not heard.kinds(reply)
    hues = heard.colours(question.answer)
    return heard.kinds(reply) == set(question.truth.split(", ")) and heard.colours(reply) <= hues


RULES: dict[str, Rule] = {
    "presence": _presence, "check": _check, "colour": _colour, "count": _count, "where": _where,
    "absent": _absent, "list": _inventory, "brief": _inventory, "describe": _inventory, "which": _which,
    "next_to": _which, "by_colour": _by_colour,
}  # fmt: skip
_ALL: dict[str, Rule] = {
    **RULES, **compare.RULES, **reason.RULES, **read.RULES, **rules_several.RULES, **outside.RULES,
}  # fmt: skip
