"""Other people's harnesses ask a LLaVA: what their adapters share.

An adapter, `lmms` or `vlmeval`, knows how its harness asks; here is what we make of it. Nothing else of ours
imports a harness, and no adapter is imported unless its harness asks for it.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.media import open_image
from llavakit.prompt.messages import Message, Part

if TYPE_CHECKING:
    from llavakit import LLaVA, Reply

log = logging.getLogger(__name__)

Role = Literal["system", "user", "assistant"]
Turn = tuple[Role, Iterable[tuple[str, Any]]]  # whose it is, and its parts: kind ("text", "image") and value

_MARK = "<image>"  # where a benchmark's text says that a picture goes
_LONGEST = 1024  # tokens of an answer where a benchmark does not say: what LLaVA's adapter in lmms-eval has
_TAKEN = ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed")
# Other names of these, and those that change nothing here.
_ALIASES = {"max_gen_toks": "max_new_tokens", "max_tokens": "max_new_tokens"}
_KNOWN = {*_TAKEN, *_ALIASES, "do_sample", "num_beams", "until", "use_cache"}


@dataclass(frozen=True)
class Request:
    """One question of a harness.

    Attributes:
        name: which it is, for people
        size: about how long, to ask those together that are alike
        conversation: makes the messages; opens pictures, so it is called just before they are needed
        settings: how the answer is drawn, in transformers' words
    """

    name: str
    size: int
    conversation: Callable[[], list[Message]]
    settings: Mapping[str, Any]


def answer_all(
    llava: "LLaVA",
    requests: Sequence[Request],
    together: int,
    on_answered: Callable[[int], object] = lambda count: None,
) -> "list[Reply]":
    """Replies in the order of the requests.

    Those with the same settings are asked `together` at a time, longest first: what memory they need is
    known at once.

    Raises:
        LlavaError: a picture or a prompt cannot be used; the request is named.
    """
    samplings = [sampling(request.settings) for request in requests]
    alike: dict[str, list[int]] = {}
    for number, settings in enumerate(samplings):
        alike.setdefault(repr(settings), []).append(number)
    replies: dict[int, Reply] = {}
    for numbers in alike.values():
        numbers.sort(key=lambda number: -requests[number].size)
        for start in range(0, len(numbers), together):
            some = numbers[start : start + together]
            asked = [_conversation(requests[number]) for number in some]
            replies |= zip(some, llava.generate_batch(asked, **samplings[some[0]]), strict=True)
            on_answered(len(some))
    return [replies[number] for number in range(len(requests))]


def _conversation(request: Request) -> list[Message]:
    try:
        return request.conversation()
    except LlavaError as error:
        raise type(error)(f"{request.name}: {error}") from None


def conversation(turns: Iterable[Turn], system_prompt: str | None = None) -> list[Message]:
    """A harness' turns as messages; turns of the same side that follow each other are one.

    Args:
        system_prompt: replaces the conversation's own

    Raises:
        UsageError: a part is neither words nor a picture.
        MediaError: a picture cannot be opened.
    """
    messages: list[Message] = []
    for role, parts in turns:
        content = _placed([_part(kind, value) for kind, value in parts])
        if messages and messages[-1].role == role:
            content = (*messages.pop().content, *content)
        messages.append(Message(role, content))
    if system_prompt is None:
        return messages
    return [Message("system", (system_prompt,)), *(each for each in messages if each.role != "system")]


def _part(kind: str, value: Any) -> Part:
    if kind == "text":
        return str(value)
    if kind == "image":
        return open_image(value)
    raise UsageError(
        f"LLaVA sees pictures and reads words, but this question has {kind}: choose another task"
    )


def _placed(content: Sequence[Part]) -> tuple[Part, ...]:
    """Pictures where the text has `<image>`, if it has as many of them as there are pictures."""
    pictures = iter([part for part in content if not isinstance(part, str)])
    marks = sum(part.count(_MARK) for part in content if isinstance(part, str))
    if marks == 0 or marks != len(content) - sum(isinstance(part, str) for part in content):
        return tuple(content)

    def pieces() -> Iterator[Part]:
        for text in (part for part in content if isinstance(part, str)):
            first, *others = text.split(_MARK)
            yield first
            for other in others:
                yield next(pictures)
                yield other

    return tuple(pieces())


def sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A benchmark's generation settings as the keyword arguments of `generate_batch`.

    `until` becomes `stop`, less the blank line: lmms-eval adds it to every benchmark that names no `until`,
    and it would cut a chain of thought after its first paragraph.

    Raises:
        UsageError: it wants a search with several beams.
    """
    for name in settings.keys() - _KNOWN:
        _tell_once(name)
    if (settings.get("num_beams") or 1) > 1:
        raise UsageError(
            f"num_beams is {settings['num_beams']}: answers are drawn token by token here; set it to 1"
        )
    given = {_ALIASES.get(name, name): value for name, value in settings.items() if value is not None}
    found = {"max_new_tokens": _LONGEST} | {name: given[name] for name in _TAKEN if name in given}
    drawn = given.get("do_sample", found.get("temperature", 0) > 0)
    found["temperature"] = found.get("temperature", 1.0) if drawn else 0.0
    if found["temperature"] == 0:  # benchmarks write top_p = 0 beside it
        found = {name: value for name, value in found.items() if name not in ("top_p", "top_k")}
    until = given.get("until", ())
    stops = [until] if isinstance(until, str) else until
    return found | {"stop": tuple(stop for stop in stops if stop and stop != "\n\n")}


@cache
def _tell_once(name: str) -> None:
    log.warning("the generation setting %r means nothing to llavakit, and changes nothing", name)


def load(model: str, settings: Mapping[str, Any]) -> "LLaVA":
    """A model, with settings as a harness' command line gives them.

    Args:
        settings: of `LLaVA.from_pretrained`; None: its default

    Raises:
        UsageError: an unknown setting; the nearest is named.
        LlavaError: as `LLaVA.from_pretrained`.
    """
    from llavakit.llava import LLaVA

    known = [name for name in signature(LLaVA.from_pretrained).parameters if name != "model"]
    for name in settings:
        if name not in known:
            raise UsageError(f"unknown model setting {name!r} ({nearest(name, known)})")
    given = {name: value for name, value in settings.items() if value is not None}
    return LLaVA.from_pretrained(model, **given)


def process() -> tuple[int, int]:
    """Which of how many processes this is, as torchrun and accelerate say it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
