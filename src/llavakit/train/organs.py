"""The thing in training: a LLaVA, and beside it the CLIP that shares its vision tower."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.model import CLIP, Llava
from llavakit.train.labels import LabelHead
from llavakit.train.recipe import LoRA, Organ, Stage

ORGANS: tuple[Organ, ...] = get_args(Organ)
FACTOR = ".lora_"  # in the names of LoRA's parameters


@dataclass(frozen=True)
class OrganSize:
    """How many weights an organ has, LoRA's included, and how many of them learn."""

    organ: Organ
    total: int
    learning: int


class Trainee(nn.Module):
    """`llava`, and `clip` where a recipe has a text tower. Both hold the same vision tower.

    Attributes:
        lora: what the linear layers wear at present (see `lora.add_lora`)
        head: what patches answer, in a stage that asks them
    """

    def __init__(self, llava: Llava, text_tower: TextTowerConfig | None, projection_dim: int) -> None:
        super().__init__()
        self.llava = llava
        self.lora: LoRA | None = None
        self.head: LabelHead | None = None
        self.clip: CLIP | None = None
        if text_tower is not None:
            self.clip = CLIP(llava.vision_tower, text_tower, projection_dim)
            for own in (self.clip.text_model, self.clip.visual_projection, self.clip.text_projection):
                own.apply(_initialise)

    def forward(self, loss: Callable[[Any], Tensor], batch: Any) -> Tensor:
        """A stage's loss on a batch: here, because weights that are spread over processes are whole only
        inside the `forward` of the module that holds them."""
        return loss(batch)

    def organ(self, name: Organ) -> list[nn.Parameter]:
        """The parameters of one organ; the text tower brings CLIP's projections and the labels' head
        along, the connector the feature that ends a row of patches."""
        named = self.named_parameters()  # each once, under its first name
        return [parameter for path, parameter in named if owner(path) == name]

    def freeze_all_but(self, organs: Iterable[Organ]) -> list[nn.Parameter]:
        """Freeze everything, thaw `organs` and the factors of a LoRA, return their parameters."""
        thawed = set(organs)
        chosen = []
        for path, parameter in self.named_parameters():
            learns = owner(path) in thawed or FACTOR in path
            parameter.requires_grad_(learns)
            if learns:
                chosen.append(parameter)
        return chosen

    def groups(self, stage: Stage) -> list[tuple[Organ, float, list[nn.Parameter]]]:
        """What learns, organ by organ, each with its learning rate. Call it after `freeze_all_but`."""
        learning = {organ: [p for p in self.organ(organ) if p.requires_grad] for organ in ORGANS}
        return [
            (organ, stage.organ_lr.get(organ, stage.lr), found) for organ, found in learning.items() if found
        ]

    def learned(self, stages: Sequence[Stage], *, whole: bool = False) -> set[str]:
        """Names in the state dict of all that `stages`, the last of them running or done, have changed.

        Args:
            whole: the model began from random weights, so that everything counts
        """
        if whole:
            return set(self.state_dict())
        changed = {organ for stage in stages for organ in stage.trainable}
        # A LoRA of an earlier stage is in the weights now; that of the last is beside them.
        changed |= {organ for stage in stages[:-1] if stage.lora for organ in stage.lora.targets}
        if self.clip is not None:
            changed.add("text_tower")  # random at first, whoever trains it
        return {name for name in self.state_dict() if owner(name) in changed or FACTOR in name}

    def summary(self) -> list[OrganSize]:
        """What each organ has, and what of it learns."""
        sizes = {organ: [0, 0] for organ in ORGANS}
        for path, parameter in self.named_parameters():
            count = _count(parameter)
            sizes[owner(path)][0] += count
            sizes[owner(path)][1] += count if parameter.requires_grad else 0
        return [OrganSize(organ, *size) for organ, size in sizes.items() if size[0]]


def owner(path: str) -> Organ:
    """The organ that a parameter of a `Trainee` belongs to."""
    top, _, rest = path.partition(".")
    first = rest.partition(".")[0]
    if top == "head":
        return "text_tower"
    if top == "clip":
        return "vision_tower" if first == "vision_model" else "text_tower"
    return "connector" if first == "image_newline" else next(name for name in ORGANS if name == first)


def _count(parameter: nn.Parameter) -> int:
    """Weights in it; bitsandbytes keeps two of them in a byte, and says so beside."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else math.prod(state.shape)


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
