"""Weights in 8 or 4 bits: half or a quarter of the memory of 16, at a small loss.

The language model's blocks are quantised, where nearly all weights are; embeddings, head,
connector and vision tower stay as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit.errors import UsageError, nearest
from llavakit.model import Llava

_GROUP = 64  # weights that share a scale in 4 bits


_FEW = 4  # vectors up to which torch's int8 kernel for CPUs beats unpacking the weights
_LANES = 32  # it reads whole registers: a width that is no multiple of them would read beyond the end


class Int8Linear(nn.Module):
    """One signed byte a weight, one scale an output row."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = _stored(weight.abs().amax(dim=1) / 127, linear)
        levels = (weight / scale.float()[:, None]).round().clamp(-127, 127)
        self.register_buffer("weight", levels.to(torch.int8))  # (out, in)
        self.register_buffer("scale", scale)  # (out,)
        self.bias = linear.bias

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


class Int4Linear(nn.Module):
    """Two weights a byte, a scale and an offset for each `_GROUP` of them."""

    packed: Tensor
    scale: Tensor
    low: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        self.width = weight.shape[1]
        weight = F.pad(weight, (0, -self.width % _GROUP))
        groups = weight.view(weight.shape[0], -1, _GROUP)  # (out, group, weight)
        least, most = groups.aminmax(dim=2, keepdim=True)
        low, scale = least.to(linear.weight.dtype), _stored((most - least) / 15, linear)
        levels = ((groups - low.float()) / scale.float()).round().clamp(0, 15).to(torch.uint8)
        self.register_buffer("packed", levels[..., ::2] | (levels[..., 1::2] << 4))
        self.register_buffer("scale", scale)  # (out, group, 1), as `low`
        self.register_buffer("low", low)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        levels = torch.stack((self.packed & 15, self.packed >> 4), dim=-1).flatten(2)
        weight = levels.to(x.dtype) * self.scale.to(x.dtype) + self.low.to(x.dtype)
        return F.linear(x, weight.flatten(1)[:, : self.width], self.bias)


def _stored(scale: Tensor, linear: nn.Linear) -> Tensor:
    """As it will be kept: levels are counted with the rounded scale, so its rounding costs nothing."""
    number = torch.finfo(linear.weight.dtype)
    return scale.to(linear.weight.dtype).clamp(min=number.tiny * number.eps)  # the smallest that is not 0


SCHEMES: dict[str, Callable[[nn.Linear], nn.Module]] = {"int8": Int8Linear, "int4": Int4Linear}


def check_scheme(scheme: str | None) -> None:
    """Raises UsageError unless `scheme` is None or known."""
    if scheme is not None and scheme not in SCHEMES:
        raise UsageError(f"unknown quantisation {scheme!r} ({nearest(scheme, SCHEMES)})")


@torch.no_grad()
def quantise(llava: Llava, scheme: str) -> None:
    """Replace the linear layers of the language model's blocks, one at a time.

    Raises:
        UsageError: unknown scheme.
    """
    check_scheme(scheme)
    for block in llava.language_model.layers:
        for name, module in list(block.named_modules()):
            if isinstance(module, nn.Linear):
                parent, _, last = name.rpartition(".")
                setattr(block.get_submodule(parent), last, SCHEMES[scheme](module))
