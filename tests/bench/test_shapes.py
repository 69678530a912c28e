"""Random models are real ones, and are written once."""

from pathlib import Path

import pytest
import torch

from llavakit.bench.shapes import kept_gguf, kept_model, shape
from llavakit.checkpoint import load
from llavakit.checkpoint.gguf_file import read_header
from llavakit.errors import UsageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path))
    return tmp_path


def test_a_model_is_written_once_and_loads(cache: Path) -> None:
    folder = kept_model("tiny-random", 3)
    assert cache in folder.parents
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert kept_model("tiny-random", 3) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    model = load(folder).model
    assert len(model.language_model.layers) == 3
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def test_its_gguf_files_are_written_once_and_anew_when_the_model_changes(cache: Path) -> None:
    pytest.importorskip("gguf")
    folder = kept_model("tiny-random", 1)
    files = kept_gguf(folder)
    assert read_header(Path(files["model"])).metadata["llama.block_count"] == 1
    assert read_header(Path(files["mmproj"])).metadata["clip.has_vision_encoder"]
    assert kept_gguf(folder) == files
    (folder / "model.safetensors").touch()
    assert kept_gguf(folder) != files


def test_unknown_shapes_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny-random'"):
        shape("tiny-randm")
