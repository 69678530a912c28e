"""Where what was computed once is kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`LLAVAKIT_CACHE`, else `llavakit` where this system's user keeps caches."""
    if own := os.environ.get("LLAVAKIT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llavakit"
