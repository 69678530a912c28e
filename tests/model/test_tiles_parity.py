"""Pictures in tiles against transformers' LLaVA-NeXT and LLaVA-OneVision, weight for weight.

Each side prepares the pictures itself, so that a tile, a row of features or a newline in the wrong
place shows. Tolerance as in `test_llava_parity`.
"""

from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from llavakit.config import Tiling
from llavakit.errors import PromptError
from llavakit.model import Llava
from llavakit.model.llava import joined
from model.reference import gap, pad
from model.tiled_reference import (
    NEXT,
    ONEVISION,
    SHAPES,
    image_config,
    noise,
    row,
    seen,
    theirs,
    tiled_pair,
    tiling,
)

TOLERANCE = 1e-4
MODELS = [(NEXT, "llama"), (NEXT, "mistral"), (NEXT, "qwen2"), (ONEVISION, "qwen2")]

models = pytest.mark.parametrize(("kind", "text"), MODELS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")


@torch.no_grad()
def both(
    pair: tuple[Any, Llava], kind: str, rows: list[tuple[str, list[Image.Image]]], side: str = "left"
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (batch, token, vocab) of ours and theirs, and which positions are no padding."""
    hf_model, model = pair
    prompts = [images for _, images in rows]
    pixels, layouts = seen(model.config, image_config(kind), prompts)
    waiting = iter(layouts)
    ids, valid = pad(
        [row(model.config, layout, [next(waiting) for _ in images], seed)
         for seed, (layout, images) in enumerate(rows)],
        side,
    )  # fmt: skip
    positions = (valid.long().cumsum(dim=1) - 1).clamp(min=0)
    expected = hf_model(
        input_ids=ids, attention_mask=valid.long(), position_ids=positions, use_cache=False,
        **theirs(kind, [images for images in prompts if images]),
    ).logits  # fmt: skip
    return model(ids, pixels, valid, layouts), expected, valid


@models
@shapes
def test_logits_are_those_of_transformers_for_pictures_of_every_shape(
    kind: str, text: str, shape: tuple[int, int]
) -> None:
    ours, expected, _ = both(tiled_pair(kind, text), kind, [("tttitttt", [noise(*shape)])])
    assert expected.std() > 0.1  # a network that says nothing agrees with everything
    assert gap(ours, expected) < TOLERANCE


@models
def test_logits_are_those_of_transformers_with_several_pictures(kind: str, text: str) -> None:
    images = [noise(100, 40), noise(30, 70, 1), noise(20, 20, 2)]
    ours, expected, _ = both(tiled_pair(kind, text), kind, [("ttittiitt", images)])
    assert gap(ours, expected) < TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
@models
def test_a_batch_of_prompts_with_none_one_and_several_pictures(kind: str, text: str, side: str) -> None:
    rows = [("ttti", [noise(90, 20)]), ("ttttt", []), ("tiit", [noise(20, 60, 1), noise(33, 33, 2)])]
    ours, expected, valid = both(tiled_pair(kind, text), kind, rows, side)
    assert gap(ours[valid], expected[valid]) < TOLERANCE


def test_of_several_pictures_onevision_sees_only_the_whole() -> None:
    tiles = tiling(ONEVISION)
    alone, among = tiles.layout(100, 40), tiles.layout(100, 40, pictures=2)
    assert (alone.views, among.views) == (7, 1)  # two by three tiles, and the whole
    assert among.tokens == tiles.patches**2 + 1  # a newline ends it
    next_ = tiling(NEXT)
    assert next_.layout(100, 40) == next_.layout(100, 40, pictures=2)


def test_the_newline_belongs_to_models_with_tiles() -> None:
    _, model = tiled_pair(NEXT, "llama")
    names = {name for name, _ in model.named_parameters()}
    assert "image_newline" in names
    without = Llava(model.config.model_copy(update={"tiling": None}))
    assert names - {name for name, _ in without.named_parameters()} == {"image_newline"}


@pytest.mark.parametrize("unpad", [True, False])
@pytest.mark.parametrize("newline", [True, False])
@pytest.mark.parametrize("shape", [(100, 40), (30, 90), (24, 24)])
@torch.no_grad()
def test_features_are_as_many_as_the_layout_says(unpad: bool, newline: bool, shape: tuple[int, int]) -> None:
    """Every patch of every view is its own number here, so that each feature tells where it is from."""
    _, model = tiled_pair(NEXT, "llama")
    tiles = tiling(NEXT).model_copy(update={"unpad": unpad, "newline": newline})
    layout = tiles.layout(*shape)
    side, (down, across) = tiles.patches, layout.tiles
    numbers = torch.arange(layout.views * side**2).float()
    features = numbers.view(layout.views, side**2, 1).expand(-1, -1, 32)
    model.image_newline.fill_(-1.0)
    tokens = joined(features, layout, model.image_newline)[:, 0]
    assert len(tokens) == layout.tokens
    assert tokens[: side**2].tolist() == list(range(side**2))  # the whole picture first
    expected = []
    for y in range(down * side)[slice(*layout.rows)]:
        for x in range(across * side)[slice(*layout.columns)]:
            tile = 1 + (y // side) * across + x // side
            expected.append(tile * side**2 + (y % side) * side + x % side)
        expected += [-1] * newline
    assert tokens[side**2 :].tolist() == expected
    if not unpad:
        assert len(expected) == down * side * (across * side + newline)


def test_a_loss_reaches_the_newline() -> None:
    _, model = tiled_pair(ONEVISION, "qwen2")
    pixels, layouts = seen(model.config, image_config(ONEVISION), [[noise(80, 80)]])
    ids = row(model.config, "tit", layouts)[None]
    model(ids, pixels, layouts=layouts).square().mean().backward()
    assert model.image_newline.grad is not None
    assert model.image_newline.grad.abs().sum() > 0


def test_too_few_image_tokens_are_an_error_with_both_numbers() -> None:
    _, model = tiled_pair(NEXT, "llama")
    pixels, layouts = seen(model.config, image_config(NEXT), [[noise(80, 80)]])
    ids = row(model.config, "tit", layouts)[None]
    tokens = layouts[0].tokens
    with pytest.raises(PromptError, match=f"{tokens - 1} image tokens .* {tokens} features"):
        model(torch.cat([ids[:, :1], ids[:, 2:]], dim=1), pixels, layouts=layouts)


def test_a_model_of_tiles_can_be_built_without_storage() -> None:
    _, model = tiled_pair(NEXT, "llama")
    with torch.device("meta"):
        assert Llava(model.config).image_newline.is_meta


def test_a_tiling_without_newline_needs_no_parameter() -> None:
    _, model = tiled_pair(NEXT, "llama")
    tiles: Tiling = tiling(NEXT).model_copy(update={"newline": False})
    plain = Llava(model.config.model_copy(update={"tiling": tiles}))
    assert not hasattr(plain, "image_newline")
