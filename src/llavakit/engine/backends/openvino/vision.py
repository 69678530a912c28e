"""Vision tower and connector as one OpenVINO graph: `model.vision.vit.VisionTower`, then `model.connectors`.

Input: pixels (view, 3, size, size). Output: features (view, token, text).
"""

import openvino as ov
from openvino import opset13 as op
from torch import nn

from llavakit.config import LlavaConfig, VisionConfig
from llavakit.engine.backends.openvino.ops import (
    ACTIVATIONS,
    Layers,
    Node,
    cut,
    integers,
    parameter,
    reshape,
    result,
)  # fmt: skip
from llavakit.model.connectors import CONNECTORS
from llavakit.model.shapes import shapes_only


def vision_graph(config: LlavaConfig, layers: Layers) -> ov.Model:
    """The tower up to the layer that `config` takes features from, and the connector."""
    tower = config.vision
    pixels = parameter("pixels", (-1, tower.num_channels, tower.image_size, tower.image_size))
    x = _embeddings(pixels, tower, layers)
    if tower.kind == "clip":
        x = layers.layer_norm(x, "vision_tower.pre_layrnorm", tower.layer_norm_eps)
    depth = config.feature_layer
    for i in range(depth if depth >= 0 else tower.num_hidden_layers + 1 + depth):
        x = _layer(x, tower, layers, f"vision_tower.encoder.layers.{i}")
    if config.drops_first:
        x = cut(x, 1, config.tokens_per_image + 1, axis=1)
    return ov.Model([result("features", _connector(x, config, layers))], [pixels], "vision_tower")


def _embeddings(pixels: Node, config: VisionConfig, layers: Layers) -> Node:
    name, patch = "vision_tower.embeddings", config.patch_size
    kernel = layers.matrix(f"{name}.patch_embedding.weight")
    patches = op.convolution(pixels, kernel, [patch, patch], [0, 0], [0, 0], [1, 1])
    x = op.transpose(reshape(patches, (0, config.hidden_size, -1)), integers([0, 2, 1]))
    if f"{name}.patch_embedding.bias" in layers:
        x = op.add(x, layers.vector(f"{name}.patch_embedding.bias"))
    if config.kind == "clip":
        views = op.gather(op.shape_of(pixels), integers([0]), integers(0))
        shape = op.concat([views, integers([1, config.hidden_size])], 0)
        first = op.broadcast(layers.vector(f"{name}.class_embedding"), shape)
        x = op.concat([first, x], 1)
    return op.add(x, layers.vector(f"{name}.position_embedding.weight"))


def _layer(x: Node, config: VisionConfig, layers: Layers, name: str) -> Node:
    heads, eps = config.num_attention_heads, config.layer_norm_eps
    normed = layers.layer_norm(x, f"{name}.layer_norm1", eps)

    def split(projection: str) -> Node:  # (view, head, token, head_dim)
        projected = layers.linear(normed, f"{name}.self_attn.{projection}")
        return op.transpose(reshape(projected, (0, 0, heads, -1)), integers([0, 2, 1, 3]))

    seen = op.scaled_dot_product_attention(split("q_proj"), split("k_proj"), split("v_proj"), causal=False)
    merged = reshape(op.transpose(seen, integers([0, 2, 1, 3])), (0, 0, config.hidden_size))
    x = op.add(x, layers.linear(merged, f"{name}.self_attn.out_proj"))
    hidden = layers.linear(layers.layer_norm(x, f"{name}.layer_norm2", eps), f"{name}.mlp.fc1")
    return op.add(x, layers.linear(ACTIVATIONS[config.hidden_act](hidden), f"{name}.mlp.fc2"))


def _connector(x: Node, config: LlavaConfig, layers: Layers) -> Node:
    """`connectors.MLP`, of which the linear one is the shortest and identity has no layer."""
    with shapes_only():
        module = CONNECTORS[config.connector](
            config.vision.hidden_size, config.language.hidden_size, config.connector_act, True
        )
    for i, (name, _) in enumerate(n for n in module.named_children() if isinstance(n[1], nn.Linear)):
        x = layers.linear(ACTIVATIONS[config.connector_act](x) if i else x, f"connector.{name}")
    return x
