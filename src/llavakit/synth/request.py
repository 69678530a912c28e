"""What a teacher behind an API is asked of a task: once, and again where what it said cannot be used."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llavakit.api import Said
from llavakit.synth.kept import Held, Kept, Opened
from llavakit.synth.task import Reply, Task
from llavakit.synth.tokens import prompt_tokens, tokens

Message = Mapping[str, str]
Usable = Callable[[Task, str], str]  # why a reply cannot be used, "" where it can


class Prompt(Protocol):
    """What is sent for tasks of a kind: the part of a `Kind` that asking needs."""

    @property
    def version(self) -> str: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def temperature(self) -> float: ...
    def messages(self, task: Task) -> tuple[dict[str, str], ...]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """
    Attributes:
        key: the hash of what is asked of whom, that its reply is kept under
        again: how often the task was asked before
    """

    task: Task
    key: str
    model: str
    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    again: int = 0

    def body(self) -> dict[str, Any]:
        """As it is sent, beside the model's name."""
        return {
            "messages": list(map(dict, self.messages)), "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }  # fmt: skip

    def opened(self, margin: float = 1.0, longest: int = 0, *, batch: bool = False) -> Opened:
        """As it is kept while there is no reply.

        Args:
            margin: tokens that the prompt may have to each by our count
            longest: that the reply may have, whatever was asked for
        """
        guess = prompt_tokens(self.messages)
        return Opened(
            self.key, self.task.id, self.task.kind, self.model, self.again, guess, round(guess * margin),
            max(self.max_tokens, longest), batch,
        )  # fmt: skip


def held_of(said: Said, opened: Opened) -> Held:
    """As it is kept; tokens are by our own count where the server tells none."""
    used = said.usage or {}
    prompt, completion = used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
    if not said.reason and not prompt:
        prompt, completion = opened.guess, completion or tokens(said.text)
    return Held(said.text, said.reason, prompt, completion, said.answered_by, said.finish)


class Requests:
    """Finds what is to be asked of tasks, and what was replied, in what is kept.

    A reply that cannot be used is answered with its fault, and another is asked for, to `tries` in all.
    """

    def __init__(
        self,
        model: str,
        kinds: Mapping[str, Prompt],
        kept: Kept,
        *,
        usable: Usable = lambda task, text: "",
        tries: int = 2,
    ) -> None:
        self.model, self.kept = model, kept
        self._kinds, self._usable, self._tries = kinds, usable, tries

    def wanted(self, task: Task) -> Request | None:
        """What is to be asked now; None where a reply is there, or asking on makes no sense.

        What failed is asked again. What waits in a batch is wanted as well: see `Kept.opened`.
        """
        first = self._first(task)
        earlier: tuple[Held, str] | None = None
        for again in range(self._tries):
            key = _numbered(first.key, again)
            held = self.kept.get(key)
            if held is None or held.reason:
                return self._again(first, key, again, earlier)
            fault = self.fault(task, held)
            if not fault:
                return None
            earlier = held, fault
        return None

    def reply(self, task: Task) -> Reply | None:
        """The last reply that can be used, else the last one; None where it was never asked."""
        first = self._first(task)
        found = [
            (again, held)
            for again in range(self._tries)
            if (held := self.kept.get(_numbered(first.key, again))) is not None
        ]
        said = [(again, held) for again, held in found if not held.reason]
        if not said:
            return Reply("", found[0][1].reason) if found else None
        if len(said) > 1:
            said = [each for each in said if not self.fault(task, each[1])] or said
        again, held = said[-1]
        fault = self._incomplete(held)
        return Reply("" if fault else held.text, fault, again)

    def fault(self, task: Task, held: Held) -> str:
        """Why a reply cannot be used, "" where it can."""
        return self._incomplete(held) or self._usable(task, held.text)

    def _first(self, task: Task) -> Request:
        kind = self._kinds[task.kind]
        messages = kind.messages(task)
        asked = [self.model, kind.version, messages, kind.temperature, kind.max_tokens]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return Request(task, digest, self.model, messages, kind.temperature, kind.max_tokens)

    def _again(self, first: Request, key: str, again: int, earlier: tuple[Held, str] | None) -> Request:
        messages = first.messages
        if earlier is not None and earlier[0].text.strip():  # many servers want the sides to take turns
            held, fault = earlier
            messages += (
                {"role": "assistant", "content": held.text},
                {
                    "role": "user",
                    "content": f"This cannot be used: {fault}. Reply again, in the form asked for.",
                },
            )
        return Request(first.task, key, first.model, messages, first.temperature, first.max_tokens, again)

    @staticmethod
    def _incomplete(held: Held) -> str:
        if held.finish == "length":
            return f"it is cut off after {held.completion_tokens} tokens"
        if held.finish == "content_filter":
            return "the provider's filter stopped it"
        return "" if held.text.strip() else "nothing was said"


def _numbered(key: str, again: int) -> str:
    return hashlib.sha256(f"{key} {again}".encode()).hexdigest() if again else key
