"""How near we come to what a GPU can do, and how far from transformers: one run, one table.

    python benchmarks/gpu.py [--shapes 7b] [--layers N] [--tokens 128] [--plain]

Needs torch for CUDA, Triton (which comes with it) and transformers; downloads nothing. The model is random
and written once, see `random_model.py`; a 7B takes 14 GB on disk. Ceilings are measured in the same run:
memory by reading and copying more than caches hold, arithmetic by a large product of bfloat16. Each figure is
the best of a few; decoding is a long answer's time less a short one's, through the whole engine, after a
prompt of about 640 tokens. Bandwidth counts the weights alone. Exits 2 where there is no GPU;
`--device cpu --shapes tiny-random` tries out this script, not a machine.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from llavakit.bench.shapes import SHAPES, kept_model, shape
from llavakit.bench.work import prefill_operations, read_bytes
from llavakit.engine import Engine, Sampling
from llavakit.engine.backend import Chunk
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.llava import LLaVA
from llavakit.prompt.messages import user

PROMPT, TRIES = 640, 3


def timed(work: Callable[[], object], device: str, tries: int = TRIES) -> float:
    """Seconds, the best of a few; the first run, in which things are compiled, does not count."""
    work()
    found = []
    for _ in range(tries):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return min(found)


def ceilings(device: str) -> dict[str, float]:
    """Bytes read a second, bytes copied (read and written) a second, operations a second in bfloat16."""
    size, wide = (2**32, 8192) if device == "cuda" else (2**26, 512)
    buffer = torch.ones(size // 4, device=device)
    target = torch.empty_like(buffer)
    a, b = (torch.randn(wide, wide, device=device).bfloat16() for _ in range(2))
    return {
        "read": size / timed(buffer.sum, device, 10),
        "copy": 2 * size / timed(lambda: target.copy_(buffer), device, 10),
        "product": 2 * wide**3 / timed(lambda: a @ b, device, 10),
    }


def per_token(answer: Callable[[int], object], tokens: int, device: str) -> float:
    """Seconds from one token to the next, of an answer of so many."""
    return (timed(lambda: answer(tokens), device) - timed(lambda: answer(1), device)) / (tokens - 1)


def ours(folder: Path, scheme: str | None, device: str, tokens: int, compiled: bool) -> dict[str, float]:
    """Seconds of a step of 1 and of 16 answers and of a prompt; a prompt's operations, bytes of weights."""
    llava = LLaVA.from_pretrained(
        folder, device=device, dtype="bfloat16", quantize=scheme, backend="torch", cache_tokens=1
    )
    backend = TorchBackend(llava.model, 32 * (PROMPT + tokens), compiled=compiled)
    engine = Engine(backend, llava.encoder, ())  # no token ends an answer
    words = [llava.encoder.encode([user(f"{i} " + "a " * (PROMPT - 40))]) for i in range(16)]

    def answer(rows: int) -> Callable[[int], object]:
        return lambda count: engine.complete(words[:rows], Sampling(max_new_tokens=count))

    found = {f"decode {rows}": per_token(answer(rows), tokens, device) for rows in (1, 16)}
    engine.scheduler.pages.forget()
    chunk = Chunk(backend.words([5] * PROMPT), 0, range(-(-PROMPT // backend.block)), 1)
    found["prefill"] = timed(lambda: backend.step([chunk]).argmax().item(), device)
    found["operations"] = prefill_operations(llava.config, PROMPT)
    return found | {"bytes": read_bytes(llava.config, 2)}


def theirs(folder: Path, device: str, tokens: int) -> float:
    """Seconds a token of transformers' `generate`."""
    from transformers import LlavaForConditionalGeneration

    model: Any = LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).to(device)
    ids = torch.full((1, PROMPT), 5, device=device)

    def answer(count: int) -> object:
        return model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            min_new_tokens=count, max_new_tokens=count,
        )  # fmt: skip

    with torch.inference_mode():
        return per_token(answer, tokens, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shapes", choices=SHAPES, default="7b")
    parser.add_argument("--layers", type=int, help="of the language model; as published unless you say")
    parser.add_argument("--tokens", type=int, default=128, help="of each answer")
    parser.add_argument("--plain", action="store_true", help="ours uncompiled, in CUDA graphs alone")
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)  # the folder; in a process of its own
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        print("this torch finds no GPU: run it where torch for CUDA does", file=sys.stderr)
        raise SystemExit(2)
    if given.theirs is not None:
        print(json.dumps(theirs(given.theirs, given.device, given.tokens)))
        return
    folder = kept_model(given.shapes, given.layers or shape(given.shapes).language.num_hidden_layers)
    again = [sys.executable, __file__, "--device", given.device, "--tokens", str(given.tokens)]
    peer = subprocess.run([*again, "--theirs", str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    slow = json.loads(peer.stdout.splitlines()[-1])
    most = ceilings(given.device)
    options = given.device, given.tokens, not given.plain
    full, four = (ours(folder, scheme, *options) for scheme in (None, "int4"))
    rate, one = full["operations"] / full["prefill"], full["decode 1"]
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {folder.name}, {'plain' if given.plain else 'compiled'}")
    print(f"memory: {most['read'] / 1e9:.0f} GB/s read, {most['copy'] / 1e9:.0f} copied", end="; ")
    print(f"bfloat16: {most['product'] / 1e12:.1f} TFLOP/s; transformers: {slow * 1e3:.2f} ms a token")
    for label, found in (("bfloat16", full), ("int4", four)):
        print(f"{label}: {found['decode 1'] * 1e3:.2f} ms a token", end="; ")
        print(f"16 answers at once: {16 / found['decode 16']:.0f} tokens/s", end="; ")
        print(f"prefill of {PROMPT}: {found['prefill'] * 1e3:.1f} ms")
    print(f"{'':34}{'found':>8}{'wanted':>8}")
    for label, value, wanted, unit in (
        ("decode, of bandwidth", 100 * full["bytes"] / one / max(most["read"], most["copy"]), 75, "%"),
        ("decode, times transformers", slow / one, 6, "x"),
        ("prefill, of the product's rate", 100 * rate / most["product"], 55, "%"),
        ("int4 decode, times bfloat16", one / four["decode 1"], 2, "x"),
    ):
        print(f"{label:34}{value:7.1f}{unit}{wanted:7}{unit}  {'met' if value >= wanted else 'missed'}")


if __name__ == "__main__":
    main()
