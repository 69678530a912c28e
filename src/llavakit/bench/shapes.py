"""LLaVAs of any size with random weights, written as real folders, once, and kept for the next run.

Weights mean nothing; shapes, files and bytes are those of a published model. One layer's worth of noise is
drawn and used for every layer, so writing takes as long as the disk needs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from llavakit.cache import cache_folder
from llavakit.checkpoint import open_source
from llavakit.checkpoint.folder import write_folder
from llavakit.checkpoint.gguf_write import write_gguf
from llavakit.checkpoint.locate import embedded_folder
from llavakit.checkpoint.source import Description, Own, Source
from llavakit.checkpoint.tensors import Tensors
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, VisionConfig
from llavakit.errors import UsageError, nearest
from llavakit.model import Llava
from llavakit.model.shapes import shapes_only
from llavakit.prompt.tokenizer import Tokenizer

_VERSION = 2  # of what is written: kept folders of another one are not used
_SCHEME = "q4_0"


@dataclass(frozen=True)
class Shape:
    """`layers`: of the language model, unless others are asked for: so many that several contenders fit."""

    vision: VisionConfig
    language: LanguageConfig
    layers: int


SHAPES = {
    "7b": Shape(VisionConfig(), LanguageConfig(vocab_size=32064), 8),
    "13b": Shape(
        VisionConfig(),
        LanguageConfig(vocab_size=32064, hidden_size=5120, intermediate_size=13824, num_hidden_layers=40,
                       num_attention_heads=40, num_key_value_heads=40),
        8,
    ),
    "tiny-random": Shape(
        VisionConfig(image_size=56, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                     num_attention_heads=2),
        LanguageConfig(vocab_size=4096, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=4, head_dim=64),
        2,
    ),
}  # fmt: skip


def shape(name: str) -> Shape:
    """The shape of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in SHAPES:
        raise UsageError(f"no shapes {name!r} ({nearest(name, SHAPES)})")
    return SHAPES[name]


class Noise(Tensors):
    """The tensors that a model of this shape has, each a stretch of the same noise."""

    def __init__(self, config: LlavaConfig, dtype: torch.dtype) -> None:
        with shapes_only():
            self._shapes = {name: tuple(p.shape) for name, p in Llava(config).named_parameters()}
        largest = max(map(math.prod, self._shapes.values()))
        generator = torch.Generator().manual_seed(0)
        self._noise = (torch.randn(largest, generator=generator) * 0.02).to(dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def dtype(self, name: str) -> torch.dtype:
        return self._noise.dtype

    def files(self) -> set[Path]:
        return set()

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        shape = self._shapes[name]
        if len(shape) == 1 and "norm" in name:
            tensor = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
            return tensor.to(dtype or self._noise.dtype)
        # A copy: safetensors refuses tensors that share memory.
        return self._noise[: math.prod(shape)].view(shape).to(device=device, dtype=dtype, copy=True)


def write_random(
    folder: Path, name: str = "7b", layers: int | None = None, dtype: torch.dtype = torch.float16
) -> None:
    """Write a LLaVA of these shapes, with so many language layers; None: the published model's.

    Raises:
        UsageError: no such shapes.
        CheckpointError: the folder holds other files, or cannot be written.
    """
    given = shape(name)
    language = given.language
    if layers is not None:
        language = language.model_copy(update={"num_hidden_layers": layers})
    # Its words do not matter; every shape has rows enough for them.
    tokenizer = Tokenizer.load(embedded_folder())
    config = LlavaConfig(vision=given.vision, language=language, image_token_id=tokenizer.image_token_id)
    said = Description(
        folder, config, ImageConfig(size=given.vision.image_size), Own(), "vicuna_v1", (tokenizer.eos_id,)
    )
    write_folder(Source(said, tokenizer, Noise(config, dtype)), folder)


def kept_model(name: str, layers: int) -> Path:
    """The folder of a random LLaVA, written first where it is not there yet."""
    folder = cache_folder() / "bench" / f"{name}-{layers}-v{_VERSION}"
    if not (folder / "config.json").is_file():
        write_random(folder, name, layers)
    return folder


def kept_gguf(model: Path) -> dict[str, str]:
    """Paths of a model's two files for llama.cpp ("model", "mmproj"), written first where they are not there.

    Raises:
        UsageError: the `gguf` package is not installed.
        CheckpointError: llama.cpp has no such model.
    """
    changed = max(path.stat().st_mtime_ns for path in model.iterdir())
    digest = blake2b(f"{model.resolve()} {changed}".encode(), digest_size=4).hexdigest()
    name = model.resolve().name
    folder = cache_folder() / "bench" / f"{name}-{digest}-gguf-v{_VERSION}"
    files = {"model": f"{name}-{_SCHEME}.gguf", "mmproj": f"mmproj-{name}-f16.gguf"}
    if not folder.is_dir():
        write_gguf(open_source(model), folder, _SCHEME, name)
    return {part: str(folder / file) for part, file in files.items()}
