"""The world as training data: endless, repeatable, and apart from what is examined."""

from dataclasses import replace

import pytest

from llavakit.data.collate import CaptionedImage
from llavakit.errors import UsageError
from llavakit.prompt.messages import Message
from llavakit.tiny.dataset import SCENES, Drawn, texts
from llavakit.tiny.draw import font_path
from llavakit.tiny.exam import LINES, examine, questions
from llavakit.tiny.language import SMALL_TALK, Question, aspects, correct
from llavakit.tiny.world import Background, Scene, Thing, make_scene

pytestmark = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")


def pixels(message: Message) -> bytes:
    return message.images[0].tobytes()


@pytest.mark.parametrize("name", ["tiny/text", "tiny/captions", "tiny/instruct", "tiny/doubt"])
def test_an_example_is_the_same_whenever_it_is_asked_for(name: str) -> None:
    first, again = Drawn(name)[17], Drawn(name)[17]
    assert [m.role for m in first] == [m.role for m in again]
    assert [m.text for m in first] == [m.text for m in again]
    assert [[i.tobytes() for i in m.images] for m in first] == [
        [i.tobytes() for i in m.images] for m in again
    ]


def test_a_pair_has_a_caption_and_a_phrase_for_each_thing() -> None:
    pair = Drawn("tiny/pairs")[3]
    assert isinstance(pair, CaptionedImage)
    assert pair.image.size == (128, 128)
    assert len(pair.regions) == len(make_scene(3).things)


def test_a_thing_is_told_by_what_it_is_where_it_is_and_among_how_many() -> None:
    star = Thing("star", "red", (0.0, 0.0, 0.2, 0.2))
    others = (replace(star, box=(0.4, 0.4, 0.6, 0.6)), replace(star, colour="blue", box=(0.8, 0.8, 1.0, 1.0)))
    scene = Scene((star, *others), Background("plain", ((0, 0, 0), (0, 0, 0))), seed=0)
    assert aspects(scene, star) == ("red star", "at the top left", "one of three", "one of two alike")
    assert aspects(scene, others[1]) == (
        "blue star",
        "at the bottom right",
        "one of three",
        "one of one alike",
    )


def test_doubt_asks_more_often_for_what_is_not_there() -> None:
    def denials(name: str) -> int:
        said = [m.text for i in range(60) for m in Drawn(name)[i] if m.role == "assistant"]
        return sum(text.startswith("There is no ") for text in said)

    assert denials("tiny/doubt") > 2 * denials("tiny/instruct") > 0


def test_only_the_first_turn_shows_the_picture() -> None:
    for index in range(50):
        conversation = [m for m in Drawn("tiny/instruct")[index] if m.role != "system"]
        assert [len(m.images) for m in conversation] == [1] + [0] * (len(conversation) - 1)
        assert [m.role for m in conversation] == ["user", "assistant"] * (len(conversation) // 2)


def test_in_the_text_stage_words_stand_where_the_picture_will_stand() -> None:
    for index in range(20):
        assert not any(m.images for m in Drawn("tiny/text")[index])


def test_some_conversations_have_no_system_prompt() -> None:
    bare = sum(Drawn("tiny/text")[i][0].role == "system" for i in range(300))
    assert 60 < bare < 120


def test_the_tokenizer_is_learned_from_small_talk_too() -> None:
    said = texts("tiny/text", 5)
    assert all(sentence in said for pair in SMALL_TALK for sentence in pair)


def test_an_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny/instruct'"):
        Drawn("tiny/instuct")


def test_examined_scenes_are_none_that_training_draws() -> None:
    for kind in LINES:
        assert all(scene.seed > SCENES for scene, _ in questions(kind, 20))
    assert len(Drawn("tiny/pairs")) == SCENES


def test_the_same_seed_asks_the_same_and_another_asks_something_else() -> None:
    def asked(seed: int) -> list[str]:
        return [question.text for _, question in questions("colour", 20, seed)]

    assert asked(0) == asked(0)
    assert asked(0) != asked(1)


def all_asked(n: int) -> list[Question]:
    return [question for kind in LINES for _, question in questions(kind, n)]


def test_a_perfect_pupil_scores_everything() -> None:
    answers = iter([question.answer for question in all_asked(30)])
    scores = examine(lambda some: [next(answers) for _ in some], n=30)
    assert [score.value for score in scores] == [1.0] * len(scores)


def test_a_pupil_who_denies_everything_is_found_out() -> None:
    scores = {s.name: s for s in examine(lambda some: ["No, there is no such thing."] * len(some), n=60)}
    assert scores["presence (F1)"].value == 0.0
    assert scores["present things not denied"].value == 0.0
    assert scores["colour"].value == 0.0


def test_a_constant_answer_scores_chance() -> None:
    kind = "count"
    asked = [question for _, question in questions(kind, 100)]
    [score] = examine(lambda some: ["two"] * len(some), n=100, kinds=[kind])
    assert score.value == sum(correct(question, "two") for question in asked) / 100
    assert score.chance is not None
    assert score.value <= score.chance < 0.35
