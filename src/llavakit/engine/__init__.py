"""The engine turns prompts into tokens: cache, sampling, streaming, batches."""

from llavakit.engine.answer import Reply, Usage
from llavakit.engine.backend import Backend
from llavakit.engine.engine import Engine
from llavakit.engine.sampling import Sampling, make_sampling

__all__ = ["Backend", "Engine", "Reply", "Sampling", "Usage", "make_sampling"]
