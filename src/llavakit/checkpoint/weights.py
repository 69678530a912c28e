"""Tensors into modules and out to safetensors files, one at a time, checked before they are placed."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from llavakit.checkpoint.tensors import Tensors
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

    Buffers, which are packed weights and their scales, keep their type: levels were counted with the
    scale as it is stored.

    Args:
        tied: a parameter -> the one it shares where the files leave it out

    Raises:
        CheckpointError: lists every missing, unexpected and misshapen tensor at once.
    """
    stored = set(tensors) - set(tied)
    wanted = {name: tuple(p.shape) for name, p in module.named_parameters(remove_duplicate=False)}
    kept = {name: tuple(buffer.shape) for name, buffer in module.named_buffers()}
    wanted |= kept
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
            _place(module, name, tensors.read(name, None if name in kept else dtype, device))
    for name, source in tied.items():
        _place(module, name, module.get_parameter(source))


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{', '.join(found[:_LISTED])}{more}:"


def _place(module: nn.Module, name: str, value: Tensor) -> None:
    path, _, last = name.rpartition(".")
    home = module.get_submodule(path)
    if last in home._parameters and not isinstance(value, nn.Parameter):
        value = nn.Parameter(value, requires_grad=False)
    setattr(home, last, value)


def write(
    tensors: Tensors,
    folder: Path,
    dtype: torch.dtype | None = None,
    shard_bytes: int = 10**9,
    stem: str = "model",
    suffix: str = "safetensors",
) -> None:
    """Write `tensors` as one file, or as shards with an index beyond `shard_bytes`.

    They are read, and converted to `dtype` (None: as they are), a shard at a time; the library copies a
    shard to write it, so twice its bytes are the memory that this takes.

    Args:
        suffix: "safetensors", or "bin" for files of `torch.save`
    """
    shards: list[list[str]] = [[]]
    filled = total = 0
    for name in tensors:
        size = math.prod(tensors.shape(name)) * _kept(tensors, name, dtype).itemsize
        if filled and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
        total += size
    if len(shards) == 1:
        write_file(tensors, folder / f"{stem}.{suffix}", dtype)
        return
    place: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        file = f"{stem}-{i:05}-of-{len(shards):05}.{suffix}"
        write_file(tensors, folder / file, dtype, shard)
        place |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": total}, "weight_map": place}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def write_file(
    tensors: Tensors, path: Path, dtype: torch.dtype | None = None, names: Iterable[str] | None = None
) -> None:
    """One file: safetensors, marked as PyTorch's (transformers refuses it otherwise), or `torch.save`'s."""
    read = {
        name: tensors.read(name, _kept(tensors, name, dtype)).contiguous()
        for name in (tensors if names is None else names)
    }
    if path.suffix == ".bin":
        # `torch.save` writes the whole of what a tensor is a part of: a mapped file, for one
        torch.save({name: tensor.detach().clone() for name, tensor in read.items()}, path)
        return
    save_file(read, path, metadata={"format": "pt"})


def _kept(tensors: Tensors, name: str, dtype: torch.dtype | None) -> torch.dtype:
    """What a tensor is stored as: whole numbers are never converted."""
    stored = tensors.dtype(name)
    return dtype if dtype is not None and stored.is_floating_point else stored
