"""transformers on the same folder: `LlavaForConditionalGeneration`, SDPA, a `DynamicCache`.

In bfloat16; in float32 where that is faster, on a CPU that has no bfloat16.
"""

import time
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, LlavaForConditionalGeneration

from llavakit.bench.workers.serve import Contender, Figures, read_through, seconds, serve
from llavakit.model.device import multiplies_bf16


class _Clock:
    """A streamer that notes when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None: ...


class Transformers(Contender):
    def open(self) -> Figures:
        folder = Path(self.job.folder)
        torch.set_num_threads(self.job.threads)
        read_through(*folder.glob("*.safetensors"))
        started = time.perf_counter()
        self.dtype = torch.bfloat16 if multiplies_bf16(torch.device("cpu")) else torch.float32
        model: Any = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=self.dtype, attn_implementation="sdpa"
        )
        self.model = model.eval()
        loaded = time.perf_counter() - started
        processors: Any = AutoImageProcessor  # untyped
        self.processor = processors.from_pretrained(folder)
        self._read: tuple[Any, torch.Tensor] | None = None
        language = [*self.model.model.language_model.layers.parameters(), *self.model.lm_head.parameters()]
        dtype = str(self.dtype).removeprefix("torch.")
        return {
            "seconds": loaded,
            "version": transformers.__version__,
            "weights": dtype,
            "read_bytes": sum(weight.nbytes for weight in language),
            "products": {"prefill": dtype, "vision": dtype},
        }

    def vision(self, seed: int) -> Figures:
        pixels = self._pixels(seed)
        with torch.inference_mode():
            return {"seconds": seconds(lambda: self.model.get_image_features(pixel_values=pixels))}

    def prefill(self, seed: int) -> Figures:
        ids = self._prompt(self.job.plan.words, seed)
        with torch.inference_mode():
            pixels = self._pixels(seed)
            features = self.model.get_image_features(pixel_values=pixels)
            features = torch.cat(list(getattr(features, "pooler_output", features)))
            embeds = self.model.get_input_embeddings()(ids)
            places = (ids == self.job.image_token_id)[..., None]
            embeds = embeds.masked_scatter(places, features.to(embeds.dtype))

            def read() -> None:
                found = self.model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1)
                found.logits[0, -1].argmax().item()

            return {"seconds": seconds(read), "tokens": ids.shape[1]}

    def answer(self, seed: int) -> Figures:
        plan, clock = self.job.plan, _Clock()
        ids, picture = self._prompt(plan.words, seed), self.job.picture(seed)
        started = time.perf_counter()
        found = self._generate(ids, plan.answer, clock, pixel_values=self._processed(picture))
        self._read = found.past_key_values, found.sequences
        first, last = clock.times[1], clock.times[-1]  # the prompt is put first
        per_token = (last - first) / (plan.answer - 1)
        return {"first": first - started, "per_token": per_token, "tokens": plan.answer}

    def turn(self, seed: int) -> Figures:
        if self._read is None:
            self.answer(seed)
        assert self._read is not None
        cache, before = self._read
        cached = cache.get_seq_length()  # all but the last token of the answer
        new = self.job.plan.turn - (before.shape[1] - cached)
        ids = torch.cat([before, torch.tensor([self.job.words(new, seed)])], dim=1)
        took = seconds(lambda: self._generate(ids, 1, past_key_values=cache))
        cache.crop(cached - cache.get_seq_length())
        return {"seconds": took, "tokens": ids.shape[1] - cached, "cached": cached}

    def fresh(self, seed: int) -> Figures:
        plan = self.job.plan
        ids, picture = self._prompt(plan.words + plan.answer + plan.turn, seed), self.job.picture(seed)
        took = seconds(lambda: self._generate(ids, 1, pixel_values=self._processed(picture)))
        return {"seconds": took, "tokens": ids.shape[1]}

    def batch(self, seed: int, rows: int) -> Figures:
        plan, clock = self.job.plan, _Clock()
        ids = torch.tensor([self.job.words(plan.row_words, seed * 1000 + row) for row in range(rows)])
        took = seconds(lambda: self._generate(ids, plan.row_answer, clock))
        written = rows * (plan.row_answer - 1)
        return {"rate": written / (clock.times[-1] - clock.times[1]), "tokens": written, "seconds": took}

    def _generate(self, ids: torch.Tensor, tokens: int, clock: _Clock | None = None, **inputs: Any) -> Any:
        with torch.inference_mode():
            return self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                do_sample=False,
                streamer=clock,
                return_dict_in_generate=True,
                **inputs,
            )

    def _prompt(self, words: int, seed: int) -> torch.Tensor:
        """(1, token): a word, the picture, the other words."""
        first, *others = self.job.words(words, seed)
        return torch.tensor([[first, *[self.job.image_token_id] * self.job.image_tokens, *others]])

    def _pixels(self, seed: int) -> torch.Tensor:
        return self._processed(self.job.picture(seed))

    def _processed(self, picture: Any) -> torch.Tensor:
        found = self.processor(images=Image.fromarray(picture), return_tensors="pt")
        pixels: torch.Tensor = found["pixel_values"].to(self.dtype)
        return pixels


if __name__ == "__main__":
    serve(Transformers())
