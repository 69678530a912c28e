"""A source of 16 or 32 bits becomes one of 8 or 4: weights are packed as they are read."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from llavakit.checkpoint.source import Source
from llavakit.checkpoint.tensors import Tensors, Wrapped
from llavakit.config import Quantization, Scheme
from llavakit.errors import UsageError
from llavakit.model import Llava
from llavakit.model.quantised import LINEARS, Kept, group_of, layers_of
from llavakit.model.shapes import shapes_only


def quantised(source: Source, plan: Quantization) -> Source:
    """`source` with its linear layers in the bits of `plan`.

    Raises:
        UsageError: its weights are quantised already, in another way.
    """
    there = source.said.config.quantization
    if there == plan:
        return source
    if there is not None:
        raise UsageError(
            f"{source.said.folder} is quantised to {there.scheme} already: start from the model as published"
        )
    with shapes_only():
        model = Llava(source.said.config)
    schemes = {name: scheme for name, _, scheme in layers_of(model, plan)}
    config = source.said.config.model_copy(update={"quantization": plan})
    return replace(
        source,
        said=replace(source.said, config=config),
        tensors=Packed(source.tensors, schemes, plan.group_size),
    )


class Packed(Wrapped):
    """`inner`, with what `pack` makes of their weights in the place of the layers in `schemes`."""

    def __init__(self, inner: Tensors, schemes: dict[str, Scheme], group_size: int) -> None:
        super().__init__(inner)
        self._schemes, self._group_size = schemes, group_size
        self._layer: dict[str, str] = {}  # a packed tensor -> its layer
        self._kept: Kept = {}
        self._packed: dict[str, Tensor] = {}  # of the layer read last: its parts are asked for in a row
        for name in inner:
            layer = name.removesuffix(".weight")
            if name == f"{layer}.weight" and layer in schemes:
                height, width = inner.shape(name)
                kind, group = LINEARS[schemes[layer]], group_of(width, group_size)
                parts = kind.kept(width, height, group, inner.dtype(name))
                self._kept |= {f"{layer}.{part}": kept for part, kept in parts.items()}
                self._layer |= dict.fromkeys((f"{layer}.{part}" for part in parts), layer)

    def __iter__(self) -> Iterator[str]:
        yield from self._layer
        yield from (name for name in self._inner if name.removesuffix(".weight") not in self._schemes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._kept[name][0] if name in self._kept else self._inner.shape(name)

    def dtype(self, name: str) -> torch.dtype:
        return self._kept[name][1] if name in self._kept else self._inner.dtype(name)

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        if name not in self._layer:
            return self._inner.read(name, dtype, device)
        if name not in self._packed:
            layer = self._layer[name]
            weight = f"{layer}.weight"
            self._packed = self._pack(layer, self._inner.read(weight), self._inner.dtype(weight))
        return self._packed.pop(name).to(device=device, dtype=dtype)

    def told(self, name: str) -> str:
        layer = self._layer.get(name)
        return self._inner.told(name if layer is None else f"{layer}.weight")

    def _pack(self, layer: str, weight: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        group = group_of(weight.shape[1], self._group_size)
        parts = LINEARS[self._schemes[layer]].pack(weight, group, dtype)
        return {f"{layer}.{part}": tensor for part, tensor in parts.items()}
