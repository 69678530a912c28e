"""Tensors read from files: what was read does not stay in memory."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llavakit.checkpoint.tensors import Safetensors, TorchFiles


def mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_small_tensor_that_is_kept_does_not_keep_the_file_in_memory(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("llavakit.checkpoint.tensors._RELEASED", 2**20)
    path = tmp_path / f"weights.{kind}"
    weights = {"a.norm": torch.ones(8), "b.weight": torch.rand(1024, 1024), "c.weight": torch.rand(8, 8)}
    if kind == "bin":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    tensors = TorchFiles([path]) if kind == "bin" else Safetensors([path])
    kept = {name: tensors.read(name) for name in ("a.norm", "c.weight")}
    large = tensors.read("b.weight", torch.bfloat16)
    assert not mapped(path)
    assert torch.equal(large, weights["b.weight"].bfloat16())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in kept.items())


def test_a_large_tensor_stays_mapped_where_it_is_wanted_as_it_is_stored(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.rand(1024, 1024)}, path)
    kept = Safetensors([path]).read("weight")
    assert not kept.is_cuda and kept.untyped_storage().nbytes() >= 2**22
    if sys.platform == "linux":
        assert mapped(path)
