"""Errors a person reads: one sentence that names the thing at fault and the remedy.

Anything else that escapes is a bug of ours. The command line prints these without a traceback
and exits with `exit_code` (1: the work failed; 2: the user's words were wrong).
"""

import difflib
from collections.abc import Iterable


class LlavaError(Exception):
    """The work could not be done; the message says why and what to do about it."""

    exit_code = 1


class NoMemoryError(LlavaError):
    """A model does not fit into the memory that is free."""


class UsageError(LlavaError):
    """What was asked for does not exist or makes no sense."""

    exit_code = 2


class MediaError(LlavaError):
    """A picture that cannot be opened safely."""


class PictureTooLargeError(MediaError):
    """A picture of more bytes or pixels than are opened."""


class CheckpointError(LlavaError):
    """A model folder that cannot be read or written."""


class PromptError(UsageError):
    """A conversation that cannot be written as a prompt: empty, misordered or too long."""


class RecordError(LlavaError):
    """A record of a file that cannot be used: it is left out, counted and named.

    Attributes:
        source: the file
        row: its number there, from 1
        id: what the file calls it, "" where that is not known
        reason: what is wrong, in words to be read after "row 12"
        kind: the sort of fault, a short key
    """

    def __init__(self, source: str, row: int, id_: str, reason: str, kind: str) -> None:
        super().__init__(source, row, id_, reason, kind)
        self.source, self.row, self.id, self.reason, self.kind = source, row, id_, reason, kind

    def __str__(self) -> str:
        called = f" (id {self.id})" if self.id else ""
        return f"{self.source}: row {self.row}{called} {self.reason}"


def nearest(name: object, valid: Iterable[str]) -> str:
    """A hint for a mistyped `name`: `did you mean 'x'?`, or else every valid name."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(names)}"
