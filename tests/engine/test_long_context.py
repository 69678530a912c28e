"""Answers to prompts of more than 4096 tokens, read in stretches from a paged cache, are the model's own."""

from typing import Any

import pytest
import torch

from assemble import picture, random_llava
from llavakit.config import RopeScaling
from llavakit.errors import PromptError
from llavakit.llava import LLaVA
from llavakit.prompt.messages import user

STORY = "".join(f"{number} sheep went by. " for number in range(300))  # 5658 tokens, one a byte
FEW = {"max_new_tokens": 12}

LANGUAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "linear": {"rope_scaling": RopeScaling(rope_type="linear", factor=4.0)},
    "llama3": {
        "rope_scaling": RopeScaling(rope_type="llama3", factor=8.0, original_max_position_embeddings=2048)
    },
    "yarn": {
        "rope_scaling": RopeScaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=2048)
    },
    "window": {"sliding_window": 4096},
    "short window": {"sliding_window": 50},
}


def long_llava(**language: Any) -> LLaVA:
    return random_llava(max_position_embeddings=8192, **language)


@torch.no_grad()
def assert_its_own_words(llava: LLaVA, question: str, ids: list[int], **images: Any) -> None:
    """Each token is the likeliest after those before it, in one run of the model over everything.

    Logits of the two ways differ by 1e-5 or so; only a token that is as likely as another might differ.
    """
    prompt = llava.encoder.encode([user(*images.get("images", ()), question)])
    pixels = torch.from_numpy(llava.encoder.pixels(prompt.images)) if prompt.images else None
    logits = llava.model(torch.tensor([prompt.ids + ids]), pixels)[0, len(prompt.ids) - 1 : -1]
    said = logits.gather(1, torch.tensor(ids)[:, None])[:, 0]
    assert (logits.amax(dim=1) - said < 1e-3).all()


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_answer_to_a_long_prompt_is_the_models_own(name: str) -> None:
    llava = long_llava(**LANGUAGES[name])
    reply = llava.generate(STORY, **FEW)
    assert reply.usage.prompt_tokens > 5600
    assert len(reply.ids) == 12
    assert_its_own_words(llava, STORY, reply.ids)


@pytest.mark.parametrize("name", ["plain", "yarn", "window"])
def test_what_was_read_of_a_long_prompt_is_read_on(name: str) -> None:
    llava = long_llava(**LANGUAGES[name])
    llava.generate(STORY + "How many?", **FEW)
    reply = llava.generate(STORY + "Which was the last?", **FEW)
    assert reply.usage.cached_tokens > 5600
    assert_its_own_words(llava, STORY + "Which was the last?", reply.ids)


def test_a_picture_before_a_long_text_is_read_as_the_model_reads_it() -> None:
    llava = long_llava()
    replies = [llava.generate(STORY, [picture(seed)], **FEW) for seed in (0, 1)]
    for reply, seed in zip(replies, (0, 1), strict=True):
        assert_its_own_words(llava, STORY, reply.ids, images=[picture(seed)])


def test_long_and_short_prompts_are_answered_together() -> None:
    llava = long_llava(sliding_window=4096)
    replies = llava.generate_batch([STORY, "Why?", STORY[:4500]], **FEW)
    for question, reply in zip((STORY, "Why?", STORY[:4500]), replies, strict=True):
        assert_its_own_words(llava, question, reply.ids)


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers() -> None:
    with pytest.raises(PromptError, match=r"takes \d{4} tokens and the model's context holds 4096"):
        random_llava(max_position_embeddings=4096).generate(STORY)
