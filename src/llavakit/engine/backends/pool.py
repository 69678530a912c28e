"""The PyTorch backend's pool of keys and values, as the chunks of one step see it."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from llavakit import kernels
from llavakit.config import LanguageConfig
from llavakit.engine.backend import Chunk, Interrupted
from llavakit.model.language.decoder import causal_mask


class Pool(ABC):
    """Stores what a step reads, and lets it look at what is before.

    Sequences that read one token look at their pasts together, as rows; the others one by one.

    Args:
        keys, values: (layer, slot, kv_head, head_dim)
        slots: where the positions of each chunk's sequence stand, its new ones included
    """

    def __init__(
        self,
        keys: Tensor,
        values: Tensor,
        chunks: Sequence[Chunk],
        slots: Sequence[Tensor],
        config: LanguageConfig,
        stop: threading.Event,
    ) -> None:
        self._keys, self._values, self._stop = keys, values, stop
        self._window = config.sliding_window
        places = [torch.arange(chunk.past, chunk.length) for chunk in chunks]
        self.positions = torch.cat(places).to(keys.device)  # (token of all chunks,)
        written = [slot[chunk.past :] for slot, chunk in zip(slots, chunks, strict=True)]
        self._written = torch.cat(written).to(keys.device)
        ends = torch.tensor([len(chunk.embeds) for chunk in chunks]).cumsum(0).tolist()
        self._singles = [end - 1 for end, chunk in zip(ends, chunks, strict=True) if len(chunk.embeds) == 1]
        self._several = [
            (slice(end - len(chunk.embeds), end), self._visible(slot, chunk.past))
            for end, slot, chunk in zip(ends, slots, chunks, strict=True)
            if len(chunk.embeds) > 1
        ]
        rows = [slot for slot, chunk in zip(slots, chunks, strict=True) if len(chunk.embeds) == 1]
        if rows:
            self._prepare_rows(rows)

    @abstractmethod
    def _visible(self, slots: Tensor, past: int) -> Any:
        """What `_seen` needs for a sequence that reads several tokens, of which these are all positions."""

    @abstractmethod
    def _prepare_rows(self, slots: Sequence[Tensor]) -> None:
        """The same for the sequences that read one token."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store new keys and values (1, kv_head, token, head_dim) and let (1, head, token, head_dim) look."""
        if self._stop.is_set():
            raise Interrupted
        keys, values = self._keys[layer], self._values[layer]
        keys.index_copy_(0, self._written, key[0].transpose(0, 1))
        values.index_copy_(0, self._written, value[0].transpose(0, 1))
        return self._seen(query, keys, values)

    @abstractmethod
    def _seen(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor: ...


class PlainPool(Pool):
    """Anywhere, in any type: copies of the pasts, and PyTorch's attention over them."""

    def _prepare_rows(self, slots: Sequence[Tensor]) -> None:
        lengths = torch.tensor([len(slot) for slot in slots])
        longest = int(lengths.max())
        # Filled with a slot of its own: what is masked counts all the same if it is NaN, and a NaN of
        # somebody else's must not.
        filled = [F.pad(slot, (0, longest - len(slot)), value=int(slot[0])) for slot in slots]
        self._rows = torch.stack(filled).to(self._keys.device)  # (row, position)
        self._row_mask: Tensor | None = None
        if self._window is not None or int(lengths.min()) < longest:
            self._row_mask = self._mask(lengths - 1, longest)[:, None, None]

    def _visible(self, slots: Tensor, past: int) -> tuple[Tensor, Tensor | None]:
        mask = None  # plain causal
        if past or self._window:
            mask = self._mask(torch.arange(past, len(slots)), len(slots))
        return slots[None].to(self._keys.device), mask

    def _mask(self, queries: Tensor, keys: int) -> Tensor:
        """(query, key) bool: True where a query at that position may look."""
        mask = causal_mask(queries[None], torch.arange(keys)[None], self._window)[0, 0]
        return mask.to(self._keys.device)

    def _seen(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        grouped = query.shape[1] != keys.shape[1]
        out = torch.empty_like(query)
        for where, (slots, mask) in self._several:
            out[:, :, where] = F.scaled_dot_product_attention(
                query[:, :, where], _gathered(keys, slots), _gathered(values, slots), attn_mask=mask,
                is_causal=mask is None, enable_gqa=grouped,
            )  # fmt: skip
        if self._singles:
            out[0, :, self._singles] = F.scaled_dot_product_attention(
                query[0, :, self._singles].transpose(0, 1)[:, :, None],  # (row, head, 1, head_dim)
                _gathered(keys, self._rows), _gathered(values, self._rows),
                attn_mask=self._row_mask, enable_gqa=grouped,
            )[:, :, 0].transpose(0, 1)  # fmt: skip
        return out


class KernelPool(Pool):
    """On a CPU, in bfloat16: our kernels read the pool where it is."""

    def _prepare_rows(self, slots: Sequence[Tensor]) -> None:
        seen = [slot[-(self._window or 0) :] for slot in slots]
        self._rows = pad_sequence(seen, batch_first=True)  # (row, position)
        self._lengths = torch.tensor([len(slot) for slot in seen])

    def _visible(self, slots: Tensor, past: int) -> tuple[Tensor, int]:
        return slots, past

    def _seen(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        tokens = query[0].transpose(0, 1)  # (token, head, head_dim)
        out = torch.empty(tokens.shape, dtype=tokens.dtype)
        for where, (slots, past) in self._several:
            out[where] = kernels.attend_many(tokens[where], keys, values, slots, past, self._window)
        if self._singles:
            rows = tokens[self._singles]
            out[self._singles] = kernels.attend_one(rows, keys, values, self._rows, self._lengths)
        return out.transpose(0, 1)[None]


def _gathered(pool: Tensor, slots: Tensor) -> Tensor:
    """(slot, kv_head, head_dim) at slots (row, position) -> (row, kv_head, position, head_dim)."""
    rows = pool.index_select(0, slots.flatten())  # 0.7 ms where `pool[slots]` takes 1.8
    return rows.view(*slots.shape, *pool.shape[1:]).transpose(1, 2)
