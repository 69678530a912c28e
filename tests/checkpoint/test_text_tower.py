"""The text side of CLIP, kept beside a model for retrieval."""

import pytest
import torch
import transformers
from safetensors.torch import load_file

from checkpoint.small import checkpoint
from llavakit.checkpoint import describe, load, load_clip, save
from llavakit.config import TextTowerConfig
from llavakit.errors import CheckpointError
from llavakit.model import CLIP
from model.reference import randomise

TOWER = TextTowerConfig(
    vocab_size=97, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
    max_position_embeddings=12, eos_token_id=2,
)  # fmt: skip


@pytest.fixture
def pair():
    """A model and the CLIP whose vision tower it has."""
    ours = checkpoint()
    clip = randomise(CLIP(ours.model.vision_tower, TOWER, projection_dim=8), seed=3).eval()
    return ours, clip


def vectors(clip):
    ids = torch.tensor([[1, 5, 6, 2, 0], [1, 9, 2, 0, 0]])
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return clip.encode_text(ids), clip.encode_image(pixels)


def test_the_text_tower_comes_back_with_the_model(pair, tmp_path):
    ours, clip = pair
    save(ours, tmp_path / "model", clip=clip)
    loaded = load(tmp_path / "model")
    again = load_clip(tmp_path / "model", loaded)
    for mine, theirs in zip(vectors(again), vectors(clip), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(again.logit_scale, clip.logit_scale)
    assert again.vision_model is loaded.model.vision_tower  # one copy in memory


def test_it_takes_the_type_of_the_model_it_joins(pair, tmp_path):
    ours, clip = pair
    save(ours, tmp_path / "model", clip=clip, dtype=torch.bfloat16)
    stored = load_file(tmp_path / "model" / "text_tower.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    loaded = load(tmp_path / "model", dtype=torch.float32)
    assert {p.dtype for p in load_clip(tmp_path / "model", loaded).parameters()} == {torch.float32}


def test_the_vision_tower_is_stored_once(pair, tmp_path):
    ours, clip = pair
    save(ours, tmp_path / "model", clip=clip)
    stored = load_file(tmp_path / "model" / "text_tower.safetensors")
    assert not any(name.startswith("vision_model") for name in stored)


def test_transformers_does_not_mind_the_text_tower(pair, tmp_path):
    ours, clip = pair
    save(ours, tmp_path / "model", clip=clip)
    _, report = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not any(report.values())


@pytest.mark.parametrize("eos", [1, 2])
def test_the_end_token_is_the_one_the_tower_was_trained_with(pair, tmp_path, eos):
    """transformers takes 2 for "unset" and then looks for the largest id; ours is never guessed."""
    ours, _ = pair
    tower = TOWER.model_copy(update={"eos_token_id": eos})
    save(ours, tmp_path / "model", clip=CLIP(ours.model.vision_tower, tower, 8))
    kept = describe(tmp_path / "model").own.text_tower
    assert kept is not None
    assert kept.config == tower


def test_a_model_without_one_says_so(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "model")
    with pytest.raises(CheckpointError, match="has no text tower"):
        load_clip(tmp_path / "model", ours)


def test_a_text_tower_cut_short_is_named(pair, tmp_path):
    ours, clip = pair
    save(ours, tmp_path / "model", clip=clip)
    path = tmp_path / "model" / "text_tower.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"text_tower.safetensors is not a whole safetensors file"):
        load_clip(tmp_path / "model", ours)
