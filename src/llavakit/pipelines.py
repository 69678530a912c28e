"""`pipeline`: transformers' call shapes for image-to-text and image-text-to-text, on our engine.

Not `pipeline.py`: once imported, a module of that name would hide the function in `llavakit`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llavakit.chat import generation_settings, open_images, read_device, read_quantization
from llavakit.engine import make_sampling
from llavakit.errors import UsageError, nearest
from llavakit.llava import LLaVA
from llavakit.media import ImageSource, open_image
from llavakit.prompt.encode import Encoded
from llavakit.prompt.messages import Message, Part

TASKS = ("image-to-text", "image-text-to-text")
_MAX_NEW_TOKENS = 256
_CONTENT = ("text", "image")


def pipeline(
    task: str,
    model: "str | Path | LLaVA" = "tiny",
    *,
    model_kwargs: dict[str, Any] | None = None,
    device: Any = None,
    device_map: Any = None,
    torch_dtype: Any = None,
    dtype: Any = None,
    **kwargs: Any,
) -> "Pipeline":
    """A callable as transformers' `pipeline` returns it.

    `model_kwargs={"quantization_config": …}` takes a `BitsAndBytesConfig`, or its arguments.

    Raises:
        UsageError: another task, or an argument that means nothing here.
    """
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r} ({nearest(task, TASKS)})")
    if isinstance(model, LLaVA):
        return Pipeline(task, model)
    given = kwargs | (model_kwargs or {})
    places = (given.pop("device_map", None), device_map, device)
    place = read_device(next((p for p in places if p is not None), "auto"))
    quantize, compute = read_quantization(given.pop("quantization_config", None), place)
    precisions = (given.pop("torch_dtype", None), given.pop("dtype", None), torch_dtype, dtype, compute)
    precision = next(p for p in precisions if p is not None)
    for unused in ("low_cpu_mem_usage", "attn_implementation", "trust_remote_code", "use_fast"):
        given.pop(unused, None)  # they choose between ways that llavakit has one of
    if given:
        raise UsageError(f"pipeline does not take {', '.join(sorted(given))}")
    return Pipeline(task, LLaVA.from_pretrained(model, device=place, dtype=precision, quantize=quantize))


_Job = tuple[Encoded, Callable[[str], dict[str, Any]]]  # a prompt, and the answer's text -> what is returned


class Pipeline:
    """Pictures and prompts in, `[{"generated_text": …}]` out."""

    def __init__(self, task: str, llava: LLaVA) -> None:
        self.task = task
        self.llava = llava
        self.model, self.tokenizer = llava.model, llava.tokenizer

    def __call__(
        self,
        images: Any = None,
        prompt: Any = None,
        *,
        text: Any = None,
        generate_kwargs: dict[str, Any] | None = None,
        max_new_tokens: int | None = None,
        return_full_text: bool = True,
        **generation: Any,
    ) -> Any:
        """Answer.

        Args:
            images: one picture or a list of them, or a chat
            prompt, text: the written prompt, `<image>` where a picture goes; a chat, that is a list
                of {"role", "content": text, or a list of {"type": "text" | "image", …}}; or a list
                of either
            generate_kwargs: transformers' generation settings, beside those of `Sampling`
            return_full_text: False: the answer alone

        Returns:
            A list of one {"generated_text": …}; for a list of pictures or chats a list of such
            lists; for a list of prompts beside a list of pictures, as transformers has it, one flat
            list. The full text is the prompt, a space, the answer; "image-to-text" takes `<image>`
            out of it and leaves every other character ("USER: \\nDescribe …"). Of a chat it is the
            messages with the answer's added.

        Raises:
            UsageError: an unknown setting; pictures and places for them that do not match.
            MediaError: a picture cannot be opened.
        """
        settings = (generate_kwargs or {}) | generation
        if max_new_tokens is not None:
            settings["max_new_tokens"] = max_new_tokens
        settings.setdefault("max_new_tokens", _MAX_NEW_TOKENS)
        sampling = make_sampling(**generation_settings(settings))

        words = prompt if text is None else text
        if words is None and (_is_chat(images) or _is_many(images, _is_chat)):
            images, words = None, images
        jobs, nested = self._jobs(images, words, return_full_text)
        replies = self.llava.engine.complete([encoded for encoded, _ in jobs], sampling)
        records = [record(reply.text) for (_, record), reply in zip(jobs, replies, strict=True)]
        return [[record] for record in records] if nested else records

    def _jobs(self, images: Any, words: Any, full: bool) -> tuple[list[_Job], bool]:
        """What is asked for, and whether each result comes in a list of its own."""
        if _is_chat(words):
            return [self._chat(words, images, full)], False
        if _is_many(words, _is_chat):
            return [self._chat(chat, None, full) for chat in words], True
        if words is None and self.task == "image-to-text":
            words = f"{self.tokenizer.image_token}\n"
        if not isinstance(words, str) and not _is_many(words, lambda word: isinstance(word, str)):
            raise UsageError("the pipeline needs text: a prompt with <image>, a chat, or a list of them")
        if isinstance(words, str) and (
            self.task == "image-text-to-text" or not isinstance(images, list | tuple)
        ):
            return [self._written(images, words, full)], False
        if images is None:
            return [self._written(None, word, full) for word in words], True
        if isinstance(words, str):
            return [self._written(image, words, full) for image in images], True
        if not isinstance(images, list | tuple) or len(images) != len(words):
            raise UsageError(f"{len(words)} prompts need as many pictures, in a list")
        pairs = zip(images, words, strict=True)
        return [self._written(image, word, full) for image, word in pairs], self.task == "image-to-text"

    def _written(self, images: Any, prompt: str, full: bool) -> _Job:
        encoded = self.llava.encoder.encode_written(prompt, [] if images is None else open_images(images))
        captioning = self.task == "image-to-text"
        opening = prompt.replace(self.tokenizer.image_token, "") if captioning else prompt
        if opening and not opening[-1].isspace():
            opening += " "

        def record(answer: str) -> dict[str, Any]:
            result = {"generated_text": opening + answer if full else answer}
            return result if captioning else {"input_text": prompt} | result

        return encoded, record

    def _chat(self, chat: Any, images: Any, full: bool) -> _Job:
        given = [] if images is None else list(images) if isinstance(images, list | tuple) else [images]
        messages = [_message(turn, given) for turn in chat]
        if given:
            raise UsageError(f"{len(given)} more pictures than the chat has places for")

        def record(answer: str) -> dict[str, Any]:
            said = [*chat, {"role": "assistant", "content": answer}]
            return {"input_text": chat, "generated_text": said if full else answer}

        return self.llava.encoder.encode(messages), record


def _is_chat(value: Any) -> bool:
    return _is_many(value, lambda turn: isinstance(turn, dict) and "role" in turn)


def _is_many(value: Any, kind: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(kind, value))


def _message(turn: dict[str, Any], given: list[ImageSource]) -> Message:
    """One turn of a chat; a picture without a source of its own takes the next of `given`."""
    content = turn.get("content", "")
    parts: list[Part] = []
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        kind = part.get("type") if isinstance(part, dict) else part
        if kind not in _CONTENT:
            raise UsageError(f"content of type {kind!r} is not known ({nearest(str(kind), _CONTENT)})")
        if kind == "text":
            parts.append(str(part.get("text", "")))
            continue
        source = next((part[key] for key in ("image", "url", "path") if key in part), None)
        if "base64" in part:
            source = f"data:;base64,{part['base64']}"
        if source is None and not given:
            raise UsageError("a chat has more places for pictures than pictures")
        parts.append(open_image(given.pop(0) if source is None else source))
    return Message(turn["role"], tuple(parts))
