import itertools
import random
import re
from collections import Counter
from typing import get_args

import pytest

from llavakit.tiny import draw, language
from llavakit.tiny.language import (
    NUMBERS,
    SMALL_TALK,
    Question,
    QuestionKind,
    ask,
    caption,
    conversation,
    correct,
    describe,
    inventory,
    phrase,
)
from llavakit.tiny.things import COLOURS, KINDS
from llavakit.tiny.world import PLACES, Background, Scene, Thing, make_scene, place

needs_font = pytest.mark.skipif(
    not draw.font_path().exists(), reason="fonts-noto-color-emoji is not installed"
)

KINDS_OF_QUESTION: tuple[QuestionKind, ...] = get_args(QuestionKind)
NOUN = {noun: kind.name for kind in KINDS.values() for noun in (kind.name, kind.plural)}


def thing(kind: str, colour: str | None, x: float, y: float) -> Thing:
    return Thing(kind, colour, (x - 0.1, y - 0.1, x + 0.1, y + 0.1))


def scene(*things: Thing) -> Scene:
    return Scene(things, Background("plain", ((255, 255, 255), (255, 255, 255))), 0)


STREET = scene(
    thing("banana", None, 0.2, 0.2),
    thing("car", "red", 0.8, 0.2),
    thing("car", "red", 0.2, 0.5),
    thing("star", "blue", 0.5, 0.8),
)
EMPTY = scene()


def questions(count: int, kind: QuestionKind | None = None) -> list[tuple[Scene, Question]]:
    rng = random.Random(7)
    return [(drawn, ask(drawn, rng, kind)) for drawn in map(make_scene, range(count))]


def subject(text: str) -> tuple[str, str | None]:
    """The kind a question names, and the colour word before it."""
    text = re.sub(r"\bcolou?rs?\b", "", text.lower())
    noun = next(m for m in re.finditer(r"\b(" + "|".join(NOUN) + r")\b", text))
    before = text[: noun.start()].split()
    return NOUN[noun[1]], before[-1] if before and before[-1] in COLOURS else None


def having(drawn: Scene, kind: str, colour: str | None) -> list[Thing]:
    return [t for t in drawn.things if t.kind == kind and colour in (None, t.colour)]


# ---------------------------------------------------------------- statements


def test_a_phrase_names_the_colour_only_of_painted_things() -> None:
    assert [phrase(t) for t in STREET.things] == ["banana", "red car", "red car", "blue star"]


def test_a_description_says_what_is_there_and_where() -> None:
    texts = {describe(STREET, random.Random(seed)) for seed in range(9)}
    assert texts == {
        f"{opening} a banana, two red cars and a blue star. The banana is at the top left, the red cars are "
        "at the top right and on the left, and the blue star is at the bottom."
        for opening in ("The picture shows", "I see")
    }
    assert describe(EMPTY, random.Random(0)).startswith("The picture is empty: ")
    assert (
        describe(scene(STREET.things[0]), random.Random(0)) == "The picture shows a banana at the top left."
    )


def test_a_caption_names_everything_with_its_number_and_colour() -> None:
    rng = random.Random(1)
    for _ in range(50):
        text = caption(STREET, rng)
        assert "a banana" in text and "a blue star" in text
        assert "two red cars" in text or text.count("a red car ") == 2
    assert len({caption(STREET, rng) for _ in range(200)}) > 20
    assert caption(EMPTY, rng) in ("an empty picture", "a picture of nothing", "nothing but a background")


def test_an_inventory_places_each_thing_by_itself() -> None:
    rng = random.Random(2)
    texts = Counter(inventory(STREET, rng) for _ in range(60))
    assert texts.most_common(1)[0][0] == (
        "a banana at the top left, a red car at the top right, a red car on the left "
        "and a blue star at the bottom"
    )
    assert len(texts) > 3  # sometimes in another order
    assert inventory(EMPTY, rng) == "an empty picture"


# ---------------------------------------------------------------- questions: true to the scene


@needs_font
def test_yes_and_no_are_true() -> None:
    for drawn, question in questions(2000, "presence"):
        kind, colour = subject(question.text)
        assert question.truth == ("yes" if having(drawn, kind, colour) else "no"), question
        assert question.answer.lower().startswith(question.truth)


