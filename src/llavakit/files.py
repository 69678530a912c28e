"""Files as a whole: read with one clear error, written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llavakit.errors import LlavaError, UsageError


def read_text(path: Path) -> str:
    """
    Raises:
        UsageError: it cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends without error.

    Raises:
        LlavaError: it cannot be written; what was there before is as it was.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as folder:
            partial = Path(folder) / path.name
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    except OSError as error:
        raise LlavaError(f"{path} cannot be written: {error.strerror or error}") from None


def write_whole(path: Path, data: bytes) -> None:
    """
    Raises:
        LlavaError: as `whole`.
    """
    with whole(path) as partial:
        partial.write_bytes(data)
