"""From conversations to ids and labels, on small tokenizers of every kind."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from llavakit.config import ImageConfig, Tiling
from llavakit.errors import CheckpointError, PromptError
from llavakit.prompt.encode import IGNORE, Encoded, PromptEncoder
from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.prompt.templates import TEMPLATES
from llavakit.prompt.tokenizer import Tokenizer
from prompt.backends import BACKENDS, MARKS, small

PICTURE = Image.new("RGB", (4, 4), "red")
OTHER = Image.new("RGB", (4, 4), "blue")
TOKENS = 5
SPECIAL = ["<s>", "</s>", "<image>", *MARKS]


def encoder(kind: str, template: str = "vicuna_v1", markers: bool = False) -> PromptEncoder:
    return PromptEncoder(small(kind), TEMPLATES[template], TOKENS, ImageConfig(size=8), markers)


def reference(kind: str, text: str, images: bool = True) -> list[int]:
    """The whole text encoded at once by the library itself, each `<image>` then repeated."""
    tokenizer = small(kind)
    ids = tokenizer.backend.encode(text).ids
    return [j for i in ids for j in [i] * (TOKENS if i == tokenizer.image_token_id else 1)]


def special_ids(tokenizer: Tokenizer) -> set[int]:
    return {i for i, token in tokenizer.backend.get_added_tokens_decoder().items() if token.special}


def answers(encoded: Encoded, tokenizer: Tokenizer) -> list[str]:
    """The stretches that are learned, special tokens shown."""
    shown = [
        tokenizer.backend.decode([id_ for id_, _ in stretch], skip_special_tokens=False)
        for learned, stretch in groupby(
            zip(encoded.ids, encoded.labels, strict=True), key=lambda pair: pair[1] != IGNORE
        )
        if learned
    ]
    return [text.strip(" ") for text in shown]


CONVERSATIONS = {
    "one turn": (user(PICTURE, "What is in the picture?"),),
    "two turns": (user(PICTURE, "How many cars?"), assistant("Two."), user("Is it night?")),
    "two pictures": (user(PICTURE, OTHER, "Which is  naïve?\n\nSay so."),),
    "words only": (user("中文 字 🙂 龍?"), assistant("Ja, 中文 🙂."), user("café\tнет")),
    "no system": (system(""), user(PICTURE, "first"), assistant("second"), user("third")),
    "own system": (system("Be brief."), user(PICTURE, "first"), assistant(""), user("third")),
}


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("template", sorted(set(TEMPLATES) - {"plain"}))
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_are_those_of_the_whole_prompt_encoded_at_once(kind: str, template: str, name: str) -> None:
    messages = CONVERSATIONS[name]
    encoded = encoder(kind, template).encode(messages)
    assert encoded.ids == reference(kind, encoded.text)


@pytest.mark.parametrize("kind", BACKENDS)
def test_plain_ids_are_those_of_the_picture_and_caption_encoded_at_once(kind: str) -> None:
    encoded = encoder(kind, "plain").encode((user(PICTURE, "dropped"), assistant("A cat.")), reply=False)
    assert encoded.text == "<image>A cat.\n"
    assert encoded.ids == reference(kind, encoded.text)
    assert encoded.labels.count(IGNORE) == TOKENS + len(small(kind).prefix)
    learned = [label for label in encoded.labels if label != IGNORE]
    assert encoded.ids[-len(learned) :] == learned


@pytest.mark.parametrize("kind", BACKENDS)
def test_each_picture_gets_its_tokens_where_it_stands(kind: str) -> None:
    encoded = encoder(kind).encode((user(PICTURE, "a"), assistant("b"), user(OTHER, "c")))
    assert encoded.images == (PICTURE, OTHER)
    places = [i for i, id_ in enumerate(encoded.ids) if id_ == small(kind).image_token_id]
    assert [i for start, end in encoded.image_spans for i in range(start, end)] == places
    assert [end - start for start, end in encoded.image_spans] == [TOKENS, TOKENS]
    assert encoded.text.count("<image>") == 2


ENDS = {
    "v0": "###",
    "vicuna_v1": "</s>",
    "llama_2": " </s>",
    "mistral_instruct": " </s>",
    "mpt": "<|im_end|>",
    "chatml": "<|im_end|>",
}


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("template", ENDS)
def test_labels_cover_exactly_the_answers_and_their_ends(kind: str, template: str) -> None:
    messages = (user(PICTURE, "first 中?"), assistant("A 龍, naïve 🙂"), user("second"), assistant("字"))
    encoded = encoder(kind, template).encode(messages, reply=False)
    end = ENDS[template]
    assert answers(encoded, small(kind)) == [f"A 龍, naïve 🙂{end}", f"字{end}"]
    assert all(label in (id_, IGNORE) for id_, label in zip(encoded.ids, encoded.labels, strict=True))


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_conversation_goes_on_from_the_prompt_it_began_with(kind: str) -> None:
    """What training sees before an answer is what generation sees, so a cache can be kept."""
    question = (user(PICTURE, "What is in the picture?"),)
    asked = encoder(kind).encode(question).ids
    whole = encoder(kind).encode((*question, assistant("cat")), reply=False)
    learned = [i for i, label in enumerate(whole.labels) if label != IGNORE]
    assert whole.ids[: learned[0]] == asked


words = st.text(max_size=12) | st.sampled_from(
    [*SPECIAL, "<", "image>", "</", "s>", "###", " ", "中", "é", "🙂"]
)
texts = st.lists(words, min_size=1, max_size=8).map("".join)


@pytest.mark.parametrize("kind", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(question=texts, answer=texts, instructions=texts, pictures=st.integers(0, 2))
def test_special_tokens_in_anybodys_text_are_just_letters(
    kind: str, question: str, answer: str, instructions: str, pictures: int
) -> None:
    question = f"{question} ?"
    shown = [PICTURE] * pictures
    messages = (system(instructions), user(*shown, question), assistant(answer), user("more"))
    tokenizer = small(kind)
    special = special_ids(tokenizer)
    for template in ("vicuna_v1", "llama_2", "chatml"):
        encoded = encoder(kind, template).encode(messages)
        calm = (system("." if instructions.strip() else ""), user(*shown, "?"), assistant("."), user("more"))
        expected = encoder(kind, template).encode(calm)
        assert [i for i in encoded.ids if i in special] == [i for i in expected.ids if i in special]
        assert encoded.ids.count(tokenizer.image_token_id) == pictures * TOKENS
        assert len(encoded.image_spans) == pictures


@pytest.mark.parametrize("kind", ["llama3-bytes", "qwen-bytes"])
@settings(max_examples=60, deadline=None)
@given(question=texts, answer=texts)
def test_a_prompt_decodes_to_its_text(kind: str, question: str, answer: str) -> None:
    """Byte-level tokenizers lose nothing; those with "▁" cannot tell it from a space."""
    messages = (user(PICTURE, f"{question}?"), assistant(answer), user("more"))
    encoded = encoder(kind).encode(messages)
    tokenizer = small(kind)
    text = tokenizer.backend.decode(encoded.ids[len(tokenizer.prefix) :], skip_special_tokens=False)
    assert text.replace("<image>" * TOKENS, "<image>", 1) == encoded.text


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("letters", SPECIAL)
def test_letters_of_a_special_token_decode_to_themselves(kind: str, letters: str) -> None:
    tokenizer = small(kind)
    encoding = tokenizer.encode_plain(f"a {letters} b", first=True)
    assert not set(encoding.ids) & special_ids(tokenizer)
    assert tokenizer.decode(encoding.ids) == f"a {letters} b"


def test_a_merge_that_spells_a_special_token_is_not_used_for_letters() -> None:
    vocab = {text: i for i, text in enumerate(["<", "s", ">", "s>", "<s>", "</s>", "<image>"])}
    backend = Backend(models.BPE(vocab=vocab, merges=[("s", ">"), ("<", "s>")], ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Fuse()
    tokenizer = Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>")
    assert backend.encode("<s>").tokens == ["<s>"]
    assert tokenizer.encode_plain("<s>", first=True).tokens == ["<", "s>"]


def test_runs_of_spaces_that_are_added_tokens_stay_text() -> None:
    """GPT-NeoX's tokenizer, which MPT uses, has such."""
    backend = Backend.from_str(small("llama3-bytes").backend.to_str())
    backend.add_tokens(["    "])
    tokenizer = Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>")
    encode = PromptEncoder(tokenizer, TEMPLATES["vicuna_v1"], TOKENS, ImageConfig()).encode
    encoded = encode((user("first    second"),))
    assert encoded.ids == backend.encode(encoded.text).ids
    assert backend.token_to_id("    ") in encoded.ids


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_written_prompt_places_its_pictures(kind: str) -> None:
    text = "USER: <image>\nWhat is in the picture?\nASSISTANT:"
    encoded = encoder(kind).encode_written(text, [PICTURE])
    assert encoded.text == text
    assert encoded.ids == reference(kind, text)
    assert encoded.images == (PICTURE,)


