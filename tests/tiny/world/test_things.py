import itertools
import re
from collections import Counter

from llavakit.tiny.talk.words import article
from llavakit.tiny.world.scene import Thing
from llavakit.tiny.world.things import CATEGORIES, COLOURS, KINDS, colour_of, held_out

BOX = (0.1, 0.1, 0.3, 0.3)


def test_there_are_enough_kinds_and_ten_plain_shapes() -> None:
    assert len(KINDS) >= 165
    assert [k.name for k in KINDS.values() if k.glyph is None] == [
        "circle", "square", "triangle", "star", "heart", "diamond", "cross", "moon", "oval", "hexagon",
    ]  # fmt: skip


def test_every_kind_is_named_in_plain_lower_case_words() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert re.fullmatch(r"[a-z]+( [a-z]+){0,2}", kind.name), name
        assert re.fullmatch(r"[a-z]+( [a-z]+){0,2}", kind.plural), kind.plural


def test_an_emoji_is_one_character_and_belongs_to_one_kind() -> None:
    glyphs = [glyph for kind in KINDS.values() for glyph in (kind.glyph, kind.other) if glyph]
    assert all(len(glyph) == 1 for glyph in glyphs)
    assert len(set(glyphs)) == len(glyphs)


def test_no_word_means_two_kinds() -> None:
    nouns = [noun for kind in KINDS.values() for noun in {kind.name, kind.plural, *kind.synonyms}]
    assert [noun for noun, n in Counter(nouns).items() if n > 1] == []
    chinese = [kind.zh for kind in KINDS.values()]
    assert len(set(chinese)) == len(chinese)


def test_no_noun_holds_a_colour_word() -> None:
    words = {w for kind in KINDS.values() for noun in (kind.name, *kind.synonyms) for w in noun.split()}
    assert not {*COLOURS, "grey"} & words


def test_every_kind_has_a_chinese_noun_and_classifier() -> None:
    for kind in KINDS.values():
        assert re.fullmatch(r"[一-鿿]+", kind.zh) and re.fullmatch(r"[一-鿿]", kind.measure), kind.name


def test_irregular_plurals_are_english() -> None:
    plurals = {
        "leaf": "leaves", "sheep": "sheep", "fox": "foxes", "butterfly": "butterflies", "snowman": "snowmen",
        "cross": "crosses", "car": "cars", "mouse": "mice", "knife": "knives",
        "loaf of bread": "loaves of bread",
    }  # fmt: skip
    assert {name: KINDS[name].plural for name in plurals} == plurals
    # English puts -es after a hissing sound, -ies after consonant + y.
    for kind in KINDS.values():
        assert not re.search(r"(s|x|sh|ch)s$|[^aeiou]ys$", kind.plural), kind.plural


def test_every_category_has_a_name_and_can_offer_something_akin() -> None:
    found = Counter(kind.category for kind in KINDS.values())
    assert found.keys() == CATEGORIES.keys()
    assert min(found.values()) >= 4


def test_what_is_cooked_is_edible_or_drunk_and_in_a_kitchen() -> None:
    for kind in KINDS.values():
        if "ingredient" in kind.tags:
            assert kind.tags & {"edible", "drink"} and "kitchen" in kind.tags, kind.name


def test_a_natural_colour_is_a_word_that_can_be_asked_for() -> None:
    assert {k.colour for k in KINDS.values()} <= {*COLOURS, "grey", "black and white", None}


def test_paint_goes_before_the_natural_colour() -> None:
    assert colour_of(Thing("car", "blue", BOX)) == "blue"
    assert colour_of(Thing("car", None, BOX)) == "red"
    assert colour_of(Thing("pizza", None, BOX)) is None


def test_a_few_pairs_of_kind_and_colour_are_held_out_and_no_colour_wholly() -> None:
    pairs = [(kind.name, colour) for kind in KINDS.values() if kind.tintable for colour in COLOURS]
    kept = [pair for pair in pairs if held_out(*pair)]
    assert 0.03 < len(kept) / len(pairs) < 0.1
    assert max(Counter(kind for kind, _ in kept).values()) <= 4
    assert not held_out("cat", "blue")  # cats are never painted


def test_an_article_fits_the_sound_that_follows() -> None:
    phrases = ("red car", "apple", "orange star", "umbrella", "ice cream", "black umbrella", "unicorn")
    assert [article(p).split()[0] for p in phrases] == ["a", "an", "an", "an", "an", "a", "a"]
    # The rule is the vowel letter: no other name may begin with a letter that sounds otherwise.
    assert not [name for name in KINDS if re.match(r"use|eu|one|hour|honest", name)]


def test_colours_are_far_apart() -> None:
    for (a, x), (b, y) in itertools.combinations(COLOURS.items(), 2):
        assert sum((i - j) ** 2 for i, j in zip(x, y, strict=True)) ** 0.5 > 75, (a, b)
