"""Questions put to a model behind any OpenAI-compatible API: GPT-4's, vLLM's, Ollama's, our own server's."""

from collections.abc import Callable, Sequence
from typing import Any

from llavakit.api import Api, Said
from llavakit.evaluate.answers import Question
from llavakit.evaluate.pictures import Pictures, data_uri
from llavakit.media import read_encoded


class RemoteModel:
    """An `Answerer`. Pictures are sent as they are, not encoded anew.

    Args:
        longest: tokens that an answer may have
        on_failed: told a question that has no answer after all tries, and why
    """

    def __init__(
        self, api: Api, pictures: Pictures, longest: int, on_failed: Callable[[Question, str], None]
    ) -> None:
        self._api, self._pictures, self._longest, self._on_failed = api, pictures, longest, on_failed

    def __call__(self, questions: Sequence[Question]) -> list[str | None]:
        """
        Raises:
            UsageError, LlavaError: as `Api.ask`.
        """
        said: dict[int, Said] = {}
        self._api.ask([self._body(question) for question in questions], said.__setitem__)
        texts: list[str | None] = []
        for number, question in enumerate(questions):
            if reason := said[number].reason:
                self._on_failed(question, reason)
            texts.append(None if reason else said[number].text)
        return texts

    def _body(self, question: Question) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": self._uri(name)}} for name in question.images
        ]
        content.append({"type": "text", "text": question.text})
        messages = [{"role": "user", "content": content}]
        return {"messages": messages, "temperature": 0.0, "max_tokens": self._longest}

    def _uri(self, name: str) -> str:
        found = self._pictures.find(name)
        assert found is not None  # `Pictures.check` was called
        if isinstance(found, str):
            return found
        return data_uri(read_encoded(found))
