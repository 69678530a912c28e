"""Checks of replies: each is tried on what it must find and on what it must let pass."""

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.synth.check import Checker
from llavakit.synth.kinds.forms import INSTRUCTION
from llavakit.synth.scene import Region, Scene, Thing
from llavakit.synth.task import Made, RejectedError, Task, Turns

DATA = Path(__file__).resolve().parents[3] / "shared/data"
COCO = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign"
    " parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella"
    " handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard"
    " surfboard tennis_racket bottle wine_glass cup fork knife spoon bowl banana apple sandwich orange"
    " broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet tv laptop"
    " mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock vase scissors"
    " teddy_bear hair_drier toothbrush"
)
CHECKER = Checker([name.replace("_", " ") for name in COCO.split()])


def scene(things: str = "", *captions: str, **fields: Any) -> Scene:
    """Of things by name: "dog dog couch"."""
    each = tuple(Thing(name.replace("_", " "), (0.1, 0.1, 0.5, 0.5)) for name in things.split())
    return replace(Scene("1", "1.jpg", captions, each), **fields)


PARK = scene("person dog dog bench", "A woman with her dogs in a park.")


def checked(
    answer: str,
    question: str = "What can you tell me about it?",
    kind: str = "conversation",
    of: Scene = PARK,
) -> Made:
    return CHECKER.check(Task(of, kind), ((question, answer),))


def fault(
    answer: str, question: str = "What can you tell me?", kind: str = "conversation", of: Scene = PARK
) -> str:
    """The kind of fault, "" where there is none."""
    try:
        checked(answer, question, kind, of)
    except RejectedError as error:
        assert error.reason
        return error.kind
    return ""


# Form, talk, language, length ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turns",
    [
        (), (("What is it?", " "),), (("", "A dog."),), (("<image>\nWhat is it?", "A dog."),),
        (("What is it?", "A dog\x00."),), (("What is it?", "A \ud800."),), (("What is it?", "Caf\ufffd."),),
    ],
)  # fmt: skip
def test_turns_must_have_words_and_nothing_odd(turns: Turns) -> None:
    with pytest.raises(RejectedError) as caught:
        CHECKER.check(Task(PARK, "conversation"), turns)
    assert caught.value.kind == "form"


def test_the_same_question_twice_is_a_duplicate() -> None:
    turns = (("Where is it?", "In a park."), ("where is it?", "On the grass."))
    with pytest.raises(RejectedError) as caught:
        CHECKER.check(Task(PARK, "conversation"), turns)
    assert caught.value.kind == "duplicate"


@pytest.mark.parametrize(
    "answer",
    [
        "According to the caption, a woman walks there.",
        "As the captions say, there are dogs.",
        "Her bounding box is the largest.",
        "She is at [0.12, 0.3, 0.5, 0.9].",
        "She is at (0.12, 0.30).",
        "The dog starts at 0.482 of the width.",
        "It reaches from 0.12 to 0.31.",
        "The dogs are at [120, 45, 300, 210].",
        "Its x1 is small.",
        "The coordinates show that she is on the left.",
        "The description mentions two dogs.",
        "The given description does not say what breed they are.",
        "In the description, she walks.",
        "Based on the information provided, she is happy.",
        "Based on the captions she is happy.",
        "Based on the given context, it is a park.",
        "According to the text, it is a park.",
        "According to the provided information she walks.",
        "The breed is not mentioned.",
        "The colour isn't specified.",
        "The woman is described as tall.",
        "As mentioned in the first sentence, she walks.",
        "The sentences suggest that it is a park.",
        "The image annotations list two dogs.",
        "The detected objects are dogs.",
        "It is COCO_val2014_000000000042.",
        "The file park.jpg shows dogs.",
    ],
)
def test_talk_of_what_the_teacher_was_shown_is_a_leak(answer: str) -> None:
    assert fault(answer) == "leak"
    assert fault("She walks.", f"{answer} Is it so?") == "leak"


