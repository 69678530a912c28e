"""llama.cpp through llama-cpp-python: the language model in Q4_0, vision tower and connector in 16 bits.

Its C functions are called as `llama-mtmd-cli` and `llama-batched` call them: pictures through mtmd,
sequences that are written together in one batch. The next token is the likeliest.
"""

import ctypes
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp

from llavakit.bench.workers.serve import Contender, Figures, read_through, seconds, serve

_BATCH = 2048  # tokens of one call, llama.cpp's own default
_ERROR = 4  # ggml's level of errors
_IMAGE = 1  # mtmd's type of a chunk that is a picture
Token = tuple[int, int, int, bool]  # id, position, sequence, whether logits are wanted after it


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _log(level: int, text: bytes, _: Any) -> None:
    if level == _ERROR:
        sys.stderr.write(text.decode(errors="replace"))


class LlamaCpp(Contender):
    def open(self) -> Figures:
        job, plan = self.job, self.job.plan
        model, mmproj = job.gguf["model"], job.gguf["mmproj"]
        llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
        mtmd_cpp.mtmd_log_set(_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        read_through(Path(model), Path(mmproj))
        started = time.perf_counter()
        self.model = _made(
            llama_cpp.llama_model_load_from_file(model.encode(), llama_cpp.llama_model_default_params())
        )
        self.context = _made(llama_cpp.llama_init_from_model(self.model, self._settings()))
        self.mtmd = _made(mtmd_cpp.mtmd_init_from_file(mmproj.encode(), self.model, self._vision_settings()))
        loaded = time.perf_counter() - started
        self.memory_ = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self._read = 0  # positions in the cache that `answer` left
        most = job.image_tokens + plan.words + plan.answer + plan.turn
        self._slots = max(_BATCH, most)
        self._batch = llama_cpp.llama_batch_init(self._slots, 0, 1)
        return {
            "seconds": loaded,
            "version": llama_cpp.__version__,
            "weights": "Q4_0",
            "features": llama_cpp.llama_print_system_info().decode(),
            # Inputs are quantised to 8 bits; the tower's 16 bits are multiplied as float32.
            "products": {"prefill": "int8", "vision": "float32"},
        }

    def _settings(self) -> Any:
        plan = self.job.plan
        settings = llama_cpp.llama_context_default_params()
        together = max(plan.rows, default=1) * (plan.row_words + plan.row_answer)
        alone = self.job.image_tokens + plan.words + plan.answer + plan.turn
        settings.n_ctx = max(together, alone) + 64
        settings.n_batch = _BATCH
        settings.n_seq_max = max(plan.rows, default=1)
        settings.kv_unified = True  # one pool for all sequences, as its server has it
        settings.n_threads = settings.n_threads_batch = self.job.threads
        return settings

    def _vision_settings(self) -> Any:
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu = settings.print_timings = settings.warmup = False
        settings.n_threads = self.job.threads
        return settings

    def vision(self, seed: int) -> Figures:
        with self._picture(seed) as chunk:
            return {"seconds": seconds(lambda: self._encode(chunk))}

    def prefill(self, seed: int) -> Figures:
        words = self.job.words(self.job.plan.words, seed)
        with self._picture(seed) as chunk:
            features = self._encode(chunk)
            self._forget()
            took = seconds(lambda: self._likeliest(self._prompt(chunk, features, words)))
        return {"seconds": took, "tokens": self.job.image_tokens + len(words)}

    def answer(self, seed: int) -> Figures:
        plan = self.job.plan
        words = self.job.words(plan.words, seed)
        self._forget()
        started = time.perf_counter()
        with self._picture(seed) as chunk:
            token = self._likeliest(self._prompt(chunk, self._encode(chunk), words))
        first = time.perf_counter()
        start = self.job.image_tokens + len(words)
        for i in range(plan.answer - 1):
            self._decode([(token, start + i, 0, True)])
            token = self._likeliest(0)
        per_token = (time.perf_counter() - first) / (plan.answer - 1)
        self._read = start + plan.answer - 1
        return {"first": first - started, "per_token": per_token, "tokens": plan.answer}

    def turn(self, seed: int) -> Figures:
        if not self._read:
            self.answer(seed)
        words = self.job.words(self.job.plan.turn, seed)
        cached = self._read

        def read() -> None:
            self._words(words, cached)
            self._likeliest(len(words) - 1)

        took = seconds(read)
        llama_cpp.llama_memory_seq_rm(self.memory_, 0, cached, -1)
        return {"seconds": took, "tokens": len(words), "cached": cached}

    def fresh(self, seed: int) -> Figures:
        plan = self.job.plan
        words = self.job.words(plan.words + plan.answer + plan.turn, seed)
        self._forget()

        def read() -> None:
            with self._picture(seed) as chunk:
                self._likeliest(self._prompt(chunk, self._encode(chunk), words))

        return {"seconds": seconds(read), "tokens": self.job.image_tokens + len(words)}

    def batch(self, seed: int, rows: int) -> Figures:
        plan, length = self.job.plan, self.job.plan.row_words
        prompts = [self.job.words(length, seed * 1000 + row) for row in range(rows)]
        self._forget()
        started = time.perf_counter()
        self._decode([
            (token, i, row, i == length - 1) for row, ids in enumerate(prompts) for i, token in enumerate(ids)
        ])  # fmt: skip
        tokens = [self._likeliest(row * length + length - 1) for row in range(rows)]
        first = time.perf_counter()
        for i in range(plan.row_answer - 1):
            self._decode([(token, length + i, row, True) for row, token in enumerate(tokens)])
            tokens = [self._likeliest(row) for row in range(rows)]
        ended = time.perf_counter()
        written = rows * (plan.row_answer - 1)
        return {"rate": written / (ended - first), "tokens": written, "seconds": ended - started}

    def _prompt(self, chunk: Any, features: Any, words: Sequence[int]) -> int:
        """Read a word, the picture, the other words; which of the batch's logits are the last."""
        self._words(words[:1], 0)
        after = llama_cpp.llama_pos()
        no_callback = mtmd_cpp.mtmd_helper_post_decode_callback()
        failed = mtmd_cpp.mtmd_helper_decode_image_chunk(
            self.mtmd, self.context, chunk, features, 1, 0, _BATCH, ctypes.byref(after), no_callback, None
        )
        if failed:
            raise RuntimeError(f"llama.cpp could not read the picture's features ({failed})")
        self._words(words[1:], after.value)
        return len(words) - 2

    def _words(self, words: Sequence[int], start: int) -> None:
        last = len(words) - 1
        self._decode([(token, start + i, 0, i == last) for i, token in enumerate(words)])

    def _decode(self, tokens: Sequence[Token]) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = wanted
        if failed := llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode failed ({failed})")

    def _likeliest(self, at: int) -> int:
        """The token after the batch's token `at`; waits until it is known."""
        logits = llama_cpp.llama_get_logits_ith(self.context, at)
        return int(np.ctypeslib.as_array(logits, (self.vocabulary,)).argmax())

    def _encode(self, chunk: Any) -> Any:
        if failed := mtmd_cpp.mtmd_encode_chunk(self.mtmd, chunk):
            raise RuntimeError(f"mtmd_encode_chunk failed ({failed})")
        return mtmd_cpp.mtmd_get_output_embd(self.mtmd)

    @contextmanager
    def _picture(self, seed: int) -> Iterator[Any]:
        """A picture, prepared and not yet encoded."""
        size, noise = self.job.image_size, self.job.picture(seed)
        bitmap = mtmd_cpp.mtmd_bitmap_init(size, size, noise.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        try:
            marker = mtmd_cpp.mtmd_default_marker()
            text = mtmd_cpp.mtmd_input_text(marker, len(marker), False, True)
            bitmaps = (ctypes.c_void_p * 1)(bitmap)
            there = ctypes.cast(bitmaps, ctypes.POINTER(ctypes.c_void_p))
            if failed := mtmd_cpp.mtmd_tokenize(self.mtmd, chunks, ctypes.byref(text), there, 1):
                raise RuntimeError(f"mtmd_tokenize failed ({failed})")
            every = [
                mtmd_cpp.mtmd_input_chunks_get(chunks, i)
                for i in range(mtmd_cpp.mtmd_input_chunks_size(chunks))
            ]
            yield next(chunk for chunk in every if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == _IMAGE)
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)
            mtmd_cpp.mtmd_bitmap_free(bitmap)

    def _forget(self) -> None:
        llama_cpp.llama_memory_clear(self.memory_, True)
        self._read = 0


def _made(pointer: Any) -> Any:
    if not pointer:
        raise RuntimeError("llama.cpp could not load the model")
    return pointer


if __name__ == "__main__":
    serve(LlamaCpp())
