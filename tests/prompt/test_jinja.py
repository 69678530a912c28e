"""The chat templates that other programs read, against what the templates themselves write."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from llavakit.config import ImageConfig
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.jinja import chat_template
from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import BACKENDS, small

PICTURE = Image.new("RGB", (4, 4), "red")
CHATS = sorted(set(TEMPLATES) - {"plain"})


def render(name: str, messages: list[dict[str, Any]], reply: bool, **kwargs: str) -> str:
    written = chat_template(TEMPLATES[name], **kwargs)
    assert written is not None
    texts, _ = render_jinja_template([messages], chat_template=written, add_generation_prompt=reply)
    return str(texts[0])


def as_parts(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in message.content
    ]
    return {"role": message.role, "content": parts}


def as_string(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": "".join(p for p in message.content if isinstance(p, str))}


words = st.text(max_size=10).map(lambda text: f" {text}?\n")
contents = st.lists(words | st.just(PICTURE), max_size=3).flatmap(
    lambda parts: st.permutations([*parts, "why"]).map(tuple)
)
turns = st.lists(st.tuples(contents, words), max_size=3)


@pytest.mark.parametrize("name", CHATS)
@settings(max_examples=50, deadline=None)
@given(opening=st.none() | st.just("") | words, turns=turns, last=contents, reply=st.booleans())
def test_a_chat_template_writes_what_the_template_writes(
    name: str, opening: str | None, turns: list[tuple[Any, str]], last: Any, reply: bool
) -> None:
    messages = [] if opening is None else [system(opening)]
    for question, answer in turns:
        messages += [user(*question), assistant(answer)]
    if reply or not turns:
        messages.append(user(*last))
    encoder = PromptEncoder(small("qwen-bytes"), TEMPLATES[name], 3, ImageConfig())
    assert render(name, [as_parts(m) for m in messages], reply) == encoder.encode(messages, reply).text


@pytest.mark.parametrize("name", CHATS)
def test_content_may_be_a_string(name: str) -> None:
    messages = [system("Be brief."), user("First? "), assistant(" One."), user("Second?")]
    encoder = PromptEncoder(small("qwen-bytes"), TEMPLATES[name], 3, ImageConfig())
    assert render(name, [as_string(m) for m in messages], reply=True) == encoder.encode(messages).text


def test_plain_is_no_conversation() -> None:
    assert chat_template(TEMPLATES["plain"]) is None


@pytest.mark.parametrize("name", CHATS)
def test_markers_stand_around_pictures_as_in_the_encoder(name: str) -> None:
    encoder = PromptEncoder(small("qwen-bytes"), TEMPLATES[name], 3, ImageConfig(), image_markers=True)
    messages = [user(PICTURE, "First?")]
    shown = render(name, [as_parts(m) for m in messages], reply=True, picture="<im_start><image><im_end>")
    assert shown == encoder.encode(messages).text


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("name", CHATS)
def test_a_tokenizer_in_transformers_gives_the_same_ids(kind: str, name: str, tmp_path: Path) -> None:
    tokenizer = small(kind)
    template = TEMPLATES[name]
    tokenizer.save(tmp_path, chat_template(template))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    messages = [user(PICTURE, "How many cars?"), assistant("Two."), user("Is it night?")]
    text = theirs.apply_chat_template(
        [as_parts(m) for m in messages], tokenize=False, add_generation_prompt=True
    )
    assert (
        theirs(text)["input_ids"] == PromptEncoder(tokenizer, template, 1, ImageConfig()).encode(messages).ids
    )


@pytest.mark.parametrize("kind", ["llama-prepend", "llama3-bytes"])
def test_a_template_that_begins_the_text_suits_programs_that_do_not(kind: str, tmp_path: Path) -> None:
    tokenizer = small(kind)
    tokenizer.save(tmp_path, chat_template(TEMPLATES["vicuna_v1"], begin="<s>"))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    messages = [user(PICTURE, "How many cars?")]
    ids = theirs.apply_chat_template([as_parts(m) for m in messages], add_generation_prompt=True)["input_ids"]
    encoder = PromptEncoder(tokenizer, TEMPLATES["vicuna_v1"], 1, ImageConfig())
    assert ids == encoder.encode(messages).ids


def test_a_reader_can_see_that_content_may_be_a_list() -> None:
    """vLLM looks in the syntax tree for a loop over `messages` and one over a message's content."""
    written = chat_template(TEMPLATES["vicuna_v1"])
    assert written is not None
    loops = [line for line in written.splitlines() if "{%- for " in line]
    assert [line.split(" in ")[1].split(" -%}")[0] for line in loops] == ["messages", "message['content']"]
    assert all(a != b for a, b in pairwise(loops))
