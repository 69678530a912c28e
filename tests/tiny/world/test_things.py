import itertools
import re

from llavakit.tiny.things import COLOURS, KINDS, article


def test_there_are_enough_kinds_and_eight_plain_shapes() -> None:
    assert len(KINDS) >= 72
    assert [k.name for k in KINDS.values() if k.glyph is None] == [
        "circle", "square", "triangle", "star", "heart", "diamond", "cross", "moon",
    ]  # fmt: skip


def test_every_kind_is_named_in_plain_lower_case_words() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert re.fullmatch(r"[a-z]+( [a-z]+)?", kind.name) and re.fullmatch(r"[a-z]+( [a-z]+)?", kind.plural)
        assert kind.glyph is None or len(kind.glyph) == 1


def test_no_two_kinds_share_a_noun_or_a_glyph() -> None:
    nouns = [noun for kind in KINDS.values() for noun in {kind.name, kind.plural}]
    glyphs = [kind.glyph for kind in KINDS.values() if kind.glyph]
    assert len(set(nouns)) == len(nouns)
    assert len(set(glyphs)) == len(glyphs)


def test_no_noun_is_a_colour_word() -> None:
    assert not set(COLOURS) & {word for kind in KINDS.values() for word in kind.name.split()}


def test_irregular_plurals_are_english() -> None:
    plurals = {
        name: KINDS[name].plural for name in ("leaf", "sheep", "fox", "butterfly", "snowman", "cross", "car")
    }
    assert list(plurals.values()) == ["leaves", "sheep", "foxes", "butterflies", "snowmen", "crosses", "cars"]
    # English puts -es after a hissing sound, -ies after consonant + y.
    for kind in KINDS.values():
        assert not re.search(r"(s|x|sh|ch)s$|[^aeiou]ys$", kind.plural), kind.plural


def test_a_kind_is_painted_or_has_a_colour_of_its_own_never_both() -> None:
    assert not [kind.name for kind in KINDS.values() if kind.tintable and kind.colour]


def test_every_category_can_offer_something_akin() -> None:
    categories = [kind.category for kind in KINDS.values()]
    assert all(categories.count(category) >= 3 for category in categories)


def test_an_article_fits_the_sound_that_follows() -> None:
    phrases = ("red car", "apple", "orange star", "umbrella", "ice cream", "black umbrella", "owl")
    assert [article(p).split()[0] for p in phrases] == ["a", "an", "an", "an", "an", "a", "an"]
    # The rule is the vowel letter: no name may begin with a letter that sounds otherwise.
    assert not [name for name in KINDS if re.match(r"uni|use|eu|one|hour|honest", name)]


def test_colours_are_far_apart() -> None:
    for (a, x), (b, y) in itertools.combinations(COLOURS.items(), 2):
        assert sum((i - j) ** 2 for i, j in zip(x, y, strict=True)) ** 0.5 > 75, (a, b)
