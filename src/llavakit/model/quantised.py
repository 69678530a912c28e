"""Weights in 8 or 4 bits: half or a quarter of the memory of 16, at a small loss.

A layer's `pack` turns a weight into the tensors that are kept; a `QuantisedLinear` is built empty, as
`nn.Linear` is on `meta`, and filled from them like any module. So a model is quantised while it loads, one
layer at a time, and a quantised folder is loaded like any other.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit import kernels
from llavakit.config import Quantization, Scheme
from llavakit.errors import UsageError
from llavakit.model import fused
from llavakit.model.device import multiplies_bf16

# Vectors up to which torch's kernels for CPUs, of bfloat16, beat unpacking the weights, in 8 bits and in 4:
# through 4096 x 4096, with AVX2 on two cores, 32 take 13 ms and 16 (one 1.1 and 6), 64 in 4 bits 25 and 35
# (one 1.2 and 14).
_FEW = {8: 32, 4: 64}
_UNPACKED = 2**20  # weights at a time that are unpacked for a product on a CPU: they stay in its cache
_LANES = 32  # it reads whole registers: a width that is no multiple of them would read beyond the end
_IS_X86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")  # what torch's int4 kernel is written for
_ROWS = 16  # that torch's int4 kernel for CPUs handles together
_GROUPS = (32, 64, 128, 256)  # that it knows

Kept = dict[str, tuple[tuple[int, ...], torch.dtype]]


class QuantisedLinear(nn.Module, ABC):
    """A linear layer whose weight is the tensors of `pack`; its bias stays as it is."""

    def __init__(self, width: int, height: int, bias: bool, group: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        for name, (shape, dtype) in self.kept(width, height, group, torch.get_default_dtype()).items():
            self.register_buffer(name, torch.empty(shape, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(height)) if bias else None

    @staticmethod
    @abstractmethod
    def kept(width: int, height: int, group: int, dtype: torch.dtype) -> Kept:
        """Shape and type of each tensor that `pack` gives."""

    @staticmethod
    @abstractmethod
    def pack(weight: Tensor, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
        """What is kept of a weight (out, in): `group` weights share a scale of `dtype`."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        ...

    def _product(self, x: Tensor, unpacked: Callable[[slice, torch.dtype], Tensor]) -> Tensor:
        """With weights that are unpacked for it, on a CPU some rows at a time; in float32 where bfloat16 is
        slow.

        Args:
            unpacked: gives rows of the weight, in a type
        """
        slow = x.dtype == torch.bfloat16 and not multiplies_bf16(x.device)
        dtype = torch.float32 if slow else x.dtype
        step = max(1, _UNPACKED // self.width) if x.device.type == "cpu" else self.height
        rows = [slice(start, start + step) for start in range(0, self.height, step)]
        vectors = x.to(dtype)
        out = torch.cat([F.linear(vectors, unpacked(some, dtype)) for some in rows], dim=-1).to(x.dtype)
        return out if self.bias is None else out + self.bias

    def _by_kernel(self, x: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
        """Through one of torch's kernels: (vector, in) -> (vector, out), without a bias."""
        rows = x.reshape(-1, self.width).contiguous()
        out = kernel(rows).view(*x.shape[:-1], self.height)
        return out if self.bias is None else out + self.bias


class Int8Linear(QuantisedLinear):
    """One signed byte a weight, one scale an output row."""

    weight: Tensor  # (out, in) int8
    scale: Tensor  # (out,)

    @staticmethod
    def kept(width: int, height: int, group: int, dtype: torch.dtype) -> Kept:
        return {"weight": ((height, width), torch.int8), "scale": ((height,), dtype)}

    @staticmethod
    def pack(weight: Tensor, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
        def packed(rows: Tensor) -> dict[str, Tensor]:
            scale = _stored(rows.abs().amax(dim=1) / 127, dtype)
            levels = (rows / scale.float()[:, None]).round_().clamp_(-127, 127)
            return {"weight": levels.to(torch.int8), "scale": scale}

        return _by_slices(packed, weight)

    def forward(self, x: Tensor) -> Tensor:
        if kernels.usable(x):
            return kernels.linear8(x, self.weight, self.scale, self.bias)
        if fused.fuses(x):
            return fused.int8_linear(x, self.weight, self.scale, self.bias)
        if _is_few(x, 8) and not any(n % _LANES for n in self.weight.shape):
            kernel = torch.ops.aten._weight_int8pack_mm
            return self._by_kernel(x, lambda rows: kernel(rows, self.weight, self.scale.to(x.dtype)))

        def unpacked(rows: slice, dtype: torch.dtype) -> Tensor:
            # Scaled before the product: sums of 127s would leave float16's range.
            return self.weight[rows].to(dtype) * self.scale[rows, None].to(dtype)

        return self._product(x, unpacked)


class Int4Linear(QuantisedLinear):
    """Two weights a byte; for each group of them a scale and the level that means 0."""

    packed: Tensor  # (out, group, weight / 2) uint8; `in` filled up to a whole number of groups
    scale: Tensor  # (out, group, 1)
    zero: Tensor  # (out, group, 1) uint8
    _tiles: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def kept(width: int, height: int, group: int, dtype: torch.dtype) -> Kept:
        groups = -(-width // group)
        return {
            "packed": ((height, groups, group // 2), torch.uint8),
            "scale": ((height, groups, 1), dtype),
            "zero": ((height, groups, 1), torch.uint8),
        }

    @staticmethod
    def pack(weight: Tensor, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
        def packed(rows: Tensor) -> dict[str, Tensor]:
            groups = F.pad(rows, (0, -rows.shape[1] % group)).view(
                len(rows), -1, group
            )  # (out, group, weight)
            least, most = groups.aminmax(dim=2, keepdim=True)
            least, most = least.clamp(max=0), most.clamp(min=0)  # so that 0 stays 0
            scale = _stored((most - least) / 15, dtype)
            zero = (-least / scale.float()).round_().clamp_(0, 15)
            levels = (groups / scale.float()).add_(zero).round_().clamp_(0, 15).to(torch.uint8)
            pairs = levels[..., ::2] | (levels[..., 1::2] << 4)
            return {"packed": pairs, "scale": scale, "zero": zero.to(torch.uint8)}

        return _by_slices(packed, weight)

    def forward(self, x: Tensor) -> Tensor:
        if kernels.usable(x) and kernels.takes_groups(self._group):
            return kernels.linear4(x, self.packed, self.scale, self.zero, self.bias)
        if fused.fuses(x):
            return fused.int4_linear(x, self.packed, self.scale, self.zero, self.bias)
        if _is_few(x, 4) and _IS_X86 and not self.height % _ROWS and self._group in _GROUPS:
            return self._by_kernel(x, self._few)

        def unpacked(rows: slice, dtype: torch.dtype) -> Tensor:
            levels = self._levels(rows).to(dtype) - self.zero[rows].to(dtype)
            return (levels * self.scale[rows].to(dtype)).flatten(1)[:, : self.width]

        return self._product(x, unpacked)

    @property
    def _group(self) -> int:
        return 2 * self.packed.shape[2]

    def _levels(self, rows: slice) -> Tensor:  # (out, group, weight) uint8
        return torch.stack((self.packed[rows] & 15, self.packed[rows] >> 4), dim=-1).flatten(2)

    def _few(self, rows: Tensor) -> Tensor:
        """Torch's kernel, on the weights as it wants them laid out."""
        if self._tiles is None:
            # Both stay: what is mapped from a file can be let go of when memory is wanted.
            levels = self._levels(slice(None)).flatten(1).int()
            tiles = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
            scale = self.scale.float()
            offset = (8 - self.zero.float()) * scale  # its levels are scaled from -8 on
            scales = torch.cat((scale, offset), 2).transpose(0, 1).to(rows.dtype).contiguous()
            self._tiles = tiles, scales
        tiles, scales = self._tiles
        filled = F.pad(rows, (0, len(scales) * self._group - self.width))
        out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(filled, tiles, self._group, scales)
        return out


class BnbInt8Linear(QuantisedLinear):
    """LLM.int8 (arXiv:2208.07339) as bitsandbytes computes it: inputs in 8 bits too, outliers apart."""

    weight: Tensor  # (out, in) int8
    absmax: Tensor  # (out,) float32

    @staticmethod
    def kept(width: int, height: int, group: int, dtype: torch.dtype) -> Kept:
        return {"weight": ((height, width), torch.int8), "absmax": ((height,), torch.float32)}

    @staticmethod
    def pack(weight: Tensor, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
        levels, absmax, _ = _bitsandbytes().functional.int8_vectorwise_quant(weight.detach().half())
        return {"weight": levels, "absmax": absmax}

    def forward(self, x: Tensor) -> Tensor:
        bnb = _bitsandbytes()
        state = bnb.MatmulLtState(CB=self.weight, SCB=self.absmax)
        state.has_fp16_weights, state.threshold = False, _OUTLIER
        out: Tensor = bnb.matmul(x, self.weight, bias=self.bias, state=state)
        return out


class BnbNf4Linear(QuantisedLinear):
    """QLoRA's NormalFloat of 4 bits (arXiv:2305.14314) as bitsandbytes computes it."""

    packed: Tensor  # (out * in / 2, 1) uint8
    absmax: Tensor  # (out * in / 64,) float32

    @staticmethod
    def kept(width: int, height: int, group: int, dtype: torch.dtype) -> Kept:
        count = width * height
        blocks = -(-count // _NF4_BLOCK)
        return {"packed": ((-(-count // 2), 1), torch.uint8), "absmax": ((blocks,), torch.float32)}

    @staticmethod
    def pack(weight: Tensor, group: int, dtype: torch.dtype) -> dict[str, Tensor]:
        quantise = _bitsandbytes().functional.quantize_4bit
        packed, state = quantise(weight.detach().half(), blocksize=_NF4_BLOCK, quant_type="nf4")
        return {"packed": packed, "absmax": state.absmax}

    def forward(self, x: Tensor) -> Tensor:
        bnb = _bitsandbytes()
        state = bnb.functional.QuantState(
            self.absmax,
            torch.Size((self.height, self.width)),
            bnb.functional.get_4bit_type("nf4", x.device),
            _NF4_BLOCK,
            "nf4",
            x.dtype,
        )
        out: Tensor = bnb.matmul_4bit(x, self.packed.t(), state, bias=self.bias)
        return out


_OUTLIER = 6.0  # inputs beyond it are multiplied in 16 bits: the paper's threshold
_NF4_BLOCK = 64  # weights that share a scale: what the paper and transformers use


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError:
        raise UsageError(
            "the schemes bnb-int8 and bnb-nf4 need bitsandbytes: pip install 'llavakit[bnb]', "
            "or take int8 or int4, which need nothing"
        ) from None
    return bitsandbytes


LINEARS: dict[Scheme, type[QuantisedLinear]] = {
    "int8": Int8Linear,
    "int4": Int4Linear,
    "bnb-int8": BnbInt8Linear,
    "bnb-nf4": BnbNf4Linear,
}
_EIGHT_BITS: dict[Scheme, Scheme] = {"int4": "int8", "bnb-nf4": "bnb-int8"}


_SLICE = 2**18  # weights packed at a time, which fit into a processor's cache


def _is_few(x: Tensor, bits: int) -> bool:
    """Whether one of torch's kernels for CPUs is for so many vectors. They give no gradient."""
    if x.device.type != "cpu" or x.dtype != torch.bfloat16 or x.numel() > _FEW[bits] * x.shape[-1]:
        return False
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


def _by_slices(pack: Callable[[Tensor], dict[str, Tensor]], weight: Tensor) -> dict[str, Tensor]:
    """What `pack` makes of float32 rows, a few at a time: a 7B's head is half a gigabyte in float32."""
    slices = torch.split(weight.detach(), max(1, _SLICE // weight.shape[1]))
    parts = [pack(rows.float()) for rows in slices]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


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
            yield name, module, _EIGHT_BITS.get(plan.scheme, plan.scheme)


def swap_in(model: nn.Module, plan: Quantization) -> None:
    """Put empty quantised layers in the places of those that `plan` is about."""
    for name, linear, scheme in list(layers_of(model, plan)):
        height, width = linear.weight.shape
        group = group_of(width, plan.group_size)
        parent, _, last = name.rpartition(".")
        layer = LINEARS[scheme](width, height, linear.bias is not None, group)
        setattr(model.get_submodule(parent), last, layer)
