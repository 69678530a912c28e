"""What a GPU can do, and what a training step asks of it: the two halves of model FLOPs utilisation.

It knows shapes and what is trained; it does not know the loop, the data or the clock.
"""

import time
from dataclasses import dataclass

import torch
from torch import nn

from llavakit.config import LanguageConfig, LlavaConfig, TextTowerConfig, VisionConfig
from llavakit.model.connectors import CONNECTORS
from llavakit.model.shapes import shapes_only
from llavakit.train.recipe import Organ, Stage

_PROBE = 1024  # rows and columns of the matrices that a CPU is measured with
_PROBE_SECONDS = 0.15


@dataclass(frozen=True)
class GPU:
    """A kind of GPU.

    Attributes:
        memory_gb: its memory as sold, in units of 1e9 bytes; a little of it is taken by the driver
        bf16_flops: dense bfloat16 products with float32 sums, operations a second, as its maker states
            them (half of what is stated "with sparsity")
        device_names: what `torch.cuda.get_device_name` says of it, less "NVIDIA "
    """

    memory_gb: float
    bf16_flops: float
    device_names: tuple[str, ...]


# NVIDIA's data sheets; of GeForce and RTX cards the tables in the architectures' white papers (GA102, Ada,
# Blackwell: "peak BF16 tensor TFLOPS with FP32 accumulate"); of the A10G the sheet that AWS gives out.
GPUS: dict[str, GPU] = {
    "T4": GPU(16, 65e12, ("Tesla T4",)),  # of float16: Turing multiplies no bfloat16 in its tensor cores
    "A10": GPU(24, 125e12, ("A10",)),
    "A10G": GPU(24, 70e12, ("A10G",)),
    "A30": GPU(24, 165e12, ("A30",)),
    "A40": GPU(48, 149.7e12, ("A40",)),
    "A100-40": GPU(40, 312e12, ("A100-SXM4-40GB", "A100-PCIE-40GB")),
    "A100-80": GPU(80, 312e12, ("A100-SXM4-80GB", "A100 80GB PCIe")),
    "L4": GPU(24, 121e12, ("L4",)),
    "L40": GPU(48, 181e12, ("L40",)),
    "L40S": GPU(48, 362e12, ("L40S",)),
    "H100": GPU(80, 989.4e12, ("H100 80GB HBM3",)),
    "H100-PCIe": GPU(80, 756e12, ("H100 PCIe",)),
    "H100-NVL": GPU(94, 835e12, ("H100 NVL",)),
    "H200": GPU(141, 989.4e12, ("H200",)),
    "H200-NVL": GPU(141, 835e12, ("H200 NVL",)),
    "GH200": GPU(96, 989.4e12, ("GH200 480GB",)),
    "B200": GPU(180, 2250e12, ("B200",)),
    "3090": GPU(24, 71e12, ("GeForce RTX 3090",)),
    "4090": GPU(24, 165.2e12, ("GeForce RTX 4090",)),
    "5090": GPU(32, 209.5e12, ("GeForce RTX 5090",)),
    "A6000": GPU(48, 154.8e12, ("RTX A6000",)),
    "6000-Ada": GPU(48, 364.2e12, ("RTX 6000 Ada Generation",)),
}


