"""Sequences end to end are read as if each were alone, by whatever computes the attention."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn

from llavakit.config import LanguageConfig
from llavakit.model.language.decoder import Decoder
from llavakit.model.language.packing import Packing
from model.reference import TEXT_NUMBERS, randomise

CPU = torch.device("cpu")
LENGTHS = (5, 1, 12, 3)
WINDOWS = pytest.mark.parametrize("window", [None, 4])


def states(*heads: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, n, sum(LENGTHS), 8, generator=generator) for n in heads]


def alone(query: Tensor, key: Tensor, value: Tensor, window: int | None) -> Tensor:
    """What a token sees, written out: softmax over the keys of its own sequence, up to itself."""
    owner = torch.tensor([i for i, length in enumerate(LENGTHS) for _ in range(length)])
    place = torch.arange(len(owner))
    distance = place[:, None] - place[None]
    seen = (owner[:, None] == owner[None]) & (distance >= 0) & (distance < (window or 99))
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value


def test_positions_restart() -> None:
    assert Packing((3, 1, 2), None, CPU).positions.tolist() == [[0, 1, 2, 0, 0, 1]]


@WINDOWS
@pytest.mark.parametrize("shared", [4, 2, 1])
def test_each_sequence_sees_itself_alone(window: int | None, shared: int) -> None:
    query, key, value = states(4, shared, shared)
    seen = Packing(LENGTHS, window, CPU).attend(query, key, value)
    torch.testing.assert_close(seen, alone(query, key, value, window), rtol=1e-5, atol=1e-5)


@WINDOWS
def test_flash_attention_is_told_the_same(window: int | None) -> None:
    """The road that GPUs take, with what its documentation says in place of FlashAttention."""
    told: list[tuple[int, int]] = []

    def documented(
        q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, *,
        window_size: tuple[int, int], enable_gqa: bool,
    ) -> Tensor:  # fmt: skip
        assert cu_q.dtype == torch.int32 and torch.equal(cu_q, cu_k) and (max_q, max_k) == (12, 12)
        assert window_size[1] == 0  # causal
        told.append(window_size)
        parts = []
        for start, end in zip(cu_q.tolist(), cu_q.tolist()[1:], strict=False):
            mask = torch.ones(end - start, end - start, dtype=torch.bool).tril()
            mask = mask.triu(-window_size[0]) if window_size[0] >= 0 else mask
            each = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
            seen = F.scaled_dot_product_attention(*each, attn_mask=mask, enable_gqa=enable_gqa)
            parts.append(seen[0].transpose(0, 1))
        return torch.cat(parts)

    packing = Packing(LENGTHS, window, CPU)
    query, key, value = (x.bfloat16() for x in states(4, 2, 2))
    expected = packing.attend(query, key, value)
    packing._at_once = documented
    seen = packing.attend(query.float(), key.float(), value)  # as autocast leaves them
    assert told == [(-1 if window is None else window - 1, 0)]
    # 2**-7: one rounding of bfloat16, values near 1
    torch.testing.assert_close(seen, expected, rtol=2**-7, atol=2**-7)


def test_torch_has_what_gpus_are_asked_for() -> None:
    query, key, value = (x.bfloat16()[0].transpose(0, 1).to("meta") for x in states(4, 2, 2))
    offsets = Packing(LENGTHS, None, CPU).offsets.to("meta")
    seen: Any = varlen_attn(query, key, value, offsets, offsets, 12, 12, window_size=(3, 0), enable_gqa=True)
    assert seen.shape == query.shape


@torch.no_grad()
def test_a_compiled_decoder_is_not_compiled_anew_for_other_lengths() -> None:
    torch.compiler.reset()
    config = LanguageConfig(**TEXT_NUMBERS)
    plain, compiled = randomise(Decoder(config)), randomise(Decoder(config))
    for layer in compiled.layers:
        layer.compile(dynamic=True, backend="eager")
    graphs = []
    for lengths in ((4, 9), (7, 3, 5), (6,), (2, 2, 2, 8)):
        embeds = torch.randn(1, sum(lengths), 32, generator=torch.Generator().manual_seed(0))
        packing = Packing(lengths, None, CPU)
        seen = [decoder(embeds, packing.positions, packing) for decoder in (plain, compiled)]
        torch.testing.assert_close(*seen, rtol=1e-5, atol=1e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[-1] > 0
