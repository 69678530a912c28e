"""Weights come into memory once, in the type that is wanted."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from checkpoint.small import checkpoint
from llavakit.checkpoint import load, save
from llavakit.checkpoint.tensors import Held, Safetensors
from llavakit.checkpoint.weights import write

SINGLE = "model.safetensors"

PEAK = """
import sys, torch
from pathlib import Path
from llavakit.checkpoint import load

def status(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024

torch.set_num_threads(1)
load(sys.argv[2], dtype=torch.float32)  # a small one first: what torch itself takes is not counted
before = status("VmRSS")
model = load(sys.argv[1], dtype=getattr(torch, sys.argv[3])).model
size = sum(p.numel() * p.itemsize for p in model.parameters())
print(size, (status("VmHWM") - before) / size)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A bf16 model of 190 MB, tens of tensors of which the largest is a tenth, and a small one."""
    from llavakit.model import Llava

    root = tmp_path_factory.mktemp("peak")
    small = checkpoint()
    save(small, root / "small")
    language = small.model.config.language.model_copy(
        update={"hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 2}
    )
    torch.manual_seed(0)
    small.model = Llava(small.model.config.model_copy(update={"language": language}))
    save(small, root / "large", dtype=torch.bfloat16)
    return root


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_little_more_memory_than_the_model(folders, dtype):
    """bf16 -> float32 makes every weight anew; what is left mapped of the file would add half.

    1.02 measured on 572 MB; the last tensor converted stands twice, once in the file's type.
    """
    command = [sys.executable, "-c", PEAK, str(folders / "large"), str(folders / "small"), dtype]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    size, ratio = (float(word) for word in out.split())
    assert size > 1e8
    assert ratio < 1.15


def test_weights_stay_as_stored_unless_told(tmp_path):
    save(checkpoint(), tmp_path / "half", dtype=torch.bfloat16)
    assert {p.dtype for p in load(tmp_path / "half").model.parameters()} == {torch.bfloat16}
    wanted = load(tmp_path / "half", dtype=torch.float16).model
    assert {p.dtype for p in wanted.parameters()} == {torch.float16}


def test_a_conversion_is_exactly_torchs(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "half", dtype=torch.bfloat16)
    loaded = load(tmp_path / "half", dtype=torch.float32).model.state_dict()
    for name, tensor in ours.model.state_dict().items():
        assert torch.equal(loaded[name], tensor.bfloat16().float())


def test_changing_a_loaded_weight_leaves_the_file_alone(tmp_path):
    save(checkpoint(), tmp_path / "model")
    before = (tmp_path / "model" / SINGLE).read_bytes()
    model = load(tmp_path / "model").model
    with torch.no_grad():
        model.connector.linear_1.weight.add_(1)
    assert (tmp_path / "model" / SINGLE).read_bytes() == before


def test_a_model_may_be_saved_over_the_folder_it_is_mapped_from(tmp_path):
    save(checkpoint(), tmp_path / "model")
    loaded = load(tmp_path / "model")
    before = {name: w.clone() for name, w in loaded.model.state_dict().items()}
    save(loaded, tmp_path / "model", dtype=torch.float16)
    assert all(torch.equal(w, before[name]) for name, w in loaded.model.state_dict().items())
    assert {p.dtype for p in load(tmp_path / "model").model.parameters()} == {torch.float16}


def test_angles_of_positions_stay_float32_in_a_half_model(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "half", dtype=torch.bfloat16)
    frequencies = load(tmp_path / "half").model.language_model.frequencies
    assert torch.equal(frequencies, ours.model.language_model.frequencies)


def test_no_weight_wants_a_gradient_until_somebody_trains(tmp_path):
    save(checkpoint(), tmp_path / "model")
    assert not any(p.requires_grad for p in load(tmp_path / "model").model.parameters())


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_shards_hold_every_tensor_once_and_none_is_larger_than_told(tmp_path, dtype):
    tensors = {f"t{i}": torch.full((100,), float(i)) for i in range(7)} | {"last": torch.zeros(300)}
    write(Held(tensors), tmp_path, dtype, shard_bytes=800)
    paths = sorted(tmp_path.glob("*.safetensors"))
    assert len(paths) == (5 if dtype is None else 3)
    files = Safetensors(paths)
    assert sorted(files) == sorted(tensors)
    assert all(torch.equal(files.read(n).float(), t) for n, t in tensors.items())
