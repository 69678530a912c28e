"""What the machine can do at best: read memory, multiply matrices.

Both through PyTorch, all threads, the best of a few: a sum over a buffer that no cache holds, and products
with as many rows as a prompt has and with 2048. 8 bits are int8 times int8 into int32.
"""

import os
import platform
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.nn import functional as F

from llavakit.bench.workers.serve import seconds, serve

_BUFFER = 2**30  # bytes
_SHAPES = ((640, 4096, 4096), (2048, 2048, 2048))  # rows, in, out
_TRIES = 2  # in each round
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


class Ceilings:
    def load(self) -> dict[str, Any]:
        """The machine: `threads` is what all others are given too."""
        return {
            "threads": torch.get_num_threads(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "features": torch.backends.cpu.get_cpu_capability(),
            "memory": psutil.virtual_memory().total,
            "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
            "python": platform.python_version(),
            "torch": torch.__version__,
        }

    def measure(self) -> dict[str, Any]:
        """Bytes a second read, and operations a second of each type's products (a product's add counts)."""
        with torch.inference_mode():
            return {"read": _read(), "products": {name: _products(dtype) for name, dtype in _DTYPES.items()}}


def _read() -> float:
    buffer = torch.ones(min(_BUFFER, psutil.virtual_memory().available // 4) // 4)
    return buffer.nbytes / _best(buffer.sum)


def _products(dtype: torch.dtype) -> float:
    return max(2 * n * k * m / _best(_product(dtype, n, k, m)) for n, k, m in _SHAPES)


def _product(dtype: torch.dtype, n: int, k: int, m: int) -> Callable[[], object]:
    if dtype == torch.int8:
        a = torch.randint(-127, 128, (n, k), dtype=dtype)
        b = torch.randint(-127, 128, (m, k), dtype=dtype)
        return lambda: torch._int_mm(a, b.t())
    x, w = torch.randn(n, k).to(dtype), torch.randn(m, k).to(dtype)
    return lambda: F.linear(x, w)


def _best(work: Callable[[], object]) -> float:
    work()
    return min(seconds(work) for _ in range(_TRIES))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    serve(Ceilings())
