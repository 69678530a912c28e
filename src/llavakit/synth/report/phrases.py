"""What a question asks, and what a sentence names: its root and nouns, by word lists (`lexicon.py`).

The root of a question is its question word ("what", "how many"), of one for yes or no its auxiliary ("is"),
of a request its verb ("describe"). The noun is what belongs to the question word ("what color", through "kind
of"), else the head of the first noun phrase that follows. English only.

Of 200 questions that people and GPT-4 wrote, labelled by hand (`tests/synth/test_data_report_accuracy.py`),
the root is right of all and the noun of 194; of the 100 not seen while the lists were made, of 96.
"""

import re
from collections.abc import Iterator, Sequence

from llavakit.synth.report.lexicon import (
    ADJECTIVE,
    ADVERB,
    DETERMINER,
    NOUN,
    OTHER,
    VERB,
    WH,
    lexicon,
)

# A number, a word (with hyphens, or n't), what is shortened, a sign. Scripts without spaces count by letter.
_WIDE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(
    rf"\d+(?:[.,]\d+)+|[{_WIDE}]|[^\W_{_WIDE}]+(?:-[^\W_{_WIDE}]+)*(?:'t\b)?|'[a-z]{{1,2}}\b|[^\w\s]"
)
_SENTENCE = re.compile(r"[^.?!。？！]*[.?!。？！]*\s*")
_OPTION = re.compile(r"\s*\(?([A-Z])[.):]\s*(\S.*)")
_INSTRUCTION = re.compile(
    r"\s*(?:please\s+)?(?:answer|reply|respond)\s+(?:the question|with|in|using|by)\b", re.I
)
_WITHIN = frozenset(
    (NOUN, ADJECTIVE, VERB, ADVERB)
)  # what a noun phrase may hold, and what may follow its head
_LONGEST = 4000  # characters of a question that are looked at: what it asks stands before

Options = tuple[tuple[str, str], ...]  # letter, text


def tokens(text: str) -> list[str]:
    """Words in small letters, and the signs between them."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


def is_word(token: str) -> bool:
    """And no sign, nor the 's of another word."""
    return token[0].isalnum()


def asked(question: str) -> tuple[str, Options]:
    """The sentence of a question that asks, and the options that it offers.

    What says how to answer ("Answer with …") is left out, and so are sentences before the first that ends
    with a question mark, where one does.
    """
    lines: list[str] = []
    options: list[tuple[str, str]] = []
    for line in question[:_LONGEST].splitlines():
        option = _OPTION.match(line)
        if option is not None and option[1] == chr(ord("A") + len(options)):
            options.append((option[1], option[2].strip()))
        elif line.strip() and not _INSTRUCTION.match(line):
            lines.append(line.strip())
    if len(options) < 2:
        lines += [text for _, text in options]
        options = []
    said = [each.strip() for each in _SENTENCE.findall(" ".join(lines) or question[:_LONGEST])]
    said = [each for each in said if each]
    asking = next((each for each in said if each.endswith(("?", "？"))), said[0] if said else "")
    return asking, tuple(options)


def root_and_noun(words: Sequence[str]) -> tuple[str, str]:
    """Of a sentence that asks, as `tokens` gives it; "" for what is not found."""
    at, root = _root(words)
    if root in ("what", "which", "whose", "how many", "how much"):
        noun = _head_after(words, at)
        if noun:
            return root, noun
    subject = at if at and words[at - 1] in lexicon().auxiliaries else -1
    return root, next(_heads(words, at, subject), "") or (next(_heads(words, 0), "") if root else "")


def things(words: Sequence[str]) -> Iterator[str]:
    """What a text names that could be pointed at: heads of its noun phrases, in the singular."""
    abstract = lexicon().abstract
    return (noun for noun in _heads(words, 0, named=True) if noun not in abstract)