@pytest.mark.parametrize(
    "answer",
    [
        "There is a box on the bench.",
        "A sign with a description of the park stands there.",
        "The description on the sign is in small letters.",
        "According to the text on the sign, the park closes at 8.",
        "The lake is 0.5 km away.",
        "It is 0.25 miles to the gate.",
        'The sign reads "see the caption below".',
        "Based on the image, she is in a park.",
        "She can be described as happy.",
        "Her shoes are well coordinated with her dress.",
        "There are two dogs (one brown, one black) in the park.",
        "In this context the dogs keep her company.",
        "She has provided water for the dogs.",
        "Given the season, the coat is a good choice.",
    ],
)
def test_words_of_that_sort_that_belong_to_the_picture_pass(answer: str) -> None:
    assert fault(answer) == ""


def test_a_caption_that_is_in_the_picture_may_be_spoken_of() -> None:
    answer = "The caption under it reads PARK."
    assert fault(answer) == "leak"
    assert fault(answer, of=scene("", "A poster with a caption.")) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I don't know.",
        "As an AI language model, I have no eyes.",
        "I cannot see the image.",
        "I'm unable to tell.",
        "I can’t determine the breed.",
        "There is no image provided.",
        "Please provide the picture.",
        "Sure! Here is what I see: a park.",
        "Here is a detailed description of the park.",
        "It is a park. Let me know if you want more.",
    ],
)
def test_an_assistant_that_speaks_of_itself_is_a_refusal(answer: str) -> None:
    assert fault(answer) == "refusal"


@pytest.mark.parametrize(
    "answer",
    [
        "I can see two dogs.", "The sign says \"I'm sorry, we are closed\".", "Here is a good place to rest.",
        "I cannot see a cat in the picture.", "She is unable to run with her bags.", "Surely it is a park.",
    ],
)  # fmt: skip
def test_words_of_that_sort_that_refuse_nothing_pass(answer: str) -> None:
    assert fault(answer) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "Eine Frau geht mit zwei Hunden durch den Park und das Wetter ist schön.",
        "Una mujer camina con los perros por el parque en un día de sol.",
        "Une femme se promène dans le parc avec des chiens et il fait beau.",
        "一个女人带着两只狗在公园里散步。",
        "Женщина гуляет с собаками в парке.",
    ],
)
def test_another_language_is_found(answer: str) -> None:
    assert fault(answer, "What is it about?") == "language"


def test_names_lists_and_loan_words_are_english_enough() -> None:
    assert fault("Yes.") == ""
    assert fault("A woman walks her dogs past the Café de la Paix.") == ""
    assert fault("Grass, trees, paths, flowers, lamps, fences, bushes, gravel, leaves.") == ""


def test_chinese_is_checked_for_script_length_and_talk() -> None:
    chinese = Checker([], language="zh")

    def find(answer: str, kind: str = "conversation") -> str:
        try:
            chinese.check(Task(PARK, kind), (("图片里有什么?", answer),))
        except RejectedError as error:
            return error.kind
        return ""

    assert find("一个女人带着两只狗在公园里散步。") == ""
    assert find("A woman walks in a park with her dogs.") == "language"
    assert find("一个女人。", "detail") == "length"
    assert find("根据描述,她在公园里。") == "leak"
    assert find("抱歉,我无法看到图片。") == "refusal"
    with pytest.raises(UsageError, match="no language 'zz'"):
        Checker([], language="zz")


def test_each_kind_has_its_lengths() -> None:
    long = "The dogs and the woman are in the park, where the grass is green and the trees stand tall. "
    assert fault("A park with dogs.", kind="detail") == "length"
    assert fault(long * 2, kind="detail") == ""
    assert fault(long * 4, kind="brief") == "length"
    assert fault("A park.", kind="brief") == "length"
    assert fault("A park.", "What?") == "length"


def test_a_description_cut_off_or_going_round_in_circles_is_malformed() -> None:
    assert fault("The woman is in the park with her dogs, and behind her there is a", kind="detail") == "form"
    assert fault("The dogs play. " * 30, kind="detail") == "form"


