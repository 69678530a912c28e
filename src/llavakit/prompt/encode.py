"""The only road from a conversation to token ids, image positions, labels and pixels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.errors import PromptError
from llavakit.media import preprocess
from llavakit.prompt.messages import Message
from llavakit.prompt.templates import Span, Template
from llavakit.prompt.tokenizer import Tokenizer

IGNORE = -100  # label of a token that is not learned, as torch's cross_entropy has it


@dataclass(frozen=True)
class Encoded:
    """A prompt, ready for the model.

    Attributes:
        ids: token ids; each picture is `tokens_per_image` image tokens
        labels: the id where the model should learn to write it, else `IGNORE`
        images: the pictures in order of placement
        image_spans: (start, end) in `ids` of each picture
        text: the prompt as written, `<image>` for each picture
    """

    ids: list[int]
    labels: list[int]
    images: tuple[Image.Image, ...]
    image_spans: list[tuple[int, int]]
    text: str


@dataclass(frozen=True)
class PromptEncoder:
    """Writes conversations with `template`, for a model that takes `tokens_per_image` per picture.

    `image_markers` puts LLaVA v1's `<im_start>` and `<im_end>` around each picture.
    """

    tokenizer: Tokenizer
    template: Template
    tokens_per_image: int
    image_config: ImageConfig
    image_markers: bool = False

    def encode(self, messages: Sequence[Message], reply: bool = True) -> Encoded:
        """Encode a conversation; with `reply`, up to where the model's answer begins.

        Raises:
            PromptError: a turn is empty or out of order.
        """
        return self._encode(self.template.spans(messages, reply))

    def encode_written(self, text: str, images: Sequence[Image.Image]) -> Encoded:
        """Encode a prompt that somebody has already written, `<image>` where each picture goes.

        Raises:
            PromptError: the number of `<image>` is not the number of pictures.
        """
        pieces = text.split(self.tokenizer.image_token)
        if len(pieces) - 1 != len(images):
            raise PromptError(
                f"the prompt has {len(pieces) - 1} {self.tokenizer.image_token} and {len(images)} pictures are given"
            )
        spans = [Span(pieces[0])]
        for image, piece in zip(images, pieces[1:], strict=True):
            spans += [Span(image=image), Span(piece)]
        return self._encode([span for span in spans if span.text or span.image])

    def pixels(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(image, 3, size, size) float32."""
        return np.stack([preprocess(image, self.image_config) for image in images])

    def _encode(self, spans: list[Span]) -> Encoded:
        ids = list(self.tokenizer.prefix)
        labels = [IGNORE] * len(ids)
        images: list[Image.Image] = []
        places: list[tuple[int, int]] = []
        written: list[str] = []
        for piece in self._pieces(spans):
            if isinstance(piece, Span) and piece.image is not None:
                places.append((len(ids), len(ids) + self.tokens_per_image))
                images.append(piece.image)
                new = [self.tokenizer.image_token_id] * self.tokens_per_image
                learned = [False] * len(new)
                written.append(self.tokenizer.image_token)
            elif isinstance(piece, Span):
                new, learned = [self.tokenizer.special[piece.text][0]], [piece.trainable]
                written.append(piece.text)
            else:
                new, learned = self._words(piece, first=not written)
                written += [span.text for span in piece]
            ids += new
            labels += [i if own else IGNORE for i, own in zip(new, learned, strict=True)]
        return Encoded(ids, labels, tuple(images), places, "".join(written))

    def _pieces(self, spans: list[Span]) -> Iterator[Span | list[Span]]:
        """Pictures and special tokens one by one, and between them runs of words.

        A run is encoded as one text: where one span ends and the next begins must not show in the
        tokens, just as it does not in the reference, which encodes whole prompts.
        """
        run: list[Span] = []
        for span in self._atoms(spans):
            if span.image is None and (span.literal or span.text not in self.tokenizer.special):
                run.append(span)
                continue
            if run:
                yield run
            run = []
            yield span
        if run:
            yield run

    def _atoms(self, spans: list[Span]) -> Iterator[Span]:
        """Spans cut so that every special token of the template stands alone."""
        for span in spans:
            if span.image is not None and self.image_markers:
                yield from (Span("<im_start>"), span, Span("<im_end>"))
            elif span.image is not None or span.literal:
                yield span
            else:
                for text in self._special.split(span.text):
                    if text:
                        yield Span(text, span.trainable)

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
