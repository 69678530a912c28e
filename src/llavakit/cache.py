"""Where what was computed once is kept."""

import os
from pathlib import Path

from llavakit.errors import LlavaError


def cache_folder() -> Path:
    """`LLAVAKIT_CACHE`, else `llavakit` where this system's user keeps caches.

    Raises:
        LlavaError: the user has no home.
    """
    if own := os.environ.get("LLAVAKIT_CACHE"):
        return Path(own).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llavakit"
    except RuntimeError:
        raise LlavaError("this user has no home folder: say in LLAVAKIT_CACHE where to keep files") from None
