"""What a question asks, and what a sentence names."""

import pytest

from llavakit.synth.report.lexicon import NOUN, VERB, lexicon
from llavakit.synth.report.phrases import asked, root_and_noun, things, tokens

ASKED = {
    "What color is the bus?": ("what", "color"),
    "Which kind of bird is on the fence?": ("which", "bird"),
    "What's on the kitchen table?": ("what", "table"),
    "How many small birds do you see?": ("how many", "bird"),
    "On which side is the man's hat?": ("which", "side"),
    "How tall is the tower?": ("how", "tower"),
    "Are there any children near the water?": ("is", "child"),
    "Doesn't the man walk?": ("do", "man"),
    "Does the stop sign look old?": ("do", "sign"),
    "Is the woman petting the cat?": ("is", "woman"),
    "Is the car parked?": ("is", "car"),
    "Where is the building?": ("where", "building"),
    "Can you describe the main features of this scene for me?": ("describe", "feature"),
    "Could you please also list the objects on the table?": ("list", "object"),
    "I would like you to write a short poem.": ("write", "poem"),
    "Please give a brief summary.": ("give", "summary"),
    "Walk me through the picture.": ("walk", "picture"),
    "In this room, is the lamp on?": ("is", "lamp"),
    "The clock is on what?": ("what", "clock"),
    "What are some pieces of furniture in here?": ("what", "furniture"),
    "What is this?": ("what", ""),
    "The dog?": ("", "dog"),
    "": ("", ""),
    "？": ("", ""),
    "图中有什么？": ("", ""),
}


@pytest.mark.parametrize("question", ASKED)
def test_the_root_of_a_question_and_its_noun(question: str) -> None:
    assert root_and_noun(tokens(question)) == ASKED[question]


def test_the_sentence_that_asks_is_found_without_options_and_instructions() -> None:
    sentence, options = asked(
        "The picture was taken at noon. What is it?\nA. a dog\nB. a cat\nAnswer with the option's letter."
    )
    assert sentence == "The picture was taken at noon. What is it?".removeprefix(
        "The picture was taken at noon. "
    )
    assert options == (("A", "a dog"), ("B", "a cat"))
    assert asked("Why?\nPlease answer in one word.") == ("Why?", ())
    assert asked("A. Describe it.") == ("Describe it.", ())  # one line is no choice
    assert asked("Answer with yes.") == ("Answer with yes.", ())
    assert asked("") == ("", ())


def test_things_are_heads_of_noun_phrases_in_the_singular() -> None:
    text = (
        "Two women in long coats are standing near a parking meter. The man's red bicycle leans on the "
        "wooden fence, and there are several kinds of fruit in the boxes. It is a sunny day."
    )
    assert list(things(tokens(text))) == [
        "woman", "coat", "meter", "man", "bicycle", "fence", "fruit", "box",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("boxes", "box"), ("buses", "bus"), ("horses", "horse"), ("ladies", "lady"), ("knives", "knife"),
        ("sandwiches", "sandwich"), ("people", "person"), ("glasses", "glasses"), ("tennis", "tennis"),
        ("houses", "house"), ("shoes", "shoe"), ("grass", "grass"), ("t-shirts", "t-shirt"), ("gas", "gas"),
        ("potatoes", "potato"), ("skis", "ski"), ("bus", "bus"),
    ],
)  # fmt: skip
def test_the_singular_of_a_noun(many: str, one: str) -> None:
    assert lexicon().singular(many) == one


def test_forms_of_verbs_follow_from_the_list() -> None:
    tags = lexicon().tags
    for form in ("sitting", "riding", "lies", "carries", "carried", "stopped", "eaten", "held", "playing"):
        assert tags[form] == VERB, form
    for noun in ("building", "bed", "signs", "park", "xylophone"):
        assert tags[noun] == NOUN, noun
