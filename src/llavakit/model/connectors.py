"""Connectors: patch features -> the language model's word-embedding space.

The paper's W (Liu et al. 2023, section 4.1) is `linear`; LLaVA-1.5 uses `mlp2x_gelu`.
Parameter names are those of transformers' `multi_modal_projector`.
"""

from collections.abc import Callable

from torch import Tensor, nn

from llavakit.errors import UsageError
from llavakit.model.encoder import activation


class Identity(nn.Module):
    """Features as they are; the two widths must agree."""

    def __init__(self, vision: int, text: int, act: str, bias: bool) -> None:
        super().__init__()
        if vision != text:
            raise UsageError(f"connector 'identity' needs equal widths, got vision {vision} and text {text}")

    def forward(self, features: Tensor) -> Tensor:
        return features


class Linear(nn.Module):
    """One linear layer."""

    def __init__(self, vision: int, text: int, act: str, bias: bool) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(vision, text, bias=bias)

    def forward(self, features: Tensor) -> Tensor:  # (..., vision) -> (..., text)
        out: Tensor = self.linear_1(features)
        return out


class MLP(nn.Module):
    """`depth` linear layers with an activation between each two."""

    def __init__(self, vision: int, text: int, act: str, bias: bool, depth: int) -> None:
        super().__init__()
        self.act = activation(act)
        self.depth = depth
        for i in range(1, depth + 1):
            self.add_module(f"linear_{i}", nn.Linear(vision if i == 1 else text, text, bias=bias))

    def forward(self, features: Tensor) -> Tensor:  # (..., vision) -> (..., text)
        x = features
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"linear_{i}")(x if i == 1 else self.act(x))
        return x


def _mlp(depth: int) -> Callable[[int, int, str, bool], nn.Module]:
    return lambda vision, text, act, bias: MLP(vision, text, act, bias, depth)


# What each is called with: vision width, text width, activation, bias.
CONNECTORS: dict[str, Callable[[int, int, str, bool], nn.Module]] = {
    "identity": Identity,
    "linear": Linear,
    "mlp2x_gelu": _mlp(2),
    "mlp3x_gelu": _mlp(3),
    "mlp4x_gelu": _mlp(4),
}
