"""Tensors into modules and out to safetensors files, one at a time, checked before they are placed."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from llavakit.checkpoint.tensors import INDEX, SINGLE, Tensors
from llavakit.errors import CheckpointError

_LISTED = 8  # names an error shows of each kind before it only counts


def load_into(
    module: nn.Module,
    tensors: Tensors,
    dtype: torch.dtype,
    device: torch.device,
    where: str,
    tied: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Fill `module` (built on `meta`) from `tensors`; each is materialised once, in `dtype`.

    Args:
        tied: a parameter -> the one it shares where the files leave it out

    Raises:
        CheckpointError: lists every missing, unexpected and misshapen tensor at once.
    """
    stored = set(tensors) - set(tied)
    wanted = {name: tuple(p.shape) for name, p in module.named_parameters(remove_duplicate=False)}
    missing = [name for name in wanted if name not in stored and tied.get(name) not in stored]
    extra = [tensors.told(name) for name in tensors if name in stored and name not in wanted]
    misshapen = [
        f"{tensors.told(name)} is {list(tensors.shape(name))}, expected {list(shape)}"
        for name, shape in wanted.items()
        if name in stored and tensors.shape(name) != shape
    ]
    problems = [("missing", missing), ("unexpected", extra), ("of the wrong shape", misshapen)]
    if any(found for _, found in problems):
        listed = "; ".join(f"{_listed(found)} {what}" for what, found in problems if found)
        raise CheckpointError(f"{where} does not fit its config.json: {listed}")
    for name in wanted:
        if name in stored:
            _place(module, name, nn.Parameter(tensors.read(name, dtype, device), requires_grad=False))
    for name, source in tied.items():
        _place(module, name, module.get_parameter(source))


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{', '.join(found[:_LISTED])}{more}:"


def _place(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
    path, _, last = name.rpartition(".")
    setattr(module.get_submodule(path), last, parameter)


def write(
    tensors: Mapping[str, Tensor],
    folder: Path,
    dtype: torch.dtype | None = None,
    shard_bytes: int = 5 * 10**9,
) -> None:
    """Write `tensors` as one safetensors file, or as shards with an index beyond `shard_bytes`.

    They are converted to `dtype` (None: as they are) a shard at a time.
    """
    shards: list[dict[str, Tensor]] = [{}]
    filled = total = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * (dtype or tensor.dtype).itemsize
        if filled and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += size
        total += size
    if len(shards) == 1:
        write_file(shards[0], folder / SINGLE, dtype)
        return
    place: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        file = f"model-{i:05}-of-{len(shards):05}.safetensors"
        write_file(shard, folder / file, dtype)
        place |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": total}, "weight_map": place}
    (folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def write_file(tensors: Mapping[str, Tensor], path: Path, dtype: torch.dtype | None = None) -> None:
    """One safetensors file, marked as PyTorch's: transformers refuses it otherwise."""
    converted = {
        name: tensor.detach().to(dtype=dtype or tensor.dtype, device="cpu").contiguous()
        for name, tensor in tensors.items()
    }
    save_file(converted, path, metadata={"format": "pt"})
