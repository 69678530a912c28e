"""Weights under their names, each read from its file when it is asked for.

Formats differ in files, names and number formats; everything above sees `Tensors`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llavakit.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class Tensors(ABC):
    """A set of named tensors on disk. Iterating gives the names."""

    @abstractmethod
    def __iter__(self) -> Iterator[str]: ...

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]: ...

    @abstractmethod
    def dtype(self, name: str) -> torch.dtype:
        """As stored; for a packed format, as `read` gives it unless told otherwise."""

    @abstractmethod
    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        """The tensor in `dtype` on `device`; where that is how it is stored, still memory-mapped."""

    def told(self, name: str) -> str:
        """The name that its file has for it, for errors a person reads."""
        return name


class Safetensors(Tensors):
    """One or several safetensors files, memory-mapped.

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

    def dtype(self, name: str) -> torch.dtype:
        spelt = str(self._mapped(self._home[name]).get_slice(name).get_dtype())
        if spelt not in _DTYPES:
            raise CheckpointError(f"{self._home[name]}: {name} is stored as {spelt}, which is not supported")
        return _DTYPES[spelt]

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        path = self._home[name]
        stored: Tensor = self._mapped(path).get_tensor(name)
        tensor = stored.to(device=device, dtype=dtype)
        if tensor is not stored:
            # What was read of a mapping stays resident until the mapping goes: begin a new one.
            del self._open[path]
        return tensor


class Renamed(Tensors):
    """Tensors under other names: `names` maps each new one to the one in `inner`."""

    def __init__(self, inner: Tensors, names: Mapping[str, str]) -> None:
        self.inner, self.names = inner, dict(names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.inner.shape(self.names[name])

    def dtype(self, name: str) -> torch.dtype:
        return self.inner.dtype(self.names[name])

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self.inner.read(self.names[name], dtype, device)

    def told(self, name: str) -> str:
        return self.inner.told(self.names[name])


class Joined(Tensors):
    """Several sets as one; where two hold a name, the earlier one's is taken."""

    def __init__(self, *parts: Tensors) -> None:
        self._home = {name: part for part in reversed(parts) for name in part}

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._home[name].shape(name)

    def dtype(self, name: str) -> torch.dtype:
        return self._home[name].dtype(name)

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self._home[name].read(name, dtype, device)

    def told(self, name: str) -> str:
        return self._home[name].told(name)


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