@pytest.mark.parametrize("text, count", [("<image> and <image>", 1), ("none", 1), ("<image>", 0)])
def test_a_written_prompt_needs_one_place_for_each_picture(text: str, count: int) -> None:
    with pytest.raises(PromptError, match=rf"has {text.count('<image>')} <image> and {count} pictures"):
        encoder("qwen-bytes").encode_written(text, [PICTURE] * count)


def test_an_empty_written_prompt_is_refused() -> None:
    with pytest.raises(PromptError, match="empty"):
        encoder("qwen-bytes").encode_written("", [])


@pytest.mark.parametrize("kind", BACKENDS)
def test_markers_stand_around_each_picture(kind: str) -> None:
    encoded = encoder(kind, markers=True).encode((user(PICTURE, "What is in the picture?"),))
    assert "USER: <im_start><image><im_end>\nWhat" in encoded.text
    assert encoded.ids == reference(kind, encoded.text)
    start, end = encoded.image_spans[0]
    before, after = map(small(kind).backend.token_to_id, ("<im_start>", "<im_end>"))
    assert (encoded.ids[start - 1], encoded.ids[end]) == (before, after)


def test_markers_that_the_tokenizer_lacks_are_refused() -> None:
    backend = Backend(models.BPE(vocab={"<s>": 0, "</s>": 1, "a": 2}, merges=[]))
    tokenizer = Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>")
    with pytest.raises(CheckpointError, match="image_markers"):
        PromptEncoder(tokenizer, TEMPLATES["vicuna_v1"], TOKENS, ImageConfig(), image_markers=True)


