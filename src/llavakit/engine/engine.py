"""Prompts in, answers out: prefill, decode, one by one or together.

A `Session` keeps the cache of one conversation: a prompt that begins as the last one did costs only
its new tokens. Pictures are known by content, so the same picture is encoded once. Threads may
share an engine: it works for one at a time, but lets others in between two tokens, so that nobody
waits for an answer that somebody else is slow to read.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

import torch
from PIL import Image
from torch import Tensor

from llavakit.config import Layout
from llavakit.engine.answer import Answer, Reply
from llavakit.engine.cache import KVCache
from llavakit.engine.sampling import Sampling
from llavakit.errors import PromptError, UsageError
from llavakit.model import Llava
from llavakit.model.language.decoder import causal_mask
from llavakit.prompt.encode import Encoded, PromptEncoder

_REMEMBERED_TOKENS = 32 * 576  # features of pictures kept; of a 7B in 16 bits 151 MB
_ROWS = 16  # prompts decoded together


@dataclass
class Counters:
    """What the engine has done since it was made; for tests, `llava bench` and metrics."""

    images_encoded: int = 0
    prefilled_tokens: int = 0
    decoded_tokens: int = 0


@dataclass(frozen=True)
class _Picture:
    """A picture in a prompt; `digest` is the same where the features are."""

    image: Image.Image
    layout: Layout | None
    digest: str


class Session:
    """One conversation's cache: which tokens it holds, and their keys and values.

    `tokens` never claims more than the cache truly holds, whenever an answer is broken off.
    """

    def __init__(self) -> None:
        self.tokens: list[int | str] = []  # a picture's tokens carry its digest instead of their id
        self.cache: KVCache | None = None
        self._answering = threading.Lock()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """For one answer at a time.

        Raises:
            UsageError: another is not finished.
        """
        if not self._answering.acquire(blocking=False):
            raise UsageError(
                "this conversation is still answering: read that answer to its end, or close it, first"
            )
        try:
            yield
        finally:
            self._answering.release()


class Engine:
    """One model on one device."""

    def __init__(self, model: Llava, encoder: PromptEncoder, eos_token_ids: Sequence[int]) -> None:
        self.model = model
        self.encoder = encoder
        self.ends = encoder.end_ids.union(eos_token_ids)
        self.counters = Counters()
        embedding = model.language_model.embed_tokens.weight
        self.device, self.dtype = embedding.device, embedding.dtype
        self.context = model.config.language.max_position_embeddings
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    # One prompt ---------------------------------------------------------------------------------

    def stream(
        self,
        prompt: Encoded,
        sampling: Sampling,
        session: Session | None = None,
        reply: Reply | None = None,
        cancel: threading.Event | None = None,
    ) -> Generator[str]:
        """Yield the answer piece by piece; `reply` is filled along the way.

        Closing the iterator, or setting `cancel`, stops after the token in work; the session then
        holds what was read so far and goes on being usable.

        Raises:
            PromptError: the prompt does not fit the model's context (said at once).
            UsageError: the session is still answering (said when iteration begins).
        """
        self._check_room(prompt)
        return self._stream(
            prompt, sampling, session or Session(), reply or Reply(), cancel or threading.Event()
        )

    def _stream(
        self, prompt: Encoded, sampling: Sampling, session: Session, reply: Reply, cancel: threading.Event
    ) -> Generator[str]:
        with session.claimed():
            answer = self._begin(prompt, sampling, reply)
            while not (answer.done or cancel.is_set()):
                logits = self._decode(answer, session) if reply.ids else self._prefill(answer, session)
                if piece := answer.take(logits):
                    yield piece
            if rest := answer.flush():
                yield rest

    def _prefill(self, answer: Answer, session: Session) -> Tensor:
        """Read the prompt's tokens that the session does not hold; logits after the last, (vocab,)."""
        prompt = answer.prompt
        pictures = _pictures(prompt)
        tokens: list[int | str] = list(prompt.ids)
        for (start, end), picture in zip(prompt.image_spans, pictures, strict=True):
            tokens[start:end] = [picture.digest] * (end - start)
        known = min(_common(tokens, session.tokens), len(tokens) - 1)  # one token at least gives logits
        # A picture's features are spliced whole: reuse up to its beginning or its end.
        known = next((start for start, end in prompt.image_spans if start < known < end), known)
        fresh = [p for (start, _), p in zip(prompt.image_spans, pictures, strict=True) if start >= known]
        with self._working():
            del session.tokens[known:]  # first, because what follows overwrites them
            capacity = len(tokens) + answer.limit
            if session.cache is None:
                session.cache = self._new_cache(1, capacity)
            session.cache = session.cache.grown(capacity)
            ids = torch.tensor([prompt.ids[known:]], device=self.device)
            hidden = self._forward(self.model.embed(ids, self._features_of(fresh)), known, session.cache)
            session.tokens = tokens
            answer.reply.usage.cached_tokens = known
            self.counters.prefilled_tokens += len(tokens) - known
            return self.model.language_model.logits(hidden[0, -1])

    def _decode(self, answer: Answer, session: Session) -> Tensor:
        """Read the answer's last token; logits after it, (vocab,)."""
        assert session.cache is not None  # there was a prefill
        token = answer.reply.ids[-1]
        with self._working():
            embeds = self.model.language_model.embed_tokens(torch.tensor([[token]], device=self.device))
            hidden = self._forward(embeds, len(session.tokens), session.cache)
            session.tokens.append(token)
            self.counters.decoded_tokens += 1
            return self.model.language_model.logits(hidden[0, -1])

    # Many prompts -------------------------------------------------------------------------------

    def complete(self, prompts: Sequence[Encoded], sampling: Sampling) -> list[Reply]:
        """Answer prompts together, those of like length with each other; replies in their order.

        Raises:
            PromptError: one of them does not fit the model's context.
        """
        for prompt in prompts:
            self._check_room(prompt)
        replies = [Reply() for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
        for at in range(0, len(order), _ROWS):
            self._complete([self._begin(prompts[i], sampling, replies[i]) for i in order[at : at + _ROWS]])
        return replies

    def _complete(self, answers: list[Answer]) -> None:
        cache = self._new_cache(len(answers), max(a.length + a.limit for a in answers))
        logits = self._prefill_together(answers, cache)
        while True:
            for answer, scores in zip(answers, logits, strict=True):
                answer.take(scores)
            going = [row for row, answer in enumerate(answers) if not answer.done]
            if not going:
                return
            if len(going) < len(answers):
                cache.keep(going)
                answers = [answers[row] for row in going]
            logits = self._decode_together(answers, cache)

    def _prefill_together(self, answers: list[Answer], cache: KVCache) -> Tensor:
        """Logits after each prompt, (row, vocab).

        Rows are padded on the right: what stands there is overwritten before it is looked at.
        """
        prompts = [answer.prompt for answer in answers]
        longest = max(len(prompt.ids) for prompt in prompts)
        pad = int(self.model.config.image_token_id == 0)  # any word will do, as long as it has an embedding
        pictures = [picture for prompt in prompts for picture in _pictures(prompt)]
        with self._working():
            ids = torch.tensor([p.ids + [pad] * (longest - len(p.ids)) for p in prompts], device=self.device)
            last = torch.tensor([len(p.ids) - 1 for p in prompts], device=self.device)
            embeds = self.model.embed(ids, self._features_of(pictures))
            hidden = self._forward(embeds, 0, cache)[torch.arange(len(prompts), device=self.device), last]
            self.counters.prefilled_tokens += sum(len(p.ids) for p in prompts)
            return self.model.language_model.logits(hidden)

    def _decode_together(self, answers: list[Answer], cache: KVCache) -> Tensor:
        """Read each answer's last token; logits after it, (row, vocab)."""
        end = max(answer.length for answer in answers)
        with self._working():
            ids = torch.tensor([[answer.reply.ids[-1]] for answer in answers], device=self.device)
            positions = torch.tensor([[answer.length - 1] for answer in answers], device=self.device)
            keys = torch.arange(end, device=self.device).expand(len(answers), end)
            mask = causal_mask(positions, keys, self.model.config.language.sliding_window)
            cache.place_each(positions[:, 0], end)
            embeds = self.model.language_model.embed_tokens(ids)
            hidden: Tensor = self.model.language_model(embeds, positions, mask, cache)
            self.counters.decoded_tokens += len(answers)
            return self.model.language_model.logits(hidden[:, -1])

    # Shared -------------------------------------------------------------------------------------

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Around each use of the model. Never around a `yield`: the caller's code runs there."""
        with self._lock, torch.inference_mode():
            yield

    def _begin(self, prompt: Encoded, sampling: Sampling, reply: Reply) -> Answer:
        limit = min(sampling.max_new_tokens, self.context - len(prompt.ids))
        return Answer(prompt, sampling, limit, self.ends, self.encoder, reply)

    def _forward(self, embeds: Tensor, start: int, cache: KVCache) -> Tensor:
        """Run tokens at positions `start` … of every row: (row, token, hidden) -> the same shape."""
        rows, count, _ = embeds.shape
        window = self.model.config.language.sliding_window
        positions = torch.arange(start, start + count, device=self.device).expand(rows, count)
        mask = None
        if (start > 0 and count > 1) or (window is not None and start + count > window):
            keys = torch.arange(start + count, device=self.device).expand(rows, -1)
            mask = causal_mask(positions, keys, window)
        cache.place(start, count)
        hidden: Tensor = self.model.language_model(embeds, positions, mask, cache)
        return hidden

    def _features_of(self, pictures: Sequence[_Picture]) -> list[Tensor]:
        """Features (token, text) of each; only pictures not seen lately go through the tower."""
        new = list({p.digest: p for p in pictures if p.digest not in self._features}.values())
        # Tiles make a batch of every picture: several at once would only take memory.
        for batch in [new] if self.encoder.tiling is None else [[picture] for picture in new]:
            self._encode(batch)
        features = [self._features[picture.digest] for picture in pictures]
        for picture in pictures:
            self._features.move_to_end(picture.digest)
        while sum(map(len, self._features.values())) > _REMEMBERED_TOKENS:
            self._features.popitem(last=False)
        return features

    def _encode(self, pictures: Sequence[_Picture]) -> None:
        """Put their features among those remembered."""
        if not pictures:
            return
        layouts = [picture.layout for picture in pictures if picture.layout is not None] or None
        pixels = torch.from_numpy(self.encoder.pixels([picture.image for picture in pictures], layouts))
        encoded = self.model.encode_images(pixels.to(self.device), layouts)
        self._features |= zip((picture.digest for picture in pictures), encoded, strict=True)
        self.counters.images_encoded += len(pictures)

    def _new_cache(self, rows: int, capacity: int) -> KVCache:
        return KVCache(self.model.config.language, rows, capacity, self.dtype, self.device)

    def _check_room(self, prompt: Encoded) -> None:
        if len(prompt.ids) >= self.context:
            raise PromptError(
                f"the prompt takes {len(prompt.ids)} tokens and the model's context holds {self.context}: "
                "shorten the text, start a new chat, or send fewer pictures"
            )


def _common(a: Sequence[int | str], b: Sequence[int | str]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _pictures(prompt: Encoded) -> list[_Picture]:
    pairs = zip(prompt.images, prompt.layouts or repeat(None), strict=False)
    return [_Picture(image, layout, _digest(image, layout)) for image, layout in pairs]


def _digest(image: Image.Image, layout: Layout | None) -> str:
    """The same picture has other features alone in its prompt than beside others, if they get it no tiles."""
    person = str(image.size).encode()[:16]
    content = hashlib.blake2b(image.tobytes(), digest_size=16, person=person).hexdigest()
    return content if layout is None else f"{content} {layout.tiles}"
