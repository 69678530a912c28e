"""The pool of the PyTorch backend as our kernels see it: on a CPU, in bfloat16."""

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from llavakit import kernels
from llavakit.config import LanguageConfig
from llavakit.engine.backend import Chunk, Interrupted


class KernelPool:
    """Keys and values (layer, slot, kv_head, head_dim) as the chunks of one step see them.

    Args:
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
        self._keys, self._values, self._stop, self._window = keys, values, stop, config.sliding_window
        new = list(zip(slots, chunks, strict=True))
        self.positions = torch.cat([torch.arange(chunk.past, chunk.length) for chunk in chunks])
        self._written = torch.cat([slot[chunk.past :] for slot, chunk in new])
        ends = torch.tensor([len(chunk.embeds) for chunk in chunks]).cumsum(0).tolist()
        self._several = [
            (slice(end - len(chunk.embeds), end), slot, chunk.past)
            for end, (slot, chunk) in zip(ends, new, strict=True)
            if len(chunk.embeds) > 1
        ]
        self._singles = [end - 1 for end, chunk in zip(ends, chunks, strict=True) if len(chunk.embeds) == 1]
        seen = [slot[-(self._window or 0) :] for slot, chunk in new if len(chunk.embeds) == 1]
        if seen:
            self._rows = torch.nn.utils.rnn.pad_sequence(seen, batch_first=True)
            self._lengths = torch.tensor([len(slot) for slot in seen])

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `TorchBackend`'s own."""
        if self._stop.is_set():
            raise Interrupted
        keys, values = self._keys[layer], self._values[layer]
        keys.index_copy_(0, self._written, key[0].transpose(0, 1))
        values.index_copy_(0, self._written, value[0].transpose(0, 1))
        tokens = query[0].transpose(0, 1)  # (token, head, head_dim)
        out = torch.empty(tokens.shape, dtype=tokens.dtype)
        for where, slots, past in self._several:
            out[where] = kernels.attend_many(tokens[where], keys, values, slots, past, self._window)
        if self._singles:
            rows = tokens[self._singles]
            out[self._singles] = kernels.attend_one(rows, keys, values, self._rows, self._lengths)
        return out.transpose(0, 1)[None]
