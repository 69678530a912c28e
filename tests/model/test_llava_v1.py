"""LLaVA v1 (Liu et al. 2023): one linear layer, and <im_start>, <im_end> around a picture.

transformers has no such LLaVA, so the paper's sentences are computed from its parts: CLIP's patch
features times W, in the place of the picture's tokens among the words' embeddings, into its Llama.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from llavakit.config import ImageConfig
from llavakit.engine import Engine, Reply, Sampling
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.model import Llava
from llavakit.prompt.encode import Encoded, PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import TEMPLATES
from model.reference import copy_weights, gap, hf_llava
from model.tiled_reference import noise
from prompt.backends import small

TOKENIZER = small("llama-prepend")
TOLERANCE = 1e-4  # as in test_llava_parity


def v1() -> tuple[Any, Llava, PromptEncoder]:
    """transformers' parts, and ours with their weights and a linear connector."""
    hf_model, config = hf_llava("llama", vocab_size=TOKENIZER.vocab_size, max_position_embeddings=1024)
    image_token_id = TOKENIZER.image_token_id
    whole = Llava(config.model_copy(update={"image_token_id": image_token_id}))
    copy_weights(hf_model, whole)
    model = Llava(whole.config.model_copy(update={"connector": "linear"})).eval()
    loaded = model.load_state_dict(whole.state_dict(), strict=False)
    assert set(loaded.unexpected_keys) == {"connector.linear_2.weight", "connector.linear_2.bias"}
    encoder = PromptEncoder(
        TOKENIZER, TEMPLATES["v0"], config.tokens_per_image, ImageConfig(size=24), image_markers=True
    )
    return hf_model, model, encoder


@torch.no_grad()
def by_hand(hf_model: Any, model: Llava, encoded: Encoded, pixels: Tensor) -> Tensor:
    """Logits (1, token, vocab) from transformers' vision tower and language model."""
    seen = hf_model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2]
    weight, bias = (model.state_dict()[f"connector.linear_1.{name}"] for name in ("weight", "bias"))
    features = seen[:, 1:] @ weight.T + bias  # (image, patch, text)
    words = hf_model.get_input_embeddings()(torch.tensor(encoded.ids))
    pieces, at = [], 0
    for (start, end), feature in zip(encoded.image_spans, features, strict=True):
        pieces += [words[at:start], feature]
        at = end
    embeds = torch.cat([*pieces, words[at:]])[None]
    logits: Tensor = hf_model.lm_head(hf_model.model.language_model(inputs_embeds=embeds).last_hidden_state)
    return logits


def pictures(count: int) -> list[Image.Image]:
    return [noise(40, 30, seed) for seed in range(count)]


def test_the_markers_stand_around_each_picture_and_are_words_of_their_own() -> None:
    _, _, encoder = v1()
    encoded = encoder.encode([user(*pictures(2), "What?")])
    begin, end = (TOKENIZER.special[name] for name in ("<im_start>", "<im_end>"))
    for first, after in encoded.image_spans:
        assert (encoded.ids[first - 1], encoded.ids[after]) == (begin, end)
        assert after - first == 9


@torch.no_grad()
def test_logits_are_those_of_the_paper_computed_from_its_parts() -> None:
    hf_model, model, encoder = v1()
    images = pictures(2)
    encoded = encoder.encode([user(*images, "What?"), assistant("A cat."), user("Sure?")])
    pixels = torch.from_numpy(encoder.pixels(images))
    ours = model(torch.tensor([encoded.ids]), pixels)
    assert gap(ours, by_hand(hf_model, model, encoded, pixels)) < TOLERANCE


def test_thirty_two_greedy_tokens_are_those_of_the_parts() -> None:
    hf_model, model, encoder = v1()
    images = pictures(1)
    encoded = encoder.encode([user(*images, "What is in the picture?")])
    pixels = torch.from_numpy(encoder.pixels(images))
    # The model's random words may be end tokens, which stop nothing here.
    engine = Engine(TorchBackend(model, 4096), encoder, ())
    engine.ends = frozenset()
    reply = Reply()
    for _ in engine.stream(encoded, Sampling(max_new_tokens=32, stop=()), reply=reply):
        pass
    said: list[int] = []
    for _ in range(len(reply.ids)):
        so_far = Encoded(encoded.ids + said, [], encoded.images, encoded.image_spans, "")
        said.append(int(by_hand(hf_model, model, so_far, pixels)[0, -1].argmax()))
    assert len(said) == 32
    assert reply.ids == said
