"""`LLaVA`: a loaded model that answers questions about pictures."""

from collections.abc import Generator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any, Self

import psutil
import torch

from llavakit.chat import Chat, Images, question
from llavakit.checkpoint import Checkpoint, describe, load, locate
from llavakit.config import LlavaConfig
from llavakit.engine import Engine, Reply, check_scheme, make_sampling, quantise
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.model import Llava
from llavakit.prompt.encode import Encoded, PromptEncoder
from llavakit.prompt.messages import Message, system
from llavakit.prompt.templates import get_template

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Scales in float32 included; embeddings, connector and tower come on top.
_BYTES_PER_WEIGHT = {"int8": 1.0, "int4": 0.63}


class LLaVA:
    """A model, its prompt encoder and its engine.

    >>> llava = LLaVA.from_pretrained("tiny")
    >>> llava.generate("How many cars are there?", images=["street.png"]).text
    """

    def __init__(self, checkpoint: Checkpoint, name: str = "") -> None:
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
        )
        self.engine = Engine(checkpoint.model, self.encoder, checkpoint.eos_token_ids)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "tiny",
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        quantize: str | None = None,
        template: str | None = None,
        revision: str | None = None,
    ) -> Self:
        """Load a LLaVA: `"tiny"` (embedded), a folder, or a name on the Hugging Face hub.

        Args:
            device: "auto" takes a GPU where there is one
            dtype: "float32", "float16", "bfloat16"; "auto": as stored on a GPU; on a CPU float32
                where it fits comfortably, else bfloat16
            quantize: None, "int8" or "int4": the language model's weights in 8 or 4 bits
            template: the conversation template, where the folder's own is wrong or missing
            revision: branch, tag or commit on the hub

        Raises:
            UsageError: an argument names nothing that exists.
            CheckpointError: the folder is incomplete, damaged, or of another kind.
            LlavaError: it does not fit into memory.
        """
        check_scheme(quantize)
        if template is not None:
            get_template(template)
        place = _device(device)
        named = _dtype(dtype)
        folder = locate(model, revision)
        config = describe(folder).config
        wanted = named or _auto_dtype(place, config, quantize)
        _check_memory(config, wanted, place, quantize, str(model))
        # A model to be quantised stays memory-mapped as stored until each layer is packed.
        checkpoint = load(
            folder,
            dtype=None if quantize else wanted,
            device="cpu" if quantize else place,
            template=template,
        )
        if quantize is not None:
            quantise(checkpoint.model, quantize)
            checkpoint.model.to(device=place, dtype=wanted)
        return cls(checkpoint, str(model))

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


def _device(device: str | torch.device) -> torch.device:
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


def _auto_dtype(device: torch.device, config: LlavaConfig, quantize: str | None) -> torch.dtype | None:
    """None: as stored."""
    if device.type != "cpu":
        return None
    if quantize is not None:  # the CPU's 8-bit product takes bfloat16: 1.4 against 13 ms a 4096 x 4096 layer
        return torch.bfloat16
    comfortable = psutil.virtual_memory().available / 2
    return torch.float32 if 4 * parameters(config) < comfortable else torch.bfloat16


@lru_cache
def parameters(config: LlavaConfig) -> int:
    """How many weights a model of this shape has."""
    with torch.device("meta"):
        return sum(p.numel() for p in Llava(config).parameters())


def memory_needed(config: LlavaConfig, dtype: torch.dtype | None, quantize: str | None) -> float:
    """Bytes of the loaded weights."""
    itemsize = (dtype or torch.float16).itemsize
    if quantize is None:
        return parameters(config) * itemsize
    with torch.device("meta"):
        llava = Llava(config)
    blocks = sum(p.numel() for p in llava.language_model.layers.parameters())
    rest = sum(p.numel() for p in llava.parameters()) - blocks
    return blocks * _BYTES_PER_WEIGHT[quantize] + rest * itemsize


def _check_memory(
    config: LlavaConfig, dtype: torch.dtype | None, device: torch.device, quantize: str | None, name: str
) -> None:
    needed = memory_needed(config, dtype, quantize)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    if needed > free:
        smaller = {None: "--quantize int8 or int4", "int8": "--quantize int4", "int4": "a smaller model"}[
            quantize
        ]
        raise LlavaError(
            f"{name} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB is free: try {smaller}"
        )
