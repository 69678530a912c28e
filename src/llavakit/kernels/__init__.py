"""What PyTorch is slow at on a CPU: products with weights of 8 and 4 bits, attention, what stands between.

The C beside this is compiled for the very processor, once (`build`), and works on the tensors' own memory.
Everything here takes bfloat16 and gives bfloat16; who wants it exact computes in float32, in PyTorch.
"""

import ctypes
import math

import torch
from torch import Tensor

from llavakit.config import Quantization
from llavakit.errors import LlavaError
from llavakit.kernels.build import library

_SCALES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2}
_CHUNK = 128  # numbers: what the C handles at a time
_FEW = 6  # vectors up to which dot products are faster than panels
# Numbers of the input that share a scale beside weights of 8 bits. Planted outliers put the logits of two
# layers of a 7B's width off by .04 through the weights alone: the inputs decide, so that they are in small
# groups. Weights of 4 bits (.47) have groups of their own, which their inputs take over.
_UNIT = 64
_WIDEST = 256  # head_dim


def usable(*inputs: Tensor) -> bool:
    """Whether the kernels take these: bfloat16, on a CPU that has them, nothing to be learned.

    Under autocast some of a product's inputs may have 16 bits and others 32: name all that are passed on.
    """
    if any(x.dtype != torch.bfloat16 or x.device.type != "cpu" for x in inputs):
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return library() is not None


def take(plan: Quantization) -> bool:
    """Whether weights of this plan are for the kernels, and these are to be had here."""
    ours = plan.scheme == "int8" or (plan.scheme == "int4" and takes_groups(plan.group_size))
    return ours and library() is not None


def takes_groups(group: int) -> bool:
    """Whether 4-bit weights may share scales in groups of so many."""
    return group in (32, 64, _CHUNK)


def linear4(x: Tensor, packed: Tensor, scale: Tensor, zero: Tensor, bias: Tensor | None) -> Tensor:
    """(…, in) -> (…, out) through the tensors of `Int4Linear`; the input is rounded to 8 bits.

    Raises:
        LlavaError: memory ran out.
    """
    return _linear(x, 4, packed, scale, zero, 2 * packed.shape[2], bias)


