"""What is said, as words: small letters, with the marks that end clauses between them."""

import re

Words = list[str]


def word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PIECE = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*|'s|\d+(?:\.\d+)?|[.,;:!?()\"]")

ENDS = frozenset('.;:!?()"')  # of a clause, for certain
NUMBERS = {
    "no": 0, "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
}  # fmt: skip
PREPOSITIONS = word_set(
    "on in at near by beside behind under next with to of from into onto above below between around along"
    " across over inside through beneath against among toward towards without for about like underneath"
    " alongside"
)
AUXILIARIES = word_set(
    "is are was were be has have had can could may might will would does do did should must"
)
# The commonest words of English prose, those left out that other languages have too.
FUNCTION = word_set(
    "the of and is are with there that this it to on from at by for its as be or one two which while"
    " their they has have not no yes what how where who can could you i he she his her these those there's"
    " an"
)
# Those of other languages in the same letters, as far as they are no English words.
FOREIGN = word_set(
    "der das und ist ein eine einen mit auf nicht sich von zu den dem le les des une est dans et avec sur"
    " du qui el los las una con por que es del il di che uno sono nel della het een van op zijn aan os uma"
    " com na da em och det som på av för är og til ve bir bu ile jest oraz są dan yang di ini dengan"
)
COLOURS = word_set(
    "white black red green blue yellow brown grey gray pink purple tan gold golden silver beige orange"
)


def words_of(text: str) -> Words:
    """ "'s" is a word by itself, so that a dog's and a dog are the same."""
    return _PIECE.findall(text.lower().replace("’", "'").replace("'s", " 's"))


def number(word: str) -> int | None:
    """Of a word or of digits."""
    if word in NUMBERS:
        return NUMBERS[word]
    return int(word) if word.isdecimal() and len(word) < 5 else None
