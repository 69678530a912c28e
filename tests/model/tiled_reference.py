"""Small random LLaVAs that see a picture in tiles, built twice like those of `reference`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch import Tensor

from llavakit import config as ours
from llavakit.config import ImageConfig, Layout, Tiling
from llavakit.media import views
from llavakit.model import Llava
from model.reference import (
    IMAGE,
    TEXT_NUMBERS,
    TEXT_TRAITS,
    VISION_CLASSES,
    VISION_NUMBERS,
    VISION_TRAITS,
    _text_config,
    copy_weights,
    randomise,
)

NEXT, ONEVISION = "llava_next", "llava_onevision"
VISION_OF = {NEXT: "clip", ONEVISION: "siglip"}
HALF = (0.5, 0.5, 0.5)

# (width, height): landscape, portrait, nearly square, smaller than a tile, threads
SHAPES = [(100, 40), (31, 70), (51, 50), (5, 6), (500, 10), (7, 400), (1, 300), (900, 1)]


def tiling(kind: str) -> Tiling:
    """LLaVA-NeXT's five grids of two and three tiles, or all of LLaVA-OneVision's up to three by three.

    Of those more than two tiles are shrunk.
    """
    vision = VISION_NUMBERS | VISION_TRAITS[VISION_OF[kind]]
    side, patches = vision["image_size"], vision["image_size"] // vision["patch_size"]
    if kind == NEXT:
        shapes = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
        several: dict[str, Any] = {}
    else:
        shapes = [(down, across) for down in (1, 2, 3) for across in (1, 2, 3)]
        several = {"max_tiles": 2, "single": True}
    grids = tuple((down * side, across * side) for down, across in shapes)
    return Tiling(grids=grids, tile=side, patches=patches, **several)


def hf_tiled(kind: str, text: str, seed: int = 0, **overrides: Any) -> tuple[Any, ours.LlavaConfig]:
    """transformers' model with random weights, and our configuration of the same network."""
    tiles, vision = tiling(kind), VISION_OF[kind]
    mine = ours.LlavaConfig(
        vision=ours.VisionConfig(kind=vision, **(VISION_NUMBERS | VISION_TRAITS[vision])),
        language=ours.LanguageConfig(**(TEXT_NUMBERS | TEXT_TRAITS[text] | overrides)),
        image_token_id=IMAGE,
        feature_layer=-2 if kind == NEXT else -1,
        feature_select="patch" if vision == "clip" else "full",
        tiling=tiles,
    )
    configs = {NEXT: transformers.LlavaNextConfig, ONEVISION: transformers.LlavaOnevisionConfig}
    several = {} if kind == NEXT else {"vision_aspect_ratio": "anyres_max_2", "video_token_index": 1}
    theirs = configs[kind](
        vision_config=VISION_CLASSES[vision](**mine.vision.model_dump(exclude={"kind"})),
        text_config=_text_config(text, mine.language),
        image_token_index=IMAGE,
        vision_feature_layer=mine.feature_layer,
        vision_feature_select_strategy="default" if vision == "clip" else "full",
        image_grid_pinpoints=[list(grid) for grid in tiles.grids],
        **several,
    )
    classes = {
        NEXT: transformers.LlavaNextForConditionalGeneration,
        ONEVISION: transformers.LlavaOnevisionForConditionalGeneration,
    }
    model = classes[kind]._from_config(theirs, attn_implementation="eager")
    return randomise(model, seed).eval(), mine


def tiled_pair(kind: str, text: str, **overrides: Any) -> tuple[Any, Llava]:
    """The oracle and our model with the same weights."""
    hf_model, config = hf_tiled(kind, text, **overrides)
    model = Llava(config).eval()
    copy_weights(hf_model, model)
    return hf_model, model


def image_config(kind: str) -> ImageConfig:
    size = VISION_TRAITS[VISION_OF[kind]]["image_size"]
    if kind == NEXT:
        return ImageConfig(size=size, resize="exact")
    return ImageConfig(size=size, resize="exact", mean=HALF, std=HALF)


def hf_image_processor(kind: str, tiles: Tiling, image: ImageConfig) -> Any:
    grids = [list(grid) for grid in tiles.grids]
    mean, std = list(image.mean), list(image.std)
    if kind == NEXT:
        return transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": image.size}, crop_size={"height": image.size, "width": image.size},
            image_grid_pinpoints=grids, image_mean=mean, image_std=std,
        )  # fmt: skip
    return transformers.LlavaOnevisionImageProcessorPil(
        size={"height": image.size, "width": image.size},
        image_grid_pinpoints=grids, image_mean=mean, image_std=std,
    )  # fmt: skip


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels: unlike a photograph, they show an error of a single one."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def theirs(kind: str, prompts: Sequence[Sequence[Image.Image]]) -> dict[str, Tensor]:
    """What transformers' image processor makes of the pictures of each prompt, as its model takes it."""
    processor = hf_image_processor(kind, tiling(kind), image_config(kind))
    return dict(processor([list(images) for images in prompts], return_tensors="pt"))


def seen(
    config: ours.LlavaConfig, image: ImageConfig, prompts: Sequence[Sequence[Image.Image]]
) -> tuple[Tensor, list[Layout]]:
    """What we make of them: pixels (view, 3, size, size) and layouts."""
    assert config.tiling is not None
    layouts = [config.tiling.layout(*each.size, len(images)) for images in prompts for each in images]
    every = [each for images in prompts for each in images]
    pixels = np.concatenate([views(e, image, layout) for e, layout in zip(every, layouts, strict=True)])
    return torch.from_numpy(pixels), layouts


def row(config: ours.LlavaConfig, layout: str, layouts: Sequence[Layout], seed: int = 0) -> Tensor:
    """Ids (token,) for a layout such as "tti": each `t` a random word, each `i` the next picture."""
    words = torch.Generator().manual_seed(seed)
    waiting = iter(layouts)
    ids: list[int] = []
    for piece in layout:
        if piece == "i":
            ids += [config.image_token_id] * next(waiting).tokens
        else:
            ids.append(int(torch.randint(1, IMAGE, (), generator=words)))
    return torch.tensor(ids)
