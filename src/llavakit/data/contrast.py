"""Pictures with captions, and with labels for their parts, into batches for CLIP's objective."""

from collections.abc import Mapping, Sequence
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

_MOSTLY = 0.5  # of what the region's fullest patch holds of it, a patch has to hold to get its labels
UNASKED = -1


@dataclass(frozen=True)
class Label:
    """A question that is asked of patches, and the answers it may have.

    Attributes:
        classes: the answers. Of a label with `cells` the first is "nothing here".
        weight: of its loss, beside the other labels'
        cells: None: a region's answer is that of all patches that lie in it. Else each patch is cut into
            `cells` x `cells`, and the answer belongs to the one that the region's centre lies in: where
            things are, one by one, and what the letters of a word are, in their order.
    """

    classes: tuple[str, ...]
    weight: float = 1.0
    cells: int | None = None

    @property
    def outputs(self) -> int:
        """How many numbers a patch answers with."""
        return len(self.classes) * (self.cells or 1) ** 2


Labels = Mapping[str, Label]


@dataclass(frozen=True)
class Region:
    """A part of a picture and its answers, by label ({"kind": "car", "colour": "red"}).

    Of regions that lie over one another the later is seen. `box` None stands for all that no other covers.
    """

    box: Box | None
    labels: Mapping[str, str]


@dataclass(frozen=True)
class CaptionedImage:
    """An example of the contrastive objective.

    Attributes:
        complete: whatever has a label's answer is among the regions, so that elsewhere there is nothing
    """

    image: Image.Image
    caption: str
    regions: tuple[Region, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class ContrastiveBatch(Batch):
    """Pictures with captions, and what their patches are asked.

    Attributes:
        pixels: (image, 3, size, size)
        captions: (image, token)
        answers: by label, (image, patch, cell of the patch): the number of the class, or UNASKED
    """

    pixels: Tensor
    captions: Tensor
    answers: Mapping[str, Tensor]

    @property
    def weight(self) -> int:
        return 1  # a mean already: its pictures are each other's rivals

    @property
    def tokens(self) -> int:
        return self.captions.numel()


@dataclass(frozen=True)
class ContrastiveSample:
    """A captioned image in numbers: pixels (3, size, size), the caption's tokens, and by label the answers
    of its patches, (patch, cell)."""

    pixels: NDArray[np.float32]
    caption: list[int]
    answers: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class ContrastiveCollator:
    """Captioned images -> `ContrastiveBatch`.

    Methods as those of `TokenCollator`; there is only one batch, since its pictures are each other's rivals.

    Args:
        grid: the tower's patches per side
        labels: what patches are asked
    """

    tokenizer: Tokenizer
    image_config: ImageConfig
    grid: int
    max_length: int
    labels: Labels

    def __call__(self, examples: Sequence[CaptionedImage]) -> list[Batch]:
        return self.batches([self.encode(example) for example in examples])

    def encode(self, example: CaptionedImage) -> ContrastiveSample:
        """Pixels, tokens and patches of one picture.

        Raises:
            LlavaError: a region is empty, or has an answer that its label does not know.
        """
        tokens = self.tokenizer.encode(example.caption)[: self.max_length - 1]
        return ContrastiveSample(
            preprocess(example.image, self.image_config),
            [*tokens, self.tokenizer.eos_id],
            self._answers(example),
        )

    def _answers(self, example: CaptionedImage) -> dict[str, NDArray[np.int64]]:
        answers = {name: self._unanswered(label, example.complete) for name, label in self.labels.items()}
        bare = np.ones(self.grid**2, bool)
        for region in example.regions:
            if region.box is None:
                continue
            box = within(region.box, example.image.size, self.image_config)
            if box is None:  # cut away
                continue
            weights = patch_weights(box, self.grid)
            bare &= weights == 0
            inside = weights > _MOSTLY * weights.max()
            for name, answer in region.labels.items():
                number = self._number(name, answer)
                cells = self.labels[name].cells
                if cells is None:
                    answers[name][inside] = number
                elif (place := _cell_of(box, self.grid, cells)) is not None:
                    answers[name][place] = number
        for region in example.regions:
            if region.box is None:
                for name, answer in region.labels.items():
                    answers[name][bare] = self._number(name, answer)
        return answers

    def _unanswered(self, label: Label, complete: bool) -> NDArray[np.int64]:
        nothing = label.cells is not None and complete
        return np.full((self.grid**2, (label.cells or 1) ** 2), 0 if nothing else UNASKED, np.int64)

    def _number(self, name: str, answer: str) -> int:
        try:
            return self.labels[name].classes.index(answer)
        except (KeyError, ValueError):
            raise LlavaError(f"a region says {name} = {answer!r}, which is no answer of any label") from None

    def batches(self, samples: Sequence[ContrastiveSample]) -> list[Batch]:
        if not samples:
            return []
        length = max(len(sample.caption) for sample in samples)
        # Each text ends with the end token, and is filled up with it.
        filled = [s.caption + [self.tokenizer.eos_id] * (length - len(s.caption)) for s in samples]
        batch = ContrastiveBatch(
            pixels=torch.from_numpy(np.stack([sample.pixels for sample in samples])),
            captions=torch.tensor(filled, dtype=torch.long),
            answers={
                name: torch.from_numpy(np.stack([sample.answers[name] for sample in samples]))
                for name in self.labels
            },
        )
        return [batch]


def _cell_of(box: Box, grid: int, cells: int) -> tuple[int, int] | None:
    """The patch, and the cell of it, that the box's centre is in; None outside of the picture."""
    column, row = (int((low + high) / 2 * grid * cells // 1) for low, high in (box[::2], box[1::2]))
    if not (0 <= column < grid * cells and 0 <= row < grid * cells):
        return None
    return row // cells * grid + column // cells, row % cells * cells + column % cells


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