# What is there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("things", "answer"),
    [
        ("person", "A woman, a boy and two tourists are people."),
        ("person", "A skier waves to the children."),
        ("bicycle", "The bike is red."),
        ("motorcycle", "The bike is red."),
        ("couch", "The sofa is red."),
        ("cell_phone", "The smartphone is black."),
        ("car", "The vehicle is a taxi."),
        ("dog", "The animal is a puppy."),
        ("apple", "The fruits are red, and so is the apple."),
        ("sheep", "Three sheep stand there."),
        ("knife", "The knives are sharp."),
        ("wine_glass", "A glass of wine stands there."),
        ("dining_table", "The table is round."),
        ("teddy_bear", "The stuffed animal is brown."),
        ("hot_dog", "The hot dogs look good."),
        ("suitcase", "The luggage is black."),
        ("sports_ball", "The ball is in the air."),
        ("boat", "The aircraft carrier is grey."),
        ("bird", "A white duck and a goose walk there."),
        ("elephant", "The baby elephant is grey."),
    ],
)
def test_other_names_plurals_and_wider_words_are_supported(things: str, answer: str) -> None:
    assert fault(answer, of=scene(things, complete=False)) == ""


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("A cat is on the bench.", "cat"), ("The woman holds an umbrella.", "umbrella"),
        ("Two kittens play.", "cat"), ("Her bicycle is red.", "bicycle"), ("An orange lies there.", "orange"),
        ("Behind them is a bus.", "bus"), ("A remote is on the bench.", "remote"),
        ("A bear is there.", "bear"),
        ("She wears a tie.", "tie"), ("There are vehicles behind.", "vehicle"), ("She holds fruit.", "fruit"),
        ("A teddy bear sits there.", "teddy bear"), ("Knives lie there.", "knife"),
        ("The bird's nest has fallen, and the bird sings.", "bird"),
    ],
)  # fmt: skip
def test_what_is_named_and_not_there_is_unsupported(answer: str, label: str) -> None:
    with pytest.raises(RejectedError) as caught:
        checked(answer)
    assert caught.value.kind == "support" and "names what is not there" in caught.value.reason
    assert caught.value.made is not None and caught.value.made.unsupported == (label,)


@pytest.mark.parametrize(
    "answer",
    [
        "Her orange coat is bright.", "The orange and white leash is long.", "Everything is orange.",
        "It is a remote area.", "She has to bear the heat.", "She ties the leash to the bench.",
        "She can train the dogs there.", "They wait at the bus stop.", "A bird house hangs in the tree.",
        "Dog food lies on the ground.", "The dogs sleep in the flower bed.",
        "A statue of a horse stands there.",
        "A toy truck lies on the grass.", "The park has a zebra crossing.", "A ladybug is on the bench.",
        "She looks at the apple trees.", "It is man-made.", "She wears a bike helmet.",
        "She will book a trip.",
    ],
)  # fmt: skip
def test_words_that_only_look_like_names_of_things_pass(answer: str) -> None:
    assert fault(answer) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "There is no cat.", "There are no cats, horses or birds in the park.",
        "She does not have an umbrella.",
        "The dogs run without a frisbee.", "There is neither a cat nor a bird.", "A cat is not to be seen.",
        "She might be waiting for a bus.", "She is possibly the owner of a bicycle.", "I cannot see a car.",
        "A cat could come by.", "The dogs look as if a cat were near.",
    ],
)  # fmt: skip
def test_what_is_denied_or_only_supposed_is_not_claimed(answer: str) -> None:
    assert fault(answer) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "No, there is a cat.", "There is no wind, but a cat is there.", "The dogs may rest. A cat sits near.",
        "Without haste, the woman and the dogs walk past a cat.",
    ],
)  # fmt: skip
def test_a_denial_or_a_supposition_ends_with_its_clause(answer: str) -> None:
    assert fault(answer) == "support"


def test_captions_regions_and_mentions_support_as_boxes_do() -> None:
    answer = "A cat sits there."
    assert fault(answer, of=scene("dog", "A kitten and a dog.")) == ""
    assert fault(answer, of=scene("dog", regions=(Region("fur of the cat", (0, 0, 1, 1)),))) == ""
    assert fault(answer, of=scene("dog", mentions=("The cat in Figure 3 is asleep.",))) == ""
    assert fault(answer, of=scene("dog", crowds=frozenset({"cat"}))) == ""
    assert fault(answer, of=scene("dog", "An animal rests.")) == "support"
    assert fault("An animal rests.", of=scene("", "A monkey rests.")) == ""


def test_a_hot_dog_is_no_dog_and_a_teddy_bear_no_animal() -> None:
    assert fault("The dog is warm.", of=scene("hot_dog", "A hot dog on a plate.")) == "support"
    assert fault("The hot dog is warm.", of=PARK) == "support"


