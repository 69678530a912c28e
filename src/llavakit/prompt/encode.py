"""The only road from a conversation to token ids, image positions, labels and pixels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavakit.config import ImageConfig, Layout, Tiling
from llavakit.errors import CheckpointError, PromptError
from llavakit.media import preprocess, views
from llavakit.prompt.messages import Message
from llavakit.prompt.templates import Span, Template
from llavakit.prompt.tokenizer import Tokenizer

IGNORE = -100  # label of a token that is not learned, as torch's cross_entropy has it
_MARKERS = ("<im_start>", "<im_end>")


@dataclass(frozen=True)
class Encoded:
    """A prompt, ready for the model.

    Attributes:
        ids: token ids; each picture is as many image tokens as it has features
        labels: the id where the model should learn to write it, else `IGNORE`
        images: the pictures in order of placement
        image_spans: (start, end) in `ids` of each picture
        text: the prompt as written, the image token's letters once for each picture
        layouts: of each picture, for a model with a tiling; else None
    """

    ids: list[int]
    labels: list[int]
    images: tuple[Image.Image, ...]
    image_spans: list[tuple[int, int]]
    text: str
    layouts: tuple[Layout, ...] | None = None


@dataclass(frozen=True)
class PromptEncoder:
    """Writes conversations with `template`, for a model that takes `tokens_per_image` per picture.

    `image_markers` puts LLaVA v1's `<im_start>` and `<im_end>` around each picture. With a `tiling` the
    tokens of a picture depend on its size, and on how many pictures the prompt has.
    """

    tokenizer: Tokenizer
    template: Template
    tokens_per_image: int
    image_config: ImageConfig
    image_markers: bool = False
    tiling: Tiling | None = None

    def __post_init__(self) -> None:
        if self.image_markers and not set(_MARKERS) <= self.tokenizer.special.keys():
            raise CheckpointError(f"the tokenizer has no {' and '.join(_MARKERS)}: turn image_markers off")

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the end token, and the template's stop marks that are one token.

        Such a mark is left out when tokens become text, so it can only be seen by its id.
        """
        special = self.tokenizer.special
        return frozenset({self.tokenizer.eos_id, *(special[s] for s in self.template.stop if s in special)})

    def encode(self, messages: Sequence[Message], reply: bool = True) -> Encoded:
        """Encode a conversation; with `reply`, up to where the model's answer begins.

        Raises:
            PromptError: a turn is empty or out of order.
        """
        return self._encode(self.template.spans(messages, reply))

    def encode_written(self, text: str, images: Sequence[Image.Image]) -> Encoded:
        """Encode a prompt that somebody has already written, `<image>` where each picture goes.

        Markers around a picture may be written or not.

        Raises:
            PromptError: it is empty, or its `<image>` are not as many as the pictures.
        """
        if not text:
            raise PromptError("the prompt is empty: ask something")
        token = self.tokenizer.image_token
        if self.image_markers:
            text = text.replace(token.join(_MARKERS), token)
        pieces = text.split(token)
        if len(pieces) - 1 != len(images):
            raise PromptError(
                f"the prompt has {len(pieces) - 1} {token} and {len(images)} pictures are given: "
                "write one for each"
            )
        spans = [Span(pieces[0])]
        for image, piece in zip(images, pieces[1:], strict=True):
            spans += [Span(image=image), Span(piece)]
        return self._encode([span for span in spans if span.text or span.image])

    def layouts(self, images: Sequence[Image.Image]) -> tuple[Layout, ...] | None:
        """How each of a prompt's pictures becomes features; None: in the one way there is."""
        if self.tiling is None:
            return None
        return tuple(self.tiling.layout(*image.size, len(images)) for image in images)

    def pixels(
        self, images: Sequence[Image.Image], layouts: Sequence[Layout] | None = None
    ) -> NDArray[np.float32]:
        """(view, 3, size, size): the views of each picture; without a tiling it has one.

        Args:
            layouts: of the pictures; None: they are those of one prompt
        """
        layouts = layouts or self.layouts(images)
        if layouts is None:
            return np.stack([preprocess(image, self.image_config) for image in images])
        several = [views(i, self.image_config, layout) for i, layout in zip(images, layouts, strict=True)]
        return np.concatenate(several)

    def image_tokens(self, images: Sequence[Image.Image]) -> list[int]:
        """How many tokens each of a prompt's pictures takes."""
        layouts = self.layouts(images)
        return [self.tokens_per_image] * len(images) if layouts is None else [each.tokens for each in layouts]

    def _encode(self, spans: list[Span]) -> Encoded:
        ids = list(self.tokenizer.prefix)
        labels = [IGNORE] * len(ids)
        images = tuple(span.image for span in spans if span.image is not None)
        lengths = iter(self.image_tokens(images))
        places: list[tuple[int, int]] = []
        atoms = list(self._atoms(spans))
        first = True
        for piece in self._pieces(atoms):
            if isinstance(piece, list):
                new, learned = self._words(piece, first)
            elif piece.image is not None:
                length = next(lengths)
                places.append((len(ids), len(ids) + length))
                new = [self.tokenizer.image_token_id] * length
                learned = [False] * length
            else:
                new, learned = [self.tokenizer.special[piece.text]], [piece.trainable]
            was_image = not isinstance(piece, list) and piece.image is not None
            first = was_image and self.tokenizer.restarts_after_image
            ids += new
            labels += [i if own else IGNORE for i, own in zip(new, learned, strict=True)]
        text = "".join(span.text for span in atoms)
        return Encoded(ids, labels, images, places, text, self.layouts(images))

    def _atoms(self, spans: list[Span]) -> Iterator[Span]:
        """Spans cut so that pictures and the template's special tokens stand alone, by their names."""
        before, after = _MARKERS if self.image_markers else ("", "")
        for span in spans:
            if span.image is not None:
                yield from (Span(before), replace(span, text=self.tokenizer.image_token), Span(after))
            elif span.literal:
                yield span
            else:
                yield from (Span(text, span.trainable) for text in self._special.split(span.text))

    def _pieces(self, atoms: list[Span]) -> Iterator[Span | list[Span]]:
        """Pictures and special tokens one by one, and between them runs of words.

        A run is encoded as one text: where one span ends and the next begins must not show in the
        tokens, just as it does not in the reference, which encodes whole prompts.
        """
        run: list[Span] = []
        eaten = False  # whether the token before the run takes the space after it
        for span in atoms:
            if span.literal or span.text not in self.tokenizer.special:
                run.append(span)
                continue
            before, after = self.tokenizer.eats_space[span.text]
            if run := _trimmed(run, left=eaten, right=before):
                yield run
            yield span
            run, eaten = [], after
        if run := _trimmed(run, left=eaten, right=False):
            yield run

    @cached_property
    def _special(self) -> re.Pattern[str]:
        longest_first = sorted(self.tokenizer.special, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def _words(self, run: list[Span], first: bool) -> tuple[list[int], list[bool]]:
        """Ids of a run, and which are learned: a token belongs to the span of its last character."""
        encoding = self.tokenizer.encode_plain("".join(span.text for span in run), first)
        ends = list(accumulate(len(span.text) for span in run))
        owner = np.searchsorted(ends, [max(start, end - 1) for start, end in encoding.offsets], side="right")
        return encoding.ids, [run[min(i, len(run) - 1)].trainable for i in owner]


def _trimmed(run: list[Span], left: bool, right: bool) -> list[Span]:
    """A run without empty spans, nor the space that a token beside it takes to itself."""
    while run and not (text := run[0].text.lstrip() if left else run[0].text):
        run = run[1:]
    if run:
        run = [replace(run[0], text=text), *run[1:]]
    while run and not (text := run[-1].text.rstrip() if right else run[-1].text):
        run = run[:-1]
    if run:
        run = [*run[:-1], replace(run[-1], text=text)]
    return run
