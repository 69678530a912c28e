"""A model behind any OpenAI-compatible API: many requests at a time, tried again while the server is busy."""

from llavakit.api.client import KEY, URL, Api, Body
from llavakit.api.replies import Said

__all__ = ["KEY", "URL", "Api", "Body", "Said"]
