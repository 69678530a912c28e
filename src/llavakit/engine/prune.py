"""Fewer tokens for a picture: those of its features that differ most, without training.

Pictures repeat themselves: sky, wall, road. DivPrune (Alvar et al., CVPR 2025, arXiv:2503.02175) keeps the
features whose smallest distance from each other is greatest, by the greedy solution of that problem. It
looks at the features only, so it works for whatever computes them, and before the language model reads any.
What is left out can be merged into what is kept, by likeness as LLaVA-PruMerge does (Shang et al. 2024,
arXiv:2403.15388) and with plain means as ToMe (Bolya et al., ICLR 2023, arXiv:2210.09461): the embedded
model then answers more questions, see benchmarks/image_tokens.py.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from llavakit.config import LlavaConfig
from llavakit.errors import UsageError


def prune(features: Tensor, count: int) -> Tensor:
    """A picture's features (token, hidden) -> (count, hidden): some of them, in the order they had.

    Raises:
        UsageError: there are fewer than `count`, or none is asked for.
    """
    _check(features, count)
    return features if count == len(features) else features[_most_different(features, count)]


def merge(features: Tensor, count: int) -> Tensor:
    """As `prune`, each one kept being the mean of itself and those left out that are most like it."""
    _check(features, count)
    if count == len(features):
        return features
    kept = _most_different(features, count)
    directions = F.normalize(features.float(), dim=-1)
    group = (directions @ directions[kept].T).argmax(dim=1)  # (token,): which of the kept
    group[kept] = torch.arange(count, device=features.device)  # one that is kept may have a twin
    sums = features.new_zeros(count, features.shape[1], dtype=torch.float32)
    sums.index_add_(0, group, features.float())
    return (sums / torch.bincount(group, minlength=count)[:, None]).to(features.dtype)


def _check(features: Tensor, count: int) -> None:
    if not 1 <= count <= len(features):
        raise UsageError(
            f"image_tokens is {count}: a picture has {len(features)}, keep from 1 to all of them"
        )


def image_tokens(config: LlavaConfig, wanted: int | None) -> int:
    """How many tokens a picture takes if `wanted` are to be kept; None: all.

    Raises:
        UsageError: there are not so many, or pictures are seen in tiles.
    """
    whole = config.tokens_per_image
    if wanted is None:
        return whole
    if config.tiling is not None:
        raise UsageError("image_tokens cannot be set for a model that sees pictures in tiles: leave it out")
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= whole:
        raise UsageError(f"image_tokens is {wanted!r}: it must be a whole number, 1 to this model's {whole}")
    return wanted


def _most_different(features: Tensor, count: int) -> Tensor:
    """Places (count,) of the features that are kept, ascending: Algorithm 1 of the paper."""
    directions = F.normalize(features.float(), dim=-1)
    distance = 1 - directions @ directions.T  # (token, token), of cosines: 0 to 2
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    first = distance.masked_fill(itself, torch.inf).amin(dim=1).argmax()
    kept = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    kept[first] = True
    nearest = distance[first]  # each one's distance from the nearest that is kept
    for _ in range(count - 1):
        farthest = nearest.masked_fill(kept, -torch.inf).argmax()
        kept[farthest] = True
        nearest = torch.minimum(nearest, distance[farthest])
    return kept.nonzero()[:, 0]
