"""Weights as a backend wants them: as they are stored where that is it, else packed once and kept.

Packing takes minutes for a large model, mapping what was packed before a second. What is kept are the
safetensors files that `llava export --quantize` writes.
"""

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

from llavakit.cache import cache_folder
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.json_file import write_json
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.source import Source
from llavakit.checkpoint.tensors import Renamed, Safetensors, Tensors, TorchFiles, weight_files
from llavakit.checkpoint.weights import write
from llavakit.config import Quantization
from llavakit.errors import CheckpointError

_FORMAT = 1  # of the entries; raised when `pack` or the files change
_STEM = "weights"
_ENTRY = "entry.json"  # each file's size: what is not whole is known by it
_SHARD = 2**28  # bytes; writing takes twice as much memory

log = logging.getLogger(__name__)


def kept(source: Source, plan: Quantization | None, cache: Path | None = None) -> Source:
    """`source` with weights as `plan` wants them, in files that can be mapped: its own, or the cache's.

    They are packed, and written to the cache, where `plan` asks for it or where reading them would
    compute them (GGUF, LoRA); a model that is in memory stays there.

    Args:
        cache: None: see `cache_folder`

    Raises:
        UsageError: weights that are quantised already, in another way.
        CheckpointError: the source is damaged, or the cache cannot be written.
    """
    wanted = quantised(source, plan) if plan is not None else source
    tensors = wanted.tensors
    if _is_mapped(tensors) or not tensors.files():
        return wanted
    folder = (cache or cache_folder()) / "packed" / f"{_name(source)}-{_key(source, plan)}"
    if (found := _found(folder)) is None:
        log.info("packing the weights of %s into %s, once", source.said.folder, folder)
        with atomic_folder(folder, ("*",), lambda _: True) as partial:  # a damaged one too
            write(tensors, partial, shard_bytes=_SHARD, stem=_STEM)
            write_json(partial, {_ENTRY: {file.name: file.stat().st_size for file in partial.iterdir()}})
        found = Safetensors(weight_files(folder, _STEM))
    return replace(wanted, tensors=found)


def _is_mapped(tensors: Tensors) -> bool:
    while isinstance(tensors, Renamed):
        tensors = tensors.inner
    return isinstance(tensors, Safetensors | TorchFiles)


def _found(folder: Path) -> Tensors | None:
    """A cache entry's weights, if all of it is there."""
    try:
        sizes = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        return Safetensors(weight_files(folder, _STEM))
    except (OSError, ValueError, AttributeError, CheckpointError):
        return None


def _name(source: Source) -> str:
    """For people who look into the cache."""
    folder = source.said.folder.resolve()
    return next((part[8:] for part in folder.parts if part.startswith("models--")), folder.name) or "model"


def _key(source: Source, plan: Quantization | None) -> str:
    """Hash of what the weights are and of what becomes of them.

    Of the weights' files it takes names, sizes and times of change, not the bytes: reading those would
    take as long as packing. Of each tensor, name, shape and type; of the small files beside them (the
    scale of a LoRA is in one), the bytes.
    """
    tensors = source.tensors
    files = sorted(tensors.files())
    said = {
        "format": _FORMAT,
        "plan": plan and plan.model_dump(),
        "files": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files],
        "tensors": [(name, tensors.shape(name), str(tensors.dtype(name))) for name in sorted(tensors)],
        "beside": [
            hashlib.sha256(small.read_bytes()).hexdigest()
            for folder in sorted({file.parent for file in files})
            for small in sorted(folder.glob("*config.json"))
        ],
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
