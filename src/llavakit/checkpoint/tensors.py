"""Weights under their names, each read from its file when it is asked for.

Formats differ in files, names and number formats; everything above sees `Tensors`.
"""

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llavakit.errors import CheckpointError

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def is_real(dtype: torch.dtype) -> bool:
    """Whether it holds weights, not the whole numbers of packed ones."""
    return dtype.is_floating_point


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

    @abstractmethod
    def files(self) -> set[Path]:
        """Whatever is read comes from these; none: it is in memory already."""


# What was read of a mapping stays resident until the mapping goes, which is with its last tensor: after so
# many bytes a new one is begun. It takes a millisecond for safetensors, 50 for a file of `torch.save`.
_RELEASED = 2**27
_SMALL = 2**20  # bytes; a norm that is kept as stored would keep a whole mapping alive


class Safetensors(Tensors):
    """One or several safetensors files, memory-mapped.

    Raises:
        CheckpointError: a file is cut short or is something else.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._home: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        self._read: dict[Path, int] = {}  # bytes, of the mapping that is open
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
            self._open[path], self._read[path] = safe_open(path, framework="pt", device="cpu"), 0
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
        if stored.nbytes < _SMALL:
            return stored.to(device=device, dtype=dtype, copy=True)
        tensor = stored.to(device=device, dtype=dtype)
        self._read[path] += stored.nbytes
        if tensor is not stored or self._read[path] > _RELEASED:
            del self._open[path]
        return tensor

    def files(self) -> set[Path]:
        return set(self._home.values())


class TorchFiles(Tensors):
    """One or several files of `torch.save`, one of them memory-mapped at a time.

    Pickles are read with `weights_only`: what is no tensor is refused, never run.

    Raises:
        CheckpointError: a file is cut short, is something else, or holds more than tensors.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._home: dict[str, Path] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
        self._mapped: tuple[Path, dict[str, Tensor]] | None = None
        self._read = 0
        for path in paths:
            stored = self._map(path)
            self._home |= dict.fromkeys(stored, path)
            self._kinds |= {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in stored.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def _map(self, path: Path) -> dict[str, Tensor]:
        if self._mapped is None or self._mapped[0] != path:
            self._mapped = None  # first, so that two are never mapped
            self._mapped, self._read = (path, _unpickled(path)), 0
        return self._mapped[1]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._kinds[name][0]

    def dtype(self, name: str) -> torch.dtype:
        return self._kinds[name][1]

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        stored = self._map(self._home[name])[name].detach()
        if stored.nbytes < _SMALL:
            return stored.to(device=device, dtype=dtype, copy=True)
        self._read += stored.nbytes
        if self._read > _RELEASED:
            self._mapped = None
        return stored.to(device=device, dtype=dtype)

    def files(self) -> set[Path]:
        return set(self._home.values())


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds more than tensors, which may be code that runs when it is opened: it is refused; "
            "fetch the model from somebody you trust, as safetensors"
        ) from None
    except Exception as error:  # the library raises every kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise CheckpointError(
            f"{path} is not a whole PyTorch file ({reason}): "
            "the download or copy was cut short; fetch it again"
        ) from None
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise CheckpointError(f"{path} should hold tensors under their names, and nothing else")
    return stored


class Held(Tensors):
    """Tensors that are in memory already."""

    def __init__(self, held: Mapping[str, Tensor]) -> None:
        self._held = held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._held[name].shape)

    def dtype(self, name: str) -> torch.dtype:
        return self._held[name].dtype

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self._held[name].detach().to(device=device, dtype=dtype)

    def files(self) -> set[Path]:
        return set()


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

    def files(self) -> set[Path]:
        return self.inner.files()


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

    def files(self) -> set[Path]:
        return set().union(*(part.files() for part in set(self._home.values())))


class Wrapped(Tensors):
    """`inner` as it is: for sets that change some of it."""

    def __init__(self, inner: Tensors) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._inner.shape(name)

    def dtype(self, name: str) -> torch.dtype:
        return self._inner.dtype(name)

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self._inner.read(name, dtype, device)

    def told(self, name: str) -> str:
        return self._inner.told(name)

    def files(self) -> set[Path]:
        return self._inner.files()


class Widened(Wrapped):
    """`inner`, where the tensors in `names` have `rows` rows: their own, and zeros below."""

    def __init__(self, inner: Tensors, names: Sequence[str], rows: int) -> None:
        super().__init__(inner)
        self._rows = rows
        self._names = {name for name in names if name in set(inner) and inner.shape(name)[0] < rows}

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._inner.shape(name)
        return (self._rows, *shape[1:]) if name in self._names else shape

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        stored = self._inner.read(name, dtype, device)
        if name not in self._names:
            return stored
        wide = stored.new_empty(self.shape(name))
        wide[: len(stored)] = stored
        wide[len(stored) :] = self.below(stored)
        return wide

    def below(self, stored: Tensor) -> Tensor:
        """What each new row is."""
        return stored.new_zeros(())


def open_weights(folder: Path, stem: str = "model") -> Tensors:
    """The weights of a model folder: safetensors, or `pytorch_model.bin` where there are none.

    Raises:
        CheckpointError: a file is missing, cut short or something else.
    """
    there = {path.name for path in folder.iterdir()}
    wanted = {f"{stem}.safetensors", f"{stem}.safetensors.index.json"}
    others = {f"pytorch_{stem}.bin", f"pytorch_{stem}.bin.index.json"}
    if there & others and not there & wanted:
        return TorchFiles(weight_files(folder, f"pytorch_{stem}", "bin"))
    return Safetensors(weight_files(folder, stem))


def weight_files(folder: Path, stem: str = "model", suffix: str = "safetensors") -> list[Path]:
    """The weight files of a model folder, `stem`.`suffix` or as its index lists them.

    Raises:
        CheckpointError: none there, or a listed file is missing.
    """
    index = folder / f"{stem}.{suffix}.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            paths = [folder / name for name in names]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            raise CheckpointError(f"{index} is not a weight index: fetch it again") from None
    else:
        paths = [folder / f"{stem}.{suffix}"]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise CheckpointError(
            f"{folder} has no {', '.join(missing)}: the model is only half there, or its weights are "
            "in another format; download or copy it again"
        )
    return paths
