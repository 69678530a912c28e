"""What the decoder promises to whoever drives it: caches, masks, compilation."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from llavakit.model import Llava
from llavakit.model.language.decoder import causal_mask
from model.reference import TEXT_CLASSES, gap, pad, pair, pictures, prompt

TOLERANCE = 1e-4  # float32 in two orders of summation, see test_llava_parity

families = pytest.mark.parametrize("text", list(TEXT_CLASSES))


class ConcatCache:
    """The smallest cache that keeps the protocol: all keys so far, in order of arrival.

    `mask` is that of the next run; None: plain causal for the first, everything for a single token.
    """

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.mask: Tensor | None = None

    def attend(self, layer: int, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        if layer in self.kept:
            old_keys, old_values = self.kept[layer]
            keys, values = torch.cat([old_keys, keys], dim=2), torch.cat([old_values, values], dim=2)
        self.kept[layer] = keys, values
        causal = self.mask is None and query.shape[2] > 1
        return F.scaled_dot_product_attention(
            query, keys, values, attn_mask=self.mask, is_causal=causal, enable_gqa=True
        )


@torch.no_grad()
def in_pieces(model: Llava, embeds: Tensor, valid: Tensor, sizes: list[int]) -> Tensor:
    """Logits (batch, token, vocab) of a run that gets its tokens in pieces of these sizes."""
    decoder, cache = model.language_model, ConcatCache()
    positions = (valid.long().cumsum(dim=1) - 1).clamp(min=0)
    places = torch.arange(embeds.shape[1]).expand_as(positions)
    itself = torch.eye(embeds.shape[1], dtype=torch.bool)
    states, start = [], 0
    for size in sizes:
        now, past = slice(start, start + size), slice(0, start + size)
        mask = causal_mask(places[:, now], places[:, past], decoder.config.sliding_window, valid[:, past])
        cache.mask = mask | itself[now, past]
        states.append(decoder(embeds[:, now], positions[:, now], cache=cache))
        start += size
    assert start == embeds.shape[1]
    return decoder.logits(torch.cat(states, dim=1))


@pytest.mark.parametrize("sizes", [[22], [9, 13], [12, 4, 1, 5], [1] * 22], ids=str)
@families
@torch.no_grad()
def test_a_cache_gives_the_logits_of_the_full_run(text: str, sizes: list[int]) -> None:
    _, model = pair(text)
    ids, pixels = prompt(model.config, "ttttittttttttt")[None], pictures(model.config, 1)
    embeds = model.embed(ids, model.encode_images(pixels))
    pieces = in_pieces(model, embeds, torch.ones_like(ids, dtype=torch.bool), sizes)
    assert gap(pieces, model(ids, pixels)) < TOLERANCE


@families
@torch.no_grad()
def test_a_cache_of_left_padded_rows_gives_the_logits_of_the_full_run(text: str) -> None:
    _, model = pair(text)
    ids, valid = pad([prompt(model.config, each) for each in ("ttitttttttttt", "tttit")], "left")
    pixels = pictures(model.config, 2)
    embeds = model.embed(ids, model.encode_images(pixels))
    pieces = in_pieces(model, embeds, valid, [14, 3, 1, 1, 1, 1])
    assert gap(pieces[valid], model(ids, pixels, valid)[valid]) < TOLERANCE


@torch.no_grad()
def test_a_single_token_without_a_mask_sees_all_that_the_cache_holds() -> None:
    _, model = pair()
    decoder, cache = model.language_model, ConcatCache()
    ids = prompt(model.config, "t" * 12)[None]
    embeds, positions = model.embed(ids), torch.arange(12)[None]
    states = [decoder(embeds[:, :8], positions[:, :8], None, cache)]
    states += [decoder(embeds[:, i : i + 1], positions[:, i : i + 1], None, cache) for i in range(8, 12)]
    assert gap(decoder.logits(torch.cat(states, dim=1)), model(ids)) < TOLERANCE


@families
@torch.no_grad()
def test_no_token_sees_a_later_one(text: str) -> None:
    _, model = pair(text)
    ids = prompt(model.config, "t" * 12)[None]
    changed = ids.clone()
    changed[0, 8] += 1
    difference = (model(changed) - model(ids)).abs().amax(dim=-1)[0]
    assert difference[:8].max() < 1e-6
    assert difference[8] > 1e-2


def test_a_mask_keeps_order_window_and_padding() -> None:
    places = torch.arange(4)[None]
    valid = torch.tensor([[False, True, True, True]])
    assert causal_mask(places, places, None).int().tolist() == [
        [[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]]
    ]
    assert causal_mask(places, places, 2).int().tolist() == [
        [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]]
    ]
    assert causal_mask(places, places, None, valid).int().tolist() == [
        [[[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]]
    ]


def compiled_gap(text: str, backend: str) -> float:
    """How far a compiled decoder is from the plain one: a whole prompt, then one token on a cache."""
    _, model = pair(text)
    decoder: Any = model.language_model
    ids = prompt(model.config, "t" * 10)[None]
    embeds, positions = model.embed(ids), torch.arange(10)[None]
    mask = causal_mask(positions, positions, decoder.config.sliding_window)
    torch.compiler.reset()
    compiled = torch.compile(decoder, fullgraph=True, backend=backend)
    cache, other = ConcatCache(), ConcatCache()
    gaps = []
    for now, past in ((slice(0, 9), slice(0, 9)), (slice(9, 10), slice(0, 10))):
        cache.mask = other.mask = mask[..., now, past]
        given = embeds[:, now], positions[:, now]
        gaps.append(gap(compiled(*given, cache=cache), decoder(*given, cache=other)))
    return max(gaps)


@families
@torch.no_grad()
def test_the_decoder_is_one_graph(text: str) -> None:
    assert compiled_gap(text, "aot_eager") < TOLERANCE


@pytest.mark.slow
@families
@torch.no_grad()
def test_the_compiled_decoder_gives_the_same_states(text: str) -> None:
    assert compiled_gap(text, "inductor") < TOLERANCE