@needs_font
def test_a_yes_says_where_or_how_many() -> None:
    for drawn, question in questions(2000, "presence"):
        found = having(drawn, *subject(question.text))
        if len(found) == 1 and question.answer != "Yes":
            assert phrase(found[0]) in question.answer and place(found[0]) in question.answer
        elif found and question.answer != "Yes":
            assert f"there are {NUMBERS[len(found)]} " in question.answer


@needs_font
def test_colours_are_true_and_unambiguous() -> None:
    for drawn, question in questions(2000, "colour"):
        if question.kind == "colour":
            found = having(drawn, *subject(question.text))
            assert {t.colour or KINDS[t.kind].colour for t in found} == {question.truth}, question
            assert question.truth in question.answer.lower()


@needs_font
def test_counts_are_true() -> None:
    for drawn, question in questions(3000, "count"):
        total = re.search(r"\b(things|objects)\b", question.text.lower())
        found = drawn.things if total else having(drawn, *subject(question.text))
        assert question.truth == NUMBERS[len(found)], question
        assert (
            "no " if not found else question.truth
        ) in question.answer.lower() or question.answer == "Zero"


@needs_font
def test_places_are_true() -> None:
    for drawn, question in questions(2000, "where"):
        if question.kind == "where":
            found = having(drawn, *subject(question.text))
            assert question.truth.split(", ") == list(dict.fromkeys(map(place, found))), question


@needs_font
def test_what_is_called_absent_is_absent() -> None:
    for drawn, question in questions(2000, "absent"):
        assert not having(drawn, *subject(question.text)), question
        assert question.answer == f"There is no {question.truth} in the picture."


@needs_font
def test_lists_and_descriptions_name_exactly_the_kinds_present() -> None:
    for kind in ("list", "describe"):
        for drawn, question in questions(400, kind):
            assert question.truth == (", ".join(dict.fromkeys(t.kind for t in drawn.things)) or "nothing")
            named = {NOUN[noun] for noun in re.findall(r"\b(" + "|".join(NOUN) + r")\b", question.answer)}
            assert named == {t.kind for t in drawn.things}


@needs_font
def test_the_thing_at_a_place_is_alone_there() -> None:
    for drawn, question in questions(2000, "which"):
        if question.kind == "which":
            spot = max((s for s in PLACES.values() if s in question.answer), key=len)
            inside = [phrase(t) for t in drawn.things if place(t) == spot]
            assert inside == ([] if question.truth == "nothing" else [question.truth]), question


@needs_font
def test_an_empty_scene_answers_every_kind_of_question() -> None:
    rng = random.Random(3)
    for kind in KINDS_OF_QUESTION:
        for _ in range(30):
            question = ask(EMPTY, rng, kind)
            assert correct(question, question.answer)
            assert kind in ("colour", "where") or question.kind == kind


def test_questions_follow_the_callers_rng() -> None:
    assert [ask(STREET, random.Random(5)) for _ in range(3)] == [ask(STREET, random.Random(5))] * 3


# ---------------------------------------------------------------- questions: the mixture


@needs_font
def test_the_mixture_is_balanced() -> None:
    asked = [question for _, question in questions(12_000)]
    kinds = Counter(question.kind for question in asked)
    assert set(kinds) == set(KINDS_OF_QUESTION)
    assert min(kinds.values()) > 0.03 * len(asked)
    presence = Counter(question.truth for question in asked if question.kind == "presence")
    assert 0.45 < presence["yes"] / presence.total() < 0.55
    counts = Counter(question.truth for question in asked if question.kind == "count")
    assert all(0.13 < counts[NUMBERS[n]] / counts.total() < 0.27 for n in range(5)), counts
    colours = Counter(question.truth for question in asked if question.kind == "colour")
    assert min(colours[colour] for colour in COLOURS) > 0.05 * colours.total()
    places = Counter(q.truth for q in asked if q.kind == "where" and "," not in q.truth)
    assert max(places.values()) < 1.5 * min(places[spot] for spot in PLACES.values())


