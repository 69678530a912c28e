"""The kinds of rows: what a teacher is asked for each, and how its reply is read."""

from llavakit.synth.kinds.context import context
from llavakit.synth.kinds.kind import Kind, load_kinds, write_prompts

__all__ = ["Kind", "context", "load_kinds", "write_prompts"]
