"""The reference backend: any device that PyTorch has, any weights that `Llava` holds."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from llavakit import kernels
from llavakit.config import Layout
from llavakit.engine.backend import MEMORY_RAN_OUT, Chunk
from llavakit.engine.backends.compiled import Reader
from llavakit.engine.backends.fixed import Capture, CudaGraphs, FixedSteps
from llavakit.engine.backends.memory import lazily
from llavakit.engine.backends.pool import KernelPool, PlainPool
from llavakit.engine.transfer import sent
from llavakit.errors import LlavaError
from llavakit.model import Llava
from llavakit.model.language.decoder import Decoder

_BLOCK = 32  # positions: a conversation wastes half a block, and what is shared is shared in whole ones


class TorchBackend:
    """See `Backend`.

    Args:
        tokens: positions that the pool holds, of all sequences together
        capture: what makes steps of one token replayable (see `fixed`); None: CUDA graphs on such a device
        compiled: layers go through torch.compile, which takes a minute when a shape first comes up (it is
            kept on disk) and pays from then on; None: on CUDA devices, where weights have 8 or 4 bits, for
            only so are they unpacked while they are read
    """

    name = "torch"
    block = _BLOCK

    def __init__(
        self, model: Llava, tokens: int, *, capture: Capture | None = None, compiled: bool | None = None
    ) -> None:
        config = model.config.language
        embedding = model.language_model.embed_tokens.weight
        self.model = model
        self.device, self.dtype = embedding.device, embedding.dtype
        self.context = config.context
        self.blocks = -(-tokens // _BLOCK)
        shape = (config.num_hidden_layers, self.blocks * _BLOCK, config.num_key_value_heads, config.head_dim)
        with _explained():
            self._keys, self._values = self._zeros(shape), self._zeros(shape)
        decoder, on_gpu = model.language_model, self.device.type == "cuda"
        if compiled is None:
            compiled = on_gpu and model.config.quantization is not None
        self._reader = Reader(decoder) if compiled else decoder
        self._fixed: FixedSteps | None = None
        if capture is None and on_gpu:
            capture = CudaGraphs(self.device)
        if capture is not None:
            self._fixed = FixedSteps(decoder, self._keys, self._values, _BLOCK, capture, compiled)
        self._stop = threading.Event()

    def _zeros(self, shape: Sequence[int]) -> Tensor:
        if self.device.type != "cpu":
            return torch.zeros(shape, dtype=self.dtype, device=self.device)
        # PyTorch's own would write them, and so take all of it at once.
        return torch.from_numpy(lazily(math.prod(shape) * self.dtype.itemsize)).view(self.dtype).view(shape)

    def words(self, ids: Sequence[int]) -> Tensor:
        with torch.inference_mode(), _explained():
            found: Tensor = self.model.language_model.embed_tokens(sent(ids, torch.int64, self.device))
            return found

    def encode_images(self, pixels: Tensor, layouts: Sequence[Layout] | None = None) -> Sequence[Tensor]:
        with torch.inference_mode(), _explained():
            return self.model.encode_images(pixels.to(self.device), layouts)

    def step(self, chunks: Sequence[Chunk]) -> Tensor:
        self._stop.clear()
        with torch.inference_mode(), _explained():
            logits = self._fixed.step(chunks) if self._fixed is not None else None
            return self._step(chunks, self._reader) if logits is None else logits

    def _step(self, chunks: Sequence[Chunk], reader: Reader | Decoder) -> Tensor:
        embeds = torch.cat([chunk.embeds for chunk in chunks])[None]  # (1, token of all chunks, hidden)
        config, slots = self.model.config.language, [_slots(c.blocks)[: c.length] for c in chunks]
        fast = kernels.usable(embeds, self._keys) and kernels.takes_heads(config.head_dim)
        pool = KernelPool if fast else PlainPool
        cache = pool(self._keys, self._values, chunks, slots, config, self._stop)
        hidden: Tensor = reader(embeds, cache.positions[None], cache=cache)[0]
        ends = torch.tensor([len(chunk.embeds) for chunk in chunks]).cumsum(0).tolist()
        wanted = [hidden[end - c.wanted : end] for end, c in zip(ends, chunks, strict=True) if c.wanted]
        if not wanted:
            return hidden.new_zeros((0, self.model.config.language.vocab_size), dtype=torch.float32)
        return self.model.language_model.logits(torch.cat(wanted)).float()

    def copy_block(self, source: int, target: int) -> None:
        there, here = _slots([target]), _slots([source])
        with torch.inference_mode(), _explained():
            self._keys[:, there] = self._keys[:, here]
            self._values[:, there] = self._values[:, here]

    def interrupt(self) -> None:
        self._stop.set()

    def where_not_finite(self, chunks: Sequence[Chunk]) -> str:
        found: list[str] = []

        def watch(name: str) -> Callable[[Any, Any, Any], None]:
            def check(module: Any, inputs: Any, output: Any) -> None:
                if not found and isinstance(output, Tensor) and not output.isfinite().all():
                    found.append(name)

            return check

        handles = [
            module.register_forward_hook(watch(f"language_model.{name}"))
            for name, module in self.model.language_model.named_modules()
            if name
        ]
        try:
            if not all(chunk.embeds.isfinite().all() for chunk in chunks):
                return "the embeddings (vision tower, connector or word table)"
            self._stop.clear()
            with torch.inference_mode():
                self._step(chunks, self.model.language_model)  # what is compiled or replayed calls no hooks
        finally:
            for handle in handles:
                handle.remove()
        return found[0] if found else "the language model"


def _slots(blocks: Sequence[int]) -> Tensor:
    """Where the positions of these blocks stand in the pool."""
    return (torch.tensor(blocks)[:, None] * _BLOCK + torch.arange(_BLOCK)).flatten()


@contextmanager
def _explained() -> Iterator[None]:
    """Running out of memory as an error that says what to do."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU's allocator has no class of its own
        if "out of memory" not in (said := str(error)) and "can't allocate memory" not in said:
            raise
        raise LlavaError(MEMORY_RAN_OUT) from None
