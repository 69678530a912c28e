"""Products with weights of 8 and 4 bits, said so that torch.compile makes each one kernel.

For one token, or a few, all time goes into reading weights. As a matrix product the weight would first be
written out in 16 bits; as a sum of elementwise products the compiler (inductor) unpacks each weight in
registers, on the way into the sum, and it is read once, in its 8 or 4 bits. The sums of several tokens run
over the same weights, so they share that one reading. Uncompiled, all this is slow: see `fuses`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

FEW = 8  # tokens; each is a sum of its own, in registers
_EIGHT_MILLION = 0x4B000000  # the bits of 2.0**23, whose mantissa is all 0 and counts in ones


def fuses(x: Tensor) -> bool:
    """Whether these forms suit x (..., in): it is few vectors, on a GPU, and a compiler is reading this."""
    return torch.compiler.is_compiling() and x.is_cuda and x.numel() <= FEW * x.shape[-1]


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """`Int8Linear`'s product, summed in float32.

    Args:
        x: (..., in); as many vectors as `fuses` allows
        weight: (out, in) int8
        scale: (out,)
        bias: (out,)
    """
    rows = x.reshape(-1, x.shape[-1]).float()
    sums = [(weight.float() * row).sum(1) for row in rows.unbind()]
    return _finished(torch.stack(sums) * scale.float(), bias, x)


def int4_linear(x: Tensor, packed: Tensor, scale: Tensor, zero: Tensor, bias: Tensor | None) -> Tensor:
    """`Int4Linear`'s product, summed in float32.

    Args:
        x: (..., in); as many vectors as `fuses` allows
        packed: (out, group, weight / 2) uint8, as `Int4Linear.pack` gives it
        scale, zero: (out, group, 1)
        bias: (out,)
    """
    groups, size = packed.shape[1], 2 * packed.shape[2]
    words = packed.view(torch.int32)  # (out, group, word): eight weights each, the first in the lowest bits
    # Four bits become a number by standing in a mantissa, for GPUs convert at half their speed or less (CUDA
    # programming guide, arithmetic instructions). They stay where they are, as multiples of 1, 16, 256 or
    # 4096, and x is divided by that instead.
    levels = [
        ((half & 15 << 4 * i) | _EIGHT_MILLION).view(torch.float32) - 2.0**23
        for half in (words, words >> 16)
        for i in range(4)
    ]
    zero, scale = zero.float(), scale.float()
    rows = F.pad(x.reshape(-1, x.shape[-1]), (0, groups * size - x.shape[-1])).float()
    sums = []
    for row in rows.view(len(rows), groups, -1, 2 * 4).unbind():
        parts = row.unbind(-1)
        product = -zero * sum(parts)  # the level that means 0
        for i, (level, part) in enumerate(zip(levels, parts, strict=True)):
            product = product + level * (part * 16.0 ** -(i % 4))
        sums.append((product * scale).sum((1, 2)))
    return _finished(torch.stack(sums), bias, x)


def _finished(sums: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """Sums (row, out) in the shape and type of a linear layer's output."""
    out = sums.to(x.dtype).view(*x.shape[:-1], -1)
    return out if bias is None else out + bias
