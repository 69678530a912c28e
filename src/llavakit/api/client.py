"""The asking: workers that share the requests, and patience."""

import asyncio
import json
import os
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2

from llavakit.api.asking import Asking, EndedError
from llavakit.api.pace import Pace
from llavakit.api.replies import Said, error_of, reply_of, retry_after
from llavakit.errors import LlavaError, UsageError

URL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"

_LONGEST_PAUSE = 60.0  # seconds, between tries
_LONGEST_HELD = 600.0  # a server that asks to wait longer than this has no answer today
_REFUSABLE = ("temperature", "max_tokens")  # newer models take neither
_FIRST_TRIES = 4  # to reach a server that never answered: its address may be wrong, and somebody waits
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

Body = Mapping[str, Any]


class Api:
    """A model at an address.

    Attributes:
        asked: replies that came
        prompt_tokens, completion_tokens: of these replies, as the server counts them
        refused: parameters that the server does not take, and that are therefore left to it
    """

    def __init__(
        self,
        model: str,
        url: str = URL,
        key: str | None = None,
        *,
        who: str = "model",
        concurrency: int = 8,
        timeout: float = 120.0,
        tries: int = 8,
        pause: float = 1.0,
        rpm: float | None = None,
        tpm: float | None = None,
    ) -> None:
        """
        Args:
            url: up to and with "/v1"
            key: else that of the environment's OPENAI_API_KEY; servers of one's own may need none
            who: what errors call it
            concurrency: requests at a time
            timeout: of one try, in seconds, to the last byte
            tries: of one request, while the server is busy, broken or cut off; fewer to reach one that never
                answered
            pause: before the second try, in seconds; each further one is twice as long, to a minute
            rpm, tpm: requests and tokens that are sent in a minute at most, evenly; every try is a request

        Raises:
            UsageError: an address, a key or a limit that is none.
        """
        self.model, self.url, self.who = model, _address(url, who), who
        self.asked = self.prompt_tokens = self.completion_tokens = 0
        self.refused: set[str] = set()
        self._key = (key if key is not None else os.environ.get(KEY, "")).strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(f"the {who}'s key has characters that no key has; look at {KEY}")
        self._concurrency, self._timeout, self._tries, self._pause = concurrency, timeout, tries, pause
        self._pace = Pace(rpm, tpm)
        self.heard = False  # whether it ever answered as such a server does
        self._quiet_until = 0.0

    def ask(
        self,
        bodies: Iterable[Body | None],
        settle: Callable[[int, Said], None],
        *,
        lost: Callable[[int], bool] = lambda number: True,
        dropped: Callable[[int], None] = lambda number: None,
    ) -> None:
        """Ask all; `settle` is told of each by its number, as soon as it is over, in one thread.

        When one finds that there is no sense in asking on, those under way are waited for, as they are paid.

        Args:
            bodies: what is sent beside the model's name: messages, temperature, max_tokens …; each is taken
                when it can be sent, so that there is no more of them than requests under way. None: nothing
                yet, and those under way have their turn before the next is taken
            lost: told each try that may have been paid and whose reply never came (too late, cut off, no
                reply at all); returns whether to try again
            dropped: told each that is given up because all is; it costs nothing but what `lost` was told

        Raises:
            UsageError: no key or a wrong one, no such model, nothing at this address.
            LlavaError: the server cannot be reached, or nothing more is paid for; what `settle` raises.
        """
        _run(self._ask_all(bodies, settle, lost, dropped))

    async def _ask_all(
        self,
        bodies: Iterable[Body | None],
        settle: Callable[[int, Said], None],
        lost: Callable[[int], bool],
        dropped: Callable[[int], None],
    ) -> None:
        waiting = iter(enumerate(bodies))
        self._quiet_until = 0.0
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx2.Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency)
        try:
            async with (
                # No timeout of its own: each try has one.
                httpx2.AsyncClient(headers=headers, timeout=None, limits=limits) as client,
                asyncio.TaskGroup() as group,
            ):
                asking = Asking(client, lost, dropped)
                for _ in range(self._concurrency):
                    group.create_task(self._work(asking, waiting, settle))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if asking.error is not None:
            raise asking.error

    async def _work(
        self,
        asking: Asking,
        waiting: Iterator[tuple[int, Body | None]],
        settle: Callable[[int, Said], None],
    ) -> None:
        """One of those that share the requests between them."""
        while not asking.ended.is_set():
            try:
                found = next(waiting, None)
            except Exception as error:
                asking.end(error)
                return
            if found is None:
                return
            number, body = found
            if body is None:
                await asyncio.sleep(0)
                continue
            try:
                said = await self._answer(asking, number, body)
            except _MissingError as error:
                said = Said("", str(error))
            except Exception as error:
                if not isinstance(error, EndedError):
                    asking.end(error)
                asking.dropped(number)
                return
            settle(number, said)

    async def _answer(self, asking: Asking, number: int, asked: Body) -> Said:
        """The reply.

        Raises:
            _MissingError: there will be none in this run.
            EndedError: another found that there is no sense in asking on.
        """
        reason = ""
        for tried in range(self._tries):
            if tried:
                pause = min(_LONGEST_PAUSE, self._pause * 2 ** (tried - 1))
                await asking.rest(pause * random.uniform(0.5, 1))
            body = {"model": self.model} | {
                name: value for name, value in asked.items() if name not in self.refused
            }
            tokens = self._tokens(body)
            await self._turn(asking, tokens)
            try:
                async with asyncio.timeout(self._timeout):
                    # Escaped: the half of a character that some answer holds has no UTF-8.
                    response = await asking.client.post(
                        f"{self.url}/chat/completions", content=json.dumps(body)
                    )
            except TimeoutError:
                reason, paid = f"no answer within {self._timeout:g} s", True
            except httpx2.HTTPError as error:
                reason = f"the connection failed ({error or type(error).__name__})"
                paid = not isinstance(error, _NEVER_SENT)
                if not paid and not self.heard and tried + 1 >= _FIRST_TRIES:
                    break
            else:
                if response.is_success and (said := reply_of(response)) is not None:
                    self._count(said, tokens)
                    return said
                reason, paid = self._fault(response, body), response.is_success
            if paid and not asking.lost(number):
                raise _MissingError(f"{reason}; to ask again might cost more than there is")
        if not self.heard:
            raise LlavaError(
                f"the {self.who} at {self.url} gave no answer in {tried + 1} tries: {reason}; "
                "check the address"
            )
        raise _MissingError(f"{reason}, in {self._tries} tries")

    async def _turn(self, asking: Asking, tokens: float) -> None:
        """Wait until a request of so many tokens may start."""
        loop = asyncio.get_running_loop()
        while True:
            quiet = self._quiet_until
            start = self._pace.turn(max(loop.time(), quiet), tokens)
            await asking.rest(start - loop.time())
            # One that is told to wait makes all wait: the limit is the account's.
            if self._quiet_until <= max(quiet, start):
                return

    def _fault(self, response: httpx2.Response, body: Body) -> str:
        """Why there is no reply this time.

        Raises:
            _MissingError: asking again will not help this request.
            LlavaError: it will not help any.
        """
        if response.is_success:
            return "the server's answer is not one of a chat model"
        status = response.status_code
        error = error_of(response)
        reason = f"the server answered {status}: {error['message']}"
        if status == 401:
            told = "refuses the key" if self._key else "wants a key"
            raise UsageError(f"the {self.who} at {self.url} {told}; set {KEY} in the environment ({reason})")
        if status in (404, 405) or 300 <= status < 400:
            raise UsageError(
                f"the {self.who} at {self.url} has no model {self.model!r}, or no API there ({reason}); "
                "check the model's name, and that the address ends with /v1 where the server's does"
            )
        if status == 402 or error["code"] == "insufficient_quota":
            raise LlavaError(f"the {self.who} at {self.url} wants to be paid ({reason})")
        self.heard = True
        if status == 400 and (name := error["param"]) in _REFUSABLE and name in body:
            self.refused.add(name)
        elif status not in (408, 409, 429) and status < 500:
            raise _MissingError(reason)
        held = retry_after(response)
        if held > _LONGEST_HELD:
            raise _MissingError(f"{reason}; it asks to wait {held:.0f} s")
        self._quiet_until = max(self._quiet_until, asyncio.get_running_loop().time() + held)
        return reason

    def _tokens(self, body: Body) -> float:
        """About how many a request takes: a token has four letters, and a reply is as long as others were."""
        texts = sum(_letters(message.get("content")) for message in body["messages"])
        reply = self.completion_tokens / self.asked if self.asked else body.get("max_tokens", 0)
        return texts / 4 + reply

    def _count(self, said: Said, expected: float) -> None:
        used = said.usage or {}
        prompt, completion = used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
        self.heard = True
        self.asked += 1
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        if prompt:
            self._pace.correct(prompt + completion - expected)


class _MissingError(Exception):
    """There is no reply; the message says why."""


def _letters(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(len(part.get("text", "")) for part in content or () if isinstance(part, dict))


def _address(url: str, who: str) -> str:
    short = url.strip().rstrip("/").removesuffix("/chat/completions")
    with suppress(httpx2.InvalidURL, ValueError):
        parts = urlsplit(short)
        if parts.scheme in ("http", "https") and parts.hostname and httpx2.URL(short):
            return short
    raise UsageError(f"{url!r} is not the address of a {who}; give one like {URL}")


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    # A notebook's thread already runs a loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
