"""Requests and tokens a minute, spread evenly: none at once after a pause."""

from llavakit.errors import UsageError


class Pace:
    """When each request may start. Times are those of one clock, in seconds."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        """
        Args:
            rpm, tpm: requests and tokens a minute; None: as many as there are

        Raises:
            UsageError: a limit that lets nothing through.
        """
        for name, limit in (("requests", rpm), ("tokens", tpm)):
            if limit is not None and not limit > 0:
                raise UsageError(f"{limit:g} {name} a minute are none; give a number above 0")
        self._request = 60 / rpm if rpm else 0.0  # seconds that one takes of the minute
        self._token = 60 / tpm if tpm else 0.0
        self._next_request = self._next_tokens = 0.0

    def turn(self, now: float, tokens: float) -> float:
        """When a request of about so many tokens may start, at `now` or later; that place is then taken."""
        start = max(now, self._next_request, self._next_tokens)
        self._next_request = start + self._request
        self._next_tokens = start + self._token * tokens
        return start

    def correct(self, tokens: float) -> None:
        """So many tokens more, or fewer, than was thought: later requests make up for it."""
        self._next_tokens += self._token * tokens
