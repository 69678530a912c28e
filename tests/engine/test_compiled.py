"""Prompts read with compiled layers say the same, and are read without where nothing can be compiled."""

import logging
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor

from assemble import random_llava
from llavakit.engine.backend import Chunk, Interrupted
from llavakit.engine.backends import compiled
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.llava import LLaVA

CLOSE = 1e-5  # float32 sums in another order; logits here are of the size of 1


def words(backend: TorchBackend, count: int, seed: int = 0) -> Tensor:
    drawn = torch.randint(0, 256, (count,), generator=torch.Generator().manual_seed(seed))
    return backend.words(drawn.tolist())


def read(backend: TorchBackend) -> Tensor:
    """Logits after prompts of several lengths, one in parts, and beside one that is being answered."""
    first, second, third = (words(backend, count, seed) for seed, count in enumerate((70, 33, 5)))
    alone = backend.step([Chunk(first[:40], 0, [0, 1, 2], 3)])
    together = [Chunk(first[40:69], 40, [0, 1, 2], 1), Chunk(second, 0, [3, 4], 0), Chunk(third, 0, [5], 2)]
    several = backend.step(together)
    last = backend.step([Chunk(first[69:], 69, [0, 1, 2], 1), Chunk(words(backend, 9, 3), 33, [3, 4], 1)])
    return torch.cat([alone, several, last, backend.step([Chunk(third[:1], 5, [5], 1)])])


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs with a C++ compiler")
def test_compiled_layers_say_the_same_at_any_length_compiled_once(caplog: pytest.LogCaptureFixture) -> None:
    llava = random_llava(qk_norm=True)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(
        recompile_limit=1
    ):  # what has to be compiled again fails, and is warned of
        found = read(TorchBackend(llava.model, 1024, compiled=True))
    assert gap(found, read(TorchBackend(llava.model, 1024))) < CLOSE
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_where_nothing_can_be_compiled_it_is_said_once_and_answers_are_the_same(
    llava: LLaVA, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Cannot find a working triton installation\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", no_compiler)
    wanted = read(TorchBackend(llava.model, 1024))
    assert torch.equal(read(TorchBackend(llava.model, 1024, compiled=True)), wanted)
    assert [record.getMessage() for record in caplog.records] == [
        "prompts cannot be read with compiled layers: Cannot find a working triton installation"
    ]


def test_who_interrupts_is_not_taken_for_a_compiler_that_fails(
    llava: LLaVA, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = TorchBackend(llava.model, 1024, compiled=True)

    def interrupting(function: Any, *_: Any, **__: Any) -> Any:
        backend.interrupt()
        return function

    monkeypatch.setattr(compiled, "compiled", interrupting)
    with pytest.raises(Interrupted):
        read(backend)
    assert not caplog.records
