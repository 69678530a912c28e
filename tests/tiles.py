"""A small LLaVA that sees pictures in tiles: `assemble.random_llava` with a tiling."""

from typing import Any

import torch

from assemble import SIZE, random_llava
from llavakit.checkpoint import Checkpoint
from llavakit.config import ImageConfig, Tiling
from llavakit.llava import LLaVA
from llavakit.model import Llava

_SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1))


def tiled_llava(single: bool = False, template: str = "chatml", **language: Any) -> LLaVA:
    """As LLaVA-NeXT, or with `single` as LLaVA-OneVision, shrunk to two tiles."""
    base = random_llava(template, **language)
    tiling = Tiling(
        grids=tuple((down * SIZE, across * SIZE) for down, across in _SHAPES), tile=SIZE, patches=SIZE // 8,
        max_tiles=2 if single else None, single=single,
    )  # fmt: skip
    torch.manual_seed(1)
    model = Llava(base.config.model_copy(update={"tiling": tiling})).eval()
    model.load_state_dict(base.model.state_dict() | {"image_newline": model.image_newline})
    image = ImageConfig(size=SIZE, resize="exact")
    ends = (base.tokenizer.eos_id,)
    return LLaVA(Checkpoint(model, base.tokenizer, image, template, eos_token_ids=ends), "tiled")
