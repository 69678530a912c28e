"""What the graphs of both towers are made of: constants that are the stored weights, layers, activations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as op
from torch import Tensor

from llavakit.checkpoint.tensors import Tensors

Node = Any  # an OpenVINO node, or one of its outputs

_TYPES = {
    torch.float32: ov.Type.f32, torch.float16: ov.Type.f16, torch.bfloat16: ov.Type.bf16,
    torch.int8: ov.Type.i8, torch.uint8: ov.Type.u8,
}  # fmt: skip


def floats(values: Any) -> Node:
    return op.constant(np.asarray(values, dtype=np.float32))


def integers(values: Any) -> Node:
    return op.constant(np.asarray(values, dtype=np.int64))


def reshape(x: Node, shape: Sequence[int]) -> Node:
    """0 keeps a dimension, -1 takes what is left."""
    return op.reshape(x, integers(shape), True)


def cut(x: Node, first: int, end: int, axis: int) -> Node:
    """From `first` to before `end` along an axis."""
    return op.slice(x, integers([first]), integers([end]), integers([1]), integers([axis]))


class Layers:
    """Layers of a graph, by the names of their weights.

    A weight's constant is the memory that `Tensors.read` gave, mapped where that is; OpenVINO does not
    keep it alive, so whoever runs the graph keeps `held`.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors, self._names = tensors, set(tensors)
        self.held: list[Tensor] = []

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def vector(self, name: str) -> Node:
        """A small tensor, in float32."""
        return op.constant(self._tensors.read(name, torch.float32).contiguous().numpy())

    def linear(self, x: Node, name: str) -> Node:
        """(…, in) -> (…, out) through `name`, in whichever bits its weight is (`model.quantised`)."""
        if f"{name}.packed" in self:
            x, weight = self._int4(x, name)
        elif f"{name}.scale" in self:
            scale = self._scale(f"{name}.scale", (-1, 1))
            weight = op.multiply(op.convert(self._stored(f"{name}.weight"), "f32"), scale)
        else:
            weight = self.matrix(f"{name}.weight")
        out = op.matmul(x, weight, False, True)
        return op.add(out, self.vector(f"{name}.bias")) if f"{name}.bias" in self else out

    def matrix(self, name: str) -> Node:
        """A weight of 16 or 32 bits, as it is stored, read as float32."""
        stored = self._stored(name)
        if stored.get_element_type() == ov.Type.f32:
            return stored
        wide = op.convert(stored, "f32")
        wide.set_rt_info(True, "decompression_0")  # else it is computed once, and kept
        return wide

    def rms_norm(self, x: Node, name: str, eps: float) -> Node:
        mean = op.reduce_mean(op.power(x, floats(2)), integers([-1]), True)
        inverse = op.divide(floats(1), op.sqrt(op.add(mean, floats(eps))))
        return op.multiply(op.multiply(x, inverse), self.vector(f"{name}.weight"))

    def layer_norm(self, x: Node, name: str, eps: float) -> Node:
        normed = op.mvn(x, integers([-1]), True, eps, "inside_sqrt")
        return op.add(op.multiply(normed, self.vector(f"{name}.weight")), self.vector(f"{name}.bias"))

    def _int4(self, x: Node, name: str) -> tuple[Node, Node]:
        """The input, filled up to a whole number of groups, and the weight."""
        packed = self._read(f"{name}.packed")
        height, groups, half = packed.shape
        levels = self._constant(packed, ov.Type.u4, (height, groups, 2 * half))
        zero = op.convert(self._stored(f"{name}.zero"), "f32")
        weight = op.multiply(op.subtract(op.convert(levels, "f32"), zero), self._scale(f"{name}.scale"))
        width = groups * 2 * half
        given = (x if isinstance(x, ov.Output) else x.output(0)).get_partial_shape()
        if missing := width - given[len(given) - 1].get_length():
            none = [0] * (len(given) - 1)
            x = op.pad(x, integers([*none, 0]), integers([*none, missing]), "constant")
        return x, op.reshape(weight, integers((height, width)), False)

    def _scale(self, name: str, shape: Sequence[int] | None = None) -> Node:
        scale = self._read(name)
        if scale.dtype == torch.bfloat16:  # the fused kernels know scales in float16 and float32
            scale = scale.float()
        if shape is not None:
            scale = scale.reshape(*shape)
        stored = self._constant(scale, _TYPES[scale.dtype], scale.shape)
        return stored if scale.dtype == torch.float32 else op.convert(stored, "f32")

    def _stored(self, name: str) -> Node:
        tensor = self._read(name)
        return self._constant(tensor, _TYPES[tensor.dtype], tensor.shape)

    def _read(self, name: str) -> Tensor:
        return self._tensors.read(name).contiguous()

    def _constant(self, tensor: Tensor, kind: ov.Type, shape: Sequence[int]) -> Node:
        self.held.append(tensor)
        raw = tensor.view(torch.uint8).numpy()  # numpy has no bfloat16, and no 4 bits
        return op.constant(ov.Tensor(raw, ov.Shape(list(shape)), kind), shared_memory=True)


def _quick_gelu(x: Node) -> Node:
    return op.multiply(x, op.sigmoid(op.multiply(x, floats(1.702))))


# The names of `model.encoder.ACTIVATIONS`.
ACTIVATIONS: dict[str, Callable[[Node], Node]] = {
    "quick_gelu": _quick_gelu,
    "gelu": lambda x: op.gelu(x, "erf"),
    "gelu_pytorch_tanh": lambda x: op.gelu(x, "tanh"),
    "silu": op.swish,
}


def parameter(name: str, shape: Sequence[int], kind: ov.Type = ov.Type.f32) -> Node:
    """An input of the graph; -1: any size."""
    node = op.parameter(ov.PartialShape(list(shape)), kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def result(name: str, node: Node) -> Node:
    """An output of the graph."""
    node.output(0).get_tensor().set_names({name})
    return op.result(node)
