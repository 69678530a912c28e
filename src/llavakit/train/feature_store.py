"""Features of pictures on disk, by the hash of the picture: written once, mapped into memory ever after.

A folder holds parts, each made by one process in one go and never touched again: `NAME.features`, arrays
end to end, and `NAME.index`, the 32-byte key of each. The key is written after its array, and what has no key
does not count, so a process may be killed at any moment, and several may write at once.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import torch
from torch import Tensor

from llavakit.errors import LlavaError

_KEY = 32  # bytes of a SHA-256
# NumPy knows no bfloat16.
_HELD: dict[torch.dtype, np.dtype[Any]] = {torch.float32: np.dtype("<f4"), torch.bfloat16: np.dtype("<i2")}


class FeatureStore:
    """What a folder holds of features (patch, vision), as it was when it was opened.

    Args:
        folder: may not exist yet
        shape: (patch, vision)
        dtype: float32 or bfloat16
    """

    def __init__(self, folder: Path, shape: tuple[int, int], dtype: torch.dtype) -> None:
        self.folder, self.shape, self.dtype = folder, shape, dtype
        self.size = int(np.prod(shape)) * _HELD[dtype].itemsize  # bytes of a picture
        self._paths = sorted(folder.glob("*.index"))
        keys = [self._keys(path) for path in self._paths]
        lengths = [len(part) for part in keys]
        together = np.concatenate([np.empty(0, f"S{_KEY}"), *keys])
        order = np.argsort(together, kind="stable")
        self._sorted = together[order]
        self._part = np.repeat(np.arange(len(keys)), lengths)[order]
        self._row = np.concatenate([np.empty(0, np.int64), *map(np.arange, lengths)])[order]
        self._lengths = lengths
        self._maps: dict[int, np.memmap[Any, Any]] = {}

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, key: bytes) -> bool:
        return self._find(key) is not None

    def read(self, keys: Sequence[bytes]) -> Tensor:
        """The features of pictures, (picture, patch, vision).

        Raises:
            KeyError: one is not there.
        """
        found = np.empty((len(keys), *self.shape), _HELD[self.dtype])
        for i, key in enumerate(keys):
            at = self._find(key)
            if at is None:
                raise KeyError(key)
            found[i] = self._map(int(self._part[at]))[int(self._row[at])]
        return torch.from_numpy(found).view(self.dtype)

    def check_room(self, pictures: int) -> None:
        """See that the disk can take so many more.

        Raises:
            LlavaError: it cannot; the message says how much is missing.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise LlavaError(f"{self.folder} cannot be written ({error.strerror}): {_REMEDY}") from None
        wanted = pictures * (self.size + _KEY)
        if wanted > free:
            raise LlavaError(
                f"the features of {pictures:,} pictures take {wanted / 1e9:.1f} GB, and {self.folder} has "
                f"{free / 1e9:.1f} GB left: {_REMEDY}"
            )

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which maps the files anew: an array that is mapped would travel as a copy."""
        return self.__dict__ | {"_maps": {}}

    def _keys(self, index: Path) -> np.ndarray:
        whole = min(index.stat().st_size // _KEY, _array(index).stat().st_size // self.size)
        return np.fromfile(index, f"S{_KEY}", count=whole)

    def _find(self, key: bytes) -> int | None:
        wanted = np.array([key], f"S{_KEY}")
        at = int(np.searchsorted(self._sorted, wanted)[0])
        return at if at < len(self._sorted) and self._sorted[at] == wanted[0] else None

    def _map(self, part: int) -> "np.memmap[Any, Any]":
        if part not in self._maps:
            shape = (self._lengths[part], *self.shape)
            path = _array(self._paths[part])
            self._maps[part] = np.memmap(path, dtype=_HELD[self.dtype], mode="r", shape=shape)
        return self._maps[part]


class FeatureWriter:
    """A new part of a store; to be closed, or used in a `with`."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        name = uuid.uuid4().hex
        with _explained(store.folder):
            self._arrays: IO[bytes] = (store.folder / f"{name}.features").open("xb", buffering=0)
            self._index: IO[bytes] = (store.folder / f"{name}.index").open("xb", buffering=0)

    def append(self, keys: Sequence[bytes], features: Tensor) -> None:
        """Keep the features (picture, patch, vision) of pictures, on the disk itself when this returns.

        Raises:
            LlavaError: the disk is full or fails; what was kept before stays. Close the writer then.
        """
        held = features.to("cpu", self._store.dtype).contiguous()
        if held.shape != (len(keys), *self._store.shape):
            raise ValueError(f"features {tuple(held.shape)} for {len(keys)} pictures of {self._store.shape}")
        with _explained(self._store.folder):
            _write(self._arrays, held.view(torch.uint8).numpy())
            _write(self._index, b"".join(keys))

    def close(self) -> None:
        self._arrays.close()
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_REMEDY = "free some, set LLAVAKIT_CACHE to a folder on a larger disk, or turn cache_features off"


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Errors of the disk in words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = f"the disk of {folder} is full"
        else:
            why = f"{folder} cannot be written ({error.strerror})"
        raise LlavaError(f"{why}; features that it holds already are not lost: {_REMEDY}") from None


def _array(index: Path) -> Path:
    return index.with_suffix(".features")


def _write(file: IO[bytes], data: Any) -> None:
    """All of it, on the disk itself."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())
