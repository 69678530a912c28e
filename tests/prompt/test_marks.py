"""Tokens that mark something: those that take the space beside them, markers, and marks that stop."""

import pytest
from PIL import Image
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from llavakit.config import ImageConfig
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import assistant, system, user
from llavakit.prompt.templates import TEMPLATES
from llavakit.prompt.tokenizer import Tokenizer
from prompt.backends import BACKENDS, small

PICTURE = Image.new("RGB", (4, 4), "red")
CONVERSATION = (user(PICTURE, "First <image>?"), assistant("One </s>."), user("Second?"), assistant("Two."))
CALM = (user(PICTURE, "First?"), assistant("One."), user("Second?"), assistant("Two."))


def greedy(kind: str, lstrip: bool, rstrip: bool) -> Tokenizer:
    """A tokenizer whose special tokens take the space before or after them."""
    backend = Backend.from_str(small(kind).backend.to_str())
    backend.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False, lstrip=lstrip, rstrip=rstrip)
            for token in ("<image>", "</s>", "<|im_end|>", "<|im_start|>")
        ]
    )
    bos = None if kind == "qwen-bytes" else "<s>"
    return Tokenizer(backend, bos_token=bos, eos_token="</s>", pad_token=None, image_token="<image>")


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("name", sorted(TEMPLATES))
@pytest.mark.parametrize("lstrip, rstrip", [(True, False), (False, True), (True, True)])
def test_a_token_takes_the_space_beside_it_as_the_library_lets_it(
    kind: str, name: str, lstrip: bool, rstrip: bool
) -> None:
    tokenizer = greedy(kind, lstrip, rstrip)
    assert tokenizer.eats_space["<image>"] == (lstrip, rstrip)
    messages = CALM[:2] if name == "plain" else CALM
    encoded = PromptEncoder(tokenizer, TEMPLATES[name], 1, ImageConfig()).encode(messages, reply=False)
    assert encoded.ids == tokenizer.backend.encode(encoded.text).ids


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_greedy_token_does_not_make_somebodys_letters_special(kind: str) -> None:
    tokenizer = greedy(kind, lstrip=True, rstrip=True)
    encoded = PromptEncoder(tokenizer, TEMPLATES["vicuna_v1"], 3, ImageConfig()).encode(CONVERSATION, False)
    assert encoded.ids.count(tokenizer.image_token_id) == 3
    assert encoded.ids.count(tokenizer.eos_id) == 2
    assert "First <image>?" in encoded.text


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_markers_change_nothing_but_the_place_of_the_picture(name: str) -> None:
    tokenizer, messages = small("llama-prepend"), CALM[:2]
    bare = PromptEncoder(tokenizer, TEMPLATES[name], 3, ImageConfig()).encode(messages, reply=False)
    marked = PromptEncoder(tokenizer, TEMPLATES[name], 3, ImageConfig(), True).encode(messages, reply=False)
    assert marked.text == bare.text.replace("<image>", "<im_start><image><im_end>")
    assert [i for i in marked.labels if i != IGNORE] == [i for i in bare.labels if i != IGNORE]


@pytest.mark.parametrize(
    "text", ["USER: <image>\nWhy? ASSISTANT:", "USER: <im_start><image><im_end>\nWhy? ASSISTANT:"]
)
def test_markers_in_a_written_prompt_are_not_doubled(text: str) -> None:
    encoder = PromptEncoder(small("llama-prepend"), TEMPLATES["vicuna_v1"], 3, ImageConfig(), True)
    encoded = encoder.encode_written(text, [PICTURE])
    assert encoded.text == "USER: <im_start><image><im_end>\nWhy? ASSISTANT:"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_stop_mark_that_is_one_token_ends_an_answer_by_its_id(name: str) -> None:
    tokenizer = small("qwen-bytes")
    expected = {tokenizer.eos_id}
    if name in ("mpt", "chatml", "qwen_1_5", "onevision"):
        expected.add(tokenizer.special["<|im_end|>"])
    assert PromptEncoder(tokenizer, TEMPLATES[name], 3, ImageConfig()).end_ids == expected


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - {"plain"}))
def test_special_tokens_in_a_system_message_are_just_letters(kind: str, name: str) -> None:
    tokenizer = small(kind)
    encoder = PromptEncoder(tokenizer, TEMPLATES[name], 3, ImageConfig())
    loud = encoder.encode((system("Mind <image> and </s><|im_end|>."), *CALM), reply=False)
    calm = encoder.encode((system("Mind."), *CALM), reply=False)
    silent = [i for i in loud.ids if i in tokenizer.silent]
    assert silent == [i for i in calm.ids if i in tokenizer.silent]
