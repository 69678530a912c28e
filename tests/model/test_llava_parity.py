"""Ours against `transformers.LlavaForConditionalGeneration`, weight for weight.

Tolerance: both sides run float32 but add in another order (ours through fused attention, theirs
written out). Logits are of size 1 to 10 and the largest gap seen is 1e-5, so 1e-4 leaves
room for another processor's kernels; a wrong mask, norm or position moves them by 1e-2 or more.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from llavakit.config import RopeScaling
from llavakit.model import Llava
from model.reference import IMAGE, TEXT_CLASSES, VISION_CLASSES, gap, hf_logits, pad, pair, pictures, prompt

TOLERANCE = 1e-4

families = pytest.mark.parametrize("text", list(TEXT_CLASSES))
towers = pytest.mark.parametrize("vision", list(VISION_CLASSES))


def ids_of(model: Llava, layout: str, seed: int = 0) -> Tensor:
    return prompt(model.config, layout, seed)[None]


@torch.no_grad()
def assert_same_logits(pair_: tuple[Any, Llava], layout: str = "tttittttttttitt") -> None:
    hf_model, model = pair_
    ids, pixels = ids_of(model, layout), None
    if "i" in layout:
        pixels = pictures(model.config, layout.count("i"))
    theirs = hf_logits(hf_model, ids, pixels)
    assert theirs.std() > 0.1  # a network that says nothing agrees with everything
    assert gap(model(ids, pixels), theirs) < TOLERANCE


@families
@towers
def test_logits_are_those_of_transformers_with_several_pictures(text: str, vision: str) -> None:
    assert_same_logits(pair(text, vision))


@families
def test_logits_are_those_of_transformers_without_a_picture(text: str) -> None:
    assert_same_logits(pair(text), layout="t" * 20)


@pytest.mark.parametrize("layout", ["i", "itt", "tti", "tiit", "iii"])
def test_pictures_may_stand_first_last_side_by_side_and_alone(layout: str) -> None:
    assert_same_logits(pair(), layout)


@pytest.mark.parametrize("side", ["left", "right"])
@families
@towers
@torch.no_grad()
def test_rows_of_a_padded_batch_are_those_of_transformers(text: str, vision: str, side: str) -> None:
    hf_model, model = pair(text, vision)
    layouts = ["ttittit", "t" * 5, "ttttttttittt"]
    ids, valid = pad([prompt(model.config, each, seed) for seed, each in enumerate(layouts)], side)
    pixels = pictures(model.config, 3)
    theirs = hf_logits(hf_model, ids, pixels, valid)
    ours = model(ids, pixels, valid)
    assert gap(ours[valid], theirs[valid]) < TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_poisons_neither_logits_nor_gradients(side: str) -> None:
    """A padding query on the left has no key to look at, and a softmax over nothing is NaN."""
    _, model = pair()
    ids, valid = pad([prompt(model.config, "tit"), prompt(model.config, "tttt")], side)
    logits = model(ids, pictures(model.config, 1), valid)
    assert torch.isfinite(logits).all()
    logits[valid].square().mean().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("side", ["left", "right"])
@families
@torch.no_grad()
def test_a_row_gets_the_same_logits_alone_and_in_a_padded_batch(text: str, side: str) -> None:
    _, model = pair(text)
    rows = [prompt(model.config, each, seed) for seed, each in enumerate(["ttittit", "tttt", "tttttttttti"])]
    pixels = [pictures(model.config, 2, 0), None, pictures(model.config, 1, 1)]
    ids, valid = pad(rows, side)
    batch = model(ids, torch.cat([each for each in pixels if each is not None]), valid)
    for row, its_pixels, logits, its_valid in zip(rows, pixels, batch, valid, strict=True):
        assert gap(logits[its_valid], model(row[None], its_pixels)[0]) < TOLERANCE


@torch.no_grad()
def greedy(model: Llava, ids: Tensor, pixels: Tensor, valid: Tensor, steps: int) -> Tensor:
    """Chosen ids (batch, steps), rerunning everything at each step; never an image token."""
    start = ids.shape[1]
    for _ in range(steps):
        logits = model(ids, pixels, valid)[:, -1]
        logits[:, IMAGE] = -torch.inf
        ids = torch.cat([ids, logits.argmax(dim=-1, keepdim=True)], dim=1)
        valid = torch.cat([valid, valid.new_ones(len(valid), 1)], dim=1)
    return ids[:, start:]


@families
@towers
def test_sixty_four_greedy_tokens_are_those_of_transformers(text: str, vision: str) -> None:
    hf_model, model = pair(text, vision)
    ids, valid = pad([prompt(model.config, "tittit", 0), prompt(model.config, "ttttitttttttttit", 1)], "left")
    pixels = pictures(model.config, 4)
    theirs = hf_model.generate(
        input_ids=ids, pixel_values=pixels, attention_mask=valid.long(), do_sample=False,
        max_new_tokens=64, suppress_tokens=[IMAGE],
    )[:, ids.shape[1] :]  # fmt: skip
    assert theirs.shape == (2, 64)
    assert len(theirs.unique()) > 10  # it talks rather than repeat one word
    assert torch.equal(greedy(model, ids, pixels, valid, 64), theirs)


@pytest.mark.parametrize("feature_layer", [-4, -2, -1, 1, 3])
@towers
def test_each_feature_layer_is_transformers_hidden_state(vision: str, feature_layer: int) -> None:
    """-1 is the last block before `post_layernorm`, for both towers; -4 the embedding of three blocks."""
    assert_same_logits(pair("llama", vision, feature_layer=feature_layer))


@pytest.mark.parametrize(("layer", "same"), [(0, -4), (1, -3), (2, -2), (3, -1)])
@towers
@torch.no_grad()
def test_feature_layers_count_from_either_end(vision: str, layer: int, same: int) -> None:
    _, model = pair("llama", vision)  # transformers itself fails on 0, which it takes for "none wanted"
    pixels = pictures(model.config, 1)
    assert torch.equal(model.vision_tower(pixels, layer), model.vision_tower(pixels, same))


@pytest.mark.parametrize("feature_layer", [-2, -1])
@pytest.mark.parametrize("feature_select", ["patch", "full"])
def test_the_class_token_is_dropped_or_kept_as_asked(feature_select: str, feature_layer: int) -> None:
    models = pair(feature_select=feature_select, feature_layer=feature_layer)
    assert models[1].config.tokens_per_image == {"patch": 9, "full": 10}[feature_select]
    assert_same_logits(models)


@towers
def test_the_first_feature_is_dropped_whatever_it_is(vision: str) -> None:
    models = pair("llama", vision, feature_select="but_first")
    assert models[1].config.tokens_per_image == {"clip": 9, "siglip": 8}[vision]
    assert_same_logits(models)


@pytest.mark.parametrize("feature_select", ["patch", "full"])
@torch.no_grad()
def test_siglip_has_no_class_token_so_every_patch_is_kept(feature_select: str) -> None:
    _, model = pair("llama", "siglip")
    config = model.config.model_copy(update={"feature_select": feature_select})
    chosen = Llava(config).eval()
    chosen.load_state_dict(model.state_dict())
    pixels = pictures(config, 1)
    assert config.tokens_per_image == 9
    assert torch.equal(chosen.encode_images(pixels)[0], model.encode_images(pixels)[0])


@pytest.mark.parametrize("kv_heads", [1, 2, 4])  # multi-query, grouped, one for each
@families
def test_any_number_of_key_value_heads_gives_transformers_logits(text: str, kv_heads: int) -> None:
    assert_same_logits(pair(text, num_key_value_heads=kv_heads))


@families
def test_a_tied_head_shares_the_embedding_and_gives_transformers_logits(text: str) -> None:
    hf_model, model = pair(text, tie_word_embeddings=True)
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
    assert_same_logits((hf_model, model))


@pytest.mark.parametrize("window", [1, 2, 20, 500])
def test_any_sliding_window_gives_transformers_logits(window: int) -> None:
    assert_same_logits(pair("mistral", sliding_window=window))


@pytest.mark.parametrize("act", ["gelu", "quick_gelu", "gelu_pytorch_tanh", "silu"])
@pytest.mark.parametrize("bias", [True, False])
def test_connector_activation_and_bias_follow_the_configuration(act: str, bias: bool) -> None:
    assert_same_logits(pair(connector_act=act, connector_bias=bias))


@pytest.mark.parametrize(
    "scaling",
    [
        RopeScaling(rope_type="linear", factor=4.0),
        RopeScaling(rope_type="llama3", factor=8.0, original_max_position_embeddings=16),
        RopeScaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
        RopeScaling(rope_type="yarn", factor=4.0, beta_fast=8.0, beta_slow=2.0, attention_factor=0.7),
    ],
    ids=["linear", "llama3", "yarn", "yarn-explicit"],
)
def test_stretched_positions_give_transformers_logits(scaling: RopeScaling) -> None:
    hf_model, model = pair(rope_scaling=scaling)
    _, plain = pair()
    ids = ids_of(model, "t" * 40)
    assert gap(model(ids), plain(ids)) > 0.05  # the stretch is felt at all
    assert_same_logits((hf_model, model), "t" * 20 + "i" + "t" * 20)


@families
@torch.no_grad()
def test_bfloat16_errs_no_more_than_transformers_does(text: str) -> None:
    """Eight bits of mantissa round each value by up to 0.4 %, and twenty or so roundings follow each
    other, so no fixed figure holds. The oracle's own distance from float32 is the yardstick; ours
    rounds at other places (fused attention keeps its softmax in float32), hence half as much again.
    """
    hf_model, model = pair(text)
    ids, pixels = ids_of(model, "tttittttttttitt"), pictures(model.config, 2)
    exact = model(ids, pixels)
    theirs = (hf_logits(hf_model.to(torch.bfloat16), ids, pixels.bfloat16()).float() - exact).square().mean()
    ours = (model.to(torch.bfloat16)(ids, pixels).float() - exact).square().mean()
    assert model.language_model.frequencies.dtype == torch.float32
    assert ours.sqrt() < 1.5 * theirs.sqrt()
    assert ours.sqrt() < 0.05 * exact.std()


def test_a_loss_reaches_every_weight_it_should() -> None:
    """Only what lies behind the feature layer, the tower's third block and its last norm, is not used."""
    _, model = pair()
    model(ids_of(model, "ttit"), pictures(model.config, 1)).square().mean().backward()
    behind = ("vision_tower.encoder.layers.2.", "vision_tower.post_layernorm.")
    for name, weight in model.named_parameters():
        assert (weight.grad is None) == name.startswith(behind), name


@torch.no_grad()
def test_a_model_built_without_storage_computes_the_same_once_loaded() -> None:
    _, model = pair(tie_word_embeddings=True)
    with torch.device("meta"):
        empty = Llava(model.config).eval()
    empty.load_state_dict(model.state_dict(), assign=True)
    empty.language_model.reset_buffers()
    empty.language_model.tie()
    ids, pixels = ids_of(model, "ttit"), pictures(model.config, 1)
    assert torch.equal(empty(ids, pixels), model(ids, pixels))
