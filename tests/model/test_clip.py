"""CLIP's two towers against `transformers.CLIPModel`."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from llavakit.config import TextTowerConfig, VisionConfig
from llavakit.model import CLIP
from llavakit.model.vision.vit import VisionTower
from model.reference import EPS, gap, randomise

END = 96
TOLERANCE = 1e-5  # unit vectors: the largest gap seen between two float32 runs is 3e-7

VISION: dict[str, Any] = {
    "image_size": 24, "patch_size": 8, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
    "num_attention_heads": 3, "hidden_act": "quick_gelu", "layer_norm_eps": EPS,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 12, "hidden_act": "quick_gelu",
    "layer_norm_eps": EPS,
}  # fmt: skip


def clip_pair(hidden_act: str = "quick_gelu", hf_end: int = END) -> tuple[Any, CLIP]:
    act = {"hidden_act": hidden_act}
    config = transformers.CLIPConfig(
        vision_config=VISION | act, projection_dim=16,
        text_config=TEXT | act | {"eos_token_id": hf_end, "bos_token_id": None, "pad_token_id": None},
    )  # fmt: skip
    oracle = randomise(transformers.CLIPModel._from_config(config, attn_implementation="eager")).eval()
    text = TextTowerConfig(**(TEXT | act), eos_token_id=END)
    model = CLIP(VisionTower(VisionConfig(**(VISION | act))), text, projection_dim=16).eval()
    model.load_state_dict(oracle.state_dict(), strict=True)
    return oracle, model


def sentences() -> Tensor:
    """Ids (3, 9) that end at different places and go on with end tokens, as CLIP pads."""
    ids = torch.randint(0, END, (3, 9), generator=torch.Generator().manual_seed(0))
    for row, end in enumerate([3, 8, 6]):
        ids[row, end:] = END
    return ids


@pytest.mark.parametrize("hidden_act", ["quick_gelu", "gelu"])  # OpenAI's; LAION's
@torch.no_grad()
def test_both_towers_embed_as_transformers_does(hidden_act: str) -> None:
    oracle, model = clip_pair(hidden_act)
    pixels, ids = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0)), sentences()
    theirs = oracle(input_ids=ids, pixel_values=pixels)
    images, texts = model.encode_image(pixels), model.encode_text(ids)
    assert gap(images, theirs.image_embeds) < TOLERANCE
    assert gap(texts, theirs.text_embeds) < TOLERANCE
    assert gap(images.norm(dim=-1), torch.ones(2)) < TOLERANCE
    assert gap(texts.norm(dim=-1), torch.ones(3)) < TOLERANCE
    assert gap(model.logit_scale.exp() * images @ texts.T, theirs.logits_per_image) < 1e-4


@torch.no_grad()
def test_what_follows_the_first_end_token_is_not_read() -> None:
    _, model = clip_pair()
    ids = sentences()
    changed = ids.clone()
    changed[0, 4:] = 5
    assert gap(model.encode_text(changed)[0], model.encode_text(ids)[0]) < TOLERANCE
    changed[0, 2] = (ids[0, 2] + 1) % END
    assert gap(model.encode_text(changed)[0], model.encode_text(ids)[0]) > 1e-2


@torch.no_grad()
def test_the_end_token_2_of_old_configurations_means_the_last_of_the_vocabulary() -> None:
    """OpenAI's published config.json says 2 although the tokenizer ends with the highest id;
    transformers reads it so, and whoever fills our configuration has to write the true id."""
    oracle, model = clip_pair(hf_end=2)
    ids = sentences()
    theirs = oracle.get_text_features(input_ids=ids).pooler_output
    assert gap(model.encode_text(ids), torch.nn.functional.normalize(theirs, dim=-1)) < TOLERANCE


@torch.no_grad()
def test_patch_features_are_projected_into_the_same_space_as_pictures() -> None:
    _, model = clip_pair()
    pixels = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    projected = model.project_vision(model.vision_model(pixels))
    assert projected.shape == (2, 10, 16)
    assert gap(projected[:, 0], model.encode_image(pixels)) < TOLERANCE
    assert gap(projected.norm(dim=-1), torch.ones(2, 10)) < TOLERANCE


def test_an_untrained_clip_starts_at_the_temperature_of_the_paper() -> None:
    oracle = transformers.CLIPConfig(vision_config=VISION, text_config=TEXT)
    tower = VisionTower(VisionConfig(**VISION))
    model = CLIP(tower, TextTowerConfig(**TEXT, eos_token_id=END), projection_dim=16)
    assert abs(model.logit_scale.item() - oracle.logit_scale_init_value) < 1e-4  # written with 4 digits there
