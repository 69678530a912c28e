"""Examples into batches of tensors: the last step before the model."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
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


# Lengths are rounded up to this: few shapes, so that kernels prepared per shape are few, and products whose
# sides are multiples of 8, which tensor cores are fastest at (NVIDIA, Matrix Multiplication guide).
_GRAIN = 16


class Batch:
    """Tensors that travel together."""

    @property
    def weight(self) -> int:
        """How many terms its loss sums; by it, the losses of batches make up that of a step."""
        raise NotImplementedError

    @property
    def tokens(self) -> int:
        """Tokens of text and pictures that are read, padding left out."""
        raise NotImplementedError

    def to(self, device: torch.device | str) -> Self:
        """On another device; nobody waits for what comes from page-locked memory."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """In page-locked memory, from where a GPU takes it while the host goes on."""
        return self._each(Tensor.pin_memory)

    def _each(self, move: Callable[[Tensor], Tensor]) -> Self:
        moved = {
            field.name: move(value)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class TokenBatch(Batch):
    """Conversations in rows, padded on the right, where causal attention never looks and no label is.

    Attributes:
        ids: (row, token)
        labels: (row, token), IGNORE where not supervised
        pixels: (view, 3, size, size), pictures in order of placement
        layouts: of each picture, for a model with a tiling
        features: (picture, patch, vision), what the tower makes of the pictures, in place of `pixels`
        places: (feature,), where in `ids` flattened pictures are, see `Llava.embed`; None: not known yet
        lengths: of the conversations; None: they fill their rows
        targets: (target,), where in `labels` flattened stands what is to be predicted, each from the token
            before; found where it is not given
    """

    ids: Tensor
    labels: Tensor
    pixels: Tensor | None = None
    layouts: tuple[Layout, ...] | None = None
    features: Tensor | None = None
    places: Tensor | None = None
    lengths: tuple[int, ...] | None = None
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        if self.targets is None:
            supervised = self.labels != IGNORE
            supervised.view(-1)[self._starts()] = False  # nothing stands before a first token
            object.__setattr__(self, "targets", supervised.flatten().nonzero().squeeze(1))

    def _starts(self) -> list[int]:
        rows, length = self.labels.shape
        return [row * length for row in range(rows)]

    @property
    def weight(self) -> int:
        assert self.targets is not None  # found when it was made
        return len(self.targets)

    @property
    def tokens(self) -> int:
        return self.ids.numel() if self.lengths is None else sum(self.lengths)

    @property
    def blocks(self) -> tuple[int, ...] | None:
        """Lengths of the sequences that each row holds end to end; None: one a row."""
        return None


@dataclass(frozen=True)
class PackedBatch(TokenBatch):
    """Conversations end to end in a single row, each seeing itself alone; padding may end it.

    `lengths` are those of the conversations.
    """

    @property
    def blocks(self) -> tuple[int, ...]:
        padding = self.ids.shape[1] - self.tokens
        return (*(self.lengths or ()), padding) if padding else self.lengths or ()

    def _starts(self) -> list[int]:
        return [0, *accumulate(self.blocks)][:-1]


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

    @property
    def weight(self) -> int:
        return 1  # a mean already: its pictures are each other's rivals

    @property
    def tokens(self) -> int:
        return self.captions.numel() + self.phrases.numel()


@dataclass(frozen=True)
class Featured:
    """A conversation whose pictures need not be looked at: the tower has seen them before.

    Attributes:
        messages: something stands where each picture goes; what it shows is not looked at
        features: (picture, patch, vision), in the messages' order
    """

    messages: tuple[Message, ...]
    features: Tensor


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
class Sample:
    """A conversation in numbers; fields as those of `TokenBatch`, ids and labels (token,)."""

    ids: Tensor
    labels: Tensor
    pixels: Tensor | None
    layouts: tuple[Layout, ...] | None
    features: Tensor | None


@dataclass(frozen=True)
class TokenCollator:
    """Conversations -> batches of tokens.

    `encode` takes one by one, so that whoever calls knows which one is bad; `batches` puts together what
    it gave; a call does both.

    Args:
        encoder: how a conversation becomes tokens
        max_length: longer conversations are cut
        pack: `PackedBatch`, without padding between conversations; else `TokenBatch`
        micro_tokens: most tokens a batch may have, padding included; None: as many as come. A
            conversation that is longer has a batch of its own
        feature_shape: (patch, vision) of the tower's features where they are given in place of pictures
    """

    encoder: PromptEncoder
    max_length: int
    pack: bool = True
    micro_tokens: int | None = None
    feature_shape: tuple[int, int] | None = None

    def __call__(self, conversations: Sequence[tuple[Message, ...] | Featured]) -> list[Batch]:
        return self.batches([self.encode(conversation) for conversation in conversations])

    def encode(self, conversation: tuple[Message, ...] | Featured) -> Sample:
        """Tokens and pixels of one conversation.

        Raises:
            LlavaError: it cannot be written in the template, a picture does not fit, or nothing is left to
                learn from.
        """
        featured = conversation if isinstance(conversation, Featured) else None
        messages = conversation.messages if isinstance(conversation, Featured) else conversation
        encoded = self.encoder.encode(messages, reply=False)
        end = max((end for _, end in encoded.image_spans), default=0)
        if end > self.max_length:
            raise PromptError(
                f"a picture ends at token {end} of its conversation, which is cut at {self.max_length}: "
                "raise max_length, or leave such rows out"
            )
        ids = torch.tensor(encoded.ids[: self.max_length])
        labels = torch.tensor(encoded.labels[: self.max_length])
        if not (labels[1:] != IGNORE).any():
            cut = f" in the {self.max_length} tokens it is cut to" if len(encoded.ids) > len(ids) else ""
            raise LlavaError(f"the conversation has no supervised token{cut}: check its answers")
        if featured is not None and encoded.images:
            order = {id(image): i for i, image in enumerate(_pictures(messages))}
            features = featured.features[[order[id(image)] for image in encoded.images]]
            return Sample(ids, labels, None, None, features)
        pixels = None
        if encoded.images:
            pixels = torch.from_numpy(self.encoder.pixels(encoded.images, encoded.layouts))
        return Sample(ids, labels, pixels, encoded.layouts or None, None)

    def batches(self, samples: Sequence[Sample]) -> list[Batch]:
        """Few batches of at most `micro_tokens`, about equally large; in each, samples keep their order."""
        lengths = [len(sample.ids) for sample in samples]
        shares = _shares(lengths, self.micro_tokens or sys.maxsize, self._room)
        return [self._batch([samples[i] for i in share]) for share in shares]

    def filler(self) -> Batch:
        """A batch of padding, whose loss is 0 and gives each parameter a gradient of 0: for a process that
        has fewer batches than those it has to keep in step with."""
        ids = torch.full((1, _GRAIN), self.encoder.tokenizer.pad_id)
        kind = PackedBatch if self.pack else TokenBatch
        none = torch.empty(0, dtype=torch.long)
        return kind(ids, torch.full_like(ids, IGNORE), places=none, lengths=(), targets=none)

    def with_picture(self, batch: Batch) -> Batch:
        """`batch`, and where it has no picture, one that stands nowhere and changes nothing: connector and
        tower then run in every process, and every parameter of theirs has a gradient."""
        assert isinstance(batch, TokenBatch)  # as all that it made
        if batch.pixels is not None or batch.features is not None:
            return batch
        if self.feature_shape is not None:
            return replace(batch, features=torch.zeros(1, *self.feature_shape))
        tiling, size = self.encoder.tiling, self.encoder.image_config.size
        layouts = None if tiling is None else (tiling.whole,)
        return replace(batch, pixels=torch.zeros(1, 3, size, size), layouts=layouts)

    def _room(self, count: int, total: int, longest: int) -> int:
        """Tokens of a batch of so many conversations, padding included."""
        return _rounded(total) if self.pack else count * min(_rounded(longest), self.max_length)

    def _batch(self, samples: list[Sample]) -> Batch:
        lengths = tuple(len(sample.ids) for sample in samples)
        rows = 1 if self.pack else len(samples)
        length = self._room(len(lengths), sum(lengths), max(lengths)) // rows
        ids = torch.full((rows, length), self.encoder.tokenizer.pad_id)
        labels = torch.full_like(ids, IGNORE)
        starts = [0, *accumulate(lengths)] if self.pack else range(0, ids.numel(), length)
        for start, sample in zip(starts, samples, strict=False):
            ids.view(-1)[start : start + len(sample.ids)] = sample.ids
            labels.view(-1)[start : start + len(sample.ids)] = sample.labels
        kind = PackedBatch if self.pack else TokenBatch
        return kind(
            ids,
            labels,
            pixels=_joined([sample.pixels for sample in samples]),
            layouts=tuple(layout for sample in samples for layout in sample.layouts or ()) or None,
            features=_joined([sample.features for sample in samples]),
            places=(ids == self.encoder.tokenizer.image_token_id).flatten().nonzero().squeeze(1),
            lengths=lengths,
        )


def _pictures(messages: Sequence[Message]) -> list[Image.Image]:
    return [image for message in messages for image in message.images]


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None


def _rounded(length: int) -> int:
    return -(-length // _GRAIN) * _GRAIN


def _shares(lengths: Sequence[int], most: int, room: Callable[[int, int, int], int]) -> list[list[int]]:
    """Which conversations go together: in as few shares as may be, the largest as small as may be.

    Args:
        most: that a share may take, but for a single conversation
        room: what a share takes, from how many there are, their lengths' sum, and the longest
    """
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])

    def filled(most: int) -> list[list[int]]:
        """First fit: each goes to the first share that has room."""
        shares: list[list[int]] = []
        totals: list[int] = []
        for i in longest_first:
            for at, share in enumerate(shares):
                if room(len(share) + 1, totals[at] + lengths[i], lengths[share[0]]) <= most:
                    share.append(i)
                    totals[at] += lengths[i]
                    break
            else:
                shares.append([i])
                totals.append(lengths[i])
        return shares

    fewest = len(filled(most))
    low, high = 1, min(most, room(len(lengths), sum(lengths), max(lengths, default=0)))
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(filled(middle)) <= fewest else (middle + 1, high)
    return [sorted(share) for share in filled(high)]


@dataclass(frozen=True)
class ContrastiveSample:
    """A captioned image in numbers: pixels (3, size, size), the caption's tokens, and of each region how much
    of each patch it covers, with its phrases."""

    pixels: NDArray[np.float32]
    caption: list[int]
    regions: tuple[tuple[NDArray[np.float32], tuple[str, ...]], ...]


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
            LlavaError: a region is empty, or regions differ in how many phrases they have.
        """
        _check_aspects([said for _, said in example.regions])
        return ContrastiveSample(
            preprocess(example.image, self.image_config),
            self._tokens(example.caption),
            tuple((patch_weights(box, self.grid), said) for box, said in example.regions),
        )

    def batches(self, samples: Sequence[ContrastiveSample]) -> list[Batch]:
        if not samples:
            return []
        regions = [(i, covered, said) for i, sample in enumerate(samples) for covered, said in sample.regions]
        phrases: list[dict[str, int]] = [{} for _ in range(_check_aspects([said for _, _, said in regions]))]
        chosen = [[own.setdefault(p, len(own)) for own, p in zip(phrases, said, strict=True)]
                  for _, _, said in regions]  # fmt: skip
        patches = [covered for _, covered, _ in regions]
        weights = np.stack(patches) if patches else np.zeros((0, self.grid**2), np.float32)
        batch = ContrastiveBatch(
            pixels=torch.from_numpy(np.stack([sample.pixels for sample in samples])),
            captions=self._texts([sample.caption for sample in samples]),
            phrases=self._texts([self._tokens(phrase) for own in phrases for phrase in own]),
            aspects=tuple(map(len, phrases)),
            region_image=torch.tensor([i for i, _, _ in regions], dtype=torch.long),
            region_patches=torch.from_numpy(weights),
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


def _check_aspects(phrases: Sequence[tuple[str, ...]]) -> int:
    """How many phrases each region has."""
    counts = {len(said) for said in phrases}
    if len(counts) > 1:
        raise LlavaError(f"regions have {sorted(counts)} phrases: give each one phrase for each aspect")
    return max(counts, default=0)


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
