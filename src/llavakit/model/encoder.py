"""The pre-norm transformer block that CLIP's two towers and SigLIP share.

Parameter names are those of transformers' CLIP and SigLIP, so weights need no renaming.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from llavakit import kernels
from llavakit.config import TextTowerConfig, VisionConfig
from llavakit.errors import UsageError, nearest
from llavakit.model.attention import attend, for_products


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI CLIP's cheap GELU: x * sigmoid(1.702 x)."""
    return kernels.gate(x, 1.702) if kernels.usable(x) else x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name; `UsageError` when there is none."""
    if name not in ACTIVATIONS:
        raise UsageError(f"unknown activation {name!r} ({nearest(name, ACTIVATIONS)})")
    return ACTIVATIONS[name]


class SelfAttention(nn.Module):
    """Multi-head self-attention with biases everywhere."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, hidden)
        self.v_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        batch, length, hidden = x.shape
        x = for_products(x)
        query, key, value = parts = [
            project(x).view(batch, length, self.heads, -1)  # (batch, token, head, head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        ]
        if kernels.usable(*parts) and kernels.takes_heads(hidden // self.heads):
            past = 0 if causal else -1
            each = zip(query, key, value, strict=True)
            attended = torch.stack([kernels.attend_many(q, k, v, past=past) for q, k, v in each])
        else:
            query, key, value = (part.transpose(1, 2) for part in parts)
            attended = attend(query, key, value, causal=causal).transpose(1, 2)
        merged: Tensor = self.out_proj(attended.reshape(batch, length, hidden))
        return merged


class FeedForward(nn.Module):
    """Two linear layers around an activation."""

    def __init__(self, hidden: int, intermediate: int, act: str) -> None:
        super().__init__()
        self.act = activation(act)
        self.fc1 = nn.Linear(hidden, intermediate)
        self.fc2 = nn.Linear(intermediate, hidden)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class EncoderLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, hidden: int, intermediate: int, heads: int, act: str, eps: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(hidden, heads)
        self.layer_norm1 = nn.LayerNorm(hidden, eps=eps)
        self.mlp = FeedForward(hidden, intermediate, act)
        self.layer_norm2 = nn.LayerNorm(hidden, eps=eps)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), causal)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Encoder(nn.Module):
    """A stack of `EncoderLayer`, as deep and wide as a tower's configuration says.

    Attributes:
        checkpoint_activations: in training, layers are computed again on the way back, see `Decoder`
    """

    checkpoint_activations = False

    def __init__(self, config: VisionConfig | TextTowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(
                config.hidden_size,
                config.intermediate_size,
                config.num_attention_heads,
                config.hidden_act,
                config.layer_norm_eps,
            )
            for _ in range(config.num_hidden_layers)
        )

    def forward(self, x: Tensor, *, causal: bool = False, depth: int | None = None) -> Tensor:
        """Run the first `depth` layers (all of them by default)."""
        for layer in self.layers[:depth]:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = checkpoint(layer, x, causal, use_reentrant=False)
            else:
                x = layer(x, causal)
        return x
