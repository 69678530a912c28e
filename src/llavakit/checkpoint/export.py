"""A model in any format that can be opened, written in any that can be written. Nothing is ever whole in
memory: weights are read, packed and written a few at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from llavakit.checkpoint.folder import write_folder
from llavakit.checkpoint.gguf_quants import SCHEMES as GGUF_SCHEMES
from llavakit.checkpoint.gguf_write import write_gguf
from llavakit.checkpoint.original import write_original
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.source import Source
from llavakit.checkpoint.tensors import Tensors, Wrapped
from llavakit.config import Quantization, Scheme
from llavakit.errors import UsageError, nearest

Format = Literal["hf", "original", "gguf"]
_GGUF_DTYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


def export(
    source: Source,
    folder: Path,
    to: str,
    *,
    quantize: str | None = None,
    dtype: torch.dtype | None = None,
    on_read: Callable[[str], None] = lambda name: None,
) -> None:
    """Write `source` into `folder`, which appears whole or not at all.

    Args:
        to: "hf" (transformers, vLLM, SGLang), "original" (the official LLaVA repository) or "gguf"
            (llama.cpp, Ollama, llamafile)
        quantize: "hf": "int8" or "int4", for llavakit alone; "gguf": "q8_0", "q4_0", "q4_k"
        dtype: of weights that are not quantised; None: as they are, in GGUF float16
        on_read: told the name of each weight that is read

    Raises:
        UsageError: an unknown format, or a quantisation that it has not got.
        CheckpointError: the format has no such model; the folder holds other files, or cannot be written.
    """
    if to not in get_args(Format):
        raise UsageError(f"unknown format {to!r} ({nearest(to, get_args(Format))})")
    schemes = {"hf": get_args(Scheme), "gguf": tuple(GGUF_SCHEMES), "original": ()}[to]
    if quantize is not None and quantize not in schemes:
        known = f"{nearest(quantize, schemes)}: {', '.join(schemes)}" if schemes else "it has none"
        raise UsageError(f"{quantize!r} is no quantisation of the format {to!r} ({known})")
    if source.said.config.quantization is not None and (to != "hf" or quantize is not None):
        raise UsageError(f"{source.said.folder} is quantised already: export the model that it was made from")
    watched = replace(source, tensors=_Watched(source.tensors, on_read))
    if to == "gguf":
        write_gguf(watched, folder, quantize or _GGUF_DTYPES.get(dtype or torch.float16, "f16"))
    elif to == "original":
        write_original(watched, folder, dtype=dtype)
    else:
        plan = Quantization.parse({"scheme": quantize}, "quantize") if quantize else None
        write_folder(quantised(watched, plan) if plan else watched, folder, dtype=dtype)


class _Watched(Wrapped):
    """`inner`, and somebody is told what is read of it."""

    def __init__(self, inner: Tensors, on_read: Callable[[str], None]) -> None:
        super().__init__(inner)
        self._on_read = on_read

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        self._on_read(name)
        return super().read(name, dtype, device)