def test_questions_must_not_take_for_granted_what_is_not_there() -> None:
    assert fault("Red.", "What colour is the small umbrella?") == "support"
    assert fault("Red.", "What colour is the leash of the dog?") == ""
    assert fault("Yes.", "Is there a cat?") == "support"
    assert fault("Yes.", "Is there a dog?") == ""
    assert fault("No.", "Is there a cat?") == fault("Yes, a dog.", "Is there a cat or a dog?") == ""


def test_named_and_unsupported_things_are_counted_once_each() -> None:
    made = checked("The dogs sit by the bench. A dog barks at the woman. There is no cat.")
    assert (made.named, made.unsupported) == (3, ())
    with pytest.raises(RejectedError) as caught:
        checked("A cat and another cat watch the dogs near a bus.")
    assert caught.value.made is not None
    assert (caught.value.made.named, caught.value.made.unsupported) == (3, ("cat", "bus"))


def test_reasoning_may_speak_of_the_world_but_not_mostly_of_what_is_not_there() -> None:
    asked = "Why does she bring the dogs here?"
    world = (
        "The woman brings her dogs to the park because it is a safe place. Away from cars they can run"
        " freely, and a dog that runs often sleeps better. The bench lets her rest, perhaps with a cup"
        " of tea."
    )
    elsewhere = (
        "The woman sits on a couch. A cat lies on the bed next to her, and a laptop stands on the table, so"
        " she is at home and brings the dogs in because of the cold."
    )
    assert fault(world, asked, "reasoning") == ""
    assert fault(elsewhere, asked, "reasoning") == "support"
    assert fault(world + " A cat would like it less.", asked, "reasoning") == ""
    assert fault(world + " In the image there is a cat.", asked, "reasoning") == "support"


# How many --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Three dogs play.", "There are three dogs.", "There is one dog in the picture.", "There are no dogs.",
        "The picture shows 4 dogs.", "There are two benches in the park.", "Two women talk.",
        "There are a total of three dogs in the picture.",
    ],
)  # fmt: skip
def test_numbers_that_boxes_contradict_are_found(answer: str) -> None:
    with pytest.raises(RejectedError, match="miscounts") as caught:
        checked(answer)
    assert caught.value.kind == "support"


@pytest.mark.parametrize(
    "answer",
    [
        "Two dogs play.", "There are 2 dogs in the picture.", "One dog barks.",
        "There is one dog on the left.",
        "There is one woman.", "One of the dogs barks.", "There are at least two dogs.",
        "No dog is on the bench.",
        "There are two or three dogs.", "The two dogs have four ears.", "There are no dogs on the bench.",
    ],
)  # fmt: skip
def test_numbers_that_may_be_right_pass(answer: str) -> None:
    assert fault(answer) == ""


def test_answers_to_how_many_are_about_all() -> None:
    asked = "How many dogs are there in the picture?"
    assert fault("Two.", asked) == fault("I can see two of them.", asked) == ""
    assert fault("Just one.", asked) == fault("None.", asked) == fault("Three.", asked) == "support"
    assert fault("One.", "How many dogs are asleep?") == fault("One.", "How many brown dogs are there?") == ""


def test_numbers_are_let_pass_where_they_cannot_be_known() -> None:
    answer = "There are three dogs."
    assert fault(answer, of=replace(PARK, captions=("Three dogs play.",))) == ""
    assert fault(answer, of=replace(PARK, captions=("Three big dogs play.",))) == ""
    assert fault(answer, of=replace(PARK, complete=False)) == ""
    assert fault(answer, of=replace(PARK, crowds=frozenset({"dog"}))) == ""
    assert fault(answer, of=replace(PARK, captions=("Three women and their dogs.",))) == "support"
    assert fault("There are four pairs of skis, or eight skis.", of=scene("skis skis")) == ""


# Absent things ---------------------------------------------------------------------------------------------


