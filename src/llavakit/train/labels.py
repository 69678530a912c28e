"""What patches are asked while a tower learns, and how far off their answers are."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit.data.contrast import UNASKED, Labels

_NOTHING = 0.1  # what a cell with nothing in it weighs: there are ten times as many and more


class LabelHead(nn.Module):
    """Answers of single patches to each label. It learns beside the tower, and is forgotten with its stage.

    Args:
        width: of the tower's features
    """

    def __init__(self, labels: Labels, width: int) -> None:
        super().__init__()
        self.labels = dict(labels)
        self.norm = nn.LayerNorm(width)
        outputs = sum(label.outputs for label in labels.values())
        # No nn.Linear, whose weights Muon would move: it is not for outputs (Jordan et al. 2024).
        self.weight = nn.Parameter(torch.zeros(outputs, width))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def scores(self, features: Tensor) -> dict[str, Tensor]:
        """(image, patch, width) -> by label (image, patch, cell, class)."""
        every = F.linear(self.norm(features), self.weight, self.bias)
        parts = torch.split(every, [label.outputs for label in self.labels.values()], dim=-1)
        return {
            name: part.reshape(*part.shape[:-1], -1, len(label.classes))
            for (name, label), part in zip(self.labels.items(), parts, strict=True)
        }

    def forward(self, features: Tensor, answers: Mapping[str, Tensor]) -> Tensor:
        """The labels' mean cross-entropies, weighed and added up; a label that nobody is asked adds nothing.

        Args:
            features: (image, patch, width)
            answers: by label, (image, patch, cell)
        """
        total = features.new_zeros((), dtype=torch.float32)
        for name, scores in self.scores(features).items():
            label, wanted = self.labels[name], answers[name].flatten()
            weights = torch.ones(len(label.classes), device=scores.device)
            if label.cells is not None:
                weights[0] = _NOTHING
            logits = scores.flatten(0, -2).float()
            off = F.cross_entropy(logits, wanted, weights, ignore_index=UNASKED, reduction="sum")
            asked = (weights[wanted.clamp(min=0)] * (wanted != UNASKED)).sum()
            total = total + label.weight * off / asked.clamp(min=1)
        return total
