"""The thing in training: a LLaVA, and beside it the CLIP that shares its vision tower."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.model import CLIP, Llava
from llavakit.train.recipe import Organ


class Trainee(nn.Module):
    """`llava`, and `clip` where a recipe has a text tower. Both hold the same vision tower."""

    def __init__(self, llava: Llava, text_tower: TextTowerConfig | None, projection_dim: int) -> None:
        super().__init__()
        self.llava = llava
        self.clip: CLIP | None = None
        if text_tower is not None:
            self.clip = CLIP(llava.vision_tower, text_tower, projection_dim)
            for own in (self.clip.text_model, self.clip.visual_projection, self.clip.text_projection):
                own.apply(_initialise)

    def organ(self, name: Organ) -> list[nn.Parameter]:
        """The parameters of one organ; the text tower brings CLIP's projections along, the connector
        the feature that ends a row of patches."""
        if name == "connector" and hasattr(self.llava, "image_newline"):
            return [*self.llava.connector.parameters(), self.llava.image_newline]
        if name != "text_tower":
            return list(self.llava.get_submodule(name).parameters())
        if self.clip is None:
            return []
        shared = {id(p) for p in self.clip.vision_model.parameters()}
        return [p for p in self.clip.parameters() if id(p) not in shared]

    def freeze_all_but(self, organs: Iterable[Organ]) -> list[nn.Parameter]:
        """Freeze everything, thaw `organs`, return their parameters."""
        self.requires_grad_(False)
        chosen = [parameter for organ in organs for parameter in self.organ(organ)]
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen


def initialise(config: LlavaConfig, seed: int) -> Llava:
    """A LLaVA with random weights: normal(0, 0.02), zero biases, unit norms (as Llama and CLIP).

    The vision tower's positions begin as sinusoids about as strong as the patches. From random ones
    of size 0.02 the contrastive objective never learned any: after 4,000 steps a linear probe
    explained 4 % of a patch's place, and the language model answered "where" at chance.
    """
    torch.manual_seed(seed)
    llava = Llava(config)
    llava.apply(_initialise)
    vision, table = config.vision, llava.vision_tower.embeddings.position_embedding.weight
    with torch.no_grad():
        table[-vision.num_patches :] += sinusoids(vision.image_size // vision.patch_size, vision.hidden_size)
    return llava


@torch.no_grad()
def _initialise(module: nn.Module) -> None:
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d) and isinstance(weight, Tensor):
        weight.normal_(std=0.02)
    if isinstance(module, nn.Linear | nn.Conv2d) and isinstance(bias, Tensor):
        bias.zero_()


def sinusoids(grid: int, width: int) -> Tensor:
    """Sines and cosines of row and column for the patches of a `grid` x `grid` picture, (patch, width).

    Half of the width for rows, half for columns (as MAE, He et al. 2021), waves from 4 patches to 40.
    """
    steps = torch.arange(grid).float()
    waves = 2 * torch.pi / torch.logspace(math.log10(4), math.log10(40), width // 4)
    angles = steps[:, None] * waves  # (step, width / 4)
    table = torch.cat((angles.sin(), angles.cos()), dim=1)  # (step, width / 2)
    rows = table[:, None].expand(grid, grid, -1)
    columns = table[None].expand(grid, grid, -1)
    return torch.cat((rows, columns), dim=2).reshape(grid * grid, width)
