"""The engine turns prompts into tokens: cache, sampling, streaming, batches."""

from llavakit.engine.answer import Reply, Usage
from llavakit.engine.engine import Engine
from llavakit.engine.sampling import Sampling, make_sampling

__all__ = ["Engine", "Reply", "Sampling", "Usage", "make_sampling"]
