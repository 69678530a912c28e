"""Rotary positions and their stretchings against `transformers`' LlamaRotaryEmbedding."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from llavakit.config import LanguageConfig, RopeScaling
from llavakit.model.language.rope import rope_frequencies, rotate
from model.reference import gap

# (rope_theta, trained length, scaling) as published models set them, and edges of the formulas.
SCALINGS: dict[str, tuple[float, int, dict[str, Any] | None]] = {
    "vicuna 1.5": (1e4, 4096, None),
    "vicuna 1.5 16k": (1e4, 4096, {"rope_type": "linear", "factor": 4.0}),
    "llama 3.1": (5e5, 131072, {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }),
    "llama 3.2": (5e5, 131072, {
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }),
    "qwen 2.5": (1e6, 32768, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}),
    "yarn, length left to the model": (1e4, 4096, {"rope_type": "yarn", "factor": 16.0}),
    "yarn, all explicit": (1e4, 4096, {
        "rope_type": "yarn", "factor": 3.0, "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 0.8,
    }),
    "yarn, no stretch": (1e4, 4096, {"rope_type": "yarn", "factor": 1.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SCALINGS))
@pytest.mark.parametrize("head_dim", [64, 128])
def test_cosines_and_sines_are_those_of_transformers(name: str, head_dim: int) -> None:
    theta, length, scaling = SCALINGS[name]
    config = LanguageConfig(
        head_dim=head_dim, rope_theta=theta, max_position_embeddings=length,
        rope_scaling=None if scaling is None else RopeScaling(**scaling),
    )  # fmt: skip
    oracle = LlamaRotaryEmbedding(LlamaConfig(
        hidden_size=head_dim, num_attention_heads=1, max_position_embeddings=length,
        rope_parameters={"rope_type": "default", "rope_theta": theta} | (scaling or {}),
    ))  # fmt: skip
    frequencies, factor = rope_frequencies(config)
    torch.testing.assert_close(frequencies, oracle.inv_freq, rtol=2e-6, atol=0)

    positions = torch.cat([torch.arange(64), torch.arange(64, 16384, 509)])
    cos, sin = oracle(torch.zeros(1), positions[None])
    angles = positions[:, None] * torch.cat([frequencies, frequencies])
    # A float32 angle of a few hundred radians, where a stretched wave ends up, is only known to 2e-5.
    assert gap(angles.cos() * factor, cos[0]) < 1e-4
    assert gap(angles.sin() * factor, sin[0]) < 1e-4


def test_rotation_turns_the_same_pairs_as_transformers() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 3, 4, 5, 8, generator=generator).unbind()  # (batch, head, token, dim)
    angles = torch.randn(3, 5, 4, generator=generator).repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()
    theirs = apply_rotary_pos_emb(query, key, cos, sin)
    assert gap(rotate(query, cos[:, None], sin[:, None]), theirs[0]) < 1e-6
    assert gap(rotate(key, cos[:, None], sin[:, None]), theirs[1]) < 1e-6


def test_only_the_distance_between_two_tokens_counts() -> None:
    frequencies, _ = rope_frequencies(LanguageConfig(head_dim=8))
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator).unbind()

    def score(at: int, other: int) -> torch.Tensor:
        turned = []
        for x, position in ((query, at), (key, other)):
            angles = position * torch.cat([frequencies, frequencies])
            turned.append(rotate(x, angles.cos(), angles.sin()))
        return (turned[0] * turned[1]).sum()

    assert gap(score(9, 4), score(105, 100)) < 1e-4
    assert gap(score(9, 4), score(9, 3)) > 1e-2
