"""The world as training data: endless, repeatable, and of every sort that the model is to know."""

from collections import Counter
from itertools import pairwise

import pytest

from llavakit.data.contrast import CaptionedImage
from llavakit.errors import UsageError
from llavakit.prompt.messages import Message
from llavakit.tiny.dataset import SCENES, Drawn, texts
from llavakit.tiny.talk.outside import ANSWERS
from llavakit.tiny.world.styles import TRAINED, available, font_path

pytestmark = pytest.mark.skipif(
    not (font_path().exists() and set(TRAINED) <= set(available())),
    reason="the drawing styles are not here: python -m llavakit.tiny.world.styles",
)

CONVERSATIONS = ("tiny/text", "tiny/captions", "tiny/instruct")


def conversation(name: str, index: int) -> list[Message]:
    return [message for message in Drawn(name)[index] if message.role != "system"]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_an_example_is_the_same_whenever_it_is_asked_for(name: str) -> None:
    for index in (17, 18):
        first, again = Drawn(name)[index], Drawn(name)[index]
        assert [(m.role, m.text) for m in first] == [(m.role, m.text) for m in again]
        assert [[i.tobytes() for i in m.images] for m in first] == [
            [i.tobytes() for i in m.images] for m in again
        ]


def test_a_pair_has_a_caption_and_answers_for_its_patches() -> None:
    data = Drawn("tiny/pairs")
    pairs = [data[index] for index in range(60)]
    assert all(isinstance(pair, CaptionedImage) and pair.caption for pair in pairs)
    # what belongs to nobody is told apart from things
    assert all(sum(region.box is None for region in pair.regions) == 1 for pair in pairs)
    told = {name for pair in pairs for region in pair.regions for name in region.labels}
    assert {"kind", "colour", "place", "kin", "size", "thing", "letter", "value", "hour", "bay"} <= told
    assert told <= set(data.labels)
    # nobody knows all that is written on a page from outside
    outside = [pair for pair in pairs if not pair.complete]
    assert outside and all(pair.caption == "not a drawn scene" for pair in outside)


def test_pictures_and_roles_are_as_a_conversation_has_them() -> None:
    for name in CONVERSATIONS:
        for index in range(60):
            messages = conversation(name, index)
            assert [m.role for m in messages] == ["user", "assistant"] * (len(messages) // 2)
            shown = [bool(m.images) for m in messages]
            assert sum(shown) <= 1  # pictures come together, before the first question about them


def test_instruction_shows_one_picture_several_none_and_strange_ones() -> None:
    conversations = [conversation("tiny/instruct", index) for index in range(400)]
    shown = Counter(max(len(m.images) for m in messages) for messages in conversations)
    assert set(shown) == {0, 1, 2, 3, 4}
    refused = [any(m.text == ANSWERS["en"] for m in messages) for messages in conversations]
    assert 8 < sum(refused) < 60


def test_one_conversation_in_ten_or_so_is_in_chinese() -> None:
    answers = [conversation("tiny/instruct", index)[-1].text for index in range(400)]
    chinese = sum(any("一" <= letter <= "鿿" for letter in text) for text in answers)
    assert 20 < chinese < 90


def test_in_the_text_stage_words_stand_where_the_picture_will_stand() -> None:
    for index in range(20):
        assert not any(m.images for m in Drawn("tiny/text")[index])


def test_alignment_begins_with_pictures_of_one_or_two_things() -> None:
    for index in range(20):
        question, answer = conversation("tiny/captions", index)
        assert len(question.images) == 1 and answer.text


def test_some_conversations_have_no_system_prompt() -> None:
    bare = sum(Drawn("tiny/text")[i][0].role == "system" for i in range(300))
    assert 60 < bare < 120


def test_a_tokenizer_learns_no_token_of_several_capitals() -> None:
    assert not any(
        a.isascii() and b.isascii() and a.isupper() and b.isupper()
        for text in texts("tiny/text", 60)
        for a, b in pairwise(text)
    )


def test_an_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny/instruct'"):
        Drawn("tiny/instuct")


def test_there_are_a_million_scenes() -> None:
    assert all(len(Drawn(name)) == SCENES for name in ("tiny/pairs", *CONVERSATIONS))
