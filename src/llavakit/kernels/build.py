"""C to machine code of this very processor: compiled when first asked for, kept in the cache."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from llavakit.cache import cache_folder

_SOURCES = ("linear.c", "attend_one.c", "attend_many.c", "elements.c", "vectors.h")
_NEEDED = {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"}
_LONGEST = 120  # seconds that a compiler may take
_OPTIONS = ("-O3", "-march=native", "-std=gnu11", "-fopenmp", "-fPIC")

log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The kernels; None where this processor or system is not one they are for, or nothing compiles C.

    `LLAVAKIT_KERNELS=0` leaves them out.
    """
    if os.environ.get("LLAVAKIT_KERNELS") == "0" or not _flags() >= _NEEDED:
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None)
    if compiler is None:
        log.info("no C compiler (cc): weights of 8 and 4 bits are multiplied without our kernels")
        return None
    try:
        return _loaded(compiler)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        log.warning("our kernels cannot be compiled, and are left out: %s", str(said).strip()[:2000])
        return None


def _flags() -> set[str]:
    """What this processor can do, in Linux's words."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return set()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def _loaded(compiler: str) -> ctypes.CDLL:
    name = _name(compiler)
    folder = cache_folder() / "kernels"
    for file in folder.glob(f"{name}-*.so"):
        if file.name == f"{name}-{file.stat().st_size}.so":  # half a library would end the process
            return ctypes.CDLL(str(file))
    folder.mkdir(parents=True, exist_ok=True)
    log.info("compiling our kernels for this processor into %s, once", folder)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        objects = [f"{place}/{source}.o" for source in _SOURCES if source.endswith(".c")]
        for made in objects:
            _run(compiler, *_OPTIONS, "-c", str(_here() / Path(made).stem), "-o", made)
        whole = Path(place) / "kernels.so"
        _run(compiler, "-shared", "-Wl,--no-undefined", *objects, *_threads(), "-lm", "-o", str(whole))
        file = whole.replace(folder / f"{name}-{whole.stat().st_size}.so")
    return ctypes.CDLL(str(file))


def _threads() -> list[str]:
    """PyTorch's own OpenMP: a second one would have threads of its own, which get in each other's way."""
    root = Path(torch.__file__).parent
    found = [*root.glob("lib/libgomp*.so*"), *root.parent.glob("torch.libs/libgomp*.so*")]
    return [str(found[0])] if found else ["-fopenmp"]


def _run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LONGEST)
    return done.stdout


def _name(compiler: str) -> str:
    """A hash of all that the machine code depends on."""
    sources = [(_here() / source).read_text(encoding="utf-8") for source in _SOURCES]
    said = [_run(compiler, "--version"), *_OPTIONS, *_threads(), *sorted(_flags()), *sources]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _here() -> Path:
    return Path(__file__).parent
