"""The OpenVINO backend's own affairs: packed weights, memory, what it refuses."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("openvino")

from assemble import byte_tokenizer, packed
from engine.test_backends import CLOSE, embeds, gap, on_torch, read, small
from llavakit.checkpoint import Checkpoint, open_source, save
from llavakit.checkpoint.folder import as_source
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.source import Source
from llavakit.config import ImageConfig, Quantization, Scheme
from llavakit.engine.backends.memory import release
from llavakit.engine.backends.openvino import open_backend
from llavakit.engine.backends.openvino.backend import OpenVINOBackend
from llavakit.errors import UsageError
from llavakit.model import Llava


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = small()
    folder = tmp_path / "model"
    save(as_checkpoint(model), folder)
    return folder


def as_checkpoint(model: Llava) -> Checkpoint:
    return Checkpoint(model, byte_tokenizer(), ImageConfig(size=32), "chatml")


def opened_exactly(source: Source) -> OpenVINOBackend:
    return open_backend(source, exact=True, tokens=256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("scheme", "width"),
    [("int8", 64), ("int4", 64), ("int4", 72)],  # 72: the last group of 32 is not full
)
def test_packed_weights_are_the_numbers_that_torch_has(
    scheme: Scheme, width: int, dtype: torch.dtype
) -> None:
    model = small(hidden_size=width, num_attention_heads=4, head_dim=16, qkv_bias=True).to(dtype)
    plan = Quantization(scheme=scheme, group_size=32)
    source = quantised(as_source(as_checkpoint(model)), plan)
    backend, reference = opened_exactly(source), on_torch(packed(model, plan))
    words = embeds(backend, 60)
    assert gap(read(backend, words, [0, 1], 40), read(reference, words, [0, 1], 40)) < CLOSE
    pixels = torch.randn(2, 3, 32, 32)
    both = zip(backend.encode_images(pixels), reference.encode_images(pixels), strict=True)
    assert all(gap(a, b) < CLOSE for a, b in both)


def test_the_files_may_go_once_the_model_is_open(folder: Path) -> None:
    """Their pages were let go of and are read again where they are needed, from what is still mapped."""
    backend = opened_exactly(open_source(folder))
    words = embeds(backend, 40)
    first = read(backend, words, [0, 1])
    shutil.rmtree(folder)
    assert torch.equal(embeds(backend, 40), words)
    assert torch.equal(read(backend, words, [0, 1]), first)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are let go of on Linux only")
def test_only_pages_of_files_are_let_go_of(folder: Path) -> None:
    tensors = open_source(folder).tensors
    mapped = tensors.read("language_model.lm_head.weight")
    held = torch.ones(2**16)
    before = mapped.clone()
    release([mapped, held], tensors.files())
    assert torch.equal(mapped, before)
    assert bool((held == 1).all())


@pytest.mark.parametrize("window", [None, 20])
def test_eight_bits_in_the_cache_are_close(window: int | None) -> None:
    model = small(sliding_window=window, num_key_value_heads=2)
    source = as_source(as_checkpoint(model))
    backend, reference = open_backend(source, exact=False, tokens=256), on_torch(model)
    words = embeds(reference, 100)
    found, wanted = read(backend, words, [0, 1, 2, 3], 50), read(reference, words, [0, 1, 2, 3], 50)
    # 16 bits between the layers and 8 in the cache: 0.5 to 1 % of a logit; a wrong window, 20 % and more
    assert (found - wanted).norm() / wanted.norm() < 0.03


def test_another_release_of_openvino_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openvino.__version__", "2027.1.0-1")
    with pytest.raises(UsageError, match=r"2027\.1\.0 .*llavakit\[cpu\]"):
        opened_exactly(open_source("tiny"))


def test_without_openvino_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"llavakit\[cpu\]"):
        opened_exactly(open_source("tiny"))


def test_schemes_of_bitsandbytes_are_refused() -> None:
    source = open_source("tiny")
    config = source.said.config.model_copy(update={"quantization": Quantization(scheme="bnb-nf4")})
    told = Source(
        said=type(source.said)(**(vars(source.said) | {"config": config})),
        tokenizer=source.tokenizer,
        tensors=source.tensors,
    )
    with pytest.raises(UsageError, match="bnb-nf4"):
        opened_exactly(told)


def test_a_backend_that_goes_in_another_thread_leaves_the_process_alive() -> None:
    """OpenVINO gives a thread a stack for signals: it must outlive the backend, or the next signal kills."""
    program = """
import gc, threading
from torch.utils.data import DataLoader
from llavakit.llava import LLaVA
held = [LLaVA.from_pretrained("tiny", backend="openvino", cache_tokens=256)]
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start(); thread.join()
assert len(list(DataLoader(range(8), num_workers=1))) == 8  # its worker's end is a signal
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "alive\n", (done.returncode, done.stderr)
