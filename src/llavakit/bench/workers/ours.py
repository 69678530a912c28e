"""This package, as its users have it: `LLaVA` and its conversations.

Answers are drawn at temperature 1: greedy ones of random weights run in circles, which an engine that
guesses what comes next would guess. Every prompt begins with words that none began with before, so that
nothing of it is found in the cache but what `turn` means to find.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from llavakit import kernels
from llavakit.bench.work import read_bytes
from llavakit.bench.workers.serve import Contender, Figures, read_through, seconds, serve
from llavakit.chat import question
from llavakit.engine import Reply
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.errors import LlavaError
from llavakit.llava import LLaVA
from llavakit.model.device import multiplies_bf16
from llavakit.prompt.messages import Message, system

_TRIES = 4  # answers asked for until one is long enough to be timed
_ONE: dict[str, Any] = {"max_new_tokens": 1}


class Ours(Contender):
    def open(self) -> Figures:
        job = self.job
        torch.set_num_threads(job.threads)
        read_through(*Path(job.folder).glob("*.safetensors"))
        given = {"quantize": job.quantize, "backend": job.backend}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        started = time.perf_counter()
        self.llava = LLaVA.from_pretrained(job.folder, device="cpu", dtype=job.dtype, **options)
        loaded = time.perf_counter() - started
        self._prompts = 0
        backend = self.llava.engine.backend
        dtype = self._dtype()
        return {
            "seconds": loaded,
            "backend": backend.name,
            "weights": f"{job.quantize or dtype} ({backend.name})",
            "read_bytes": read_bytes(self.llava.config, getattr(torch, dtype).itemsize),
            "products": dict.fromkeys(("prefill", "vision"), self._products()),
        }

    def _dtype(self) -> str:
        """Of weights that are not quantised."""
        backend, asked = self.llava.engine.backend, self.job.dtype
        if isinstance(backend, TorchBackend):
            return str(backend.dtype).removeprefix("torch.")
        return "bfloat16" if asked == "auto" else asked

    def _products(self) -> str | None:
        """PyTorch unpacks what is quantised; our kernels and other backends multiply whole numbers."""
        plan = self.llava.config.quantization
        unpacks = isinstance(self.llava.engine.backend, TorchBackend) and not (plan and kernels.take(plan))
        if plan is not None and unpacks and not multiplies_bf16(torch.device("cpu")):
            return "float32"
        return self._dtype() if unpacks or plan is None else None

    def vision(self, seed: int) -> Figures:
        pixels = torch.from_numpy(self.llava.encoder.pixels([self._picture(seed)]))
        return {"seconds": seconds(lambda: self.llava.engine.backend.encode_images(pixels))}

    def prefill(self, seed: int) -> Figures:
        # Of a picture seen lately the engine remembers the features: since the round that does not count.
        reply, took = self._ask(self._picture(0), self.job.plan.words, **_ONE)
        return {"seconds": took, "tokens": reply.usage.prompt_tokens - reply.usage.cached_tokens}

    def answer(self, seed: int) -> Figures:
        plan = self.job.plan
        for i in range(_TRIES):
            picture = self._picture(1 + seed * _TRIES + i)
            limits = {"max_new_tokens": plan.answer, "temperature": 1.0, "seed": seed * _TRIES + i}
            reply, took = self._ask(picture, plan.words, **limits)
            usage = reply.usage
            if usage.completion_tokens > plan.answer // 2:
                break
        else:
            raise LlavaError(
                f"the model ends its answers after {usage.completion_tokens} tokens: too few to be timed"
            )
        per_token = 1 / usage.tokens_per_second
        first = took - (usage.completion_tokens - 1) * per_token
        return {"first": first, "per_token": per_token, "tokens": usage.completion_tokens}

    def turn(self, seed: int) -> Figures:
        plan, picture, opening = self.job.plan, self._picture(0), self._opening()
        chat = self.llava.chat([picture], system_prompt=opening)
        length = self.job.image_tokens + plan.words + plan.answer
        chat.ask(self._words([system(opening)], [picture], length), **_ONE)
        length = len(self.llava.encoder.encode(chat.messages, reply=False).ids)
        prompt = self._words(chat.messages, [], length + plan.turn)
        started = time.perf_counter()
        usage = chat.ask(prompt, **_ONE).usage
        took = time.perf_counter() - started
        new = usage.prompt_tokens - usage.cached_tokens
        return {"seconds": took, "tokens": new, "cached": usage.cached_tokens}

    def fresh(self, seed: int) -> Figures:
        plan = self.job.plan
        reply, took = self._ask(self._picture(-1 - seed), plan.words + plan.answer + plan.turn, **_ONE)
        return {"seconds": took, "tokens": reply.usage.prompt_tokens - reply.usage.cached_tokens}

    def batch(self, seed: int, rows: int) -> Figures:
        plan = self.job.plan
        prompts = [f"{self._opening()} {self._words([], [], plan.row_words)}" for _ in range(rows)]
        limits = {"max_new_tokens": plan.row_answer, "temperature": 1.0, "seed": seed}
        started = time.perf_counter()
        replies = self.llava.generate_batch(prompts, **limits)
        took = time.perf_counter() - started
        after = took - min(reply.usage.seconds_to_first_token for reply in replies)
        written = sum(reply.usage.completion_tokens - 1 for reply in replies)
        return {"rate": written / after, "tokens": written, "seconds": took}

    def _ask(self, picture: Image.Image, words: int, **sampling: Any) -> tuple[Reply, float]:
        """The reply to a picture and so many tokens of words, and how long it took."""
        opening = self._opening()
        prompt = self._words([system(opening)], [picture], self.job.image_tokens + words)
        started = time.perf_counter()
        reply = self.llava.generate(prompt, [picture], system_prompt=opening, **sampling)
        return reply, time.perf_counter() - started

    def _opening(self) -> str:
        self._prompts += 1
        return f"{self._prompts}."

    def _words(self, before: Sequence[Message], images: list[Image.Image], wanted: int) -> str:
        """Words that make the prompt `wanted` tokens long, or as few as there must be."""

        def length(count: int) -> int:
            asked = question(" ".join(["a"] * count), images)
            return len(self.llava.encoder.encode((*before, asked)).ids)

        one, two = length(1), length(2)
        return " ".join(["a"] * max(1, 1 + (wanted - one) // (two - one)))

    def _picture(self, seed: int) -> Image.Image:
        return Image.fromarray(self.job.picture(2**16 + seed))


if __name__ == "__main__":
    serve(Ours())