def test_pixels_are_one_normalised_square_per_picture() -> None:
    pixels = encoder("qwen-bytes").pixels([PICTURE, OTHER])
    assert pixels.shape == (2, 3, 8, 8)
    assert pixels.dtype == np.float32
    red, blue = pixels[:, :, 0, 0]
    assert red[0] > blue[0]
    assert red[2] < blue[2]


TILING = Tiling(grids=((8, 16), (16, 8), (16, 16)), tile=8, patches=2, max_tiles=2)
WIDE, TALL, SQUARE = (Image.new("RGB", size, "red") for size in ((40, 20), (20, 60), (30, 30)))


def tiled(single: bool = False, markers: bool = False) -> PromptEncoder:
    tiling = TILING.model_copy(update={"single": single})
    image = ImageConfig(size=8, resize="exact")
    return PromptEncoder(small("llama3-bytes"), TEMPLATES["vicuna_v1"], 4, image, markers, tiling)


def test_with_tiles_each_picture_takes_as_many_tokens_as_it_has_features() -> None:
    encoded = tiled().encode([user(WIDE, TALL, SQUARE, "Which?")])
    # The whole is 2 x 2 patches; the tiles 2 x 4, 4 x 2, and 4 x 4 shrunk to 2 x 2; a newline ends each row.
    lengths = [end - start for start, end in encoded.image_spans]
    assert encoded.layouts is not None
    assert lengths == [layout.tokens for layout in encoded.layouts]
    assert lengths == [4 + 2 * (4 + 1), 4 + 4 * (2 + 1), 4 + 2 * (2 + 1)]
    image = small("llama3-bytes").image_token_id
    assert all(encoded.ids[i] == image for start, end in encoded.image_spans for i in range(start, end))
    assert encoded.ids.count(image) == sum(lengths)
    assert encoded.text.count("<image>") == 3
    assert {encoded.labels[i] for start, end in encoded.image_spans for i in range(start, end)} == {IGNORE}


def test_where_only_single_pictures_have_tiles_others_take_one_view_and_a_newline() -> None:
    alone, among = (
        tiled(single=True).encode([user(WIDE, "?")]),
        tiled(single=True).encode([user(WIDE, TALL, "?")]),
    )
    assert alone.image_spans[0][1] - alone.image_spans[0][0] == 4 + 2 * (4 + 1)
    assert [end - start for start, end in among.image_spans] == [5, 5]
    # Pictures of earlier turns count.
    later = tiled(single=True).encode([user(WIDE, "?"), assistant("Yes."), user(TALL, "And now?")])
    assert [end - start for start, end in later.image_spans] == [5, 5]


def test_markers_stand_around_all_of_a_pictures_tokens() -> None:
    encoded = PromptEncoder(
        small("llama-prepend"), TEMPLATES["vicuna_v1"], 4, ImageConfig(size=8), True, TILING
    ).encode([user(WIDE, "?")])
    before, after = map(small("llama-prepend").backend.token_to_id, ("<im_start>", "<im_end>"))
    start, end = encoded.image_spans[0]
    assert (encoded.ids[start - 1], encoded.ids[end], end - start) == (before, after, 14)


def test_a_written_prompt_counts_tokens_likewise() -> None:
    encoder = tiled(single=True)
    written = encoder.encode_written("<image><image>Why?", [WIDE, TALL])
    assert [end - start for start, end in written.image_spans] == [5, 5]


def test_pixels_hold_the_views_of_each_picture_in_turn() -> None:
    encoder = tiled(single=True)
    assert encoder.pixels([WIDE]).shape == (3, 3, 8, 8)
    assert encoder.pixels([WIDE, TALL]).shape == (2, 3, 8, 8)
    layouts = [*(encoder.layouts([WIDE]) or ()), *(encoder.layouts([TALL, SQUARE]) or ())]
    mixed = encoder.pixels([WIDE, TALL, SQUARE], layouts)
    assert np.array_equal(mixed[:3], encoder.pixels([WIDE]))
    assert np.array_equal(mixed[3:], encoder.pixels([TALL, SQUARE]))


def test_message_helpers_keep_their_content() -> None:
    assert user(PICTURE, "a") == Message("user", (PICTURE, "a"))
    assert assistant("a") == Message("assistant", ("a",))
    assert system("a") == Message("system", ("a",))
