"""Weights in llama.cpp's number formats: which tensor gets which, and the two that `gguf` cannot write.

What gets more bits, and what a width that does not divide becomes, follows llama.cpp's
`src/llama-quant.cpp`. The blocks of Q4_K and Q6_K are those of ggml's `ggml-common.h`; their scales are
found by least squares, a choice of ours.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from llavakit.checkpoint.gguf_file import library

SCHEMES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_k")
_PACKED = ("q8_0", "q4_0", "q4_k")
# What a file calls itself; q4_k mixes formats as llama.cpp's Q4_K_M does.
FILE_TYPE = {
    "f32": "ALL_F32",
    "f16": "MOSTLY_F16",
    "bf16": "MOSTLY_BF16",
    "q8_0": "MOSTLY_Q8_0",
    "q4_0": "MOSTLY_Q4_0",
    "q4_k": "MOSTLY_Q4_K_M",
}
_PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_BLOCK = 256  # weights in a block of Q4_K and Q6_K, which is 8 groups of 32 or 16 of 16
_CHUNK = 4096  # blocks quantised at a time: a million weights
_TRIES = 8  # scales tried for a group


def choose_kind(name: str, shape: tuple[int, ...], scheme: str, layers: int, tied: bool) -> str:
    """The number format of the tensor that llama.cpp calls `name`.

    Args:
        layers: of the language model
        tied: the embedding is the output head too
    """
    if len(shape) == 1:
        return "F32"  # norms, biases: small, and everything depends on them
    kind = scheme.upper()
    is_head = name == ("token_embd.weight" if tied else "output.weight")
    if (scheme in ("q4_0", "q4_k") and is_head) or (scheme == "q4_k" and _deserves_more(name, layers)):
        kind = "Q6_K"
    if shape[-1] % _BLOCK:
        kind = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}.get(kind, kind)
    if scheme in _PACKED and shape[-1] % 32:
        kind = "F16"
    return kind


def _deserves_more(name: str, layers: int) -> bool:
    """Values and feed-forward outputs of the first and last eighth of the layers, and every third between."""
    _, _, part = name.partition(".attn_v.") if ".attn_v." in name else name.partition(".ffn_down.")
    if part != "weight":
        return False
    layer = int(name.split(".")[1])
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def stored_bytes(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """The shape of a tensor's bytes in its file."""
    gguf = library()
    return tuple(gguf.quants.quant_shape_to_byte_shape(shape, gguf.GGMLQuantizationType[kind]))


def pack(weight: Tensor, kind: str) -> np.ndarray:
    """`weight` as the bytes of a number format, of the shape that `stored_bytes` gives."""
    if kind in _PLAIN:
        return weight.to(_PLAIN[kind]).contiguous().view(torch.uint8).numpy()
    exact = weight.float().contiguous()
    if kind in _OURS:
        blocks = torch.split(exact.view(-1, _BLOCK), _CHUNK)
        ours = torch.cat([_OURS[kind](block) for block in blocks])
        return ours.numpy().reshape(stored_bytes(tuple(weight.shape), kind))
    gguf = library()
    theirs: np.ndarray = gguf.quantize(exact.numpy(), gguf.GGMLQuantizationType[kind])
    return theirs


def _q4_k(x: Tensor) -> Tensor:
    """(block, 256) -> (block, 144): each of 8 groups is scale * (0 … 15) - offset, both in 6 bits."""
    x = x.view(-1, 8, 32)
    scale, offset = _fit_affine(x)
    d, scales = _in_steps(scale, scale.amax(1) / 63, 63)  # (block), (block, group)
    d_offset, offsets = _in_steps(offset, offset.amax(1) / 63, 63)
    step, shift = d[:, None] * scales, d_offset[:, None] * offsets
    numbers = _divided(x + shift[..., None], step[..., None]).round().clamp(0, 15).to(torch.uint8)
    scales, offsets = scales.to(torch.uint8), offsets.to(torch.uint8)
    six_bits = torch.cat(
        [
            scales[:, :4] | (scales[:, 4:] >> 4) << 6,
            offsets[:, :4] | (offsets[:, 4:] >> 4) << 6,
            (scales[:, 4:] & 15) | (offsets[:, 4:] & 15) << 4,
        ],
        dim=1,
    )
    halves = numbers.view(-1, 4, 2, 32)
    nibbles = halves[:, :, 0] | halves[:, :, 1] << 4
    return torch.cat([_half(d), _half(d_offset), six_bits, nibbles.flatten(1)], dim=1)


