"""Examples into batches of tensors: the last step before the model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from llavakit.config import ImageConfig, Layout
from llavakit.errors import LlavaError, PromptError
from llavakit.media import preprocess
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import Message
from llavakit.prompt.tokenizer import Tokenizer

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as shares of width and height


_GRAIN = 16  # lengths are rounded up to this: few shapes, so that kernels prepared per shape are few


class Batch:
    """Tensors that travel together."""

    def to(self, device: torch.device | str) -> Self:
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class TokenBatch(Batch):
    """Conversations, padded on the right, where causal attention never looks and no label is."""

    ids: Tensor  # (batch, token)
    labels: Tensor  # (batch, token), IGNORE where not supervised
    pixels: Tensor | None  # (view, 3, size, size), pictures in order of placement
    layouts: tuple[Layout, ...] | None = None  # of each picture, for a model with a tiling


@dataclass(frozen=True)
class ContrastiveBatch(Batch):
    """Pictures with captions, and regions of them with phrases."""

    pixels: Tensor  # (image, 3, size, size)
    captions: Tensor  # (image, token)
    phrases: Tensor  # (phrase, token), distinct; apart from the captions because they are far shorter
    aspects: tuple[int, ...]  # how many of the phrases, in order, speak of each aspect
    region_image: Tensor  # (region,) which image
    region_patches: Tensor  # (region, patch) weights that sum to 1
    region_phrase: Tensor  # (region, aspect) which of the aspect's phrases


@dataclass(frozen=True)
class CaptionedImage:
    """An example of the contrastive objective.

    A region has one phrase for each aspect (what it is, where it is …), the same aspects everywhere:
    a phrase competes with those of its own aspect only, for "a car" and "on the left" are both true.
    """

    image: Image.Image
    caption: str
    regions: tuple[tuple[Box, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class TokenCollator:
    """Conversations -> `TokenBatch`, cut at `max_length` tokens."""

    encoder: PromptEncoder
    max_length: int

    def __call__(self, conversations: Sequence[tuple[Message, ...]]) -> TokenBatch:
        encoded = [self.encoder.encode(messages, reply=False) for messages in conversations]
        longest = max(len(e.ids) for e in encoded)
        length = min(-(-longest // _GRAIN) * _GRAIN, self.max_length)
        if (end := max((end for e in encoded for _, end in e.image_spans), default=0)) > length:
            raise PromptError(
                f"a picture ends at token {end} of its conversation, which is cut at {self.max_length}: "
                "raise max_position_embeddings, or leave such rows out"
            )
        ids = torch.full((len(encoded), length), self.encoder.tokenizer.pad_id)
        labels = torch.full_like(ids, IGNORE)
        for row, e in enumerate(encoded):
            n = min(len(e.ids), length)
            ids[row, :n] = torch.tensor(e.ids[:n])
            labels[row, :n] = torch.tensor(e.labels[:n])
        images = [image for e in encoded for image in e.images]
        layouts = tuple(layout for e in encoded for layout in e.layouts or ()) or None
        pixels = torch.from_numpy(self.encoder.pixels(images, layouts)) if images else None
        return TokenBatch(ids, labels, pixels, layouts)

    def size(self, conversation: tuple[Message, ...]) -> int:
        """Characters, and a picture's tokens as if they were words."""
        pictures = [image for message in conversation for image in message.images]
        return sum(len(m.text) for m in conversation) + 4 * sum(self.encoder.image_tokens(pictures))


@dataclass(frozen=True)
class ContrastiveCollator:
    """Captioned images -> `ContrastiveBatch`; `grid` is the tower's patches per side."""

    tokenizer: Tokenizer
    image_config: ImageConfig
    grid: int
    max_length: int

    def __call__(self, examples: Sequence[CaptionedImage]) -> ContrastiveBatch:
        regions = [(i, box, said) for i, example in enumerate(examples) for box, said in example.regions]
        counts = {len(said) for _, _, said in regions}
        if len(counts) > 1:
            raise LlavaError(f"regions have {sorted(counts)} phrases: give each one phrase for each aspect")
        phrases: list[dict[str, int]] = [{} for _ in range(max(counts, default=0))]
        chosen = [[own.setdefault(p, len(own)) for own, p in zip(phrases, said, strict=True)]
                  for _, _, said in regions]  # fmt: skip
        patches = [patch_weights(box, self.grid) for _, box, _ in regions]
        weights = np.stack(patches) if patches else np.zeros((0, self.grid**2), np.float32)
        return ContrastiveBatch(
            pixels=torch.from_numpy(np.stack([preprocess(e.image, self.image_config) for e in examples])),
            captions=self._texts([e.caption for e in examples]),
            phrases=self._texts([phrase for own in phrases for phrase in own]),
            aspects=tuple(map(len, phrases)),
            region_image=torch.tensor([i for i, _, _ in regions], dtype=torch.long),
            region_patches=torch.from_numpy(weights),
            region_phrase=torch.tensor(chosen, dtype=torch.long).view(len(regions), len(phrases)),
        )

    def size(self, example: CaptionedImage) -> int:
        """Characters of the caption."""
        return len(example.caption)

    def _texts(self, texts: list[str]) -> Tensor:
        """Each text ends with the end token, and is filled up with it."""
        end = self.tokenizer.eos_id
        rows = [[*self.tokenizer.encode(text)[: self.max_length - 1], end] for text in texts]
        length = max(map(len, rows), default=0)
        padded = [row + [end] * (length - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.long).view(len(rows), length)


def patch_weights(box: Box, grid: int) -> NDArray[np.float32]:
    """How much of each patch of a `grid` x `grid` picture lies in `box`, as shares of 1: (patch,)."""
    edges = np.arange(grid)

    def overlap(low: float, high: float) -> NDArray[np.float64]:
        inside: NDArray[np.float64] = np.minimum(high * grid, edges + 1) - np.maximum(low * grid, edges)
        return inside.clip(min=0)

    if not (box[0] < box[2] and box[1] < box[3]):
        raise LlavaError(f"the region {box} is empty: x0 < x1 and y0 < y1 are shares of width and height")
    area = np.outer(overlap(box[1], box[3]), overlap(box[0], box[2])).ravel()
    weights: NDArray[np.float32] = (area / area.sum()).astype(np.float32)
    return weights
