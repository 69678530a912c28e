"""`LLaVA`: a loaded model that answers questions about pictures."""

from collections.abc import Generator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any, Self, get_args

import psutil
import torch

from llavakit.chat import Chat, Images, question
from llavakit.checkpoint import Checkpoint, describe, load, locate
from llavakit.config import LlavaConfig, Quantization, Scheme
from llavakit.engine import Engine, Reply, make_sampling
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.model import Llava
from llavakit.model.shapes import shapes_only
from llavakit.prompt.encode import Encoded, PromptEncoder
from llavakit.prompt.messages import Message, system
from llavakit.prompt.templates import get_template

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class LLaVA:
    """A model, its prompt encoder and its engine.

    >>> llava = LLaVA.from_pretrained("tiny")
    >>> llava.generate("How many cars are there?", images=["street.png"]).text
    """

    def __init__(self, checkpoint: Checkpoint, name: str = "", *, cache_tokens: int | None = None) -> None:
        self.name = name
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.provenance = checkpoint.provenance
        self.encoder = PromptEncoder(
            checkpoint.tokenizer,
            get_template(checkpoint.template),
            checkpoint.model.config.tokens_per_image,
            checkpoint.image,
            checkpoint.image_markers,
            checkpoint.model.config.tiling,
        )
        parameter = next(checkpoint.model.parameters())
        tokens = cache_tokens or default_cache_tokens(self.config, parameter.dtype, parameter.device)
        backend = TorchBackend(checkpoint.model, tokens)
        self.engine = Engine(backend, self.encoder, checkpoint.eos_token_ids)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "tiny",
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        quantize: str | Quantization | None = None,
        template: str | None = None,
        revision: str | None = None,
        base: str | Path | None = None,
        vision_tower: str | Path | None = None,
        cache_tokens: int | None = None,
    ) -> Self:
        """Load a LLaVA: `"tiny"` (embedded), a folder or file, or a name on the Hugging Face hub.

        Args:
            device: "auto" takes a GPU where there is one
            dtype: "float32", "float16", "bfloat16"; "auto": as stored on a GPU; on a CPU float32
                where it fits comfortably, else bfloat16
            quantize: None, "int8" or "int4": the language model's weights in 8 or 4 bits, tower and head
                in 8; a `Quantization` says more. A folder that is quantised already needs none.
            template: the conversation template, where the folder's own is wrong or missing
            revision: branch, tag or commit on the hub
            base: for a LoRA or a connector alone: the model it was trained on
            vision_tower: for an original checkpoint whose tower cannot be had as its config.json says
            cache_tokens: how many tokens of conversations, all together, are kept to be read on; None: a
                quarter of the memory that is free, at most eight contexts

        Raises:
            UsageError: an argument names nothing that exists.
            CheckpointError: the folder is incomplete, damaged, or of another kind.
            LlavaError: it does not fit into memory.
        """
        plan = quantization(quantize)
        if template is not None:
            get_template(template)
        place = pick_device(device)
        named = _dtype(dtype)
        folder = locate(model, revision)
        config = describe(folder, base=base, vision_tower=vision_tower).config
        if plan is not None:
            config = config.model_copy(update={"quantization": plan})
        wanted = named or _auto_dtype(place, config)
        _check_memory(config, wanted, place, str(model))
        checkpoint = load(
            folder, dtype=wanted, device=place, template=template, quantization=plan, base=base,
            vision_tower=vision_tower,
        )  # fmt: skip
        return cls(checkpoint, str(model), cache_tokens=cache_tokens)

    @property
    def config(self) -> LlavaConfig:
        return self.model.config

    def generate(
        self,
        prompt: str,
        images: Images = (),
        *,
        system_prompt: str | None = None,
        **sampling: Any,
    ) -> Reply:
        """Answer `prompt` about `images`. Keyword arguments are those of `Sampling`.

        Raises:
            MediaError: a picture cannot be opened.
            PromptError: the prompt is empty or too long.
        """
        reply = Reply()
        encoded = self._encode(prompt, images, system_prompt)
        for _ in self.engine.stream(encoded, make_sampling(**sampling), reply=reply):
            pass
        return reply

    def stream(
        self,
        prompt: str,
        images: Images = (),
        *,
        system_prompt: str | None = None,
        cancel: Event | None = None,
        **sampling: Any,
    ) -> Generator[str]:
        """As `generate`, piece by piece: together the pieces are the reply's text.

        Leave the loop, or set `cancel`, to stop it.
        """
        encoded = self._encode(prompt, images, system_prompt)
        return self.engine.stream(encoded, make_sampling(**sampling), cancel=cancel)

    def generate_batch(self, requests: Sequence[str | tuple[str, Images]], **sampling: Any) -> list[Reply]:
        """Answer many questions together: each a prompt, or a prompt with its images.

        With a seed, each answer is the one that `generate` gives with that seed.
        """
        encoded = []
        for request in requests:
            prompt, images = (
                request if isinstance(request, list | tuple) and len(request) == 2 else (request, ())
            )
            encoded.append(self._encode(prompt, images, None))
        return self.engine.complete(encoded, make_sampling(**sampling))

    def chat(self, images: Images = (), *, system_prompt: str | None = None) -> Chat:
        """A conversation that remembers; `images` are shown with the first question."""
        return Chat(self, images, system_prompt=system_prompt)

    def _encode(self, prompt: str, images: Images, system_prompt: str | None) -> Encoded:
        opening: tuple[Message, ...] = () if system_prompt is None else (system(system_prompt),)
        return self.encoder.encode((*opening, question(prompt, images)))


