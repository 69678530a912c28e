"""Cached features are those the tower would give again, and cost one look at each picture."""

import errno
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from assemble import picture, random_llava
from llavakit.data.collate import Featured, TokenBatch, TokenCollator
from llavakit.data.instruct import InstructData
from llavakit.data.mixture import Mixture
from llavakit.data.rows import RowError
from llavakit.errors import LlavaError, UsageError
from llavakit.llava import LLaVA
from llavakit.train.feature_store import FeatureStore, FeatureWriter
from llavakit.train.features import CachedExamples, Encoding, cached, features_key
from llavakit.train.objectives import next_token_loss
from tiles import tiled_llava
from train import small

SHAPE = (3, 4)
A, B, C = (bytes([n]) * 31 + b"\0" for n in (1, 2, 3))  # NumPy drops zeros at the end of bytes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def kept(folder: Path, dtype: torch.dtype = torch.float32) -> FeatureStore:
    return FeatureStore(folder, SHAPE, dtype)


def write(folder: Path, features: dict[bytes, Tensor], dtype: torch.dtype = torch.float32) -> None:
    folder.mkdir(exist_ok=True)
    with FeatureWriter(kept(folder, dtype)) as writer:
        for key, each in features.items():
            writer.append([key], each[None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_store_gives_back_what_it_got_to_the_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    features = {key: torch.randn(SHAPE).to(dtype) for key in (C, A, B)}
    write(tmp_path, {key: features[key] for key in (C, A)}, dtype)
    write(tmp_path, {B: features[B]}, dtype)
    store = pickle.loads(pickle.dumps(kept(tmp_path, dtype)))
    assert len(store) == 3 and A in store and b"\1" * 32 not in store
    assert torch.equal(store.read([A, B, C, A]), torch.stack([features[key] for key in (A, B, C, A)]))
    with pytest.raises(KeyError):
        store.read([A, b"\1" * 32])


@pytest.mark.parametrize("torn", ["features", "index"])
def test_what_a_kill_left_half_written_does_not_count(tmp_path: Path, torn: str) -> None:
    features = {key: torch.randn(SHAPE) for key in (A, B)}
    write(tmp_path, features)
    [path] = tmp_path.glob(f"*.{torn}")
    os.truncate(path, path.stat().st_size - 5)
    assert A in kept(tmp_path) and B not in kept(tmp_path)
    write(tmp_path, {B: features[B]})
    assert torch.equal(kept(tmp_path).read([A, B]), torch.stack([features[A], features[B]]))


def test_a_full_disk_is_told_and_costs_nothing_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {A: torch.ones(SHAPE)})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LlavaError, match=r"disk of .* is full.*LLAVAKIT_CACHE"):
        write(tmp_path, {B: torch.ones(SHAPE)})
    assert A in kept(tmp_path) and B not in kept(tmp_path)


class Job(NamedTuple):
    """A model with a frozen tower, data, and how many pictures the tower has been shown."""

    llava: LLaVA
    data: InstructData
    seen: list[int]

    def cached(self, half: bool = False, **values: Any) -> CachedExamples:
        indices = range(len(self.data))
        return cached(self.data, indices, self.llava.model, self.llava.encoder, half=half, **values)

    def losses(self, examples: Any, half: bool = False) -> list[Tensor]:
        """Of each row by itself."""
        collate = TokenCollator(self.llava.encoder, 1024)
        found = []
        for i in range(len(examples)):
            [batch] = collate([examples[i]])
            assert isinstance(batch, TokenBatch)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                found.append(next_token_loss(self.llava.model, batch).detach())
        return found


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """Rows with one picture, two, none; five pictures in all, one of them in two rows."""
    shown = [["0.png"], [], ["1.png", "2.png"], ["3.png"], ["0.png"], ["4.png"]]
    for n in range(5):
        picture(n).save(tmp_path / f"{n}.png")
    rows = [
        {"id": i, "conversations": [
            {"from": "human", "value": "<image>" * len(names) + "What?"},
            {"from": "gpt", "value": f"Number {i}."},
        ]} | ({"image": names} if names else {})
        for i, names in enumerate(shown)
    ]  # fmt: skip
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    llava = random_llava()
    llava.model.requires_grad_(True).vision_tower.requires_grad_(False)
    seen: list[int] = []
    tower = llava.model.vision_tower
    handle = tower.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    yield Job(llava, InstructData(tmp_path / "rows.json", tmp_path), seen)
    handle.remove()


def test_the_tower_sees_each_picture_once_and_never_again(job: Job) -> None:
    told: list[Encoding] = []
    examples = job.cached(on_progress=told.append)
    assert sum(job.seen) == 5
    assert [(each.done, each.pictures) for each in told] == [(0, 5), (5, 5)]
    assert told[0].size == 5 * 16 * 24 * 4  # patches, vision width, bytes
    job.losses(examples)
    job.cached(on_progress=told.append)
    job.cached(workers=1)
    assert sum(job.seen) == 5 and len(told) == 2


