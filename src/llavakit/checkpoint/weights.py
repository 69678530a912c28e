"""Tensors between safetensors files and modules, one at a time, checked before they are placed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from llavakit.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_LISTED = 8  # names an error shows of each kind before it only counts


class TensorFiles:
    """The tensors of one or several safetensors files, memory-mapped and read on demand.

    Raises:
        CheckpointError: a file is cut short or is something else.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._home: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        for path in paths:
            try:
                self._home |= dict.fromkeys(self._mapped(path).keys(), path)
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{path} is not a whole safetensors file ({error}): "
                    "the download or copy was cut short; fetch it again"
                ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def _mapped(self, path: Path) -> Any:
        if path not in self._open:
            # never closed: the mapping goes with the last tensor or handle that uses it
            self._open[path] = safe_open(path, framework="pt", device="cpu")
        return self._open[path]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._mapped(self._home[name]).get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """As safetensors spells it: F32, F16, BF16 …"""
        return str(self._mapped(self._home[name]).get_slice(name).get_dtype())

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        """The tensor in `dtype` on `device`; where that is how it is stored, still memory-mapped."""
        path = self._home[name]
        stored: Tensor = self._mapped(path).get_tensor(name)
        tensor = stored.to(device=device, dtype=dtype)
        if tensor is not stored:
            # What was read of a mapping stays resident until the mapping goes: begin a new one.
            del self._open[path]
        return tensor


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, one or as its index lists them.

    Raises:
        CheckpointError: none there, or a listed file is missing.
    """
    index = folder / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            paths = [folder / name for name in names]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            raise CheckpointError(f"{index} is not a weight index: fetch it again") from None
    else:
        paths = [folder / SINGLE]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise CheckpointError(
            f"{folder} has no {', '.join(missing)}: the model is only half there, or its weights are "
            "in another format; download or copy it again"
        )
    return paths


def load_into(
    module: nn.Module,
    files: TensorFiles,
    names: Mapping[str, str],
    dtype: torch.dtype,
    device: torch.device,
    where: str,
    tied: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Fill `module` (built on `meta`) from `files`; each tensor is materialised once, in `dtype`.

    Args:
        names: our parameter name -> name in the files
        tied: our parameter name -> the parameter it shares where the files leave it out

    Raises:
        CheckpointError: lists every missing, unexpected and misshapen tensor at once.
    """
    wanted = {name: tuple(p.shape) for name, p in module.named_parameters(remove_duplicate=False)}
    missing = [n for n in wanted if n not in names and tied.get(n) not in names]
    extra = [theirs for ours, theirs in names.items() if ours not in wanted]
    misshapen = [
        f"{names[name]} is {list(files.shape(names[name]))}, expected {list(shape)}"
        for name, shape in wanted.items()
        if name in names and files.shape(names[name]) != shape
    ]
    problems = [("missing", missing), ("unexpected", extra), ("of the wrong shape", misshapen)]
    if any(found for _, found in problems):
        listed = "; ".join(f"{_listed(found)} {what}" for what, found in problems if found)
        raise CheckpointError(f"{where} does not fit its config.json: {listed}")
    for name in wanted:
        if name in names:
            value = files.read(names[name], dtype, device)
            _place(module, name, nn.Parameter(value, requires_grad=False))
    for name, source in tied.items():
        if name not in names:
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
