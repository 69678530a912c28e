"""Steps in which every sequence reads one token, in a few fixed shapes, for a GPU to replay.

Written one token a step, an answer waits less for arithmetic than for the thousand launches of its kernels.
A CUDA graph launches them all at once, but only with the shapes and addresses it was captured with. So such
steps are filled up to a power of two of sequences and of positions; each shape has its inputs in a place of
its own, is captured when it first comes up, and replayed from then on. Which blocks a sequence has is an
input like any other: the cache stays the paged one that all other steps use.

Compiled, a layer's small kernels become a few, and attention reads the cache where it lies. What fails once,
compiling or capturing, is said once and left out from then on.

How fast this is on a GPU has not been measured yet: `benchmarks/gpu.py` does.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from llavakit.engine.backend import Chunk
from llavakit.engine.backends.compiled import ONE_TOKEN, compiled, reason, varies
from llavakit.engine.transfer import sent
from llavakit.model.language.decoder import Decoder, DecoderLayer, causal_mask

log = logging.getLogger(__name__)

Run = Callable[[], Tensor]
Capture = Callable[[Run], Run]  # what is run now to what runs it again, on the same memory
_Wrap = Callable[[Callable[..., Tensor]], Callable[..., Tensor]]

_SHORTEST = 256  # positions of the smallest shape


@dataclass
class _Shape:
    """The inputs of one shape, where its graph looks for them.

    Attributes:
        embeds: (row, hidden)
        places: (row, 1 + block) int64: the position of the row's token, then the blocks of its sequence
    """

    embeds: Tensor
    places: Tensor
    replay: Run | None = None

    def fill(self, chunks: Sequence[Chunk]) -> None:
        """Rows that are left over repeat the first one: they write again what it writes."""
        rows, width = self.places.shape
        repeated = [*chunks, *[chunks[0]] * (rows - len(chunks))]
        torch.cat([chunk.embeds for chunk in repeated], out=self.embeds)
        # Blocks that a sequence does not have are never looked into; any number will do.
        places = [[chunk.past, *chunk.blocks, *[0] * width][:width] for chunk in repeated]
        self.places.copy_(sent(places, torch.int64, self.places.device), non_blocking=True)


class FixedSteps:
    """See the module.

    Args:
        keys, values: the pool, (layer, slot, kv_head, head_dim)
        block: positions in a block
        capture: `CudaGraphs`; elsewhere whatever takes its place
        compiles: compile layers first; that takes a while for each number of rows, once, for torch keeps it
    """

    def __init__(
        self, decoder: Decoder, keys: Tensor, values: Tensor, block: int, capture: Capture, compiles: bool
    ) -> None:
        self._decoder, self._keys, self._values = decoder, keys, values
        self._block, self._capture = block, capture
        self._ways: list[_Wrap] = [_compiled, _plain] if compiles else [_plain]  # the best first
        self._shapes: dict[tuple[int, int], _Shape] = {}

    def step(self, chunks: Sequence[Chunk]) -> Tensor | None:
        """Logits (chunk, vocab) in float32; None for a step of another kind, or if none can be captured."""
        if not all(chunk.wanted == len(chunk.embeds) == 1 for chunk in chunks):
            return None
        longest = max(chunk.length for chunk in chunks)
        size = _power(len(chunks)), max(_power(longest), _SHORTEST)
        shape = self._shapes.get(size)
        if shape is None and not self._ways:
            return None
        shape = shape or self._new(*size)
        shape.fill(chunks)
        shape.replay = shape.replay or self._captured(shape)
        if shape.replay is None:
            return None
        self._shapes[size] = shape
        # A copy: the next shape's graph may use the same memory.
        return shape.replay()[: len(chunks)].clone()

    def _new(self, rows: int, length: int) -> _Shape:
        hidden, device = self._decoder.config.hidden_size, self._keys.device
        embeds = torch.empty(rows, hidden, dtype=self._keys.dtype, device=device)
        return _Shape(embeds, torch.empty(rows, 1 + length // self._block, dtype=torch.int64, device=device))

    def _captured(self, shape: _Shape) -> Run | None:
        while self._ways:
            try:
                return self._capture(partial(self._run, shape, self._ways[0]))
            except Exception as error:  # no compiler, no memory, an operation that cannot be captured
                failed = self._ways.pop(0)
                what, instead = (
                    ("compiled", "plain") if failed is _compiled else ("replayed", "launched anew")
                )
                log.warning("steps of one token cannot be %s and are %s: %s", what, instead, reason(error))
        return None

    def _run(self, shape: _Shape, wrap: _Wrap) -> Tensor:
        """The step itself, from inputs in their places to logits (row, vocab)."""
        decoder, table = self._decoder, shape.places[:, 1:]
        position, length = shape.places[:, 0], table.shape[1] * self._block
        keys = torch.arange(length, device=position.device)
        seen = causal_mask(position[:, None], keys[None], decoder.config.sliding_window)[:, 0, 0]
        slots = (table[:, :, None] * self._block + keys[: self._block]).flatten(1)
        written = slots.gather(1, position[:, None])[:, 0]
        # What is masked counts all the same if it is NaN, and a NaN of somebody else's must not: what is not
        # seen is read from a slot of its own.
        slots = torch.where(seen, slots, written[:, None])
        if wrap is _compiled:  # once for all lengths
            for tensor in (slots, seen):
                varies(tensor, 1)
        rope = decoder.angles(position[None], shape.embeds.dtype)
        x = shape.embeds[None]
        layer_of = wrap(_layer)
        for layer, k, v in zip(decoder.layers, self._keys, self._values, strict=True):
            x = layer_of(layer, x, rope, Rows(k, v, written, slots, seen))
        return wrap(_head)(decoder, x[0])


@dataclass
class Rows:
    """One layer's cache as sequences that read one token each see it.

    Attributes:
        keys, values: of the pool, (slot, kv_head, head_dim)
        written: (row,) where the new ones go
        slots: (row, position)
        seen: (row, position) bool
    """

    keys: Tensor
    values: Tensor
    written: Tensor
    slots: Tensor
    seen: Tensor

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Cache`; `layer` goes unread, so that all layers can share compiled code."""
        self.keys.index_copy_(0, self.written, key[0].transpose(0, 1))
        self.values.index_copy_(0, self.written, value[0].transpose(0, 1))
        looks = query[0].transpose(0, 1)  # (row, head, head_dim)
        found = self.fused(looks) if torch.compiler.is_compiling() else self.gathered(looks)
        return found.transpose(0, 1)[None]

    def gathered(self, query: Tensor) -> Tensor:
        """What queries (row, head, head_dim) see, of copies of their pasts."""
        keys, values = (
            pool.index_select(0, self.slots.flatten())
            .view(*self.slots.shape, *pool.shape[1:])
            .transpose(1, 2)
            for pool in (self.keys, self.values)
        )
        mask, grouped = self.seen[:, None, None], keys.shape[1] != query.shape[1]
        found = F.scaled_dot_product_attention(
            query[:, :, None], keys, values, attn_mask=mask, enable_gqa=grouped
        )
        return found[:, :, 0]

    def fused(self, query: Tensor) -> Tensor:
        """The same as sums that a compiler takes over the pool itself, with no copy; in float32."""
        rows, heads, dim = query.shape
        query = query.reshape(rows, 1, self.keys.shape[1], -1, dim).float()  # (row, 1, kv_head, group, dim)
        keys, values = (pool[self.slots][:, :, :, None].float() for pool in (self.keys, self.values))
        scores = (query * keys).sum(-1) * dim**-0.5  # (row, position, kv_head, group)
        weights = scores.masked_fill(~self.seen[:, :, None, None], -torch.inf).softmax(1)
        found: Tensor = (weights[..., None] * values).sum(1)
        return found.to(self.values.dtype).view(rows, heads, dim)


class CudaGraphs:
    """Captures on the current CUDA device; all graphs share memory, so only one may run at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory: Any = None  # the first graph's

    def __call__(self, run: Run) -> Run:
        with torch.cuda.device(self._device):
            # Libraries set themselves up, and compilers compile, in the first run; that cannot be captured.
            side, main = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
            side.wait_stream(main)
            with torch.cuda.stream(side):
                for _ in range(2):
                    run()
            main.wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # What other threads do meanwhile is not captured, and may not end it.
            with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
                out = run()
            self._memory = graph.pool()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay


def _power(number: int) -> int:
    """The power of two that is not below it."""
    return 1 << (number - 1).bit_length()


def _layer(layer: DecoderLayer, x: Tensor, rope: tuple[Tensor, Tensor], past: Rows) -> Tensor:
    out: Tensor = layer(x, rope, None, past)
    return out


def _head(decoder: Decoder, x: Tensor) -> Tensor:
    return decoder.logits(decoder.norm(x)).float()


def _plain(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return function


def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return compiled(function, ONE_TOKEN)