@needs_font
def test_a_scenes_own_seed_may_seed_its_questions() -> None:
    asked = [ask(make_scene(seed), random.Random(seed), "presence").truth for seed in range(4000)]
    assert 0.45 < asked.count("yes") / len(asked) < 0.55


@needs_font
def test_half_the_noes_are_hard() -> None:
    hard = total = 0
    for drawn, question in questions(4000, "presence"):
        if question.truth == "no" and drawn.things:
            kind, _ = subject(question.text)
            total += 1
            hard += KINDS[kind].category in {KINDS[t.kind].category for t in drawn.things}
    assert 0.45 < hard / total < 0.75


@needs_font
def test_naming_a_colour_does_not_give_the_answer_away() -> None:
    named = Counter()
    for _, question in questions(6000, "presence"):
        named[question.truth, subject(question.text)[1] is not None] += 1
    yes, no = (named[truth, True] / (named[truth, True] + named[truth, False]) for truth in ("yes", "no"))
    assert abs(yes - no) < 0.1, (yes, no)


@needs_font
def test_asking_for_the_colour_of_a_thing_does_not_give_its_absence_away() -> None:
    for _, question in questions(2000, "absent"):
        if re.search("colou?r", question.text.lower()):
            kind = KINDS[question.truth]
            assert kind.tintable or kind.colour


def test_every_wording_is_used_and_every_kind_has_several() -> None:
    rng = random.Random(4)
    for wording, templates in language._WORDINGS.items():
        assert len(templates) >= (3 if "abrupt" in wording or "it" in wording else 5)
        words = {"a": "a car", "n": "car", "s": "cars", "at": "at the top"}
        assert len({language._worded(wording, rng, **words) for _ in range(200)}) > len(templates)


# ---------------------------------------------------------------- grammar


@needs_font
def test_articles_agree_everywhere() -> None:
    rng = random.Random(6)
    for seed in range(800):
        drawn = make_scene(seed)
        spoken = [caption(drawn, rng), inventory(drawn, rng), describe(drawn, rng)]
        for question in conversation(drawn, rng, 4):
            spoken += [question.text, question.answer]
        for text in spoken:
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text.lower()), text
            assert "{" not in text and "  " not in text and text == text.strip()


@needs_font
def test_nouns_and_verbs_agree_in_number() -> None:
    for _, question in questions(4000):
        answer = question.answer.lower()
        for number, noun in re.findall(
            r"\b(one|two|three|four|five|six) (?:[a-z]+ )?(" + "|".join(NOUN) + r")\b", answer
        ):
            kind = KINDS[NOUN[noun]]
            assert noun == (kind.name if number == "one" else kind.plural), answer
        assert not re.search(r"there is (two|three|four|five|six)|there are (one|a|an)\b", answer)


@needs_font
def test_answers_are_sentences_or_the_single_word_that_was_asked_for() -> None:
    for _, question in questions(3000):
        assert question.answer[0].isupper()
        if " " in question.answer:
            assert question.answer.endswith(".")
        else:
            assert re.search(r"one word|yes or no|the number", question.text.lower()), question


# ---------------------------------------------------------------- conversations


@needs_font
def test_a_conversation_has_the_turns_asked_for_and_repeats_nothing() -> None:
    rng = random.Random(8)
    for seed in range(400):
        turns = conversation(make_scene(seed), rng, 6)
        assert len(turns) == 6
        if make_scene(seed).things:
            sentences = [turn.answer for turn in turns if " " in turn.answer]
            assert len(set(sentences)) >= len(sentences) - 1
            assert len({turn.text.lower() for turn in turns}) >= 5


@needs_font
def test_it_is_the_thing_just_spoken_of() -> None:
    rng = random.Random(9)
    followed = 0
    for seed in range(600):
        drawn = make_scene(seed)
        turns = conversation(drawn, rng, 5)
        for before, turn in itertools.pairwise(turns):
            if turn.answer.startswith("It is"):
                followed += 1
                if " it" in before.text.lower():
                    continue
                nouns = re.findall(r"\b(" + "|".join(NOUN) + r")\b", f"{before.text} {before.answer}".lower())
                referents = having(drawn, NOUN[nouns[0]], None) if nouns else drawn.things
                truths = [t.colour or KINDS[t.kind].colour for t in referents] + [place(t) for t in referents]
                assert turn.truth in truths, (before, turn)
            assert before is not turn
        assert not turns[0].answer.startswith("It is")
    assert followed > 300


