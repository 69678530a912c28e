"""Text that streams out: never a part of a stop string, no space at either end."""

from collections.abc import Sequence


class StopStream:
    """Holds back the tail that may yet become a stop string, or turn out to be trailing space.

    `push` returns what is safe to show. As soon as a stop string is complete, `stopped` is true and
    nothing from its first character on is ever returned. However the text is cut into pieces, the
    same comes out; spaces and line breaks at its beginning and end are left away.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.stopped = False
        self._held = ""
        self._begun = False

    def push(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        # The stop string that is complete first ends the text; of two that end together, the longer.
        found = [(at + len(stop), at) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = self._held[: min(found)[1]]
            return self.flush()
        return self._release(len(self._held) - self._risky())

    def flush(self) -> str:
        """The rest, when no more text will come."""
        shown = self._release(len(self._held))
        self._held = ""
        return shown

    def _risky(self) -> int:
        """Length of the longest tail that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self.stops), default=0)
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self.stops):
                return length
        return 0

    def _release(self, count: int) -> str:
        """The first `count` characters held, less the space at their end."""
        text = self._held[:count].rstrip()
        self._held = self._held[len(text) :]
        shown = text if self._begun else text.lstrip()
        self._begun |= bool(shown)
        return shown
