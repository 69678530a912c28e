"""The thing in training: a LLaVA, and beside it the CLIP that shares its vision tower."""

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
            self.clip = CLIP(llava.config.vision, text_tower, projection_dim)
            self.clip.vision_model = llava.vision_tower

    def organ(self, name: Organ) -> list[nn.Parameter]:
        """The parameters of one organ; the text tower brings CLIP's projections along."""
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


def initialise(config: LlavaConfig, seed: int, std: float = 0.02) -> Llava:
    """A LLaVA with random weights: normal(0, std), zero biases, unit norms (as Llama and CLIP)."""
    torch.manual_seed(seed)
    llava = Llava(config)
    llava.apply(lambda module: _initialise(module, std))
    return llava


@torch.no_grad()
def _initialise(module: nn.Module, std: float) -> None:
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d) and isinstance(weight, Tensor):
        weight.normal_(std=std)
    if isinstance(module, nn.Linear | nn.Conv2d) and isinstance(bias, Tensor):
        bias.zero_()