# ---------------------------------------------------------------- marking


@needs_font
def test_every_question_accepts_its_own_answer_and_its_truth_in_capitals() -> None:
    for _, question in questions(6000):
        assert correct(question, question.answer), question
        assert correct(question, question.answer.upper()), question


@needs_font
def test_another_truth_is_refused() -> None:
    rng = random.Random(10)
    by_kind: dict[str, list[Question]] = {}
    for _, question in questions(3000):
        by_kind.setdefault(question.kind, []).append(question)
    for asked in by_kind.values():
        for question in asked:
            other = rng.choice(asked)
            if set(other.truth.split(", ")) != set(question.truth.split(", ")):
                if question.kind == "absent" and other.truth.split()[-1] == question.truth.split()[-1]:
                    continue  # "no car" does deny the blue car
                assert not correct(question, other.answer), (question, other)


@pytest.mark.parametrize(
    ("kind", "truth", "right", "wrong"),
    [
        (
            "presence",
            "yes",
            "Yes | yeah, top left | There is a car. | I can see one",
            "No. | | car | There are no cars",
        ),
        (
            "presence",
            "no",
            "no | Nope | There isn't any car | I don't see a car.",
            "Yes, no doubt | There is a car",
        ),
        ("colour", "red", "Red | it's RED! | The car is red.", "blue | red or blue | a car |"),
        ("colour", "grey", "gray | It is grey.", "black"),
        ("colour", "black and white", "White and black", "black"),
        ("count", "three", "3 | Three cars | There are three.", "two | three or four | some | 13"),
        ("count", "zero", "0 | None. | There are no cars | I don't see any", "one | | many"),
        (
            "where",
            "top left",
            "Top left | in the upper-left corner | on the left, at the top",
            "top | bottom left |",
        ),
        (
            "where",
            "top right",
            "on the right at the top",
            "on the right and at the top left | top right and right",
        ),
        ("where", "middle", "in the centre | center | It is in the middle.", "on the left | somewhere"),
        ("where", "top", "at the top, in the middle | top", "top left | middle"),
        ("where", "top left, right", "on the right and at the top left", "top left | top right and left"),
        (
            "absent",
            "zebra",
            "There is no zebra | I don't see any zebras | none",
            "The zebra is red. | There is no car",
        ),
        ("list", "car, star", "two red cars and a star", "a car | a car, a star and a bus | nothing"),
        ("list", "nothing", "Nothing | It is empty", "a car | hello"),
        ("which", "red car", "a red car | There is a car.", "a blue car | a red bus | nothing"),
        ("which", "banana", "a banana | a yellow banana", "a red banana | an apple"),
        ("which", "nothing", "There is nothing there", "a car | red"),
    ],
)
def test_replies_are_understood_in_other_words(
    kind: QuestionKind, truth: str, right: str, wrong: str
) -> None:
    question = Question(kind, "?", "", truth)
    assert [reply for reply in right.split("|") if not correct(question, reply)] == []
    assert [reply for reply in wrong.split("|") if correct(question, reply)] == []


# ---------------------------------------------------------------- small talk and size


def test_small_talk_is_honest_about_what_the_model_is() -> None:
    assert len(SMALL_TALK) >= 12 and len({question for question, _ in SMALL_TALK}) == len(SMALL_TALK)
    answers = dict(SMALL_TALK)
    assert "tiny model" in answers["Who are you?"] and "drawn scenes" in answers["Who are you?"]


@needs_font
def test_the_language_is_small_enough_for_a_small_decoder() -> None:
    rng = random.Random(11)
    vocabulary = set()
    lengths = []
    for seed in range(3000):
        drawn = make_scene(seed)
        question = ask(drawn, rng)
        lengths.append(len(question.answer.split()))
        for text in (question.text, question.answer, caption(drawn, rng), describe(drawn, rng)):
            vocabulary |= set(re.findall(r"[a-z']+", text.lower()))
    assert len(vocabulary) < 320
    assert sum(lengths) / len(lengths) < 10 and max(lengths) < 80
