"""Memory that need not be spent: pages of mapped files that were read, blocks that nobody wrote yet."""

import ctypes
import mmap
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from llavakit.errors import LlavaError


def release(tensors: Sequence[Tensor], files: set[Path]) -> None:
    """Let go of the pages of these files that the tensors are mapped to; what is read again comes back.

    OpenVINO copies each weight into the layout of its kernels, and the pages it copied from would stay
    with the process: as much memory again. Elsewhere than on Linux nothing happens.
    """
    if sys.platform != "linux" or not files:
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    paths = {str(file.resolve()) for file in files}
    mapped = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, _, _, _, _, *path = line.split(maxsplit=5)
        if path and path[0] in paths:
            start, stop = addresses.split("-")
            mapped.append((int(start, 16), int(stop, 16)))
    for tensor in tensors:
        # Whole pages inside the tensor: its neighbours' may hold what somebody else has written there.
        first = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        # Memory that no file backs would come back as zeros.
        if first < end and any(a <= first and end <= b for a, b in mapped):
            library.madvise(first, end - first, mmap.MADV_DONTNEED)


def lazily(size: int) -> np.ndarray:
    """So many bytes of zeros, which take memory where they are written.

    Raises:
        LlavaError: the system refuses so many.
    """
    try:
        return np.frombuffer(mmap.mmap(-1, size), np.uint8)
    except (OSError, OverflowError, ValueError):
        raise LlavaError(
            f"a cache of {size / 1e9:.0f} GB in one piece cannot be had: take fewer tokens (cache_tokens)"
        ) from None
