"""Who reads which tokens in the next step: continuous batching over a paged cache, for every backend.

A request is a list of tokens, of which the cache holds the first few. A step reads some more: the one
token that an answer has just got, or a stretch of a prompt that is still long. So prompts and answers of
many conversations share each step (chunked prefill: Agrawal et al. 2023), none waits for another to end,
and one that had to give its blocks away simply has more to read.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from llavakit.engine.answer import Answer
from llavakit.engine.backend import Backend, Chunk, Interrupted
from llavakit.engine.pages import NoRoom, PagedSequence, Pages, Token, common
from llavakit.engine.sampling import draw_together
from llavakit.engine.speculate import Lookup
from llavakit.errors import LlavaError

_ROWS = 32  # answers in work at a time
_ALONE = 1024  # tokens of prompts in a step; beside answers that are being written, which would stall, fewer
_BESIDE = 128
_LONG = 16  # tokens; reading fewer takes no longer than one
_LOOK = 0.02  # seconds between two looks at whether a long step is still wanted


@dataclass
class Counters:
    """What the engine has done since it was made; for tests, `llava bench` and metrics."""

    images_encoded: int = 0
    prefilled_tokens: int = 0
    decoded_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0  # of the drafted ones
    preempted: int = 0  # requests whose blocks others needed more
    steps: int = 0


@dataclass(eq=False)
class Request:
    """One answer wanted.

    Attributes:
        tokens: of prompt and answer; a picture's carry its digest instead of their id
        embed: embeddings (token, hidden) of tokens from one position to another
        reuse: take over what earlier conversations left
        cancel: set by whoever asked; `unwanted` by the engine, when nobody listens any more
        pieces: text that nobody has fetched yet
        error: why it ended without an answer
    """

    answer: Answer
    tokens: list[Token]
    embed: Callable[[int, int], Tensor]
    reuse: bool = True
    cancel: threading.Event = field(default_factory=threading.Event)
    unwanted: bool = False
    pieces: deque[str] = field(default_factory=deque)
    error: BaseException | None = None
    sequence: PagedSequence | None = None
    lookup: Lookup | None = None
    begun: bool = False  # it has had a place in the cache, though others may have needed it more since

    @property
    def over(self) -> bool:
        """It has ended; with an error or without."""
        return self.answer.done or self.error is not None

    @property
    def gone(self) -> bool:
        """Nobody wants it any more."""
        return self.unwanted or self.cancel.is_set()

    def fetch(self) -> Iterator[str]:
        """The pieces that have come since the last time."""
        while self.pieces:
            yield self.pieces.popleft()

    @property
    def left(self) -> int:
        """Tokens that the cache does not hold yet."""
        return len(self.tokens) - (self.sequence.length if self.sequence is not None else 0)


class Scheduler:
    """Requests in, tokens out. One thread at a time may call `step`; any may call `add`."""

    def __init__(self, backend: Backend, counters: Counters) -> None:
        self.backend, self.counters = backend, counters
        self.pages = Pages(backend.blocks, backend.block, backend.copy_block)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []  # in the order of their arrival
        self._most = _ROWS  # requests in work at a time; fewer after a step that failed

    def add(self, request: Request) -> None:
        self._waiting.append(request)

    def step(self) -> None:
        """Read the next tokens of those in work. What goes wrong with one request ends that one alone."""
        self.leave_out()
        for request in self._running:  # Ctrl-C may have come between an answer's token and this list of them
            said = request.answer.reply.ids
            request.tokens += said[len(request.tokens) - len(request.answer.prompt.ids) :]
        planned = []
        plan = self._plan()
        try:
            latest = self._latest([request for request, _, _ in plan])
        except Exception as error:  # memory ran out
            self._blame([request for request, _, _ in plan], error)
            return
        for request, count, draft in plan:
            try:  # pictures are encoded here
                chunk = self._chunk(request, count, draft, latest.get(request))
                planned.append((request, count, draft, chunk))
            except Exception as error:
                self._fail(request, error)
        if not planned:
            return
        chunks = [chunk for _, _, _, chunk in planned]
        try:
            with self._watched([request for request, _, _, _ in planned], chunks):
                logits = self.backend.step(chunks)
                tokens = draw_together(logits, [(r.answer.sampler, c.wanted) for r, _, _, c in planned])
        except Interrupted:
            return  # nothing was counted as read: who is still there reads it again
        except Exception as error:
            self._blame([request for request, _, _, _ in planned], error)
            return
        self.counters.steps += 1
        self._most = min(self._most + 1, _ROWS)
        row = 0
        for request, count, draft, chunk in planned:
            rows = slice(row, row + chunk.wanted)
            self._account(request, count, chunk, draft, logits[rows], tokens[rows])
            row += chunk.wanted
        self.leave_out()

    # What is read ---------------------------------------------------------------------------------

    def _plan(self) -> list[tuple[Request, int, list[int]]]:
        """Requests with how many tokens each reads, and guesses of what comes after them."""
        while self._waiting and len(self._running) < self._most:
            self._running.append(self._waiting.popleft())
        planned: list[tuple[Request, int, list[int]]] = []
        for request in [r for r in self._running if r.sequence is not None and r.left == 1]:
            if request.sequence is None:  # it was preempted since
                continue
            draft = request.lookup.draft(request.answer.room) if request.lookup is not None else []
            if draft and not self._has_spare(request.sequence, len(request.tokens) + len(draft)):
                draft = []
            if self._has_room(request, len(request.tokens)):
                planned.append((request, 1, draft))
        room = _BESIDE if planned else _ALONE
        reading: list[Request] = []
        written = [request for request, _, _ in planned]
        full = False
        for request in [r for r in self._running if r.sequence is None or r.left > 1]:
            if room <= 0:
                break
            if request in written:  # it was preempted since
                continue
            if request.sequence is None:
                if any(self._reads_for(other, request) for other in reading):
                    continue  # what that one reads now will be there for this one
                full = full or not self._can_begin(request, room)
                if full:
                    continue  # nor may those behind it begin: it would wait for ever
                try:
                    request.sequence = self.pages.begin(request.tokens, reuse=request.reuse)
                except Exception as error:  # a block is copied here
                    self._fail(request, error)
                    continue
                if not request.begun:  # else, what it takes over may be its own
                    request.begun = True
                    request.answer.reply.usage.cached_tokens = request.sequence.length
            count = min(request.left, room)
            if self._has_room(request, request.sequence.length + count):
                reading.append(request)
                planned.append((request, count, []))
                room -= count
        return [plan for plan in planned if plan[0].sequence is not None]  # the others were preempted

    def _can_begin(self, request: Request, count: int) -> bool:
        """Whether there is room for its first `count` tokens; alone it may try, and be told it is too long.

        Beginning without would drive out what is remembered, only to give way to an older one at once.
        """
        needed = -(-min(len(request.tokens), count) // self.pages.size)
        return self.pages.available >= needed or all(r.sequence is None for r in self._running)

    def _reads_for(self, one: Request, other: Request) -> bool:
        """Whether `one` is reading what `other` could take over, as whole blocks."""
        assert one.sequence is not None
        shared = common(one.tokens, other.tokens) // self.pages.size
        return other.reuse and shared > one.sequence.length // self.pages.size

    def _latest(self, requests: Sequence[Request]) -> dict[Request, Tensor]:
        """Embeddings (1, hidden) of tokens that answers have just got, looked up together."""
        new = [r for r in requests if r.left == 1 and r.answer.reply.ids]
        if not new:
            return {}
        words = self.backend.words([r.answer.reply.ids[-1] for r in new])
        return dict(zip(new, torch.split(words, 1), strict=True))

    def _chunk(self, request: Request, count: int, draft: list[int], embeds: Tensor | None) -> Chunk:
        sequence = request.sequence
        assert sequence is not None
        if embeds is None:
            embeds = request.embed(sequence.length, sequence.length + count)
        if draft:
            embeds = torch.cat([embeds, self.backend.words(draft)])
        ends = count == request.left
        length = sequence.length + len(embeds)
        blocks = sequence.blocks[: -(-length // self.pages.size)]
        return Chunk(embeds, sequence.length, blocks, 1 + len(draft) if ends else 0)

    def _account(
        self, request: Request, count: int, chunk: Chunk, draft: list[int], logits: Tensor, drawn: list[int]
    ) -> None:
        """Note what was read, and what follows it."""
        assert request.sequence is not None
        begun = bool(request.answer.reply.ids)
        read = request.sequence.length + count
        if chunk.wanted:
            if min(drawn) < 0:
                try:
                    where = self.backend.where_not_finite([chunk])
                except Exception:  # memory ran out, for one
                    where = "the model"
                self._fail(request, LlavaError(
                    f"{where} gave numbers that are not finite: the weights are damaged, or too large for "
                    "16 bits (--dtype float32)"))  # fmt: skip
                return
            self.counters.drafted_tokens += len(draft)
            for i in range(chunk.wanted):
                try:
                    piece = request.answer.take(logits[i], drawn[i])
                except Exception as error:  # the form that is asked for cannot go on, for one
                    self._fail(request, error)
                    return
                if piece:
                    request.pieces.append(piece)
                if request.answer.done:
                    break
                token = request.answer.reply.ids[-1]
                request.tokens.append(token)
                if i == len(draft) or token != draft[i]:
                    break
                read += 1  # the guess was right, and is in the cache
            accepted = read - request.sequence.length - count
            self.counters.accepted_tokens += accepted
            if request.lookup is not None:
                request.lookup.learn(request.answer.reply.ids, len(draft), accepted)
        if begun:
            self.counters.decoded_tokens += read - request.sequence.length
        else:
            self.counters.prefilled_tokens += count
        request.sequence.wrote(request.tokens[:read])

    # Room -----------------------------------------------------------------------------------------

    def _has_spare(self, sequence: PagedSequence, length: int) -> bool:
        """Reserve blocks if nobody need give any away: a guess is worth nobody's place."""
        try:
            sequence.reserve(length)
        except NoRoom:
            return False
        return True

    def _has_room(self, request: Request, length: int) -> bool:
        """Reserve blocks; where there are none, those who came later give theirs away."""
        if request.sequence is None:
            return False
        while True:
            try:
                request.sequence.reserve(length)
                return True
            except NoRoom:
                later = self._running[self._running.index(request) + 1 :]
                victim = next((r for r in reversed(later) if r.sequence is not None), None)
                if victim is not None:
                    self._preempt(victim)
                elif all(r is request or r.sequence is None for r in self._running):
                    room = self.pages.blocks * self.pages.size
                    self._fail(request, LlavaError(
                        f"this conversation of {length} tokens does not fit into the cache of {room}: "
                        "give it more (cache_tokens), or start a new chat"))  # fmt: skip
                    return False
                else:
                    return False  # those before it go first

    def _preempt(self, request: Request) -> None:
        assert request.sequence is not None
        request.sequence.end(request.tokens)
        request.sequence = None
        self.counters.preempted += 1

    def _blame(self, requests: Sequence[Request], error: Exception) -> None:
        """A step failed, for want of memory maybe: of several the later half wait; one alone must go."""
        self.pages.forget()
        if len(requests) == 1:
            self._fail(requests[0], error)
            return
        by_age = [request for request in self._running if request in requests]
        for request in reversed(by_age[len(by_age) // 2 :]):
            self._preempt(request)
            self._running.remove(request)
            self._waiting.appendleft(request)
        self._most = len(by_age) // 2

    # Coming and going -----------------------------------------------------------------------------

    def _fail(self, request: Request, error: BaseException) -> None:
        request.error = error
        if request.sequence is not None:
            request.sequence.length = 0  # what it has written is worth nothing
            request.sequence.end(())
            request.sequence = None

    def leave_out(self) -> None:
        """Let those go that have ended or are no longer wanted; what they read is remembered."""
        for request in [r for r in self._running if r.over or r.gone]:
            self._running.remove(request)
            if request.sequence is not None:
                request.sequence.end(request.tokens)
                request.sequence = None
        for request in [r for r in self._waiting if r.gone]:
            self._waiting.remove(request)

    @contextmanager
    def _watched(self, requests: Sequence[Request], chunks: Sequence[Chunk]) -> Iterator[None]:
        """A long step ends when somebody for whom it reads a prompt no longer wants it."""
        prompts = [r for r, chunk in zip(requests, chunks, strict=True) if len(chunk.embeds) > _LONG]
        if not prompts:
            yield
            return
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK):
                if any(request.gone for request in prompts):
                    self.backend.interrupt()  # and again: the step may not have begun

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
