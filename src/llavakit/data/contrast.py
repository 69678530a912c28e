"""Pictures with captions, and with phrases for their regions, into batches for CLIP's objective."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from llavakit.config import ImageConfig
from llavakit.data.collate import Batch
from llavakit.errors import LlavaError
from llavakit.media import preprocess, within
from llavakit.prompt.tokenizer import Tokenizer

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as shares of width and height


@dataclass(frozen=True)
class Region:
    """A part of a picture and what is said of it, by aspect ("what": "a car", "where": "on the left").

    A phrase competes with those of its own aspect only, for "a car" and "on the left" are both true.
    Regions need not have the same aspects. `box` None stands for all that no other region covers.
    """

    box: Box | None
    phrases: Mapping[str, str]


@dataclass(frozen=True)
class CaptionedImage:
    """An example of the contrastive objective."""

    image: Image.Image
    caption: str
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class ContrastiveBatch(Batch):
    """Pictures with captions, and regions of them with phrases.

    Only patches that belong to a region are looked at; `touch_*` tell which belongs to which: the sum of a
    region's weights is 1.
    """

    pixels: Tensor  # (image, 3, size, size)
    captions: Tensor  # (image, token)
    phrases: Tensor  # (phrase, token), distinct; apart from the captions because they are far shorter
    aspects: tuple[int, ...]  # how many of the phrases, in order, speak of each aspect
    patches: Tensor  # (seen,) patches in regions, counted through all pictures
    touch_patch: Tensor  # (touch,) which of `patches`
    touch_region: Tensor  # (touch,) which region
    touch_weight: Tensor  # (touch,) what share of the region's area lies in the patch
    region_phrase: Tensor  # (region, aspect) which of the aspect's phrases; -1: none

    @property
    def weight(self) -> int:
        return 1  # a mean already: its pictures are each other's rivals

    @property
    def tokens(self) -> int:
        return self.captions.numel() + self.phrases.numel()


@dataclass(frozen=True)
class ContrastiveSample:
    """A captioned image in numbers: pixels (3, size, size), the caption's tokens, and of each region how much
    of each patch it covers, with its phrases."""

    pixels: NDArray[np.float32]
    caption: list[int]
    regions: tuple[tuple[NDArray[np.float32], Mapping[str, str]], ...]


@dataclass(frozen=True)
class ContrastiveCollator:
    """Captioned images -> `ContrastiveBatch`; `grid` is the tower's patches per side.

    Methods as those of `TokenCollator`; there is only one batch, since its pictures are each other's rivals.
    """

    tokenizer: Tokenizer
    image_config: ImageConfig
    grid: int
    max_length: int

    def __call__(self, examples: Sequence[CaptionedImage]) -> list[Batch]:
        return self.batches([self.encode(example) for example in examples])

    def encode(self, example: CaptionedImage) -> ContrastiveSample:
        """Pixels, tokens and patches of one picture.

        Raises:
            LlavaError: a region is empty.
        """
        return ContrastiveSample(
            preprocess(example.image, self.image_config),
            self._tokens(example.caption),
            tuple(self._regions(example)),
        )

    def _regions(self, example: CaptionedImage) -> Iterator[tuple[NDArray[np.float32], Mapping[str, str]]]:
        bare = np.ones(self.grid**2, bool)
        for region in example.regions:
            if region.box is None:
                continue
            box = within(region.box, example.image.size, self.image_config)
            if box is None:  # cut away
                continue
            weights = patch_weights(box, self.grid)
            bare &= weights == 0
            yield weights, region.phrases
        for region in example.regions:
            if region.box is None and bare.any():
                yield (bare / bare.sum()).astype(np.float32), region.phrases

    def batches(self, samples: Sequence[ContrastiveSample]) -> list[Batch]:
        if not samples:
            return []
        regions = [(i, covered, said) for i, sample in enumerate(samples) for covered, said in sample.regions]
        phrases: dict[str, dict[str, int]] = {}  # of each aspect
        for _, _, said in regions:
            for aspect, phrase in said.items():
                own = phrases.setdefault(aspect, {})
                own.setdefault(phrase, len(own))
        chosen = [[own.get(said.get(aspect, ""), -1) for aspect, own in phrases.items()]
                  for _, _, said in regions]  # fmt: skip
        touched = [covered.nonzero()[0] for _, covered, _ in regions]
        weights = [covered[at] for (_, covered, _), at in zip(regions, touched, strict=True)]
        places = [i * self.grid**2 + at for (i, _, _), at in zip(regions, touched, strict=True)]
        patches, patch = np.unique(_joined(places, np.int64), return_inverse=True)
        batch = ContrastiveBatch(
            pixels=torch.from_numpy(np.stack([sample.pixels for sample in samples])),
            captions=self._texts([sample.caption for sample in samples]),
            phrases=self._texts([self._tokens(phrase) for own in phrases.values() for phrase in own]),
            aspects=tuple(map(len, phrases.values())),
            patches=torch.from_numpy(patches),
            touch_patch=torch.from_numpy(patch),
            touch_region=torch.from_numpy(np.repeat(np.arange(len(regions)), [len(at) for at in touched])),
            touch_weight=torch.from_numpy(_joined(weights, np.float32)),
            region_phrase=torch.tensor(chosen, dtype=torch.long).view(len(regions), len(phrases)),
        )
        return [batch]

    def _tokens(self, text: str) -> list[int]:
        return [*self.tokenizer.encode(text)[: self.max_length - 1], self.tokenizer.eos_id]

    def _texts(self, rows: list[list[int]]) -> Tensor:
        """Each text ends with the end token, and is filled up with it."""
        length = max(map(len, rows), default=0)
        padded = [row + [self.tokenizer.eos_id] * (length - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.long).view(len(rows), length)


def _joined(parts: Sequence[NDArray[np.generic]], dtype: type[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def patch_weights(box: Box, grid: int) -> NDArray[np.float32]:
    """How much of each patch of a `grid` x `grid` picture lies in `box`, as shares of 1: (patch,).

    Raises:
        LlavaError: the box is empty, or outside of the picture.
    """
    edges = np.arange(grid)

    def overlap(low: float, high: float) -> NDArray[np.float64]:
        inside: NDArray[np.float64] = np.minimum(high * grid, edges + 1) - np.maximum(low * grid, edges)
        return inside.clip(min=0)

    area = np.outer(overlap(box[1], box[3]), overlap(box[0], box[2])).ravel()
    if not (box[0] < box[2] and box[1] < box[3] and area.sum() > 0):
        raise LlavaError(f"the region {box} is empty: x0 < x1 and y0 < y1 are shares of width and height")
    weights: NDArray[np.float32] = (area / area.sum()).astype(np.float32)
    return weights