def absence(
    *turns: tuple[str, str], of: Scene = PARK, absent: tuple[str, ...] = ("cat", "bus", "tie")
) -> str:
    try:
        CHECKER.check(Task(of, "absent", absent=absent), turns)
    except RejectedError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    "turns",
    [
        [("Is there a cat?", "No, there is no cat in the picture.")],
        [("Is there a cat?", "No.")],
        [("Where is the bus?", "There is no bus. What can be seen is a bench.")],
        [("Is the cat on the bench?", "No, there is no cat on the bench.")],
        [("How many cats are there?", "None.")],
        [("What does the cat do?", "The picture does not show a cat; the animals are two dogs.")],
        [("Is there an orange?", "No, there is no orange in the picture.")],
        [("Is there a tie in the picture?", "No, the woman wears no tie.")],
        [("Is there a cat?", "No, there isn't."), ("Are there any dogs?", "Yes, there are two dogs.")],
    ],
)
def test_denials_of_what_is_known_to_be_absent_are_good(turns: list[tuple[str, str]]) -> None:
    assert absence(*turns) == ""


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (("Is there a dog?", "No, there is no dog."), "denies dog, which is there"),
        (("Is there a cat?", "There is no cat or dog."), "denies dog, which is there"),
        (("Is there a cat?", "Yes, a cat sits there."), "names what is not there: cat"),
        (("Is there a cat?", "Yes."), "names what is not there: cat"),
        (("Is there a cat?", "No, but there is a bird."), "names what is not there: bird"),
        (("Are there dogs?", "Yes, there are two dogs."), "no answer denies anything"),
        (("Is there a gnome?", "No, there is none."), "denies something of which nothing is known"),
    ],
)
def test_other_answers_about_absent_things_are_rejected(turn: tuple[str, str], reason: str) -> None:
    assert reason in absence(turn)


def test_what_is_not_searched_for_is_not_known_to_be_absent() -> None:
    checker = Checker(["dog", "gnome"])
    turn = (("Is there a cat?", "No, there is no cat."),)
    with pytest.raises(RejectedError, match="cat, which is not known to be absent"):
        checker.check(Task(PARK, "absent", absent=("gnome",)), turn)
    assert checker.check(Task(PARK, "absent", absent=("cat",)), turn).named == 1
    assert checker.check(Task(PARK, "absent"), (("Any gnomes?", "No, there are no gnomes."),)).named == 1


# Choices ---------------------------------------------------------------------------------------------------


def choice(question: str, letter: str, *options: str) -> str:
    listed = [f"{key}. {option}" for key, option in zip("ABCD", options, strict=False)]
    try:
        CHECKER.check(Task(PARK, "choice"), (("\n".join((question, *listed, INSTRUCTION)), letter),))
    except RejectedError as error:
        return f"{error.kind}: {error.reason}"
    return ""


def test_a_choice_has_one_right_option_and_that_is_there() -> None:
    which = "Which of these can be seen in the picture?"
    assert choice(which, "B", "a cat", "a dog", "a bus") == ""
    assert "right option names what is not there: cat" in choice(which, "A", "a cat", "a dog", "a bus")
    assert "option C is there as well" in choice(which, "B", "a cat", "a dog", "a bench")
    assert choice("What is next to the woman?", "B", "a cat", "a dog", "a bench") == ""


def test_a_choice_of_what_is_missing_is_right_where_it_is_missing() -> None:
    which = "Which of these is not in the picture?"
    assert choice(which, "A", "a cat", "a dog", "a bench") == ""
    assert "option B is there, and should not be" in choice(which, "B", "a cat", "a dog", "a bench")


def test_a_choice_of_numbers_is_counted() -> None:
    assert choice("How many dogs are there in the picture?", "B", "one", "two", "three") == ""
    assert "miscounts" in choice("How many dogs are there in the picture?", "C", "one", "two", "three")


def test_a_choice_is_in_its_form() -> None:
    assert "form: the answer 'D' is the letter of no option" in choice("What is it?", "D", "a dog", "a cat")
    assert "form: two options say the same" in choice("What is it?", "A", "a dog", "Dog.")
    assert "length: an option" in choice("What is it?", "A", "a dog", "very " * 30)


# Vocabularies ----------------------------------------------------------------------------------------------


