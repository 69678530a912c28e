"""Model folders in and out: where they are, what their configuration says, their weights."""

from llavakit.checkpoint.folder import describe, save
from llavakit.checkpoint.load import load, load_clip
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.source import Checkpoint

__all__ = ["Checkpoint", "describe", "load", "load_clip", "locate", "save"]
