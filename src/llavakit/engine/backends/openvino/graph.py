"""The language model as an OpenVINO graph: `model.language.decoder.Decoder`, with paged attention.

It reads tokens of several sequences one behind the other. Its inputs:

embeds (token, hidden); cos, sin (token, 1, 1, head_dim), of each token's place in its own sequence;
rows (row,), those among the tokens whose logits are wanted; and of the paged attention (Kwon et al. 2023)
past_lens (sequence,), subsequence_begins (sequence + 1,), block_indices (block of all sequences,),
block_indices_begins (sequence + 1,), max_context_len (), and key_cache.i and value_cache.i of each layer.

Its output: logits (row, vocab).
"""

import numpy as np
import openvino as ov
from openvino import opset13 as op
from openvino.op import _PagedAttentionExtension

from llavakit.checkpoint.folder import WORDS
from llavakit.config import LanguageConfig
from llavakit.engine.backends.openvino.ops import (
    ACTIVATIONS,
    Layers,
    Node,
    cut,
    floats,
    integers,
    parameter,
    reshape,
    result,
)  # fmt: skip

BLOCK = 32  # positions in a block, as the CPU's paged attention has it


def language_graph(config: LanguageConfig, layers: Layers) -> ov.Model:
    """The decoder of `config`; its weights have the names that `Llava` gives them."""
    inputs = _Inputs(config)
    rows = parameter("rows", (-1,), ov.Type.i64)
    x = inputs.embeds
    for i in range(config.num_hidden_layers):
        _, x = _layer(x, config, layers, i, inputs)
    x = layers.rms_norm(op.gather(x, rows, integers(0)), "language_model.norm", config.rms_norm_eps)
    if config.tie_word_embeddings:
        logits = op.matmul(x, layers.matrix(WORDS), False, True)
    else:
        logits = layers.linear(x, "language_model.lm_head")
    return ov.Model([result("logits", logits)], [*inputs.parameters, rows], "language_model")


def layer_graph(config: LanguageConfig, layers: Layers, layer: int) -> ov.Model:
    """One layer alone, to look into: its outputs are self_attn and mlp, the sums after each."""
    inputs = _Inputs(config)
    outputs = _layer(inputs.embeds, config, layers, layer, inputs)
    results = [result(name, output) for name, output in zip(("self_attn", "mlp"), outputs, strict=True)]
    return ov.Model(results, inputs.parameters, "layer")


class _Inputs:
    """What every layer sees beside its hidden states, and the caches, of which each has its own."""

    def __init__(self, config: LanguageConfig) -> None:
        self.embeds = parameter("embeds", (-1, config.hidden_size))
        self.cos = parameter("cos", (-1, 1, 1, config.head_dim))
        self.sin = parameter("sin", (-1, 1, 1, config.head_dim))
        self.tables = [
            parameter(name, (-1,), ov.Type.i32)
            for name in ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins")
        ]
        self.longest = parameter("max_context_len", (), ov.Type.i32)
        self.parameters = [self.embeds, self.cos, self.sin, *self.tables, self.longest]

    def cache(self, layer: int) -> list[Node]:
        # Type and shape are chosen when the graph is compiled: they are those of the processor's kernels.
        both = [
            parameter(f"{kind}_cache.{layer}", (-1, -1, -1, -1), ov.Type.dynamic) for kind in ("key", "value")
        ]
        self.parameters += both
        return both


def _layer(x: Node, config: LanguageConfig, layers: Layers, layer: int, inputs: _Inputs) -> tuple[Node, Node]:
    name, eps = f"language_model.layers.{layer}", config.rms_norm_eps
    normed = layers.rms_norm(x, f"{name}.input_layernorm", eps)
    attended = op.add(x, _attention(normed, config, layers, layer, inputs))
    normed = layers.rms_norm(attended, f"{name}.post_attention_layernorm", eps)
    return attended, op.add(attended, _swiglu(normed, config, layers, f"{name}.mlp"))


def _attention(x: Node, config: LanguageConfig, layers: Layers, layer: int, inputs: _Inputs) -> Node:
    dim, name = config.head_dim, f"language_model.layers.{layer}.self_attn"

    def rotated(projection: str, norm: str, heads: int) -> Node:
        split = reshape(layers.linear(x, f"{name}.{projection}"), (0, heads, 1, dim))
        if config.qk_norm:
            split = layers.rms_norm(split, f"{name}.{norm}", config.rms_norm_eps)
        # Written the way that OpenVINO knows again and makes one operation of.
        first, second = cut(split, 0, dim // 2, axis=3), cut(split, dim // 2, dim, axis=3)
        turned = op.concat([op.negative(second), first], -1)
        turned = op.add(op.multiply(split, inputs.cos), op.multiply(turned, inputs.sin))
        return reshape(turned, (0, heads * dim))

    arguments = [
        rotated("q_proj", "q_norm", config.num_attention_heads),
        rotated("k_proj", "k_norm", config.num_key_value_heads),
        layers.linear(x, f"{name}.v_proj"),
        *inputs.cache(layer), *inputs.tables,
        floats(dim**-0.5), _number(config.sliding_window or 0), _none(np.float32),
        inputs.longest, *_unused(),
    ]  # fmt: skip
    paged = _PagedAttentionExtension([argument.output(0) for argument in arguments])
    for kind in "kv":
        paged.set_rt_info(config.num_key_value_heads, f"num_{kind}_heads")
        paged.set_rt_info(dim, f"{kind}_head_size")
    return layers.linear(paged.output(0), f"{name}.o_proj")


def _swiglu(x: Node, config: LanguageConfig, layers: Layers, name: str) -> Node:
    gate = ACTIVATIONS[config.hidden_act](layers.linear(x, f"{name}.gate_proj"))
    return layers.linear(op.multiply(gate, layers.linear(x, f"{name}.up_proj")), f"{name}.down_proj")


def _number(value: int) -> Node:
    return op.constant(np.array(value, dtype=np.int32))


def _none(kind: type[np.generic], rank: int = 1) -> Node:
    return op.constant(np.zeros((0,) * rank, dtype=kind))


def _unused() -> list[Node]:
    """Inputs 13 to 27, which are for what is not used here.

    Scores' aggregation, cache rotation (3), XAttention (3), sinks, adaptive eviction (4), query to query
    bias (2), image blocks: in the order of OpenVINO 2026.4's PagedAttentionExtension.
    """
    return [
        _none(np.int32), _none(np.int32), _none(np.int32), _none(np.float32), _none(np.float32),
        _number(0), _number(0), _none(np.float32, 4), _number(0), _none(np.int32), _none(np.int32),
        _none(np.int32), _none(np.int32), _none(np.uint8), _none(np.int32),
    ]  # fmt: skip
