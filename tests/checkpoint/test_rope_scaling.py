"""Stretched positions are honoured or refused, never passed over: a wrong angle shows only in long texts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoint.small import checkpoint
from llavakit.checkpoint import describe, load, save
from llavakit.config import RopeScaling
from llavakit.errors import CheckpointError

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}


def folder(place: Path, **text: Any) -> Path:
    """A small model's folder, its language model's configuration changed."""
    save(checkpoint(), place)
    config = json.loads((place / "config.json").read_text())
    config["text_config"] |= text
    (place / "config.json").write_text(json.dumps(config))
    return place


@pytest.mark.parametrize(
    "scaling",
    [
        {"type": "linear", "factor": 4.0},
        {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 32},
        YARN,
        YARN | {"finetuned": True, "truncate": True, "partial_rotary_factor": 1.0},
    ],
)
def test_a_known_stretch_is_read_and_kept(tmp_path: Path, scaling: dict[str, Any]) -> None:
    read = load(folder(tmp_path / "a", rope_scaling=scaling))
    stretch = read.model.config.language.rope_scaling
    assert stretch is not None
    assert stretch.rope_type == scaling.get("type", scaling.get("rope_type"))
    assert stretch.factor == scaling["factor"]
    save(read, tmp_path / "b")
    again = load(tmp_path / "b").model
    assert again.config.language.rope_scaling == stretch
    assert torch.equal(again.language_model.frequencies, read.model.language_model.frequencies)


@pytest.mark.parametrize("key", ["rope_type", "type"])
@pytest.mark.parametrize("kind", ["dynamic", "longrope", "su", "ntk", "yarns"])
def test_an_unknown_stretch_is_refused_with_those_there_are(tmp_path: Path, kind: str, key: str) -> None:
    """Of the published ones, `dynamic` and `longrope` turn each key by an angle that depends on how long
    the text will have become, which no cache of keys can keep."""
    scaling = {key: kind, "factor": 4.0, "short_factor": [1.0], "long_factor": [2.0]}
    with pytest.raises(CheckpointError, match=r"config\.json.*rope_scaling") as caught:
        describe(folder(tmp_path / "model", rope_scaling=scaling))
    assert "'linear', 'llama3' or 'yarn'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mscale", 0.7), ("mscale_all_dim", 1.0), ("truncate", False), ("partial_rotary_factor", 0.5)],
)
def test_a_setting_that_would_be_passed_over_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"rope_scaling: {name} {value} is not supported"):
        describe(folder(tmp_path / "model", rope_scaling=YARN | {name: value}))


def test_heads_that_turn_only_in_part_are_refused_wherever_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"partial_rotary_factor 0\.25 is not supported"):
        describe(folder(tmp_path / "model", partial_rotary_factor=0.25))


def test_a_stretch_without_a_factor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="rope_scaling: factor: Field required"):
        describe(folder(tmp_path / "model", rope_scaling={"rope_type": "linear"}))


def test_the_kinds_told_are_those_of_the_configuration() -> None:
    for kind in ("linear", "llama3", "yarn"):
        assert RopeScaling.parse({"rope_type": kind, "factor": 2.0}, "here").rope_type == kind
