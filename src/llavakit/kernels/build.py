"""C to machine code of this very processor: compiled when first asked for, kept in the cache."""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from llavakit.cache import cache_folder
from llavakit.errors import LlavaError

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
    if os.environ.get("LLAVAKIT_KERNELS") == "0":
        return None
    why = "no C compiler (cc, gcc, or what CC names)"
    try:
        if not _flags() >= _NEEDED:
            return None
        for command in (os.environ.get("CC", "cc"), "gcc"):
            compiler = shlex.split(command)
            if compiler and shutil.which(compiler[0]):
                try:
                    return _loaded(compiler)
                except (OSError, subprocess.SubprocessError) as error:
                    why = str(getattr(error, "stderr", None) or error).strip()[:2000]
    except (OSError, ValueError) as error:  # what /proc says cannot be read, CC's quotes do not match
        why = str(error)
    log.warning("weights of 8 and 4 bits are multiplied without our kernels: %s", why)
    return None


def _flags() -> set[str]:
    """What this processor can do, in Linux's words."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return set()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def _loaded(compiler: list[str]) -> ctypes.CDLL:
    """From the cache folder; compiled first where it is not there, or not as it was written."""
    name = _name(compiler)
    try:
        folder = cache_folder() / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob(f"{name}-*.so"):
            if file.name == f"{name}-{_hash(file.read_bytes())}.so":  # else, loading could end the process
                return ctypes.CDLL(str(file))
            file.unlink()
        with tempfile.TemporaryDirectory(dir=folder) as place:
            log.info("compiling our kernels for this processor into %s, once", folder)
            made = _compiled(compiler, Path(place))
            return ctypes.CDLL(str(made.replace(folder / f"{name}-{_hash(made.read_bytes())}.so")))
    except (OSError, LlavaError):  # no home, or one that cannot be written
        with tempfile.TemporaryDirectory() as place:
            return ctypes.CDLL(str(_compiled(compiler, Path(place))))


def _compiled(compiler: list[str], place: Path) -> Path:
    objects = [f"{place}/{source}.o" for source in _SOURCES if source.endswith(".c")]
    for made in objects:
        _run(*compiler, *_OPTIONS, "-c", str(_here() / Path(made).stem), "-o", made)
    whole = place / "kernels.so"
    _run(*compiler, "-shared", "-Wl,--no-undefined", *objects, *_threads(), "-lm", "-o", str(whole))
    return whole


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _threads() -> list[str]:
    """PyTorch's own OpenMP: a second one would have threads of its own, which get in each other's way."""
    root = Path(torch.__file__).parent
    found = [*root.glob("lib/libgomp*.so*"), *root.parent.glob("torch.libs/libgomp*.so*")]
    return [str(found[0])] if found else ["-fopenmp"]


def _run(*command: str) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, errors="replace", timeout=_LONGEST
    )
    return done.stdout


def _name(compiler: list[str]) -> str:
    """A hash of all that the machine code depends on."""
    sources = [(_here() / source).read_text(encoding="utf-8") for source in _SOURCES]
    version = _run(*compiler, "--version")
    said = [*compiler, version, *_OPTIONS, *_threads(), *sorted(_flags()), *sources]
    return _hash(repr(said).encode())


def _here() -> Path:
    return Path(__file__).parent
