"""Weights in 8 or 4 bits: half or a quarter of the memory of 16, at a small loss.

`pack` turns a weight into the tensors that are kept; a `QuantisedLinear` is built empty, as `nn.Linear`
is on `meta`, and filled from them like any module. So a model is quantised while it loads, one layer at
a time, and a quantised folder is loaded like any other.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit.config import Quantization, Scheme

_FEW = 4  # vectors up to which torch's int8 kernel for CPUs beats unpacking the weights
_LANES = 32  # it reads whole registers: a width that is no multiple of them would read beyond the end


class QuantisedLinear(nn.Module):
    """A linear layer whose weight is the tensors of `pack`; its bias stays as it is."""

    scheme: Scheme

    def __init__(self, width: int, height: int, bias: bool, group: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        for name, kept in pack(
            torch.empty(height, width, device="meta"), self.scheme, group, torch.get_default_dtype()
        ).items():
            self.register_buffer(name, torch.empty(kept.shape, dtype=kept.dtype))
        self.bias = nn.Parameter(torch.empty(height)) if bias else None


class Int8Linear(QuantisedLinear):
    """One signed byte a weight, one scale an output row."""

    scheme = "int8"
    weight: Tensor
    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        scale = self.scale.to(x.dtype)
        rows = x.reshape(-1, x.shape[-1])
        if x.device.type == "cpu" and len(rows) <= _FEW and not any(n % _LANES for n in self.weight.shape):
            # Reads one byte a weight: 1 ms for 4096 x 4096 in bfloat16, where unpacking takes 73.
            out: Tensor = torch.ops.aten._weight_int8pack_mm(rows.contiguous(), self.weight, scale)
            out = out.view(*x.shape[:-1], -1)
            return out if self.bias is None else out + self.bias
        # Scaled before the product: sums of 127s would leave float16's range.
        return F.linear(x, self.weight.to(x.dtype) * scale[:, None], self.bias)


class Int4Linear(QuantisedLinear):
    """Two weights a byte, a scale and an offset for each group of them."""

    scheme = "int4"
    packed: Tensor
    scale: Tensor
    low: Tensor

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        levels = torch.stack((self.packed & 15, self.packed >> 4), dim=-1).flatten(2)
        weight = levels.to(x.dtype) * self.scale.to(x.dtype) + self.low.to(x.dtype)
        return F.linear(x, weight.flatten(1)[:, : self.width], self.bias)


LINEARS: dict[Scheme, type[QuantisedLinear]] = {"int8": Int8Linear, "int4": Int4Linear}


def pack(weight: Tensor, scheme: Scheme, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """What is kept of a weight (out, in).

    `int8`: `weight` (out, in) int8 and `scale` (out,).
    `int4`: `packed` (out, group, weight / 2) uint8, `scale` and `low` (out, group, 1); `in` is filled up
    to a whole number of groups. Scales and offsets are of `dtype`.
    """
    exact = weight.detach().float()
    if scheme == "int8":
        scale = _stored(exact.abs().amax(dim=1) / 127, dtype)
        levels = (exact / scale.float()[:, None]).round().clamp(-127, 127)
        return {"weight": levels.to(torch.int8), "scale": scale}
    exact = F.pad(exact, (0, -exact.shape[1] % group))
    groups = exact.view(len(exact), -1, group)  # (out, group, weight)
    least, most = groups.aminmax(dim=2, keepdim=True)
    low, scale = least.to(dtype), _stored((most - least) / 15, dtype)
    levels = ((groups - low.float()) / scale.float()).round().clamp(0, 15).to(torch.uint8)
    return {"packed": levels[..., ::2] | (levels[..., 1::2] << 4), "scale": scale, "low": low}


def _stored(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """As it will be kept: levels are counted with the rounded scale, so its rounding costs nothing."""
    number = torch.finfo(dtype)
    return scale.to(dtype).clamp(min=number.tiny * number.eps)  # the smallest that is not 0


def group_of(width: int, wanted: int) -> int:
    """`wanted`, or the largest half, quarter … of it (32 at least) that `width` is a multiple of."""
    while wanted > 32 and width % wanted:
        wanted //= 2
    return wanted


def layers_of(model: nn.Module, plan: Quantization) -> Iterator[tuple[str, nn.Linear, Scheme]]:
    """The linear layers that `plan` is about, with the scheme of each.

    The language model's blocks, where nearly all weights are, have the plan's own; the vision tower and
    the output head, which are read once a picture and once a token, never less than 8 bits. A head that
    shares the embedding's table stays with it, and so does the connector.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear) or id(module.weight) in tables:
            continue
        if name.startswith("language_model.layers."):
            yield name, module, plan.scheme
        elif (name == "language_model.lm_head" and plan.head) or (
            name.startswith("vision_tower.") and plan.vision_tower
        ):
            yield name, module, "int8"


def swap_in(model: nn.Module, plan: Quantization) -> None:
    """Put empty quantised layers in the places of those that `plan` is about."""
    for name, linear, scheme in list(layers_of(model, plan)):
        height, width = linear.weight.shape
        group = group_of(width, plan.group_size)
        parent, _, last = name.rpartition(".")
        layer = LINEARS[scheme](width, height, linear.bias is not None, group)
        setattr(model.get_submodule(parent), last, layer)