def pick_device(device: str | torch.device) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    Raises:
        UsageError: it cannot be used here.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # `meta` cannot
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0]})"
        ) from None
    return chosen


def _dtype(dtype: str | torch.dtype) -> torch.dtype | None:
    """None where it is "auto"."""
    name = str(dtype).removeprefix("torch.")
    if name == "auto":
        return None
    if name not in DTYPES:
        raise UsageError(f"unknown dtype {str(dtype)!r} ({nearest(name, DTYPES)})")
    return DTYPES[name]


def quantization(quantize: str | Quantization | None) -> Quantization | None:
    """What is meant by "int8", "int4" and the other schemes.

    Raises:
        UsageError: an unknown scheme.
    """
    if quantize is None or isinstance(quantize, Quantization):
        return quantize
    if quantize not in get_args(Scheme):
        raise UsageError(f"unknown quantisation {quantize!r} ({nearest(quantize, get_args(Scheme))})")
    return Quantization.parse({"scheme": quantize}, "quantize")


def _auto_dtype(device: torch.device, config: LlavaConfig) -> torch.dtype | None:
    """None: as stored."""
    if device.type != "cpu":
        return None
    if config.quantization is not None:
        return torch.bfloat16  # the CPU's 8-bit product takes it: 1.4 against 13 ms a 4096 x 4096 layer
    comfortable = psutil.virtual_memory().available / 2
    return torch.float32 if memory_needed(config, torch.float32) < comfortable else torch.bfloat16


@lru_cache
def memory_needed(config: LlavaConfig, dtype: torch.dtype | None) -> int:
    """Bytes of the loaded weights; `dtype` None: as stored, taken for 16 bits."""
    itemsize = (dtype or torch.float16).itemsize
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)  # of scales: as published
    try:
        with shapes_only():
            llava = Llava(config)
    finally:
        torch.set_default_dtype(usual)
    return sum(p.numel() * itemsize for p in llava.parameters()) + sum(b.nbytes for b in llava.buffers())


def cache_needed(config: LlavaConfig, dtype: torch.dtype, tokens: int) -> int:
    """Bytes of the keys and values of one conversation."""
    language = config.language
    numbers = 2 * language.num_hidden_layers * language.num_key_value_heads * language.head_dim
    return numbers * dtype.itemsize * tokens


def default_cache_tokens(config: LlavaConfig, dtype: torch.dtype, device: torch.device) -> int:
    """See `cache_tokens` of `LLaVA.from_pretrained`."""
    affordable = free_memory(device) // 4 // cache_needed(config, dtype, 1)
    return min(affordable, 8 * config.language.max_position_embeddings)


def free_memory(device: torch.device) -> int:
    """Bytes that are free where `device` computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _check_memory(config: LlavaConfig, dtype: torch.dtype | None, device: torch.device, name: str) -> None:
    needed, free = memory_needed(config, dtype), free_memory(device)
    if needed > free:
        scheme = config.quantization.scheme if config.quantization else None
        smaller = {None: "--quantize int8 or int4", "int8": "--quantize int4", "bnb-int8": "--quantize int4"}
        raise LlavaError(
            f"{name} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB is free: "
            f"try {smaller.get(scheme, 'a smaller model')}"
        )
