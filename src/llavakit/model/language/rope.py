"""Rotary positions (Su et al. 2021) and their stretchings, as transformers computes them."""

import math

import torch
from torch import Tensor

from llavakit import kernels
from llavakit.config import LanguageConfig, RopeScaling


def rope_frequencies(config: LanguageConfig) -> tuple[Tensor, float]:
    """Inverse frequencies (head_dim / 2,) and the factor that cos and sin are multiplied with."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies, 1.0
    if scaling.rope_type == "linear":
        return frequencies / scaling.factor, 1.0
    trained = scaling.original_max_position_embeddings or config.max_position_embeddings
    if scaling.rope_type == "llama3":
        return _llama3(frequencies, scaling, trained), 1.0
    return _yarn(frequencies, scaling, trained, config)


def _llama3(frequencies: Tensor, scaling: RopeScaling, trained: int) -> Tensor:
    """Llama 3.1: long waves are stretched, short ones kept, those between blended."""
    waves = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep = ((trained / waves - low) / (high - low)).clamp(0, 1)
    return (1 - keep) * frequencies / scaling.factor + keep * frequencies


def _yarn(
    frequencies: Tensor, scaling: RopeScaling, trained: int, config: LanguageConfig
) -> tuple[Tensor, float]:
    """YaRN (Peng et al. 2023): a ramp between stretched and kept dimensions, and warmer logits."""
    log_theta = math.log(config.rope_theta)

    def dimension(rotations: float) -> float:  # the dimension that turns so often within `trained`
        return config.head_dim * math.log(trained / (rotations * 2 * math.pi)) / (2 * log_theta)

    low = max(math.floor(dimension(scaling.beta_fast)), 0)
    high = min(math.ceil(dimension(scaling.beta_slow)), config.head_dim - 1)
    ramp = (torch.arange(config.head_dim // 2).float() - low) / max(high - low, 0.001)
    keep = 1 - ramp.clamp(0, 1)
    stretched = (1 - keep) * frequencies / scaling.factor + keep * frequencies
    warmth = scaling.attention_factor
    if warmth is None:
        warmth = 0.1 * math.log(scaling.factor) + 1.0 if scaling.factor > 1 else 1.0
    return stretched, warmth


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each head's two halves: x (batch, head, token, dim), cos and sin (batch, 1, token, dim)."""
    if kernels.usable(x, cos, sin) and kernels.takes_turns(x.shape[-1]):
        return kernels.rotate(x, cos, sin)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