def _root(words: Sequence[str]) -> tuple[int, str]:
    """Where the words after the root begin, and the root."""
    known = lexicon()
    at = 0
    while at < len(words) and known.tags[words[at]] in (ADVERB, OTHER) and words[at] not in ("you", "i"):
        at += 1
    first = words[at] if at < len(words) else ""
    if first in known.auxiliaries:
        verb = _requested(words, at + 1)
        return (verb + 1, words[verb]) if verb else (at + 1, known.auxiliaries[first])
    if first in ("i", "you") and (verb := _requested(words, at)):
        return verb + 1, words[verb]
    if first in known.requests:
        return at + 1, first
    for place, word in enumerate(words):
        if known.tags[word] == WH:
            follows = words[place + 1] if place + 1 < len(words) else ""
            if word == "how" and follows in ("many", "much"):
                return place + 2, f"how {follows}"
            return place + 1, word
    for place, word in enumerate(words[1:], 1):
        if word in known.auxiliaries and words[place - 1] == ",":
            return place + 1, known.auxiliaries[word]
    return 0, ""


_ASKING = frozenset(
    (
        "want",
        "need",
        "like",
        "to",
        "help",
        "me",
        "us",
        "would",
        "'d",
        "you",
        "i",
        "have",
        "please",
        "kindly",
        "also",
    )
)


def _requested(words: Sequence[str], at: int) -> int:
    """Where the verb of "you describe", "I want you to describe" stands; 0 where there is none."""
    known = lexicon()
    if at >= len(words) or words[at] not in ("you", "i"):
        return 0
    told = words[at] == "you"
    while at < len(words) and (words[at] in _ASKING or known.tags[words[at]] == ADVERB):
        told = told or words[at] == "you"
        at += 1
    return at if told and at < len(words) and words[at] in known.requests - {"see", "think"} else 0


def _head_after(words: Sequence[str], at: int) -> str:
    """The noun of "what color", of "which kind of bird" and "how many small birds"; "" of "what is"."""
    known = lexicon()
    if at >= len(words) or known.tags[words[at]] not in (NOUN, ADJECTIVE):
        return ""
    return next(_heads(words[: _phrase_end(words, at)], at), "")


def _phrase_end(words: Sequence[str], at: int) -> int:
    """Behind the noun phrase that begins here, and one more after a transparent noun's "of"."""
    known = lexicon()
    while at < len(words):
        through = words[at] == "of" and words[at - 1] in known.transparent
        if not through and known.tags[words[at]] not in (NOUN, ADJECTIVE, VERB, DETERMINER):
            break
        at += 1
    return at


def _heads(words: Sequence[str], at: int, subject: int = -1, *, named: bool = False) -> Iterator[str]:
    """The heads of the noun phrases from `at` on, in the singular.

    A phrase is what stands between function words; its head is the noun before which only nouns, adjectives
    and participles stand. What follows a head ("the man happy", "the car parked") is not of the phrase.

    Args:
        subject: where the phrase begins behind whose head a verb's base form may follow: "does the man walk"
        named: leave out what no article, number or plural shows to be a noun
    """
    known = lexicon()
    tags, transparent = known.tags, known.transparent
    head = verb = ""
    closed, opened, start = (
        False,
        False,
        at,
    )  # whether the head is settled; a determiner was there; from where
    for place, word in enumerate([*words[at:], "."], at):
        what = tags[word]
        if what == NOUN and not closed:
            if start == subject and head and word in known.both and not _goes_on(words, place):
                closed = True
            else:
                head = word
        elif what in _WITHIN:
            closed = closed or bool(head)
            verb = word if what == VERB else verb
        else:
            if not head and opened and word != "of":
                head = verb  # "the stop": a noun, whatever it may be elsewhere
            through = word == "of" and head in transparent
            if head and not through:
                singular = known.singular(head)
                if not named or opened or singular != head:
                    yield singular
            opened = what == DETERMINER or (word == "'s" and bool(head)) or (through and opened)
            head, verb, closed = "", "", False
            start = place + 1
            subject += start == subject + 1 and what == DETERMINER


def _goes_on(words: Sequence[str], place: int) -> bool:
    """Whether a noun or verb follows, so that this word is not the verb."""
    return place + 1 < len(words) and lexicon().tags[words[place + 1]] in (NOUN, VERB)
