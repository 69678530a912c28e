"""Sequences that lie end to end in one row of tokens, each seeing itself alone.

Attention is then block-diagonal, and is computed block by block: no mask is made and nothing is computed
between sequences. Nothing here waits for a GPU.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from llavakit.model.attention import attend

_WIDEST = 256  # head_dim that FlashAttention takes, in steps of 8


class Packing:
    """Where each sequence lies, and what its tokens see.

    Args:
        lengths: of the sequences, in order
        window: how many keys back a query sees, itself included; None: all
        device: of the tokens

    Attributes:
        positions: (1, token), each token's place in its own sequence
    """

    def __init__(self, lengths: Sequence[int], window: int | None, device: torch.device) -> None:
        self.lengths = tuple(lengths)
        self.longest = max(self.lengths)
        self.window = window
        on_gpu = device.type == "cuda"
        # From page-locked memory, so that nobody waits for the GPU to take it.
        ends = torch.tensor([0, *accumulate(self.lengths)], dtype=torch.int32, pin_memory=on_gpu)
        self.offsets = ends.to(device, non_blocking=True)  # (sequence + 1,)
        places = torch.arange(sum(self.lengths), dtype=torch.int32, device=device)
        own = torch.bucketize(places, self.offsets[1:], right=True)
        self.positions = (places - self.offsets[own]).long()[None]
        self._at_once = _varlen_attn(device) if on_gpu else None
        self._one_by_one = _uncompiled()

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What each query sees, (1, head, token, head_dim).

        Args:
            query: (1, head, token, head_dim)
            key, value: (1, kv_head, token, head_dim)
        """
        # Autocast leaves what was rotated in float32, and does not know `varlen_attn`.
        query, key = query.to(value.dtype), key.to(value.dtype)
        dim = value.shape[-1]
        fits = value.dtype in (torch.float16, torch.bfloat16) and dim <= _WIDEST and dim % 8 == 0
        if self._at_once is None or not fits:
            return self._one_by_one(self, query, key, value)
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (token, head, head_dim)
        seen = self._at_once(
            q, k, v, self.offsets, self.offsets, self.longest, self.longest,
            window_size=(-1 if self.window is None else self.window - 1, 0),
            enable_gqa=q.shape[1] != k.shape[1],
        )  # fmt: skip
        return seen.transpose(0, 1)[None]


@cache
def _varlen_attn(device: torch.device) -> Callable[..., Tensor] | None:
    """FlashAttention over sequences of any lengths, where torch has it for this GPU, with windows and
    shared heads."""
    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn  # brings the compiler, which takes two seconds
    except ImportError:  # before torch 2.10
        return None
    attend: Callable[..., Any] = varlen_attn
    known = inspect.signature(attend).parameters
    return attend if {"window_size", "enable_gqa"} <= known.keys() else None


def _one_by_one(packing: Packing, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    lengths, window = list(packing.lengths), packing.window
    parts = (torch.split(x, lengths, dim=2) for x in (query, key, value))
    seen = []
    for q, k, v in zip(*parts, strict=True):
        mask = None
        if window is not None and (length := q.shape[2]) > window:
            mask = torch.ones(length, length, dtype=torch.bool, device=q.device).tril().triu(1 - window)
        seen.append(attend(q, k, v, mask, causal=mask is None))
    return torch.cat(seen, dim=2)


@cache
def _uncompiled() -> Callable[..., Tensor]:
    """`_one_by_one` left alone by the compiler, which would write it out for each step's lengths anew.

    Not as a decorator: to import the compiler takes two seconds, which who only asks questions need not wait.
    """
    uncompiled: Callable[..., Tensor] = torch.compiler.disable(_one_by_one)  # type: ignore[no-untyped-call]
    return uncompiled
