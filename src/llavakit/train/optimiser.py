"""What moves the weights: AdamW, or Muon for the matrices with AdamW for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from llavakit.errors import LlavaError
from llavakit.train.recipe import Stage


@dataclass(frozen=True)
class Group:
    """Parameters with a peak learning rate of their own."""

    lr: float
    parameters: Sequence[nn.Parameter]


class Optimiser:
    """One or two of torch's optimisers, stepped as one.

    Muon (Jordan et al. 2024) makes each update of a weight matrix orthogonal, with the size AdamW's
    would have (Liu et al. 2025), so `lr` means the same for both. The small tower from scratch knew
    28 % of things after 200 steps of it, 19 % after 200 of AdamW that took 7 % less time.

    Raises:
        LlavaError: the stage asks for Muon and this torch has none.
    """

    def __init__(
        self, stage: Stage, model: nn.Module, groups: Sequence[Group], *, fused: bool = True
    ) -> None:
        matrices = _matrices(model) if stage.optimiser == "muon" else set()
        rest = [Group(g.lr, [p for p in g.parameters if p not in matrices]) for g in groups]
        chosen = [Group(g.lr, [p for p in g.parameters if p in matrices]) for g in groups]
        self.parts: list[Optimizer] = []
        if any(group.parameters for group in rest):
            self.parts.append(_adamw(stage, rest, fused))
        if any(group.parameters for group in chosen):
            self.parts.append(_muon(stage, chosen))
        self._part_of = {p: part for part in self.parts for g in part.param_groups for p in g["params"]}
        # The device can be told to let a step pass without moving anything, and nobody has to wait for it.
        self.can_hold_still = fused and not matrices

    def step(self, factor: float, hold_still: Tensor | None = None) -> None:
        """Move the weights by their gradients, and forget these.

        Args:
            factor: on each group's peak learning rate
            hold_still: a number on the device, 1 if nothing is to move (as `torch.amp.GradScaler` does)
        """
        for part in self.parts:
            if self.can_hold_still:
                part.found_inf = hold_still  # type: ignore[attr-defined]
            for group in part.param_groups:
                group["lr"] = group["peak"] * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self, parameter: nn.Parameter) -> dict[str, Any]:
        """What is remembered of a parameter: moments, and how many steps it took."""
        part = self._part_of.get(parameter)
        return {} if part is None else dict(part.state.get(parameter, {}))

    def restore(self, parameter: nn.Parameter, key: str, value: Tensor) -> None:
        """Set what `state` gave in an earlier run."""
        part = self._part_of[parameter]
        # Fused AdamW counts its steps where the parameter is, so that nobody waits; the other one does not.
        if key == "step":
            value = value.to(parameter.device if part.defaults.get("fused") else "cpu")
        part.state[parameter][key] = value


def _adamw(stage: Stage, groups: Sequence[Group], fused: bool) -> AdamW:
    """Vectors (biases, norms) are not decayed, as is usual."""
    split = [
        {"params": chosen, "weight_decay": decay, "lr": group.lr, "peak": group.lr}
        for group in groups
        for chosen, decay in (
            ([p for p in group.parameters if p.ndim >= 2], stage.weight_decay),
            ([p for p in group.parameters if p.ndim < 2], 0.0),
        )
    ]
    return AdamW([g for g in split if g["params"]], lr=stage.lr, betas=stage.betas, fused=fused)


def _muon(stage: Stage, groups: Sequence[Group]) -> Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise LlavaError(f"stage {stage.name}: Muon needs torch 2.9 or newer; set optimiser to adamw")
    split = [{"params": list(g.parameters), "lr": g.lr, "peak": g.lr} for g in groups if g.parameters]
    return torch.optim.Muon(
        split, lr=stage.lr, weight_decay=stage.weight_decay, adjust_lr_fn="match_rms_adamw"
    )


def _matrices(model: nn.Module) -> set[nn.Parameter]:
    """The weights of linear layers, less the head: one shaped like a table of tokens, tied or not."""
    tables = {module.weight.shape for module in model.modules() if isinstance(module, nn.Embedding)}
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    return {p for module in linear for p in module.parameters() if p.ndim == 2 and p.shape not in tables}
