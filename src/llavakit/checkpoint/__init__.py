"""Model folders in and out: where they are, what their configuration says, their weights."""

from llavakit.checkpoint.compose import compose
from llavakit.checkpoint.folder import save
from llavakit.checkpoint.kept import kept
from llavakit.checkpoint.load import build, describe, is_adapter, load, load_clip, open_source
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.source import Checkpoint

__all__ = [
    "Checkpoint",
    "build",
    "compose",
    "describe",
    "is_adapter",
    "kept",
    "load",
    "load_clip",
    "locate",
    "open_source",
    "quantised",
    "save",
]
