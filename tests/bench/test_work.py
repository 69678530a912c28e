"""Operations and bytes, counted another way."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from assemble import packed, random_llava
from llavakit.bench.work import prefill_operations, read_bytes, tower_operations
from llavakit.config import LlavaConfig, Quantization
from llavakit.model import Llava


@pytest.fixture(scope="module")
def model() -> Llava:
    return random_llava().model


def counted(counter: FlopCounterMode) -> int:
    """Without attention, of which torch counts what is masked too, and on a CPU nothing."""
    counts = counter.get_flop_counts()["Global"]
    return sum(count for kind, count in counts.items() if "attention" not in str(kind))


def test_a_tower_does_what_torch_counts(model: Llava) -> None:
    vision = model.config.vision
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode_images(torch.zeros(1, 3, vision.image_size, vision.image_size))
    length, blocks = vision.num_patches + 1, vision.num_hidden_layers - 1
    attention = 4 * blocks * length**2 * vision.hidden_size
    assert tower_operations(model.config) == counted(counter) + attention


def test_a_prefill_does_what_torch_counts(model: Llava) -> None:
    language, tokens = model.config.language, 10
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hidden = model.hidden_states(torch.zeros(1, tokens, dtype=torch.long))
        model.language_model.logits(hidden[:, -1:])
    pairs = tokens * (tokens + 1) // 2
    attention = 4 * language.num_hidden_layers * pairs * language.num_attention_heads * language.head_dim
    assert prefill_operations(model.config, tokens) == counted(counter) + attention


@pytest.mark.parametrize("scheme", [None, "int8", "int4"])
def test_bytes_read_for_a_token_are_those_of_the_language_model_but_for_its_table(
    model: Llava, scheme: str | None
) -> None:
    if scheme is not None:
        plan = Quantization.parse({"scheme": scheme}, "test")
        model = packed(model, plan)
    language, config = model.language_model, model.config
    tensors = {**dict(language.named_parameters()), **dict(language.named_buffers())}
    weights = [t for name, t in tensors.items() if name.startswith(("layers.", "norm.", "lm_head."))]
    assert isinstance(config, LlavaConfig)
    assert read_bytes(config, 4) == sum(weight.nbytes for weight in weights)