def _q6_k(x: Tensor) -> Tensor:
    """(block, 256) -> (block, 210): each of 16 groups is scale * (-32 … 31), the scale in 8 bits."""
    x = x.view(-1, 16, 16)
    scale = _fit_scale(x)
    largest = scale.gather(1, scale.abs().argmax(1, keepdim=True))[:, 0]
    d, scales = _in_steps(scale, largest / -128, 127)
    step = (d[:, None] * scales)[..., None]
    numbers = (_divided(x, step).round().clamp(-32, 31) + 32).to(torch.uint8)
    halves = numbers.view(-1, 2, 4, 32)  # (block, half, quarter, 32)
    low, high = halves & 15, halves >> 4
    low = low[:, :, :2] | low[:, :, 2:] << 4
    high = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    signed = scales.to(torch.int8).view(torch.uint8)
    return torch.cat([low.flatten(1), high.flatten(1), signed, _half(d)], dim=1)


_OURS: dict[str, Callable[[Tensor], Tensor]] = {"Q4_K": _q4_k, "Q6_K": _q6_k}


def _fit_affine(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and offset >= 0 of each group (…, group, 32), with scale * (0 … 15) - offset near it.

    Rounding to steps of several widths suggests numbers; to each, least squares gives scale and offset.
    """
    low, high = x.amin(-1).clamp(max=0), x.amax(-1)
    count, total = x.shape[-1], x.sum(-1)
    best_scale, best_offset = (high - low) / 15, -low
    least = torch.full_like(low, torch.inf)
    for i in range(_TRIES):
        width = (high - low) / (14 + 2 * i / (_TRIES - 1))
        numbers = _divided(x - low[..., None], width[..., None]).round().clamp(0, 15)
        first, second, mixed = numbers.sum(-1), (numbers**2).sum(-1), (numbers * x).sum(-1)
        scale = _divided(count * mixed - first * total, count * second - first**2)
        offset = (scale * first - total) / count
        alone = _divided(mixed, second)  # where the best offset would be negative
        scale, offset = torch.where(offset < 0, alone, scale), offset.clamp(min=0)
        error = ((scale[..., None] * numbers - offset[..., None] - x) ** 2).sum(-1)
        better = (error < least) & (scale >= 0)
        least = torch.where(better, error, least)
        best_scale = torch.where(better, scale, best_scale)
        best_offset = torch.where(better, offset, best_offset)
    return best_scale, best_offset


def _fit_scale(x: Tensor) -> Tensor:
    """The scale of each group (…, group, 16), with scale * (-32 … 31) near it."""
    largest = x.gather(-1, x.abs().argmax(-1, keepdim=True))  # becomes about -32
    best, most = torch.zeros_like(largest[..., 0]), torch.full_like(largest[..., 0], -torch.inf)
    for i in range(_TRIES):
        numbers = _divided(x, largest / (i / (_TRIES - 1) - 32.5)).round().clamp(-32, 31)
        mixed, second = (numbers * x).sum(-1), (numbers**2).sum(-1)
        gain = _divided(mixed**2, second)  # what the squared error falls by
        best = torch.where(gain > most, _divided(mixed, second), best)
        most = torch.maximum(gain, most)
    return best


def _in_steps(scale: Tensor, step: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Scales (block, group) as whole multiples of the block's step, which is rounded to 16 bits first."""
    step = step.half().float()
    return step, _divided(scale, step[:, None]).round().clamp(-128, most)


def _divided(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, 0, a / b)


def _half(d: Tensor) -> Tensor:
    """(block) -> (block, 2): 16 bits as bytes."""
    return d.half()[:, None].contiguous().view(torch.uint8)
