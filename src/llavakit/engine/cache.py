"""Keys and values of the tokens read so far, in memory laid out beforehand."""

from typing import Self

import torch
from torch import Tensor

from llavakit.config import LanguageConfig

_GRAIN = 256  # capacities are rounded up to this, so that growth is rare


class KVCache:
    """Rows of one batch, each filled from position 0 without gaps.

    Before each forward pass `place` or `place_each` says where the new tokens go; every layer then
    calls `update`. Which positions hold something is the caller's to know: what lies behind the
    last token may be overwritten at any time.
    """

    def __init__(
        self, config: LanguageConfig, rows: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.config = config
        capacity = -(-capacity // _GRAIN) * _GRAIN
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self._positions: Tensor | None = None
        self._start = self._end = 0

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self.keys.shape[3]

    def grown(self, capacity: int) -> Self:
        """This cache, or a copy of it with room for `capacity` positions."""
        if capacity <= self.capacity:
            return self
        larger = type(self)(self.config, self.rows, capacity, self.keys.dtype, self.keys.device)
        larger.keys[:, :, :, : self.capacity] = self.keys
        larger.values[:, :, :, : self.capacity] = self.values
        return larger

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these, given in ascending order; they move up in place."""
        for new, old in enumerate(rows):
            if new != old:
                self.keys[:, new], self.values[:, new] = self.keys[:, old], self.values[:, old]
        self.keys, self.values = self.keys[:, : len(rows)], self.values[:, : len(rows)]

    def place(self, start: int, count: int) -> None:
        """The next tokens take positions `start` … `start + count - 1` in every row."""
        self._positions, self._start, self._end = None, start, start + count

    def place_each(self, positions: Tensor, end: int) -> None:
        """The next token of row r takes `positions[r]`, all of them below `end`."""
        self._positions, self._end = positions, end

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (row, kv_head, token, head_dim); return all positions up to the furthest new one."""
        if self._positions is None:
            self.keys[layer, :, :, self._start : self._end] = keys
            self.values[layer, :, :, self._start : self._end] = values
        else:
            rows = torch.arange(self.rows, device=keys.device)
            self.keys[layer, rows, :, self._positions] = keys[:, :, 0]
            self.values[layer, rows, :, self._positions] = values[:, :, 0]
        return self.keys[layer, :, :, : self._end], self.values[layer, :, :, : self._end]