def gpu_named(device_name: str) -> GPU | None:
    """The GPU that `torch.cuda.get_device_name` calls so; None where the table has none such (or a slice)."""
    bare = device_name.removeprefix("NVIDIA ")
    return next((gpu for gpu in GPUS.values() if bare in gpu.device_names), None)


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Operations a second that `device` can do at best in products of `precision`; None: not known.

    A GPU's is looked up (of bfloat16 only), a CPU's is measured with its present number of threads.
    """
    if device.type == "cpu":
        return _measured(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    if device.type != "cuda" or precision != "bfloat16":
        return None
    gpu = gpu_named(torch.cuda.get_device_name(device))
    return None if gpu is None else gpu.bf16_flops


def _measured(dtype: torch.dtype) -> float:
    """The best of a few products of square matrices, after one that warms up."""
    a = torch.ones(_PROBE, _PROBE, dtype=dtype)
    b = torch.ones(_PROBE, _PROBE, dtype=dtype)
    a @ b
    best, end = float("inf"), time.perf_counter() + _PROBE_SECONDS
    while (begun := time.perf_counter()) < end:
        a @ b
        best = min(best, time.perf_counter() - begun)
    return 2 * _PROBE**3 / best


@dataclass(frozen=True)
class Work:
    """What goes through a model in a step.

    Attributes:
        tokens: of the conversations, pictures' included, padding not; in CLIP's stage of all its texts
        supervised: those of them that the loss looks at
        examples: conversations, or pictures with a caption
        views: pictures that the vision tower encodes, each tile counted
        cached: pictures whose features are read from disk instead
    """

    tokens: int
    supervised: int
    examples: int
    views: int
    cached: int = 0


def step_flops(
    model: LlavaConfig,
    stage: Stage,
    work: Work,
    text_tower: TextTowerConfig | None = None,
) -> dict[Organ, float]:
    """Operations that one step of `stage` asks for, forward and backward, by organ.

    A product of (m, k) with (k, n) is 2·m·k·n. Where gradients pass through a layer it is done again
    for the gradient of its input, and where the layer learns once more for that of its weights.
    Attention is counted as if each token saw its whole conversation (as Chowdhery et al. 2022, appendix
    B, and FlopCounterMode do), all conversations being equally long. Norms, rotations, the optimiser
    and what activation checkpointing computes twice are not counted.

    Args:
        text_tower: CLIP's other half, for the contrastive objective
    """
    if stage.objective == "contrastive":
        assert text_tower is not None  # the recipe was validated
        return _contrastive(model.vision, text_tower, stage, work)
    vision, connector, language = (
        _Learning.of(organ, stage) for organ in ("vision_tower", "connector", "language_model")
    )
    pictures = work.views + work.cached
    layer = model.feature_layer
    depth = layer if layer >= 0 else model.vision.num_hidden_layers + 1 + layer
    found: dict[Organ, float] = {
        "vision_tower": work.views * _vision(model.vision, vision, depth),
        "connector": pictures * model.tokens_per_image * _connector(model, connector, vision.passes),
        "language_model": _language(
            model.language, language, language.passes or connector.passes or vision.passes, work
        ),
    }
    return {organ: flops for organ, flops in found.items() if flops}


@dataclass(frozen=True)
class _Learning:
    """How an organ learns: its own weights, or a LoRA of so many ranks beside them, or not at all."""

    weights: bool
    rank: int = 0

    @staticmethod
    def of(organ: Organ, stage: Stage) -> "_Learning":
        if stage.lora is not None and organ in stage.lora.targets:
            return _Learning(False, stage.lora.rank)
        return _Learning(organ in stage.trainable)

    @property
    def passes(self) -> bool:
        """Whether gradients pass through it."""
        return self.weights or self.rank > 0

    def linear(self, columns: int, rows: int, passes: bool) -> float:
        """One token through a linear layer (rows, columns), and its gradients back."""
        own = 2 * columns * rows * (1 + passes + self.weights)
        return own + 2 * self.rank * (columns + rows) * 3


def _language(config: LanguageConfig, learning: _Learning, passes: bool, work: Work) -> float:
    hidden, dim = config.hidden_size, config.head_dim
    heads, shared = config.num_attention_heads * dim, config.num_key_value_heads * dim
    linears = (
        (hidden, heads),
        (hidden, shared),
        (hidden, shared),
        (heads, hidden),
        (hidden, config.intermediate_size),
        (hidden, config.intermediate_size),
        (config.intermediate_size, hidden),
    )
    seen = min(work.tokens / work.examples, config.sliding_window or float("inf"))
    token = sum(learning.linear(columns, rows, passes) for columns, rows in linears)
    token += _attention(heads, seen, passes)
    # The head has no LoRA (PEFT's and the papers' way), and sees the supervised positions alone.
    head = _Learning(learning.weights).linear(hidden, config.vocab_size, passes)
    return config.num_hidden_layers * token * work.tokens + head * work.supervised


def _connector(model: LlavaConfig, learning: _Learning, tower_learns: bool) -> float:
    """One feature through the linear layers of `model.connector`, and its gradients back."""
    with shapes_only():
        connector = CONNECTORS[model.connector](
            model.vision.hidden_size, model.language.hidden_size, model.connector_act, model.connector_bias
        )
    layers = [layer for layer in connector.modules() if isinstance(layer, nn.Linear)]
    return sum(
        learning.linear(layer.in_features, layer.out_features, tower_learns or (i > 0 and learning.passes))
        for i, layer in enumerate(layers)
    )


def _vision(config: VisionConfig, learning: _Learning, depth: int) -> float:
    """One view through the first `depth` layers, and its gradients back."""
    length = config.num_patches + int(config.kind == "clip")
    pixels = config.num_channels * config.patch_size**2
    # No gradient goes to the pixels; a LoRA is on the layers of the transformer only.
    patches = config.num_patches * _Learning(learning.weights).linear(pixels, config.hidden_size, False)
    return patches + length * depth * _encoder_layer(config, learning, length)


def _encoder_layer(config: VisionConfig | TextTowerConfig, learning: _Learning, length: float) -> float:
    """One token through a layer of CLIP's towers among `length`, and its gradients back."""
    hidden, passes = config.hidden_size, learning.passes
    token = 4 * learning.linear(hidden, hidden, passes)
    token += learning.linear(hidden, config.intermediate_size, passes)
    token += learning.linear(config.intermediate_size, hidden, passes)
    return token + _attention(hidden, length, passes)


def _attention(width: int, seen: float, passes: bool) -> float:
    """One token's scores with `seen` others and the sum of their values; each product has two gradients."""
    return 4 * width * seen * (3 if passes else 1)


def _contrastive(vision: VisionConfig, text: TextTowerConfig, stage: Stage, work: Work) -> dict[Organ, float]:
    """The towers. Their projections and what patches are asked, next to nothing, are left out."""
    tower, words = _Learning.of("vision_tower", stage), _Learning.of("text_tower", stage)
    token = text.num_hidden_layers * _encoder_layer(text, words, work.tokens / work.examples)
    return {
        "vision_tower": work.views * _vision(vision, tower, vision.num_hidden_layers),
        "text_tower": work.tokens * token,
    }
