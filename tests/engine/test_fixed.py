"""Steps of fixed shape say what all others say, in few shapes, and step aside where they cannot be had.

No GPU is needed: in a CUDA graph's place stands a recording of the very operations on the very memory.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from assemble import packed, random_llava
from llavakit.config import Quantization, Scheme
from llavakit.engine import Engine, Sampling
from llavakit.engine.backend import Chunk
from llavakit.engine.backends.fixed import CudaGraphs, Rows, Run
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.llava import LLaVA
from llavakit.prompt.messages import user

CLOSE = 1e-5  # float32 sums in another order; logits here are of the size of 1


class Recorder:
    """Records operations as a CUDA graph does: what the host knows becomes part of them, memory stays."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, run: Run) -> Run:
        self.recorded += 1
        replayed: Run = make_fx(run)()
        return replayed


def refuses(run: Run) -> Run:
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def fixed(llava: LLaVA, capture: Any = None, compiled: bool = False) -> TorchBackend:
    return TorchBackend(llava.model, 4096, capture=capture or Recorder(), compiled=compiled)


def words(backend: TorchBackend, count: int, seed: int = 0) -> Tensor:
    drawn = torch.randint(0, 256, (count,), generator=torch.Generator().manual_seed(seed))
    return backend.words(drawn.tolist())


