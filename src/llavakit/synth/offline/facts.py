"""What a scene proves: which things there are, how many, which one is meant by "the dog", what captions say.

Boxes and captions were made by different people. Where they disagree on a number neither is believed: the
caption is not used, and the things are neither counted nor referred to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llavakit.synth.english import plural
from llavakit.synth.offline import captions, space, tables
from llavakit.synth.offline.captions import Caption
from llavakit.synth.offline.nouns import Noun, join, noun, number
from llavakit.synth.offline.tables import names
from llavakit.synth.scene import Box, Scene

_EXACT = {
    word: n for n, words in enumerate((
        "no without", "single lone solitary", "two both", "three", "four", "five", "six", "seven", "eight",
        "nine",
        "ten", "eleven", "twelve",
    )) for word in words.split()
} | {str(n): n for n in range(2, 21)}  # fmt: skip
_EXACT_OF = {"couple": 2, "pair": 2}
# "several dogs" are at least so many
_ROUGH = dict.fromkeys(
    ["several", "many", "numerous", "lots", "bunch", "dozens", "various", "multiple"], 3
) | dict.fromkeys(["group", "herd", "flock", "pack", "crowd", "some", "few"], 2)
_TELLING = frozenset((*_EXACT, *_EXACT_OF, *_ROUGH, "another", "other"))
_PEOPLE = tables.PEOPLE | tables.DOERS
_SOME_PEOPLE = frozenset(_PEOPLE | {plural(word) for word in _PEOPLE})  # perhaps not all that are there
# In one caption these are different people; "a person" and "a player" may be one.
_TOLD_APART = names("man woman boy girl baby lady toddler guy")
_ANIMALS = frozenset(tables.GROUPS["animal"]) | {plural(name) for name in tables.GROUPS["animal"]}
_OPENINGS = names("a an the there two three four several people")
_AHEAD = 5  # words, from a number to its noun


@dataclass(slots=True)
class Sort:
    """All things of one category.

    Attributes:
        boxes: of those that the source knows
        counted: whether there are as many as there are boxes, and that may be said
        single: whether one is all that the source knows of; captions may tell of more
        known: whether "the dog", or "the three dogs", are these and no others
        hull: around all of them
    """

    noun: Noun
    boxes: list[Box]
    counted: bool
    single: bool
    known: bool
    hull: Box

    @property
    def n(self) -> int:
        return len(self.boxes)

    @property
    def alone(self) -> bool:
        return self.known and len(self.boxes) == 1

    @property
    def are(self) -> str:
        return "is" if self.noun.mass or self.single else "are"

    @property
    def amount(self) -> str:
        """As it is listed: "a dog", "two dogs", "some dogs"."""
        if self.counted or self.single:
            return self.noun.amount(len(self.boxes))
        return self.noun.some

    @property
    def place(self) -> str:
        """Where all of them are, a key of `space.PLACES` or ""; of what is known."""
        return space.common(self.boxes)

    @property
    def the(self) -> str:
        """What is known, in the middle of a sentence: "the dog", "the three dogs"."""
        return f"the {self.noun.one}" if self.n == 1 else f"the {number(self.n)} {self.noun.many}"

    @property
    def all(self) -> str:
        """The same, where something is said of each: "the dog", "both dogs", "all three dogs"."""
        if self.n == 1:
            return f"the {self.noun.one}"
        return f"both {self.noun.many}" if self.n == 2 else f"all {number(self.n)} {self.noun.many}"


class Facts:
    """
    Attributes:
        sorts: what is there, what takes the most room first
        captions: those that can be used; tidied when they are asked for
        further: what else is said of the picture, fit to be repeated
        words: of all sentences about the picture
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        read: list[Caption] = []
        others = [captions.order_of(text) for text in (*(of.phrase for of in scene.regions), *scene.mentions)]
        for raw in scene.captions:
            caption = captions.read(raw)
            if caption is None:
                others.append(captions.order_of(raw))
            else:
                read.append(caption)
        self.words = set().union(*others, *(caption.words for caption in read))
        self.sorts = self._sorts()
        self.by_category = {sort.noun.category: sort for sort in self.sorts}
        self._doubt_singles()
        kept = [caption for caption in read if not self._denies(caption.order, caption.words)]
        for order in others:
            self._denies(order, set(order))
        self.captions = self._consistent(kept)
        self.further = [found for raw in scene.mentions if (found := captions.read_mention(raw)) is not None]

    def _sorts(self) -> list[Sort]:
        boxes: dict[str, list[Box]] = {}
        for thing in self.scene.things:
            boxes.setdefault(thing.category, []).append(thing.box)
        found: dict[str, Sort] = {}
        for category in (*boxes, *sorted(self.scene.crowds.difference(boxes))):
            named = noun(category)
            if named is None:
                continue
            at = boxes.get(category, [])
            whole = self.scene.complete and category not in self.scene.crowds
            if named.one in found:  # two categories of one name: which is meant, nobody knows
                other = found[named.one]
                other.counted = other.single = other.known = False
                other.boxes += at
                continue
            # One thing is known wherever it is; several are only if they are all.
            single = named.single_out and len(at) == 1 and category not in self.scene.crowds
            known = single or (whole and named.counted and len(at) > 1)
            around = space.hull(at) if at else (0.0, 0.0, 0.0, 0.0)
            found[named.one] = Sort(named, at, whole and named.counted, single, known, around)
        return sorted(found.values(), key=lambda sort: -space.area(sort.hull))

    # What the sentences say of numbers ------------------------------------------------------------------

    def _doubt_singles(self) -> None:
        """Where a sentence has a plural, one box is not believed."""
        self._few = [sort for sort in self.sorts if sort.known and sort.n < 3]
        for sort in self._few:
            if sort.n == 1 and not sort.noun.several.isdisjoint(self.words):
                sort.counted = sort.known = False

    def _denies(self, order: list[str], words: set[str]) -> bool:
        """Whether a sentence gives a number that the boxes do not. Marks the sort of which it does."""
        for sort in self._few:
            apart = _TOLD_APART if sort.noun.category == "person" else sort.noun.single
            if len(apart & words) > sort.n:  # "a dog and a puppy", "a man and a woman"
                sort.counted = sort.known = False
        if _TELLING.isdisjoint(words):
            return False
        wrong = False
        people = 0
        for i, word in enumerate(order):
            of = order[i + 1 : i + 2] == ["of"]
            exact = _EXACT_OF.get(word) if of else _EXACT.get(word)  # not of "two of the dogs"
            least = 2 if word in ("another", "other") else _ROUGH.get(word)
            if exact is None and least is None:
                continue
            sorts, word_for = self._counted_by(order, i, exact)
            part = word_for in _SOME_PEOPLE and bool(exact)
            people += exact if part and exact else 0
            for sort in sorts:
                if exact is None:
                    differs = least is not None and sort.n < least
                else:
                    differs = sort.n < people + len(_TOLD_APART & words) if part else sort.n != exact
                if differs:
                    wrong = wrong or exact == 0 or (exact is not None and self._whole(sort.noun))
                    sort.counted = sort.known = False
        return wrong

    def _whole(self, named: Noun) -> bool:
        return self.scene.complete and named.counted and named.category not in self.scene.crowds

    def _counted_by(self, order: list[str], i: int, exact: int | None) -> tuple[list[Sort], str]:
        """Of which sorts the number at `i` may be, and the word for it: "bears" may be teddy bears."""
        one = exact in (0, 1) or (exact is None and order[i] in ("another", "other"))
        before = False
        for word in order[i + 1 : i + 1 + (_AHEAD if exact != 0 else 3)]:
            found = [sort for sort in self.sorts if word in sort.noun.several]
            if found:
                return found, word
            if before:
                break
            found = [sort for sort in self.sorts if word in sort.noun.single]
            if found and (one or (found[0].noun.group == "animal" and word != "dog")):
                return found, word  # "two zebra" is often written
            before = bool(found)  # "two dog beds" are no dogs, but may be beds
        return [], ""

    def _consistent(self, found: list[Caption]) -> list[Caption]:
        """Captions of which none says that something else is there than another, or than the boxes."""
        animals = [sort.noun for sort in self.sorts if sort.noun.group == "animal"]
        if animals and self.scene.complete:
            words = frozenset().union(*(each.words for each in animals))
            found = [
                caption for caption in found
                if _ANIMALS.isdisjoint(caption.words) or not words.isdisjoint(caption.words)
            ]  # fmt: skip
        people = self.by_category.get("person")
        return captions.agreeing(
            found,
            self.words,
            people is not None and people.n == 1,
            any(each.category == "bird" for each in animals),
        )

    def weighed(self) -> list[Caption]:
        """The captions, what others say too first."""
        captions.weigh(self.captions)
        return sorted(self.captions, key=_headline_last)

    # What can be said -----------------------------------------------------------------------------------

    def known(self) -> list[Sort]:
        return [sort for sort in self.sorts if sort.known]

    def alone(self) -> list[Sort]:
        return [sort for sort in self.sorts if sort.alone]

    def counted(self) -> list[Sort]:
        return [sort for sort in self.sorts if sort.counted]

    def absent(self, categories: Iterable[str]) -> list[Noun]:
        """Of these, what may be said not to be there: no sentence hints at it, nothing may be called so."""
        if not self.scene.complete:
            return []
        found = (named for category in categories if (named := noun(category)) is not None)
        return [
            named for named in found
            if named.hints.isdisjoint(self.words)
            and not any(_may_be(named, sort.noun) for sort in self.sorts)
        ]  # fmt: skip


def _headline_last(caption: Caption) -> float:
    """By weight, one that reads like a headline ("Grey elephant in a pen") behind others."""
    return -caption.weight - 3 * (caption.order[0] in _OPENINGS)


def _may_be(one: Noun, other: Noun) -> bool:
    """Whether what is called by one of the names may be called by the other, as a man is a person."""
    return (
        one.head in other.single
        or other.head in one.single
        or other.group == one.head
        or one.one == other.one
    )


def listing(sorts: Sequence[Sort]) -> str:
    """ "a dog, two cats and some people" """
    return join([sort.amount for sort in sorts])


def there(sorts: Sequence[Sort]) -> str:
    """ "there is a dog and two cats": the verb goes with the first."""
    return f"there {sorts[0].are} {listing(sorts)}"
