"""A LLaVA of any size with random weights, written as a real folder of shards.

    python benchmarks/random_model.py OUT [--size 7b|tiny]

Weights mean nothing; shapes, files and bytes are those of llava-hf/llava-1.5-7b-hf. One layer's worth of
noise is drawn and used for every layer, so writing takes as long as the disk needs.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from llavakit.checkpoint.folder import write_folder
from llavakit.checkpoint.locate import embedded_folder
from llavakit.checkpoint.source import Description, Own, Source
from llavakit.checkpoint.tensors import Tensors
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, VisionConfig
from llavakit.model import Llava
from llavakit.prompt.tokenizer import Tokenizer

SIZES = {
    "7b": (VisionConfig(), LanguageConfig(vocab_size=32064)),
    "tiny": (
        VisionConfig(image_size=56, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                     num_attention_heads=2),
        LanguageConfig(vocab_size=2048, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=4, head_dim=64),
    ),
}  # fmt: skip


class Noise(Tensors):
    """The tensors that a model of this shape has, each a stretch of the same noise."""

    def __init__(self, config: LlavaConfig, dtype: torch.dtype) -> None:
        with torch.device("meta"):
            self._shapes = {name: tuple(p.shape) for name, p in Llava(config).named_parameters()}
        largest = max(map(math.prod, self._shapes.values()))
        torch.manual_seed(0)
        self._noise = (torch.randn(largest) * 0.02).to(dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def dtype(self, name: str) -> torch.dtype:
        return self._noise.dtype

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        shape = self._shapes[name]
        if len(shape) == 1 and "norm" in name:
            tensor = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
            return tensor.to(dtype or self._noise.dtype)
        # A copy: safetensors refuses tensors that share memory.
        return self._noise[: math.prod(shape)].view(shape).to(device=device, dtype=dtype, copy=True)


def write_random(folder: Path, size: str = "7b", dtype: torch.dtype = torch.float16) -> None:
    """Write the folder; see the module."""
    vision, language = SIZES[size]
    tokenizer = Tokenizer.load(embedded_folder())  # its words do not matter either
    config = LlavaConfig(vision=vision, language=language, image_token_id=tokenizer.image_token_id)
    said = Description(
        folder, config, ImageConfig(size=vision.image_size), Own(), "vicuna_v1", (tokenizer.eos_id,)
    )
    write_folder(Source(said, tokenizer, Noise(config, dtype)), folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES, default="7b")
    arguments = parser.parse_args()
    write_random(arguments.out, arguments.size)
