"""A conversation that remembers, and the tutorial class built on it."""

from collections.abc import Generator, Sequence
from importlib.util import find_spec
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL import Image

from llavakit.engine import Reply, Sampling, make_sampling
from llavakit.errors import PromptError, UsageError, nearest
from llavakit.media import ImageSource, open_image
from llavakit.prompt.messages import Message, assistant, system, user

if TYPE_CHECKING:
    from llavakit.llava import LLaVA

_BUSY = "this conversation is still answering: read that answer to its end, or close it, first"
Images = ImageSource | Sequence[ImageSource]  # one picture needs no list around it


def open_images(images: Images) -> list[Image.Image]:
    """One picture or several, opened."""
    several = images if isinstance(images, list | tuple) else [cast(ImageSource, images)]
    return [open_image(image) for image in several]


def question(prompt: str, images: Images) -> Message:
    """The user's turn.

    Raises:
        PromptError: the prompt is no text.
        MediaError: a picture cannot be opened.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"the prompt must be text, not {type(prompt).__name__}; pictures go into `images`")
    return user(*open_images(images), prompt)


class Chat:
    """Questions and answers about pictures, each turn costing only its own tokens.

    A question that fails (a picture that cannot be opened, a prompt too long) leaves the
    conversation as it was, and so does one that is cancelled before anything was said; an answer
    stopped halfway is kept as far as it came.

    Attributes:
        messages: what was said
        last: the reply to the last question, filled while it streams
        reuse: what was read for earlier answers is not read again
    """

    def __init__(self, llava: "LLaVA", images: Images = (), *, system_prompt: str | None = None) -> None:
        self.llava = llava
        self.messages: list[Message] = [] if system_prompt is None else [system(system_prompt)]
        self.last: Reply | None = None
        self.reuse = True
        self._answering = Lock()
        self._waiting = open_images(images)  # shown with the next question

    def add_image(self, image: ImageSource) -> None:
        """Show a picture with the next question."""
        self._waiting.append(open_image(image))

    def ask(self, prompt: str, images: Images = (), **sampling: Any) -> Reply:
        """The answer to one more question. Keyword arguments are those of `Sampling`."""
        for _ in self.stream(prompt, images, **sampling):
            pass
        assert self.last is not None  # the stream has set it
        return self.last

    def stream(
        self, prompt: str, images: Images = (), *, cancel: Event | None = None, **sampling: Any
    ) -> Generator[str]:
        """As `ask`, piece by piece. Nothing happens before the first piece is asked for.

        Raises:
            UsageError: the last answer is not finished.
        """
        settings = make_sampling(**sampling)
        if not self._answering.acquire(blocking=False):
            raise UsageError(_BUSY)
        try:
            asked = question(prompt, [*self._waiting, *open_images(images)])
            yield from self._answer(asked, settings, cancel)
        finally:
            self._answering.release()

    def _answer(self, asked: Message, settings: Sampling, cancel: Event | None) -> Generator[str]:
        encoded = self.llava.encoder.encode((*self.messages, asked))
        shown = len(self._waiting)
        reply = Reply()
        pieces = self.llava.engine.stream(encoded, settings, reply, cancel, reuse=self.reuse)
        try:
            for piece in pieces:
                self.last = reply
                yield piece
            self.last = reply
        finally:
            pieces.close()
            if reply.text or reply.finish_reason != "cancelled":
                self.messages += [asked, assistant(reply.text)]
                self._waiting = self._waiting[shown:]

    def undo(self) -> str:
        """Take back the last question and its answer; the question is returned.

        Its pictures are shown with the next one.

        Raises:
            UsageError: nothing was asked yet, or the last answer is not finished.
        """
        if self._answering.locked():
            raise UsageError(_BUSY)
        if not self.messages or self.messages[-1].role != "assistant":
            raise UsageError("there is nothing to take back: nothing was asked yet")
        *self.messages, asked, _ = self.messages
        self._waiting = [*asked.images, *self._waiting]
        return asked.text

    def transcript(self) -> str:
        """The raw conversation so far, as the template writes it."""
        if not any(message.role == "user" for message in self.messages):
            return ""
        return self.llava.encoder.encode(self.messages, reply=False).text


class LLaVAChatBot:
    """The class of the "chat with LLaVA" tutorials: same names, defaults and behaviour.

    Args:
        model_path: hub name or folder
        device_map: "auto", "cpu", "cuda", "cuda:0" …
        load_in_8_bit: weights in 8 bits
        quant_kwargs: as `BitsAndBytesConfig`'s; `load_in_4bit=True` wins over `load_in_8_bit`
    """

    def __init__(
        self,
        model_path: str = "liuhaotian/llava-v1.5-7b",
        device_map: str = "auto",
        load_in_8_bit: bool = True,
        **quant_kwargs: Any,
    ) -> None:
        self.load_models(model_path, device_map, load_in_8_bit, **quant_kwargs)

    def load_models(
        self, model_path: str, device_map: str = "auto", load_in_8_bit: bool = True, **quant_kwargs: Any
    ) -> None:
        """Load (or replace) the model, its tokenizer and its picture settings."""
        from llavakit.llava import LLaVA  # which imports this module

        device = read_device(device_map)
        quantize, dtype = read_quantization({"load_in_8bit": load_in_8_bit} | quant_kwargs, device)
        self.llava = LLaVA.from_pretrained(model_path, device=device, quantize=quantize, dtype=dtype)
        self.model = self.llava.model
        self.tokenizer = self.llava.tokenizer
        self.image_processor = self.llava.encoder.image_config
        self.roles = self.llava.encoder.template.roles
        self.stop_key = self.llava.tokenizer.eos_token
        self.conv: Chat | None = None
        self.conv_img: Image.Image | None = None
        self.img_tensor: torch.Tensor | None = None  # (view, 3, size, size), as the vision tower sees it
        self._question: str | None = None  # not answered yet

    def setup_image(self, img_path: ImageSource) -> None:
        """Open the picture the next chat is about: a path, an http(s) URL, or any `ImageSource`."""
        self.conv_img = open_image(img_path)
        self.img_tensor = torch.from_numpy(self.llava.encoder.pixels([self.conv_img]))

    def generate_answer(self, **kwargs: Any) -> str:
        """Answer the last question, anew if it was answered, without the trailing end token.

        Raises:
            RuntimeError: no chat was started.
        """
        conv = self._started()
        prompt, self._question = self._question, None
        return conv.ask(conv.undo() if prompt is None else prompt, **generation_settings(kwargs)).text

    def get_conv_text(self) -> str:
        """The raw conversation, system prompt and separators included."""
        return self.conv.transcript() if self.conv is not None else ""

    def start_new_chat(
        self,
        img_path: ImageSource,
        prompt: str,
        do_sample: bool = True,
        temperature: float = 0.2,
        max_new_tokens: int = 1024,
        use_cache: bool = True,
        **kwargs: Any,
    ) -> str:
        """Forget what was said, look at another picture, answer a first question."""
        self.setup_image(img_path)
        assert self.conv_img is not None
        self.conv = self.llava.chat(images=[self.conv_img])
        return self.continue_chat(prompt, do_sample, temperature, max_new_tokens, use_cache, **kwargs)

    def continue_chat(
        self,
        prompt: str,
        do_sample: bool = True,
        temperature: float = 0.2,
        max_new_tokens: int = 1024,
        use_cache: bool = True,
        **kwargs: Any,
    ) -> str:
        """Answer one more question about the same picture.

        Raises:
            RuntimeError: no chat was started.
        """
        conv = self._started()
        conv.reuse = use_cache
        self._question = prompt
        return self.generate_answer(
            do_sample=do_sample, temperature=temperature, max_new_tokens=max_new_tokens, **kwargs
        )

    def _started(self) -> Chat:
        if self.conv is None:
            raise RuntimeError("no chat yet: call start_new_chat first")
        return self.conv


def generation_settings(values: dict[str, Any]) -> dict[str, Any]:
    """transformers' generation arguments as ours.

    `do_sample=False` means temperature 0, `do_sample=True` temperature 1 unless one is given.
    """
    values = {name: value for name, value in values.items() if value is not None}
    values.pop("use_cache", None)
    if "stop_strings" in values:
        values["stop"] = values.pop("stop_strings")
    do_sample = values.pop("do_sample", None)
    if do_sample is not None:
        values["temperature"] = values.get("temperature", 1.0) if do_sample else 0.0
    return values


def read_device(device_map: Any) -> Any:
    """transformers' `device` or `device_map` as our `device`: a number is a GPU's, -1 the CPU."""
    if isinstance(device_map, dict) and len(set(device_map.values())) == 1:
        device_map = next(iter(device_map.values()))
    if isinstance(device_map, int):
        return f"cuda:{device_map}" if device_map >= 0 else "cpu"
    if isinstance(device_map, dict):
        raise UsageError("device_map spreads the model over several devices: name one, or 'auto'")
    return device_map or "auto"


_KNOWN_QUANT = (
    "load_in_8bit", "load_in_4bit", "quant_method", "bnb_4bit_compute_dtype", "bnb_4bit_quant_type",
    "bnb_4bit_use_double_quant", "bnb_4bit_quant_storage", "llm_int8_threshold", "llm_int8_skip_modules",
    "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight",
)  # fmt: skip


def read_quantization(config: Any, device: Any) -> tuple[str | None, Any]:
    """A `BitsAndBytesConfig` (or its arguments) as our `quantize` and `dtype`.

    bitsandbytes itself is taken on a GPU where it is installed, our own 8 and 4 bits elsewhere. Which
    4-bit code and how scales are stored are ours to choose; those settings are accepted and change nothing.
    """
    if config is None:
        return None, "auto"
    if isinstance(config, dict):  # its `to_dict` repeats two of them with an underscore
        values = {name: value for name, value in config.items() if not name.startswith("_")}
    else:
        values = {name: getattr(config, name) for name in _KNOWN_QUANT if hasattr(config, name)}
    for name in values:
        if name not in _KNOWN_QUANT:
            raise UsageError(f"unknown quantisation setting {name!r} ({nearest(name, _KNOWN_QUANT)})")
    four, eight = values.get("load_in_4bit"), values.get("load_in_8bit")
    if not (four or eight):
        return None, "auto"
    theirs = _has_bitsandbytes(device)
    if four:
        return ("bnb-nf4" if theirs else "int4"), values.get("bnb_4bit_compute_dtype") or "auto"
    return ("bnb-int8" if theirs else "int8"), "auto"


def _has_bitsandbytes(device: Any) -> bool:
    from llavakit.llava import pick_device  # which imports this module

    return pick_device(device).type == "cuda" and find_spec("bitsandbytes") is not None
