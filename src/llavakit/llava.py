"""`LLaVA`: a loaded model that answers questions about pictures."""

import logging
import os
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any, Self, cast, get_args

import psutil
import torch

from llavakit import kernels
from llavakit.chat import Chat, Images, question
from llavakit.checkpoint import Checkpoint, build, kept, open_source, quantised
from llavakit.checkpoint.source import Source
from llavakit.config import LlavaConfig, Quantization, Scheme
from llavakit.engine import Backend, Engine, Reply, make_sampling
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.engine.prune import image_tokens as kept_tokens
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.memory import check_memory, default_cache_tokens, memory_needed
from llavakit.model.device import usable
from llavakit.prompt.encode import Encoded, PromptEncoder
from llavakit.prompt.messages import Message, system
from llavakit.prompt.templates import get_template

log = logging.getLogger(__name__)

# A prompt, a prompt with its pictures, or a conversation so far.
Request = str | tuple[str, Images] | Sequence[Message]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class LLaVA:
    """A model, its prompt encoder and its engine.

    >>> llava = LLaVA.from_pretrained("tiny")
    >>> llava.generate("How many cars are there?", images=["street.png"]).text
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str = "",
        *,
        backend: Backend | None = None,
        cache_tokens: int | None = None,
        compiled: bool | None = None,
        image_tokens: int | None = None,
        lookup: bool = False,
    ) -> None:
        if not (cache_tokens is None or (isinstance(cache_tokens, int) and cache_tokens >= 1)):
            raise UsageError(f"cache_tokens is {cache_tokens!r}: it must be a whole number, 1 or more")
        self.name = name
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.provenance = checkpoint.provenance
        self.encoder = PromptEncoder(
            checkpoint.tokenizer,
            get_template(checkpoint.template),
            kept_tokens(self.config, image_tokens),
            checkpoint.image,
            checkpoint.image_markers,
            checkpoint.model.config.tiling,
        )
        if backend is None:
            parameter = next(checkpoint.model.parameters())
            tokens = cache_tokens or default_cache_tokens(self.config, parameter.dtype, parameter.device)
            backend = TorchBackend(checkpoint.model, tokens, compiled=compiled)
        self.engine = Engine(backend, self.encoder, checkpoint.eos_token_ids, lookup=lookup)

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
        backend: str = "auto",
        cache_tokens: int | None = None,
        compiled: bool | None = None,
        image_tokens: int | None = None,
        lookup: bool = False,
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
            backend: "torch"; "openvino" (on CPUs; `pip install 'llavakit[cpu]'`), whose `model` has shapes
                but no weights; "auto": OpenVINO, where it is installed, for large models on a CPU that our
                kernels are not for (they are for 8 and 4 bits on x86-64 with AVX-512 VNNI)
            cache_tokens: how many tokens of conversations, all together, are kept to be read on; None: a
                quarter of the memory that is free, at most eight contexts
            compiled: pass layers through torch.compile: a minute when a shape first comes up, faster from
                then on; None: on a GPU with weights of 8 or 4 bits
            image_tokens: keep so many of a picture's tokens, those that differ most: faster, and less exact
            lookup: guess tokens from what was said before; answers stay the same

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
        source = open_source(
            model, revision=revision, base=base, vision_tower=vision_tower, template=template
        )
        packed = source if plan is None else quantised(source, plan)
        config = packed.said.config
        chosen = pick_backend(backend, place, config, named)
        options: dict[str, Any] = {"image_tokens": image_tokens, "lookup": lookup}
        if chosen == "openvino":
            from llavakit.engine.backends.openvino import open_backend

            check_memory(config, torch.bfloat16, place, str(model))
            source = kept(source, plan)
            # Its cache has 8 bits a number.
            tokens = cache_tokens or default_cache_tokens(config, torch.uint8, place)
            computes = open_backend(source, exact=named is torch.float32, tokens=tokens)
            return cls(build(source, weights=False), str(model), backend=computes, **options)
        wanted = named or _auto_dtype(place, config)
        check_memory(config, wanted, place, str(model))
        slow = place.type == "cpu" and memory_needed(config, None) > _LARGE  # to pack every time
        if plan is not None and slow and not plan.scheme.startswith("bnb"):
            packed = _kept(source, plan, packed)
        checkpoint = build(packed, dtype=wanted, device=place)
        return cls(checkpoint, str(model), cache_tokens=cache_tokens, compiled=compiled, **options)

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

    def generate_batch(self, requests: Sequence[Request], **sampling: Any) -> list[Reply]:
        """Answer many questions together: each a prompt, a prompt with its images, or the messages of a
        conversation so far, of which the user's question is the last.

        With a seed, each answer is the one that `generate` gives with that seed.
        """
        encoded = [self._encode_request(request) for request in requests]
        return self.engine.complete(encoded, make_sampling(**sampling))

    def chat(self, images: Images = (), *, system_prompt: str | None = None) -> Chat:
        """A conversation that remembers; `images` are shown with the first question."""
        return Chat(self, images, system_prompt=system_prompt)

    def _encode_request(self, request: Request) -> Encoded:
        match request:
            case [Message(), *_]:
                return self.encoder.encode(cast(Sequence[Message], request))
            case [_, _]:
                prompt, images = cast(tuple[str, Images], request)
                return self._encode(prompt, images, None)
        return self._encode(cast(str, request), (), None)

    def _encode(self, prompt: str, images: Images, system_prompt: str | None) -> Encoded:
        opening: tuple[Message, ...] = () if system_prompt is None else (system(system_prompt),)
        return self.encoder.encode((*opening, question(prompt, images)))


def pick_device(device: str | torch.device) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    Where several processes share a machine, as torchrun starts them, a GPU without a number is this process's
    own: that of LOCAL_RANK.

    Raises:
        UsageError: it cannot be used here.
    """
    name = str(device)
    if name == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else mps
    own = os.environ.get("LOCAL_RANK")
    if name == "cuda" and own is not None and (gpus := torch.cuda.device_count()):
        name = f"cuda:{int(own) % gpus}"
    return usable(name)


def _kept(source: Source, plan: Quantization, packed: Source) -> Source:
    """`packed` from the cache folder, where there is one that can be written."""
    try:
        return kept(source, plan)
    except LlavaError as error:
        log.warning("weights are packed anew at each start, see LLAVAKIT_CACHE: %s", error)
        return packed


BACKENDS = ("torch", "openvino")
_LARGE = 10**9  # bytes of weights: below, PyTorch has answered before OpenVINO has compiled


def pick_backend(backend: str, device: torch.device, config: LlavaConfig, dtype: torch.dtype | None) -> str:
    """What computes; see `backend` of `LLaVA.from_pretrained`.

    Raises:
        UsageError: an unknown one, or one that cannot compute there.
    """
    if backend == "auto":
        plan = config.quantization
        suits = device.type == "cpu" and not (plan is not None and plan.scheme.startswith("bnb"))
        ours = plan is not None and dtype in (None, torch.bfloat16) and kernels.take(plan)
        large = suits and not ours and memory_needed(config, None) > _LARGE
        return "openvino" if large and find_spec("openvino") is not None else "torch"
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r} ({nearest(backend, ('auto', *BACKENDS))})")
    if backend == "openvino" and device.type != "cpu":
        raise UsageError(f"the backend openvino computes on a CPU, not on {device}: say device='cpu'")
    return backend


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
        return torch.bfloat16  # a CPU's products of 8 and 4 bits take it: 1 ms a 4096 x 4096 layer, not 10
    comfortable = psutil.virtual_memory().available / 2
    return torch.float32 if memory_needed(config, torch.float32) < comfortable else torch.bfloat16