@pytest.mark.parametrize("half", [False, True])
def test_losses_are_those_of_a_tower_that_looks_each_time(job: Job, half: bool) -> None:
    cached_ones, fresh = job.losses(job.cached(half), half), job.losses(job.data, half)
    # The tower saw five pictures at once and not one or two, which may change how float32 sums are rounded;
    # in bfloat16, whether that shows is decided by rounding the features, the same on both roads.
    for ours, theirs in zip(cached_ones, fresh, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=5e-3 if half else 1e-6, atol=0)
    assert torch.equal(cached_ones[1], fresh[1])  # of words alone


def test_features_stand_where_their_pictures_stood(job: Job) -> None:
    examples = job.cached()
    row = examples[2]
    assert isinstance(row, Featured)
    pixels = torch.from_numpy(job.llava.encoder.pixels([picture(1), picture(2)]))
    torch.testing.assert_close(row.features, job.llava.model.see(pixels), rtol=1e-5, atol=1e-5)  # as above
    assert not isinstance(examples[1], Featured)


def test_no_picture_is_decoded_once_the_tower_has_seen_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = job.cached()

    def decode(*_: Any) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(type(job.data.place), "open", decode)
    assert [isinstance(examples[i], Featured) for i in range(6)] == [True, False, True, True, True, True]


def test_an_interrupted_build_goes_on(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llavakit.train.features._TOGETHER", 2)

    def interrupt(told: Encoding) -> None:
        if told.done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.cached(on_progress=interrupt)
    told: list[Encoding] = []
    examples = job.cached(on_progress=told.append)
    assert [each.done for each in told] == [0, 1]
    assert sum(job.seen) == 5
    assert all(torch.equal(a, b) for a, b in zip(job.losses(examples), job.losses(job.cached()), strict=True))


def test_only_the_examples_that_will_be_read_are_looked_at(job: Job) -> None:
    cached(job.data, [4, 1], job.llava.model, job.llava.encoder, half=False)
    assert sum(job.seen) == 1


def test_whatever_the_features_depend_on_changes_their_key(job: Job) -> None:
    model, image = job.llava.model, job.llava.encoder.image_config
    key = features_key(model, image, torch.float32)
    assert features_key(model, image, torch.float32) == key
    with torch.no_grad():
        model.connector.linear_1.weight += 1
        model.language_model.norm.weight += 1
    assert features_key(model, image, torch.float32) == key
    others = {
        features_key(model, image, torch.bfloat16),
        features_key(model, image.model_copy(update={"pad": True}), torch.float32),
    }
    layer, model.config = model.config, model.config.model_copy(update={"feature_layer": -1})
    others.add(features_key(model, image, torch.float32))
    model.config = layer
    with torch.no_grad():
        model.vision_tower.encoder.layers[0].mlp.fc1.bias[0] += 1
    others.add(features_key(model, image, torch.float32))
    assert len(others - {key}) == 4


def test_another_tower_looks_anew(job: Job) -> None:
    job.cached()
    with torch.no_grad():
        job.llava.model.vision_tower.embeddings.class_embedding += 1
    job.cached()
    assert sum(job.seen) == 10


def test_a_disk_too_small_is_told_before_anything_is_computed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(LlavaError, match=r"5 pictures take 0\.0 GB, and .* has 0\.0 GB left: free some"):
        job.cached()
    assert job.seen == []


def test_a_row_that_cannot_be_used_says_so_itself(job: Job) -> None:
    place = job.data.images
    (place / "3.png").write_bytes(b"no picture")
    (place / "4.png").unlink()
    examples = job.cached()
    assert sum(job.seen) == 3
    for index, reason in ((3, "cannot be opened"), (5, "no such file")):
        with pytest.raises(RowError, match=f"row {index + 1} .*{reason}"):
            examples[index]
    assert isinstance(examples[2], Featured)


def test_a_picture_that_changed_since_is_told(job: Job) -> None:
    examples = job.cached()
    picture(9).save(job.data.images / "4.png")
    with pytest.raises(LlavaError, match="lacks the features of a picture"):
        examples[5]


def test_pictures_that_were_never_files_are_known_by_their_pixels(job: Job) -> None:
    plates = Mixture([(small.Plates("captions"), 1.0), (job.data, 2.0)])
    examples = cached(plates, range(len(plates)), job.llava.model, job.llava.encoder, half=False)
    assert sum(job.seen) == len(small.COLOURS) + 5
    assert isinstance(examples[0], Featured) and isinstance(examples[64], Featured)
    assert examples.feature_shape == (16, 24)


def test_a_tower_that_learns_and_pictures_in_tiles_are_refused(job: Job) -> None:
    with pytest.raises(UsageError, match="tiles"):
        tiled = tiled_llava()
        cached(job.data, [0], tiled.model, tiled.encoder, half=False)
    job.llava.model.vision_tower.requires_grad_(True)
    with pytest.raises(UsageError, match="does not learn"):
        job.cached()
