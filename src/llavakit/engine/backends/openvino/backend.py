"""A model on a CPU through OpenVINO: two compiled graphs and a pool of paged memory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from llavakit.checkpoint.folder import WORDS
from llavakit.checkpoint.tensors import Tensors
from llavakit.config import Layout, LlavaConfig, Quantization, Scheme
from llavakit.engine.backend import MEMORY_RAN_OUT, Chunk, Interrupted
from llavakit.engine.backends.memory import lazily, release
from llavakit.engine.backends.openvino.graph import BLOCK, language_graph, layer_graph
from llavakit.engine.backends.openvino.ops import Layers
from llavakit.engine.backends.openvino.vision import vision_graph
from llavakit.errors import LlavaError
from llavakit.model.language.rope import rope_frequencies
from llavakit.model.llava import joined

# Inputs that share a scale when they are multiplied in 8 bits. With outliers planted in two layers of a 7B's
# width, logits are off by 0.47 (relative) for int4's weights alone, and 0.10 or 0.06 for inputs in groups of
# 128 or 32; by 0.04 for int8's weights, so that there the inputs decide. Groups of 32 cost half as much time
# again while a prompt is read, and none while an answer is written.
_GROUPS: dict[Scheme, int] = {"int4": 128, "int8": 32}
_LOOK = 50  # milliseconds between two looks at a step: is it still wanted?


class OpenVINOBackend:
    """See `Backend`.

    Args:
        tensors: the weights, in mapped files best
        exact, tokens, threads: as for `open_backend`
        bits: its `cache_bits`
    """

    name = "openvino"
    block = BLOCK

    def __init__(
        self,
        config: LlavaConfig,
        tensors: Tensors,
        *,
        exact: bool,
        tokens: int,
        bits: int,
        threads: int | None,
    ) -> None:
        self.config = config
        self.context = config.language.context
        self.blocks = -(-tokens // BLOCK)
        self._files = tensors.files()
        self._table = tensors.read(WORDS)
        self._newline = None
        if config.tiling is not None and config.tiling.newline:
            self._newline = tensors.read("image_newline", torch.float32)
        self._frequencies, self._rope_factor = rope_frequencies(config.language)
        self._layers = Layers(tensors)
        self._stop = threading.Event()
        self._core = _core()
        self._settings = _settings(self._core, config.quantization, exact, bits, threads)
        self._vision = self._compiled(vision_graph(config, self._layers))
        self._language = self._compiled(language_graph(config.language, self._layers))
        self._pool: dict[str, np.ndarray] = {}  # keys and values of each layer, (block, bytes)
        for port in self._language.get_compiled_model().inputs:
            if "_cache." in (name := port.get_any_name()):
                size = np.prod([part.get_length() for part in list(port.get_partial_shape())[1:]])
                pool = lazily(self.blocks * int(size) * port.get_element_type().size)
                self._pool[name] = pool.reshape(self.blocks, -1)
        self._share(self._language)
        self._first_steps()

    @property
    def token_bytes(self) -> int:
        """What a token's keys and values take."""
        return sum(int(pool.shape[1]) for pool in self._pool.values()) // BLOCK

    def _compiled(self, graph: Any) -> Any:
        return self._core.compile_model(graph, "CPU", self._settings).create_infer_request()

    def _share(self, request: Any) -> None:
        """Let a graph read and write the pool."""
        for port in request.get_compiled_model().inputs:
            if (name := port.get_any_name()) in self._pool:
                shape = [self.blocks, *(part.get_length() for part in list(port.get_partial_shape())[1:])]
                pool = self._pool[name].reshape(-1)
                request.set_tensor(name, ov.Tensor(pool, ov.Shape(shape), port.get_element_type()))

    def _first_steps(self) -> None:
        """Have the weights laid out, which the first inference does, so that no question waits for it.

        The memory that they are mapped to is released meanwhile: it would be as much again.
        """
        tower = self.config.vision
        view = np.zeros((1, tower.num_channels, tower.image_size, tower.image_size), np.float32)
        word = Chunk(torch.zeros(1, self.config.language.hidden_size), 0, [0], 1)
        firsts = ((self._vision, {"pixels": view}), (self._language, self._inputs([word])))
        for request, inputs in firsts:
            _set(request, inputs)
            with _explained():
                _finished(request, self._release)
            self._release()

    def _release(self) -> None:
        release(self._layers.held, self._files)

    def words(self, ids: Sequence[int]) -> Tensor:
        return self._table[torch.tensor(ids)].float()

    def encode_images(self, pixels: Tensor, layouts: Sequence[Layout] | None = None) -> Sequence[Tensor]:
        with _explained():
            _set(self._vision, {"pixels": pixels.float().numpy()})
            self._vision.infer()
            features = _output(self._vision, "features")
        if layouts is None:
            return features.unbind()
        parts = torch.split(features, [layout.views for layout in layouts])
        return [joined(views, layout, self._newline) for views, layout in zip(parts, layouts, strict=True)]

    def step(self, chunks: Sequence[Chunk]) -> Tensor:
        self._stop.clear()
        _set(self._language, self._inputs(chunks))
        with _explained():
            try:
                _finished(self._language, self._cancel_if_told)
            except RuntimeError:
                if not self._stop.is_set():
                    raise
            if self._stop.is_set():
                raise Interrupted
            return _output(self._language, "logits")

    def _cancel_if_told(self) -> None:
        if self._stop.is_set():  # `interrupt` came before the start
            self._language.cancel()

    def _inputs(self, chunks: Sequence[Chunk]) -> dict[str, np.ndarray]:
        ends = np.cumsum([len(chunk.embeds) for chunk in chunks])
        blocks = [list(chunk.blocks)[: -(-chunk.length // BLOCK)] for chunk in chunks]
        positions = torch.cat([torch.arange(chunk.past, chunk.length) for chunk in chunks])
        angles = positions[:, None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None, None]
        rows = [np.arange(end - chunk.wanted, end) for end, chunk in zip(ends, chunks, strict=True)]
        return {
            "embeds": torch.cat([chunk.embeds for chunk in chunks]).float().numpy(),
            "cos": (angles.cos() * self._rope_factor).numpy(),
            "sin": (angles.sin() * self._rope_factor).numpy(),
            "rows": np.concatenate(rows).astype(np.int64),
            "past_lens": np.array([chunk.past for chunk in chunks], np.int32),
            "subsequence_begins": np.array([0, *ends], np.int32),
            "block_indices": np.concatenate(blocks).astype(np.int32),
            "block_indices_begins": np.cumsum([0, *map(len, blocks)]).astype(np.int32),
            "max_context_len": np.array(max(chunk.length for chunk in chunks), np.int32),
        }

    def copy_block(self, source: int, target: int) -> None:
        for pool in self._pool.values():
            pool[target] = pool[source]

    def interrupt(self) -> None:
        self._stop.set()
        self._language.cancel()

    def where_not_finite(self, chunks: Sequence[Chunk]) -> str:
        if not all(chunk.embeds.isfinite().all() for chunk in chunks):
            return "the embeddings (vision tower, connector or word table)"
        inputs = self._inputs(chunks)
        del inputs["rows"]
        for layer in range(self.config.language.num_hidden_layers):  # one at a time: a model is large
            request = self._compiled(layer_graph(self.config.language, self._layers, layer))
            self._share(request)
            _set(request, inputs)
            request.infer()
            for part in ("self_attn", "mlp"):
                if not _output(request, part).isfinite().all():
                    return f"language_model.layers.{layer}.{part}"
            inputs["embeds"] = _output(request, "mlp").numpy()
        return "language_model.lm_head"


@cache
def _core() -> Any:
    """One for the whole process, which is never destroyed.

    Its CPU plugin gives the thread that makes it a stack for signals, and frees that when it goes; if that
    happens in another thread, the next signal (of a DataLoader's ended worker, say) ends the process.
    """
    return ov.Core()


_CACHE = {8: "u8", 16: "f16", 32: "f32"}


def _settings(
    core: Any, plan: Quantization | None, exact: bool, bits: int, threads: int | None
) -> dict[str, Any]:
    group = 0 if exact or plan is None else min(_GROUPS[plan.scheme], plan.group_size)
    fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if fast and not exact else "f32",
        "KV_CACHE_PRECISION": _CACHE[bits],
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
    }
    return settings if threads is None else settings | {"INFERENCE_NUM_THREADS": threads}


def _set(request: Any, inputs: dict[str, np.ndarray]) -> None:
    for name, value in inputs.items():
        request.set_tensor(name, ov.Tensor(value))


def _finished(request: Any, look: Callable[[], None]) -> None:
    """Run it, and `look` now and then."""
    request.start_async()
    while not request.wait_for(_LOOK):
        look()


def _output(request: Any, name: str) -> Tensor:
    """A copy: the next step writes over it."""
    return torch.from_numpy(request.get_tensor(name).data.copy())


@contextmanager
def _explained() -> Iterator[None]:
    """Running out of memory as an error that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error).lower()
        if not isinstance(error, MemoryError) and not any(words in said for words in _NO_MEMORY):
            raise
        raise LlavaError(MEMORY_RAN_OUT) from None


_NO_MEMORY = ("bad_alloc", "bad alloc", "failed to allocate", "cannot allocate", "out of memory")
