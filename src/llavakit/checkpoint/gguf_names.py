"""Tensor names and layouts: llama.cpp's and ours.

Names are those of `gguf-py/gguf/constants.py`. Two things differ beside the names: llama.cpp's
converter reorders the rows of q and k for the architecture `llama`, whose rotary positions it
computes on neighbours instead of halves; and the older converter of vision towers swapped the names
of the feed-forward layers.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from llavakit.checkpoint.tensors import Renamed, Tensors

ROPE_FACTORS = "rope_freqs.weight"  # what Llama 3's positions are divided by; part of our configuration
_WHOLE = {
    "token_embd": "language_model.embed_tokens",
    "output_norm": "language_model.norm",
    "output": "language_model.lm_head",
    "v.patch_embd": "vision_tower.embeddings.patch_embedding",
    "v.position_embd": "vision_tower.embeddings.position_embedding",
    "v.pre_ln": "vision_tower.pre_layrnorm",
    "v.post_ln": "vision_tower.post_layernorm",
    "mm.0": "connector.linear_1",
    "mm.2": "connector.linear_2",
}
_BARE = {
    "v.class_embd": "vision_tower.embeddings.class_embedding",
    "model.image_newline": "image_newline",
    "v.image_newline": "image_newline",
}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_VISION_BLOCK = {
    "ln1": "layer_norm1",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ln2": "layer_norm2",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}
_SWAPPED = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}
_NAME = re.compile(r"(?:(v\.)?blk\.(\d+)\.)?(.+?)(\.weight|\.bias)?")


def to_ours(stored: Iterable[str], swapped: bool = False) -> dict[str, str]:
    """{our name: the name in the file}; a name that we have no word for stays as it is.

    Args:
        swapped: the vision tower's `ffn_up` and `ffn_down` are each other
    """
    return {_ours(name, swapped): name for name in stored if name != ROPE_FACTORS}


def _ours(theirs: str, swapped: bool) -> str:
    if theirs in _BARE:
        return _BARE[theirs]
    match = _NAME.fullmatch(theirs)
    if match is None or match[4] is None:
        return theirs
    vision, block, part, suffix = match.groups()
    if block is None:
        return f"{_WHOLE[part]}{suffix}" if part in _WHOLE else theirs
    if vision and swapped:
        part = _SWAPPED.get(part, part)
    table = _VISION_BLOCK if vision else _BLOCK
    home = "vision_tower.encoder.layers" if vision else "language_model.layers"
    return f"{home}.{block}.{table[part]}{suffix}" if part in table else theirs


def to_theirs(ours: str) -> str:
    """The name that llama.cpp's converter of today writes."""
    for theirs, own in _BARE.items():
        if own == ours:
            return theirs
    path, _, suffix = ours.rpartition(".")
    match = re.fullmatch(r"(vision_tower\.encoder|language_model)\.layers\.(\d+)\.(.+)", path)
    if match is None:
        return f"{_reverse(_WHOLE)[path]}.{suffix}"
    home, block, part = match.groups()
    if home == "language_model":
        return f"blk.{block}.{_reverse(_BLOCK)[part]}.{suffix}"
    return f"v.blk.{block}.{_reverse(_VISION_BLOCK)[part]}.{suffix}"


def _reverse(table: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs for theirs, ours in table.items()}


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows of q or k (head * head_dim, …) from halves, as transformers has them, to neighbours."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def halved(weight: Tensor, heads: int) -> Tensor:
    """Rows of q or k from neighbours back to halves."""
    return weight.reshape(heads, -1, 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


class Halved(Renamed):
    """Tensors under our names, q and k of the language model with their rows in our order."""

    def __init__(self, inner: Tensors, names: Mapping[str, str], heads: int, kv_heads: int) -> None:
        super().__init__(inner, names)
        self._heads = {"q_proj": heads, "k_proj": kv_heads}

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        tensor = super().read(name, dtype, device)
        return halved(tensor, heads) if (heads := rotary_heads(name, self._heads)) else tensor


def rotary_heads(name: str, heads: Mapping[str, int]) -> int | None:
    """How many heads a tensor of q or k of the language model has; None for any other tensor."""
    parts = name.split(".")
    return heads.get(parts[-2]) if name.startswith("language_model.layers.") else None
