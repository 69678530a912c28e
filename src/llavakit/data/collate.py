"""Examples into batches of tensors: the last step before the model."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from llavakit.config import Layout
from llavakit.errors import LlavaError, PromptError
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import Message

# Lengths are rounded up to this: few shapes, so that kernels prepared per shape are few, and products whose
# sides are multiples of 8, which tensor cores are fastest at (NVIDIA, Matrix Multiplication guide).
_GRAIN = 16


class Batch:
    """Tensors, and mappings to tensors, that travel together."""

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
        moved: dict[str, object] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = move(value)
            elif isinstance(value, Mapping):
                moved[field.name] = {name: move(tensor) for name, tensor in value.items()}
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
class Featured:
    """A conversation whose pictures need not be looked at: the tower has seen them before.

    Attributes:
        messages: something stands where each picture goes; what it shows is not looked at
        features: (picture, patch, vision), in the messages' order
    """

    messages: tuple[Message, ...]
    features: Tensor


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
