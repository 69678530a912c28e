"""From logits to the next token."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llavakit.errors import UsageError, nearest

if TYPE_CHECKING:
    from llavakit.engine.structured import Guide

_GREEDY = 1e-4  # temperatures below it would overflow the division, and change nothing any more


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. Temperature 0 is greedy: always the likeliest token.

    Filters apply in the order of transformers: repetition penalty, temperature, top-k, top-p. What a
    schema or an expression rules out is left out before them.

    Attributes:
        max_new_tokens: where the answer is cut, if it has not ended before
        top_p: draw from the likeliest tokens that together have this probability
        top_k: draw from so many likeliest tokens; 0: from all
        seed: the same seed draws the same answer; None: another one each time
        stop: strings at which the answer ends; they are not part of it
        json_schema: the answer is JSON that this schema describes, a dict or its JSON text
        regex: the answer is a text that this regular expression matches as a whole; neither looking
            around nor back

    Raises:
        UsageError: a value that makes no sense; the field is named.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    json_schema: dict[str, Any] | str | None = None
    regex: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        for name, (good, must) in _RULES.items():
            if not good(value := getattr(self, name)):
                raise UsageError(f"{name} is {value!r}: it must be {must}")
        if self.json_schema is not None and self.regex is not None:
            raise UsageError("json_schema and regex are both given: an answer has one form, leave one out")


def make_sampling(**values: Any) -> Sampling:
    """`Sampling` from keyword arguments.

    Raises:
        UsageError: an unknown name (the nearest is given), or a value that makes no sense.
    """
    for name in values:
        if name not in _RULES:
            raise UsageError(f"unknown generation setting {name!r} ({nearest(name, _RULES)})")
    return Sampling(**values)


def _whole(value: Any, low: int, high: float = math.inf) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _strings(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(stop, str) and stop for stop in value)


def _schema(value: Any) -> bool:
    try:
        return value is None or isinstance(
            json.loads(value if isinstance(value, str) else json.dumps(value)), dict
        )
    except (ValueError, TypeError):  # not JSON, or nothing that JSON can hold
        return False


def _expression(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_new_tokens": (lambda v: _whole(v, 1), "a whole number, at least 1"),
    "temperature": (lambda v: _number(v) and v >= 0, "a number, 0 or more"),
    "top_p": (lambda v: _number(v) and 0 < v <= 1, "a number above 0 and at most 1"),
    "top_k": (lambda v: _whole(v, 0), "a whole number, 0 (all) or more"),
    "repetition_penalty": (lambda v: _number(v) and 0.01 <= v <= 100, "a number from 0.01 to 100"),
    "seed": (lambda v: v is None or _whole(v, 0, 2**64 - 1), "None or a whole number, 0 to 2**64 - 1"),
    "stop": (_strings, "a string or a list of strings, none of them empty"),
    "json_schema": (_schema, "a JSON schema: a dict, or the text of a JSON object"),
    "regex": (
        lambda v: v is None or (isinstance(v, str) and v != ""),
        "a regular expression that is not empty",
    ),
}


class Sampler:
    """Draws the tokens of one answer; the same seed draws the same tokens.

    Args:
        guide: keeps to the form that `sampling` asks for, see `structured.make_guide`
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], guide: "Guide | None" = None) -> None:
        self.sampling = sampling
        self._guide = guide
        self._seen = set(prompt)
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(int(sampling.seed))

    def draw(self, logits: Tensor) -> int:
        """The next token from logits (vocab,).

        Raises:
            LlavaError: no token can continue the form that is asked for.
        """
        if self._guide is not None:
            logits = self._guide.mask(logits)
        scores = self.filtered(logits)
        if self.sampling.temperature < _GREEDY:
            token = int(scores.argmax())
        else:
            token = int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=self._generator))
        self._seen.add(token)
        if self._guide is not None:
            self._guide.took(token)
        return token

    def filtered(self, logits: Tensor) -> Tensor:
        """Logits (vocab,) as the settings change them; -inf: cannot be drawn."""
        s = self.sampling
        logits = logits.float()
        if s.repetition_penalty != 1:
            logits = self._penalised(logits)
        if s.temperature < _GREEDY:
            return logits
        logits = logits / s.temperature
        if 0 < s.top_k < len(logits):
            least = logits.topk(s.top_k).values[-1]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if s.top_p < 1:
            ordered, index = logits.sort(descending=True)
            likelihood = ordered.softmax(-1)
            likelier = likelihood.cumsum(-1) - likelihood  # 0 for the first, which therefore stays
            logits = logits.index_fill(0, index[1:][likelier[1:] >= s.top_p], -torch.inf)
        return logits

    def _penalised(self, logits: Tensor) -> Tensor:
        """Divide (negative: multiply) the logits of tokens already seen (Keskar et al. 2019)."""
        seen = torch.tensor(sorted(self._seen), dtype=torch.long, device=logits.device)
        chosen, penalty = logits[seen], self.sampling.repetition_penalty
        return logits.index_put((seen,), torch.where(chosen > 0, chosen / penalty, chosen * penalty))