def test_a_sources_own_categories_are_looked_for_too() -> None:
    checker = Checker(["red_kite_(toy)", "tree house", "curtains", "can", "glass", "Person"])
    of = scene("dog", "A dog.")

    def find(answer: str, where: Scene = of) -> str:
        try:
            checker.check(Task(where, "conversation"), (("What can be seen there?", answer),))
        except RejectedError as error:
            return error.kind
        return ""

    assert find("A tree house stands there.") == "support"
    assert find("Two tree houses stand there.", scene("tree_house tree_house")) == ""
    assert find("The curtain is open.") == find("The curtains are open.") == "support"
    assert find("The curtain is open.", scene("curtains")) == ""
    assert find("The dog can run.") == ""
    assert find("Cans stand there.") == "support"
    assert find("Glasses stand there.") == "support"
    assert find("A woman stands there.", scene("Person")) == ""
    assert find("There are two women.", scene("Person")) == "support"


def test_the_categories_that_sentences_speak_of_are_told() -> None:
    spoken = CHECKER.named(scene("dog", "A skier waits for a bike near a red sofa."))
    assert set(spoken) == {"person", "skis", "bicycle", "motorcycle", "couch"}


def test_a_checker_can_be_sent_to_another_machine() -> None:
    CHECKER.named(PARK)
    again = pickle.loads(pickle.dumps(CHECKER))
    assert again.check(Task(PARK, "conversation"), (("What is it?", "Two dogs."),)).named == 1


# Real rows -------------------------------------------------------------------------------------------------


def real_scenes() -> dict[str, Scene]:
    found = {}
    for line in (DATA / "captions/caps_boxes_coco2014_val_80.jsonl").read_text().splitlines():
        row = json.loads(line)
        things = tuple(Thing(each["category"], tuple(each["bbox"])) for each in row["instances"])
        found[row["id"]] = Scene(row["id"], row["image"], tuple(row["captions"]), things)
    return found


def real_rows() -> Iterator[tuple[str, str, Turns]]:
    """What GPT-4 wrote about 30 of these pictures: picture, kind, turns."""
    kinds = {"conv": "conversation", "detail": "detail", "complex": "reasoning"}
    for row in json.loads((DATA / "instruct/coco2014_val_gpt4_qa_90_llava_style.json").read_text()):
        picture, _, kind = row["id"].partition("_")
        said = [each["value"].replace("<image>\n", "") for each in row["conversations"]]
        yield picture, kinds[kind], tuple(zip(said[::2], said[1::2], strict=True))


@pytest.mark.skipif(not DATA.exists(), reason="no real files here")
def test_rows_of_gpt_4_pass_but_for_two_that_are_at_fault() -> None:
    scenes, faults = real_scenes(), []
    for picture, kind, turns in real_rows():
        try:
            CHECKER.check(Task(scenes[picture], kind), turns)
        except RejectedError as error:
            faults.append((picture, kind, error.kind))
    # "they are described as antique"; "six people", of whom there are seven.
    assert faults == [("000000441147", "reasoning", "leak"), ("000000515716", "detail", "support")]


@pytest.mark.skipif(not DATA.exists(), reason="no real files here")
def test_rows_of_gpt_4_about_another_picture_are_mostly_found_out() -> None:
    scenes = real_scenes()
    names, asked, found = list(scenes), Counter[str](), Counter[str]()
    for picture, kind, turns in real_rows():
        for step in (1, 7, 23, 41, 58):
            other = names[(names.index(picture) + step) % len(names)]
            asked[kind] += 1
            try:
                CHECKER.check(Task(scenes[other], kind), turns)
            except RejectedError:
                found[kind] += 1
    shares = {kind: found[kind] / count for kind, count in asked.items()}
    assert shares["conversation"] > 0.8 and shares["detail"] > 0.95 and shares["reasoning"] > 0.8, shares


@pytest.mark.parametrize(
    "answer", ["Yes. A in the picture.", "drawn scenes in the picture.", "Yes creams are no creams."]
)
def test_a_description_that_says_nothing_of_its_scene_is_not_supported(answer: str) -> None:
    assert fault(answer, kind="brief") == "support"


@pytest.mark.parametrize("answer", ["A park in the sun.", "Some dogs.", "Somebody sits on a bench."])
def test_a_description_needs_a_thing_or_a_word_of_its_scene(answer: str) -> None:
    assert fault(answer, kind="brief") in ("", "length")
    assert fault(answer + " It is a fine day for a walk outside.", kind="brief") == ""
