"""What the workers of one call share, and how all of them learn that it ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import httpx2


class EndedError(Exception):
    """There is no sense in asking on."""


class Asking:
    """
    Attributes:
        lost, dropped: as `Api.ask` takes them
        ended: there is no sense in asking on
        error: why
    """

    def __init__(
        self, client: httpx2.AsyncClient, lost: Callable[[int], bool], dropped: Callable[[int], None]
    ) -> None:
        self.client, self.lost, self.dropped = client, lost, dropped
        self.ended = asyncio.Event()
        self.error: Exception | None = None

    def end(self, error: Exception) -> None:
        self.error = self.error or error
        self.ended.set()

    async def rest(self, seconds: float) -> None:
        """
        Raises:
            EndedError: at once, when it ends meanwhile.
        """
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.ended.wait()
        if self.ended.is_set():
            raise EndedError
