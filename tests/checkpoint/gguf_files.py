"""GGUF files as llama.cpp's converters write them, from models of transformers.

Written after `convert_hf_to_gguf.py` and `convert_image_encoder_to_gguf.py` of llama.cpp, with nothing of
our own code, so that the reader can be tested against them.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from model.reference import IMAGE, VOCAB, hf_llava, our_names

LETTERS = [f"▁{a}" for a in "abcdefghijklmnopqrstuvwxyz"] + [*"abcdefghijklmnopqrstuvwxyz", "▁"]
LANGUAGE = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
VISION = {
    "layer_norm1": "ln1", "layer_norm2": "ln2", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.out_proj": "attn_out", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}  # fmt: skip
WHOLE = {
    "language_model.embed_tokens.weight": "token_embd.weight",
    "language_model.norm.weight": "output_norm.weight",
    "language_model.lm_head.weight": "output.weight",
    "vision_tower.embeddings.class_embedding": "v.class_embd",
    "vision_tower.embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "vision_tower.embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "vision_tower.embeddings.position_embedding.weight": "v.position_embd.weight",
    "vision_tower.pre_layrnorm.weight": "v.pre_ln.weight", "vision_tower.pre_layrnorm.bias": "v.pre_ln.bias",
    "connector.linear_1.weight": "mm.0.weight", "connector.linear_1.bias": "mm.0.bias",
    "connector.linear_2.weight": "mm.2.weight", "connector.linear_2.bias": "mm.2.bias",
}  # fmt: skip


def write(path: Path, architecture: str, values: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """Values may be pairs of a type's name and the value, tensors of a number format's name and bytes."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        if isinstance(value, tuple):
            writer.add_key_value(key, value[1], gguf.GGUFValueType[value[0]])
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for name, tensor in tensors.items():
        if isinstance(tensor, tuple):
            writer.add_tensor(name, tensor[1], raw_dtype=gguf.GGMLQuantizationType[tensor[0]])
        else:
            writer.add_tensor(name, np.ascontiguousarray(torch.as_tensor(tensor).detach().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def pieces(image: bool = True) -> list[tuple[str, float, int]]:
    """As many as the models of `reference` have words; the last one is the image token."""
    special = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    named = [(letter, -1.0 - i, 1) for i, letter in enumerate(LETTERS)]
    more = [(f"w{i}", -900.0, 1) for i in range(IMAGE - len(named) - 3)]
    return [*special, *named, *more, ("<image>", 0.0, 3)][: VOCAB if image else IMAGE]


def words(image: bool = True) -> dict[str, Any]:
    """The metadata of a tokenizer of those pieces."""
    tokens, scores, types = zip(*pieces(image), strict=True)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.scores": list(scores),
        "tokenizer.ggml.token_type": list(types),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


def permute(weights: Tensor, heads: int) -> Tensor:
    """`LlamaModel.permute` of convert_hf_to_gguf.py."""
    swapped = weights.numpy().reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return torch.from_numpy(swapped.swapaxes(1, 2).reshape(weights.shape))


def language_values(family: str, config: Any) -> tuple[str, dict[str, Any]]:
    """The architecture that llama.cpp takes a family for, and the metadata of the model."""
    architecture = {"mistral": "llama"}.get(family, family)
    text = config.language
    values: dict[str, Any] = {
        "context_length": text.max_position_embeddings,
        "embedding_length": text.hidden_size,
        "block_count": text.num_hidden_layers,
        "feed_forward_length": text.intermediate_size,
        "attention.head_count": text.num_attention_heads,
        "attention.head_count_kv": text.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": text.rms_norm_eps,
        "rope.freq_base": text.rope_theta,
    }
    if text.head_dim != text.hidden_size // text.num_attention_heads:
        values |= {"attention.key_length": text.head_dim, "attention.value_length": text.head_dim}
    if architecture == "llama":
        values["rope.dimension_count"] = text.head_dim
    return architecture, {f"{architecture}.{key}": value for key, value in values.items()} | words()


def vision_values(config: Any) -> dict[str, Any]:
    vision = config.vision
    return {
        "clip.has_text_encoder": False,
        "clip.has_vision_encoder": True,
        "clip.has_llava_projector": True,
        "clip.projector_type": "mlp",
        "clip.vision.image_size": vision.image_size,
        "clip.vision.patch_size": vision.patch_size,
        "clip.vision.embedding_length": vision.hidden_size,
        "clip.vision.feed_forward_length": vision.intermediate_size,
        "clip.vision.projection_dim": 24,
        "clip.vision.attention.head_count": vision.num_attention_heads,
        "clip.vision.attention.layer_norm_epsilon": vision.layer_norm_eps,
        "clip.vision.block_count": vision.num_hidden_layers - 1,
        "clip.vision.image_mean": [0.48145466, 0.4578275, 0.40821073],
        "clip.vision.image_std": [0.26862954, 0.26130258, 0.27577711],
        "clip.use_gelu": vision.hidden_act != "quick_gelu",
    }


def tensors(
    hf_model: Any, config: Any, architecture: str, old: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The language model's and the rest, under llama.cpp's names.

    Args:
        old: `ffn_up` and `ffn_down` of the vision tower swapped, as in all files of LLaVA-1.5
    """
    heads = {"attn_q": config.language.num_attention_heads, "attn_k": config.language.num_key_value_heads}
    model, rest = {}, {}
    for name, weight in our_names(hf_model.state_dict()).items():
        if name in WHOLE:
            (model if name.startswith("language") else rest)[WHOLE[name]] = weight
        elif name.startswith("language_model.layers."):
            _, _, block, *middle, suffix = name.split(".")
            theirs = LANGUAGE[".".join(middle)]
            if architecture == "llama" and theirs in heads:
                weight = permute(weight, heads[theirs])
            model[f"blk.{block}.{theirs}.{suffix}"] = weight
        elif name.startswith("vision_tower.encoder.layers."):
            block, *middle, suffix = name.removeprefix("vision_tower.encoder.layers.").split(".")
            theirs = VISION[".".join(middle)]
            if old and theirs.startswith("ffn"):
                theirs = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}[theirs]
            if int(block) < config.vision.num_hidden_layers - 1:
                rest[f"v.blk.{block}.{theirs}.{suffix}"] = weight
        else:
            assert "post_layernorm" in name, name
    if config.language.tie_word_embeddings:
        model.pop("output.weight", None)
    return model, rest


def converted(
    folder: Path, family: str = "llama", vision: str = "clip", *, old: bool = True, **overrides: Any
) -> tuple[Any, Path]:
    """transformers' model, and the .gguf of its language model with an mmproj beside it."""
    hf_model, config = hf_llava(family, vision, **overrides)
    architecture, values = language_values(family, config)
    model, rest = tensors(hf_model, config, architecture, old)
    write(folder / "mmproj-model-f16.gguf", "clip", vision_values(config), rest)
    return hf_model, write(folder / "model.gguf", architecture, values, model)
