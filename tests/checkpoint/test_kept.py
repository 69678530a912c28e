"""Weights that are packed once and kept."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest
import torch

from assemble import byte_tokenizer
from engine.test_backends import small
from llavakit.cache import cache_folder
from llavakit.checkpoint import Checkpoint, kept, open_source, quantised, save
from llavakit.checkpoint.folder import as_source
from llavakit.config import ImageConfig, Quantization
from llavakit.model import Llava

INT8 = Quantization(scheme="int8")


def as_checkpoint(model: Llava) -> Checkpoint:
    return Checkpoint(model, byte_tokenizer(), ImageConfig(size=32), "chatml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    save(as_checkpoint(small()), folder)
    return folder


def test_weights_are_packed_once(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cache = tmp_path / "cache"
    first = kept(open_source(folder), INT8, cache).tensors
    assert "packing" in caplog.text
    caplog.clear()
    again = kept(open_source(folder), INT8, cache).tensors
    assert "packing" not in caplog.text
    assert all(torch.equal(again.read(name), first.read(name)) for name in first)


def entry(cache: Path) -> Path:
    (found,) = (cache / "packed").iterdir()
    return found


@pytest.mark.parametrize("damage", ["cut short", "a file gone", "not JSON", "no list"])
def test_a_damaged_entry_is_made_anew(folder: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    whole = kept(open_source(folder), INT8, cache).tensors
    weights, listed = entry(cache) / "weights.safetensors", entry(cache) / "entry.json"
    size = weights.stat().st_size
    if damage == "cut short":
        os.truncate(weights, size // 2)
    elif damage == "a file gone":
        weights.unlink()
    elif damage == "not JSON":
        listed.write_text("{")
    else:
        listed.unlink()
    tensors = kept(open_source(folder), INT8, cache).tensors
    assert weights.stat().st_size == size
    assert json.loads(listed.read_text()) == {"weights.safetensors": size}
    assert set(tensors) == set(whole)


def test_other_weights_or_bits_have_an_entry_of_their_own(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    kept(open_source(folder), INT8, cache)
    kept(open_source(folder), INT8.model_copy(update={"head": False}), cache)
    assert len(list((cache / "packed").iterdir())) == 2
    os.utime(folder / "model.safetensors", (1, 1))
    kept(open_source(folder), INT8, cache)
    assert len(list((cache / "packed").iterdir())) == 3


def test_what_is_stored_as_it_is_wanted_is_not_copied(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    plain = kept(open_source(folder), None, cache).tensors
    assert plain.files() == {folder / "model.safetensors"}
    source = quantised(as_source(as_checkpoint(small())), INT8)
    kept(source, None, cache)  # in memory: it stays there
    assert not cache.exists()


def test_a_write_that_fails_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["llavakit.checkpoint.kept"], "write_json", full)
    with pytest.raises(Exception, match="No space left"):
        kept(open_source(folder), INT8, cache)
    assert not list((cache / "packed").iterdir())


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLAVAKIT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "llavakit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "llavakit"
    monkeypatch.setenv("LLAVAKIT_CACHE", "~/here")
    assert cache_folder() == Path.home() / "here"
