"""GGUF files, llama.cpp's format: metadata and tensors, read where they lie.

The layout is that of ggml's `docs/gguf.md`, versions 2 and 3. The `gguf` package knows the number
formats; its own reader took 14 s and 0.8 GB for a vocabulary as large as Llama 3's, this one 0.7 s.
"""

import importlib
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llavakit.checkpoint.tensors import Tensors
from llavakit.errors import CheckpointError, UsageError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_PLAIN = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
_DTYPES = {"F32": torch.float32, "F64": torch.float32, "BF16": torch.bfloat16}  # the rest comes as float16


def library() -> Any:
    """The `gguf` package.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("gguf")
    except ImportError:
        raise UsageError(
            "GGUF files need the package gguf, which is not installed: pip install 'llavakit[gguf]'"
        ) from None


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in its file: shape as torch has it, number format, bytes."""

    shape: tuple[int, ...]
    kind: str  # "F16", "Q4_K", …
    offset: int
    size: int


@dataclass(frozen=True)
class GGUFFile:
    """A file's header: nothing of its tensors is read yet."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Place]


def read_header(path: Path) -> GGUFFile:
    """Read a file's metadata and where its tensors lie.

    Raises:
        CheckpointError: it is not a GGUF file, is cut short, or is of a kind that is not supported.
        UsageError: the `gguf` package is not installed.
    """
    gguf = library()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(path, data, gguf).parse()
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise CheckpointError(f"{path} cannot be read as a GGUF file ({error})") from None
    except (struct.error, OverflowError, MemoryError, RecursionError):
        raise CheckpointError(
            f"{path} is not a whole GGUF file: the download or copy was cut short; fetch it again"
        ) from None


class _Header:
    """Walks through a header once."""

    def __init__(self, path: Path, data: mmap.mmap, gguf: Any) -> None:
        self.path, self.data, self.gguf, self.at = path, data, gguf, 0

    def parse(self) -> GGUFFile:
        if self.data[:4] != _MAGIC:
            raise CheckpointError(f"{self.path} is not a GGUF file: its first letters are not GGUF")
        self.at = 4
        version = self._number(_U32)
        if version not in _VERSIONS:
            raise CheckpointError(
                f"{self.path}: GGUF version {version} is not supported, only 2 and 3 of little endian: "
                "convert the model again with a current llama.cpp"
            )
        tensor_count, value_count = self._number(_U64), self._number(_U64)
        metadata = {}
        for _ in range(value_count):
            key = self._string()
            metadata[key] = self._value(self._number(_U32))
        infos = [self._info() for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0:
            raise CheckpointError(f"{self.path}: general.alignment is {alignment!r}, not a positive number")
        start = -(-self.at // alignment) * alignment
        tensors = {
            name: self._place(name, shape, kind, start + offset) for name, shape, kind, offset in infos
        }
        return GGUFFile(self.path, metadata, tensors)

    def _number(self, form: struct.Struct) -> int:
        value: int = form.unpack_from(self.data, self.at)[0]
        self.at += form.size
        return value

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise struct.error
        self.at += count
        return self.data[self.at - count : self.at]

    def _string(self) -> str:
        return self._bytes(self._number(_U64)).decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._scalars(kind, 1)[0]
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise CheckpointError(f"{self.path} holds metadata of unknown type {kind}: the file is damaged")
        inner, count = self._number(_U32), self._number(_U64)
        if inner in _SCALARS:
            return self._scalars(inner, count)
        return [self._value(inner) for _ in range(count)]

    def _scalars(self, kind: int, count: int) -> list[Any]:
        dtype = np.dtype(_SCALARS[kind])
        values = np.frombuffer(self._bytes(count * dtype.itemsize), dtype)
        if dtype == np.float32:  # the decimal that was meant: 1e-05, not 9.999999747378752e-06
            return [float(str(value)) for value in values]
        return list(values.tolist())

    def _info(self) -> tuple[str, tuple[int, ...], str, int]:
        name = self._string()
        rank = self._number(_U32)
        if rank > 8:
            raise struct.error
        shape = tuple(reversed([self._number(_U64) for _ in range(rank)]))  # ggml counts from the last axis
        number, offset = self._number(_U32), self._number(_U64)
        try:
            kind = self.gguf.GGMLQuantizationType(number).name
        except ValueError:
            raise CheckpointError(
                f"{self.path}: {name} is stored in number format {number}, which the installed gguf package "
                "does not know: pip install -U gguf"
            ) from None
        return name, shape, kind, offset

    def _place(self, name: str, shape: tuple[int, ...], kind: str, offset: int) -> Place:
        block, size = self.gguf.GGML_QUANT_SIZES[self.gguf.GGMLQuantizationType[kind]]
        if shape and shape[-1] % block:
            raise CheckpointError(f"{self.path}: {name} is {list(shape)}, which {kind} cannot hold")
        place = Place(shape, kind, offset, prod(shape) // block * size)
        if offset + place.size > len(self.data):
            raise struct.error
        return place


class GGUFTensors(Tensors):
    """The tensors of one file, memory-mapped; packed ones are dequantised when they are read."""

    def __init__(self, file: GGUFFile) -> None:
        self._path, self._places = file.path, file.tensors
        self._gguf = library()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._places[name].shape

    def dtype(self, name: str) -> torch.dtype:
        return _DTYPES.get(self._places[name].kind, torch.float16)

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        place = self._places[name]
        if place.size == 0:
            return torch.empty(place.shape, dtype=dtype or self.dtype(name), device=device)
        # "c": torch wants memory it may write to. The mapping goes with the last tensor that uses it.
        raw = np.memmap(self._path, np.uint8, "c", place.offset, (place.size,))
        if place.kind == "BF16":
            tensor = torch.from_numpy(raw).view(torch.bfloat16).view(place.shape)
        elif place.kind in _PLAIN:
            tensor = torch.from_numpy(raw.view(_PLAIN[place.kind])).view(place.shape)
        else:
            tensor = self._dequantised(name, raw)
        return tensor.to(device=device, dtype=dtype or self.dtype(name))

    def files(self) -> set[Path]:
        return {self._path}

    def _dequantised(self, name: str, raw: np.ndarray) -> Tensor:
        place = self._places[name]
        packed = raw.reshape(prod(place.shape[:-1]), -1)
        try:
            exact = self._gguf.dequantize(packed, self._gguf.GGMLQuantizationType[place.kind])
        except NotImplementedError:
            raise CheckpointError(
                f"{self._path}: {name} is stored as {place.kind}, which cannot be read"
            ) from None
        return torch.from_numpy(exact).view(place.shape)
