"""What a model must do at least, in operations and bytes: what measured times are held against."""

from itertools import chain
from pathlib import Path

from torch import nn

from llavakit.checkpoint.gguf_file import read_header
from llavakit.config import LlavaConfig
from llavakit.model import Llava
from llavakit.model.shapes import shapes_only

_EMBEDDING = "token_embd.weight"
_HEAD = "output.weight"


def tower_operations(config: LlavaConfig) -> int:
    """Floating-point operations of vision tower and connector for one view, norms and the like left out."""
    vision, model = config.vision, _shapes(config)
    layer = config.feature_layer
    depth = layer if layer >= 0 else vision.num_hidden_layers + 1 + layer
    length = vision.num_patches + int(vision.kind == "clip")
    blocks = sum(_matrices(block) for block in list(model.vision_tower.encoder.layers)[:depth])
    attention = depth * 2 * length**2 * vision.hidden_size
    patch = vision.num_channels * vision.patch_size**2 * vision.hidden_size
    connector = _matrices(model.connector) * config.tokens_per_image
    return 2 * (blocks * length + attention + patch * vision.num_patches + connector)


def prefill_operations(config: LlavaConfig, tokens: int) -> int:
    """Floating-point operations of reading so many tokens, logits after the last; attention is causal."""
    language, model = config.language, _shapes(config)
    blocks = _matrices(model.language_model.layers) * tokens
    pairs = tokens * (tokens + 1) // 2
    width = language.num_attention_heads * language.head_dim
    attention = language.num_hidden_layers * 2 * pairs * width
    return 2 * (blocks + attention + language.hidden_size * language.vocab_size)


def read_bytes(config: LlavaConfig, itemsize: int) -> int:
    """Bytes of weights that one token's way through the language model reads, as our own layers hold them.

    Args:
        itemsize: bytes of a weight that is not quantised
    """
    with shapes_only():
        language = Llava(config).language_model
    table = 0 if config.language.tie_word_embeddings else language.embed_tokens.weight.numel()
    plain = sum(weight.numel() for weight in language.parameters()) - table
    packed = sum(
        kept.numel() * (itemsize if kept.is_floating_point() else kept.itemsize)
        for kept in chain(language.layers.buffers(), language.lm_head.buffers())
    )
    return plain * itemsize + packed


def gguf_read_bytes(path: Path) -> int:
    """The same of a GGUF file, as its tensors are stored."""
    tensors = read_header(path).tensors
    return sum(place.size for name, place in tensors.items() if name != _EMBEDDING or _HEAD not in tensors)


def _shapes(config: LlavaConfig) -> Llava:
    with shapes_only():
        return Llava(config.model_copy(update={"quantization": None}))


def _matrices(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim == 2)
