"""One decoder for the Llama family: Llama, Vicuna, Mistral, Qwen2, Qwen3 (see `LanguageConfig`).

It knows embeddings, positions and a mask; which cache holds its past is the engine's affair.
Parameter names are those of transformers' `LlamaModel`, with `lm_head` beside them.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from llavakit import kernels
from llavakit.config import LanguageConfig
from llavakit.model.attention import attend, for_products, product_type
from llavakit.model.encoder import activation
from llavakit.model.language.packing import Packing
from llavakit.model.language.rope import rope_frequencies, rotate


class Cache(Protocol):
    """Where keys and values of earlier tokens are kept."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store new keys and values (batch, kv_head, token, head_dim); what the queries (batch, head,
        token, head_dim) see of them and of those before."""
        ...


class RMSNorm(nn.Module):
    """x / rms(x) * weight, in float32 whatever x is (as Llama does)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if kernels.usable(x, self.weight):
            return kernels.rms_norm(x, self.weight, self.eps)
        normed = F.rms_norm(x.float(), x.shape[-1:], eps=self.eps)
        return self.weight * normed.to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        hidden, dim, bias = config.hidden_size, config.head_dim, config.qkv_bias
        self.layer, self.dim = layer, dim
        self.q_proj = nn.Linear(hidden, config.num_attention_heads * dim, bias=bias)
        self.k_proj = nn.Linear(hidden, config.num_key_value_heads * dim, bias=bias)
        self.v_proj = nn.Linear(hidden, config.num_key_value_heads * dim, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * dim, hidden, bias=False)
        if config.qk_norm:
            self.q_norm = RMSNorm(dim, config.rms_norm_eps)
            self.k_norm = RMSNorm(dim, config.rms_norm_eps)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor | Packing | None, cache: Cache | None
    ) -> Tensor:
        query, key, value = self.project(x, rope)
        if cache is not None:
            attended = cache.attend(self.layer, query, key, value)
        elif isinstance(mask, Packing):
            attended = mask.attend(query, key, value)
        else:
            attended = attend(query, key, value, mask, causal=mask is None)
        return self.merge(attended)

    def project(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, token, hidden) -> query, key and value (batch, head, token, head_dim), turned."""
        batch, length, _ = x.shape
        x = for_products(x)
        query = self.q_proj(x).view(batch, length, -1, self.dim)  # (batch, token, head, head_dim)
        key = self.k_proj(x).view(batch, length, -1, self.dim)
        value = self.v_proj(x).view(batch, length, -1, self.dim)
        if hasattr(self, "q_norm"):
            query, key = self.q_norm(query), self.k_norm(key)
        query = rotate(query.transpose(1, 2), *rope)
        key = rotate(key.transpose(1, 2), *rope)
        return query, key, value.transpose(1, 2)

    def merge(self, attended: Tensor) -> Tensor:
        """What the heads saw, (batch, head, token, head_dim) -> (batch, token, hidden)."""
        merged: Tensor = self.o_proj(attended.transpose(1, 2).flatten(2))
        return merged


class SwiGLU(nn.Module):
    """down(act(gate(x)) * up(x))."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.act = activation(config.hidden_act)
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = for_products(x)
        gate, up = self.gate_proj(x), self.up_proj(x)
        gated = (
            kernels.gate(gate, 1.0, up)
            if self.act is F.silu and kernels.usable(gate, up)
            else self.act(gate) * up
        )
        out: Tensor = self.down_proj(gated)
        return out


class DecoderLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = SwiGLU(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor | Packing | None, cache: Cache | None
    ) -> Tensor:
        return self.finish(x, self.self_attn(self.input_layernorm(x), rope, mask, cache))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """What comes after attention; both (batch, token, hidden)."""
        x = x + attended
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """embeddings (batch, token, hidden) -> final hidden states of the same shape.

    Attributes:
        checkpoint_activations: in training, a layer keeps its input alone and is computed again on the way
            back (Chen et al. 2016): a third more arithmetic for a small part of the memory
    """

    checkpoint_activations = False
    frequencies: Tensor

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.reset_buffers()
        self.tie()

    def reset_buffers(self, device: torch.device | str | None = None) -> None:
        """Compute what is derived from the config and never stored (also after building on `meta`).

        Kept off the buffer list so that casting the model to bf16 leaves the angles in float32.
        """
        with torch.device(device if device is not None else "cpu"):
            self.frequencies, self.rope_factor = rope_frequencies(self.config)

    def tie(self) -> None:
        """Make the head share the embedding's weights where the config says so."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        mask: Tensor | Packing | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Run the layers.

        Args:
            embeds: (batch, token, hidden)
            positions: (batch, token), each token's place in its own sequence
            mask: (batch, 1, token, key) bool, True where a query may look; None: plain causal; for a batch
                of one row, several sequences in it
            cache: earlier keys and values, which then knows who may look at whom
        """
        rope = self.angles(positions, product_type(embeds))  # as transformers: in the type of what is turned
        x = embeds
        for layer in self.layers:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = checkpoint(layer, x, rope, mask, cache, use_reentrant=False)
            else:
                x = layer(x, rope, mask, cache)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., hidden) -> (..., vocab)."""
        out: Tensor = self.lm_head(hidden)
        return out

    def angles(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines that turn queries and keys at positions (batch, token), see `rotate`."""
        if self.frequencies.device != positions.device:
            self.frequencies = self.frequencies.to(positions.device)
        angles = positions[:, None, :, None].float() * self.frequencies  # (batch, 1, token, head_dim / 2)
        angles = torch.cat((angles, angles), dim=-1)
        return (angles.cos() * self.rope_factor).to(dtype), (angles.sin() * self.rope_factor).to(dtype)


def causal_mask(queries: Tensor, keys: Tensor, window: int | None, valid: Tensor | None = None) -> Tensor:
    """Who may look at whom: (batch, 1, query, key) bool.

    Args:
        queries, keys: positions, (batch, query) and (batch, key)
        window: how many keys back a query sees, itself included (Mistral)
        valid: (batch, key), False at padding
    """
    distance = queries[:, :, None] - keys[:, None, :]
    allowed = distance >= 0
    if window is not None:
        allowed &= distance < window
    if valid is not None:
        allowed &= valid[:, None, :]
    return allowed[:, None]
