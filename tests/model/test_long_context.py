"""Beyond 4096 positions, where stretched ones and windows begin to tell: the logits are transformers'.

Tolerance as in test_llava_parity: the largest gap seen at 5200 tokens is 3e-5. Attention spreads over
thousands of keys there, so what a wrong position or window changes is measured, not taken for granted.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from llavakit.config import LanguageConfig, RopeScaling
from model.reference import VOCAB, gap, hf_logits, pair

TOLERANCE = 1e-4
LENGTH = 5200
# Wide contexts, narrow layers: the oracle writes out LENGTH x LENGTH weights for each head.
NARROW: dict[str, Any] = {
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "rope_theta": 1e4,
    "max_position_embeddings": 8192,
}  # fmt: skip

# Family, what is changed; published models' numbers with trained lengths that LENGTH exceeds.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {}),
    "linear": ("llama", {"rope_scaling": RopeScaling(rope_type="linear", factor=4.0)}),
    "llama3": (
        "llama",
        {"rope_scaling": RopeScaling(rope_type="llama3", factor=8.0, original_max_position_embeddings=2048)},
    ),
    "yarn": (
        "qwen2",
        {"rope_scaling": RopeScaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=2048)},
    ),
    "large theta": ("qwen3", {"rope_theta": 1e6}),
    "window": ("mistral", {"sliding_window": 4096}),
    "window, stretched": (
        "mistral",
        {"sliding_window": 4096, "rope_scaling": RopeScaling(rope_type="linear", factor=2.0)},
    ),
}


def text() -> Tensor:
    return torch.randint(1, VOCAB - 1, (1, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(MODELS))
@torch.no_grad()
def test_logits_of_a_long_text_are_those_of_transformers(name: str) -> None:
    family, change = MODELS[name]
    hf_model, model = pair(family, **(NARROW | change))
    theirs = hf_logits(hf_model, text(), None)
    assert theirs[0, -100:].std() > 0.1
    assert gap(model(text()), theirs) < TOLERANCE


@pytest.mark.parametrize("name", ["linear", "llama3", "yarn", "large theta", "window"])
@torch.no_grad()
def test_each_stretch_and_window_is_felt_beyond_4096_positions(name: str) -> None:
    family, change = MODELS[name]
    _, model = pair(family, **(NARROW | change))
    without = {"sliding_window": None} if family == "mistral" else {}
    _, plain = pair(family, **(NARROW | without))
    ours, others = model(text())[0], plain(text())[0]
    assert gap(ours[4200:], others[4200:]) > 100 * TOLERANCE
    if family == "mistral":
        assert gap(ours[:4096], others[:4096]) < TOLERANCE  # so far it sees everything


@pytest.mark.parametrize(
    ("length", "scaling", "context"),
    [
        (4096, None, 4096),
        (4096, {"rope_type": "linear", "factor": 4.0}, 16384),  # Vicuna 1.5 16k
        (32768, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        (131072, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        (131072, {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 131072),
        (4096, {"rope_type": "linear", "factor": 0.5}, 4096),
    ],
)
def test_a_stretch_lengthens_the_context(length, scaling, context):
    stretch = None if scaling is None else RopeScaling(**scaling)
    assert LanguageConfig(max_position_embeddings=length, rope_scaling=stretch).context == context
