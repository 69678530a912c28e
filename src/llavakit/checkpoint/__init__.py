"""Model folders in and out: where they are, what their configuration says, their weights."""

from llavakit.checkpoint.folder import Checkpoint, describe, load, load_clip, save
from llavakit.checkpoint.locate import locate

__all__ = ["Checkpoint", "describe", "load", "load_clip", "locate", "save"]