def written(backend: TorchBackend, lengths: Sequence[int], count: int) -> Tensor:
    """Logits (step, sequence, vocab) of prompts of such lengths that are read, then written on together."""
    asked = [words(backend, length + count, seed) for seed, length in enumerate(lengths)]
    room = iter(range(127, 0, -1))
    blocks = [[next(room) for _ in range(-(-len(one) // backend.block))] for one in asked]
    for one, own, length in zip(asked, blocks, lengths, strict=True):
        if length:
            backend.step([Chunk(one[:length], 0, own, 0)])
    found = []
    for i in range(count):
        step = zip(asked, blocks, lengths, strict=True)
        found.append(backend.step([Chunk(one[n + i : n + i + 1], n + i, own, 1) for one, own, n in step]))
    return torch.stack(found)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize(
    "language",
    [{}, {"num_key_value_heads": 4}, {"sliding_window": 20}, {"qk_norm": True}, {"qkv_bias": True}],
    ids=lambda language: next(iter(language), "grouped"),
)
@pytest.mark.parametrize("lengths", [[0], [70], [70, 254, 33], [5, 300, 40, 64, 1]], ids=str)
def test_fixed_shapes_say_what_free_ones_say(language: dict[str, Any], lengths: list[int]) -> None:
    llava = random_llava(**language)
    wanted = written(TorchBackend(llava.model, 4096), lengths, 5)
    assert gap(written(fixed(llava), lengths, 5), wanted) < CLOSE


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_quantised_weights_say_the_same_in_fixed_shapes(llava: LLaVA, scheme: Scheme) -> None:
    model = packed(llava.model, Quantization(scheme=scheme, group_size=32))
    found = written(TorchBackend(model, 4096, capture=Recorder(), compiled=False), [70, 33], 3)
    assert gap(found, written(TorchBackend(model, 4096), [70, 33], 3)) < CLOSE


def test_what_others_left_in_the_cache_does_no_harm(llava: LLaVA) -> None:
    """Not in blocks of theirs, nor in the rest of one that a sequence has just got."""
    backend = fixed(llava)
    wanted = written(TorchBackend(llava.model, 4096), [70, 31], 3)
    broken = torch.full_like(words(backend, 1024), torch.nan)
    for first in range(0, backend.blocks, 32):
        backend.step([Chunk(broken, 0, range(first, first + 32), 0)])
    assert gap(written(backend, [70, 31], 3), wanted) < CLOSE


def test_a_shape_is_recorded_once_for_all_sizes_up_to_a_power_of_two(llava: LLaVA) -> None:
    recorder = Recorder()
    backend = fixed(llava, recorder)
    written(backend, [10, 20, 30], 4)  # 4 rows of 256
    written(backend, [200, 100, 50, 5], 4)
    assert recorder.recorded == 1
    written(backend, [250, 100, 50, 5], 10)  # … of 512
    assert recorder.recorded == 2
    written(backend, [40], 3)  # 1 row of 256
    assert recorder.recorded == 3


def test_steps_with_more_than_one_token_are_no_business_of_theirs(llava: LLaVA) -> None:
    recorder = Recorder()
    backend = fixed(llava, recorder)
    some = words(backend, 9)
    backend.step([Chunk(some[:1], 0, [0], 1), Chunk(some, 0, [1], 1)])
    backend.step([Chunk(some[:1], 0, [0], 0)])
    assert recorder.recorded == 0


def test_logits_stay_when_the_next_step_is_taken(llava: LLaVA) -> None:
    backend = fixed(llava)
    first = backend.step([Chunk(words(backend, 1), 0, [0], 1)])
    kept = first.clone()
    backend.step([Chunk(words(backend, 1, seed=1), 1, [0], 1)])
    assert torch.equal(first, kept)


def test_what_is_not_finite_is_found_behind_a_recording_too(llava: LLaVA) -> None:
    broken = random_llava()
    broken.model.language_model.layers[1].mlp.down_proj.weight.data[0] = torch.nan
    backend = fixed(broken)
    chunk = Chunk(words(backend, 1), 0, [0], 1)
    assert not backend.step([chunk]).isfinite().all()
    assert "layers.1.mlp" in backend.where_not_finite([chunk])


@pytest.mark.parametrize(
    "capture",
    [
        refuses,
        pytest.param(
            CudaGraphs(torch.device("cuda")),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there are graphs to be had"),
        ),
    ],
    ids=["refused", "no GPU"],
)
def test_where_nothing_can_be_recorded_it_is_said_once_and_answers_are_the_same(
    llava: LLaVA, capture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = written(TorchBackend(llava.model, 4096), [70, 33], 3)
    backend = fixed(llava, capture)
    assert torch.equal(written(backend, [70, 33], 3), wanted)
    written(backend, [300], 2)
    (warning,) = warnings(caplog)
    assert "cannot be replayed and are launched anew: " in warning
    assert "and more" not in warning


def test_where_nothing_can_be_compiled_steps_are_recorded_as_they_are(
    llava: LLaVA, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Cannot find a working triton installation")

    monkeypatch.setattr(torch, "compile", no_compiler)
    recorder = Recorder()
    wanted = written(TorchBackend(llava.model, 4096), [70, 33], 3)
    assert gap(written(fixed(llava, recorder, compiled=True), [70, 33], 3), wanted) < CLOSE
    assert recorder.recorded == 2
    assert [said for said in warnings(caplog) if "prompts" not in said] == [
        "steps of one token cannot be compiled and are plain: Cannot find a working triton installation"
    ]


def test_a_graph_is_warmed_up_beside_and_all_share_the_memory_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order of calls only; whether CUDA likes it, a GPU must say."""
    said: list[str] = []

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            said.append(f"{self.name} waits for {other.name}")

    class Graph:
        def pool(self) -> str:
            return "memory"

        def replay(self) -> None:
            said.append("replay")

    @contextmanager
    def entered(what: str, *_: Any, **settings: Any) -> Iterator[None]:
        said.append(what + (f" with {settings['pool']}" if settings else ""))
        yield

    monkeypatch.setattr(torch.cuda, "device", partial(entered, "device"))
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", partial(entered, "aside"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", partial(entered, "capture"))
    out = torch.zeros(1)

    def run() -> Tensor:
        said.append("run")
        return out

    capture = CudaGraphs(torch.device("cuda"))
    replays = capture(run), capture(run)
    aside = ["device", "side waits for main", "aside", "run", "run", "main waits for side"]
    assert said == [*aside, "capture with None", "run", *aside, "capture with memory", "run"]
    assert all(replay() is out for replay in replays)
    assert said[-2:] == ["replay", "replay"]


@pytest.mark.parametrize("heads", [4, 2, 1])
def test_attention_for_a_compiler_is_attention(heads: int) -> None:
    torch.manual_seed(0)
    pool = torch.randn(2, 640, heads, 16)
    slots, length = torch.randint(0, 640, (3, 256)), torch.tensor([1, 100, 256])
    rows = Rows(*pool, slots[:, 0], slots, torch.arange(256) < length[:, None])
    query = torch.randn(3, 4, 16)
    assert gap(rows.fused(query), rows.gathered(query)) < CLOSE


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs with a C++ compiler")
def test_compiled_layers_say_the_same_and_share_their_code(
    llava: LLaVA, caplog: pytest.LogCaptureFixture
) -> None:
    """All layers and all lengths: a second compilation is one too many, and would be warned of."""
    wanted = written(TorchBackend(llava.model, 4096), [70, 250], 9)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=1):
        found = written(fixed(llava, lambda run: run, compiled=True), [70, 250], 9)
    assert gap(found, wanted) < CLOSE
    assert not warnings(caplog)


@pytest.mark.parametrize("lookup", [False, True])
def test_answers_are_the_same_word_for_word(llava: LLaVA, lookup: bool) -> None:
    recorder = Recorder()
    asked = [llava.encoder.encode([user("a story about boats and the sea " * i + "?")]) for i in range(1, 6)]
    for settings in (Sampling(max_new_tokens=20), Sampling(max_new_tokens=20, temperature=1.0, seed=3)):
        said = [
            [
                reply.ids
                for reply in Engine(backend, llava.encoder, (), lookup=lookup).complete(asked, settings)
            ]
            for backend in (TorchBackend(llava.model, 4096), fixed(llava, recorder))
        ]
        assert said[0] == said[1]
    assert recorder.recorded