def linear8(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """(…, in) -> (…, out) through the tensors of `Int8Linear`; the input is rounded to 8 bits.

    Raises:
        LlavaError: memory ran out.
    """
    return _linear(x, 8, weight, scale, None, _UNIT, bias)


def _linear(
    x: Tensor, bits: int, weight: Tensor, scale: Tensor, zero: Tensor | None, group: int, bias: Tensor | None
) -> Tensor:
    grain = 1 if bits == 8 else group  # the last group of a layer may not be full
    if weight.shape[1] != -(-x.shape[-1] // grain):
        raise ValueError(f"{x.shape[-1]} numbers into a layer that takes {weight.shape[1] * grain}")
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).contiguous()
    out = x.new_empty((len(rows), len(weight)))
    if bias is not None:
        bias = bias.to(x.dtype)
    failed = _library().llavakit_linear(
        len(rows), len(weight), rows.shape[1], _at(rows), bits, _at(weight), _at(scale),
        _SCALES[scale.dtype], _at(zero), group, _at(bias), _at(out), _FEW, torch.get_num_threads(),
    )  # fmt: skip
    _check(failed)
    return out.view(*x.shape[:-1], len(weight))


def takes_heads(dim: int) -> bool:
    """Whether `attend_one` and `attend_many` know heads of so many numbers."""
    return dim % 16 == 0 and dim <= _WIDEST


def attend_one(query: Tensor, keys: Tensor, values: Tensor, slots: Tensor, lengths: Tensor) -> Tensor:
    """What one new token in each of several sequences sees.

    Args:
        query: (row, head, head_dim)
        keys, values: the pool, (slot, kv_head, head_dim)
        slots: (row, position) int64, where the positions that a row sees stand in the pool
        lengths: (row,) int64, how many of them count

    Raises:
        LlavaError: memory ran out.
    """
    query = query.contiguous()
    out = torch.empty_like(query)
    if not len(query):
        return out
    count, heads, dim = query.shape
    failed = _library().llavakit_attend_one(
        count, heads, keys.shape[1], dim, slots.shape[1], _at(query), _at(keys), _at(values), _at(slots),
        _at(lengths), ctypes.c_float(dim**-0.5), _at(out), torch.get_num_threads(),
    )  # fmt: skip
    _check(failed)
    return out


def attend_many(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Tensor | None = None,
    past: int = -1,
    window: int | None = None,
) -> Tensor:
    """What several tokens of one sequence see, (token, head, head_dim).

    Args:
        query: (token, head, head_dim)
        keys, values: (slot, kv_head, head_dim)
        slots: (position,) int64, where positions stand; None: at 0, 1, 2 …
        past: positions before the first token: each sees itself and what is before; -1: all see all
        window: how many positions back a token sees, itself included

    Raises:
        LlavaError: memory ran out.
    """
    query, keys, values = _lined(query), _lined(keys), _lined(values)
    if keys.stride() != values.stride():
        keys, values = keys.contiguous(), values.contiguous()
    tokens, heads, dim = query.shape
    out = torch.empty((tokens, heads, dim), dtype=query.dtype)
    failed = _library().llavakit_attend_many(
        tokens, heads, keys.shape[1], dim, len(keys) if slots is None else len(slots), past, window or 0,
        _at(query), ctypes.c_size_t(query.stride(0)), _at(keys), _at(values), ctypes.c_size_t(keys.stride(0)),
        _at(slots), ctypes.c_float(dim**-0.5), _at(out), torch.get_num_threads(),
    )  # fmt: skip
    _check(failed)
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`RMSNorm` of (…, width)."""
    x, out = x.contiguous(), torch.empty(x.shape, dtype=x.dtype)
    _library().llavakit_rms_norm(
        x.numel() // x.shape[-1], x.shape[-1], _at(x), _at(weight), ctypes.c_float(eps), _at(out),
        torch.get_num_threads(),
    )  # fmt: skip
    return out


def gate(x: Tensor, slope: float = 1.0, other: Tensor | None = None) -> Tensor:
    """x * sigmoid(slope * x) * other: SiLU, or quick GELU, and SwiGLU's product after it."""
    x, out = x.contiguous(), torch.empty(x.shape, dtype=x.dtype)
    other = None if other is None else other.contiguous()  # held until the call is over
    _library().llavakit_gate(
        ctypes.c_int64(x.numel()),
        _at(x),
        ctypes.c_float(slope),
        _at(other),
        _at(out),
        torch.get_num_threads(),
    )
    return out


def takes_turns(dim: int) -> bool:
    """Whether `rotate` knows heads of so many numbers."""
    return dim % 32 == 0


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`rope.rotate`: x (batch, head, token, head_dim), cos and sin (batch, 1, token, head_dim)."""
    lined = x.transpose(1, 2).contiguous()
    batch, tokens, heads, dim = lined.shape
    out = torch.empty_like(lined)
    angles = [part.expand(batch, 1, tokens, dim).contiguous() for part in (cos, sin)]
    _library().llavakit_rotate(
        batch * tokens, heads, dim, _at(lined), *map(_at, angles), _at(out), torch.get_num_threads()
    )
    return out.transpose(1, 2)


def _lined(x: Tensor) -> Tensor:
    """(token, head, head_dim) with the heads of a token one behind the other."""
    return x if x.stride()[1:] == (x.shape[2], 1) else x.contiguous()


def _library() -> ctypes.CDLL:
    found = library()
    assert found is not None, "ask `usable` first"
    return found


def _at(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _check(failed: int) -> None:
    if failed:
        raise LlavaError("memory ran out within a kernel: take fewer or shorter conversations at a time")
