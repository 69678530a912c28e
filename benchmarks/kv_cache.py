"""Keys and values in 8 bits: what they save, and how far the next word's odds move.

    python benchmarks/kv_cache.py [--model tiny] [--pictures 16]

All else is computed in float32 (OpenVINO), so that the cache alone differs. The answers of a 32-bit cache are
read word by word with each kind of cache. Prints, of each: bytes a token takes, the mean Kullback-Leibler
divergence of the next word's odds, and how many of the likeliest words are others.
"""

import argparse
import json

import torch
from PIL import Image

from llavakit.checkpoint import build, open_source
from llavakit.engine import Backend
from llavakit.engine.backend import Chunk
from llavakit.engine.backends.openvino import open_backend
from llavakit.engine.sampling import Sampling
from llavakit.llava import LLaVA
from llavakit.prompt.encode import Encoded
from llavakit.prompt.messages import user

PICTURE = "examples/toys.png"
ASKED = ("Describe the picture in detail.", "How many cars are there?", "What is in the picture?")
TOKENS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pictures", type=int, default=16)
    arguments = parser.parse_args()
    source = open_source(arguments.model)
    backends = {
        bits: open_backend(source, exact=True, tokens=TOKENS, cache_bits=bits) for bits in (32, 16, 8)
    }
    reference = LLaVA(build(source, weights=False), backend=backends[32])
    picture = Image.open(PICTURE).convert("RGB")
    moved: dict[int, list[float]] = {bits: [] for bits in backends}
    others: dict[int, int] = dict.fromkeys(backends, 0)
    for i in range(arguments.pictures):
        for question in ASKED:
            encoded = reference.encoder.encode([user(question, picture.rotate(20 * i))])
            reply = next(iter(reference.engine.complete([encoded], Sampling(max_new_tokens=64))))
            odds = {bits: _read(backend, reference, encoded, reply.ids) for bits, backend in backends.items()}
            for bits, found in odds.items():
                wanted = odds[32]
                moved[bits] += torch.nn.functional.kl_div(
                    found, wanted, reduction="none", log_target=True
                ).sum(-1).tolist()  # fmt: skip
                others[bits] += int((found.argmax(-1) != wanted.argmax(-1)).sum())
    report = []
    for bits, found in moved.items():
        report.append({
            "bits": bits, "bytes a token": backends[bits].token_bytes, "tokens": len(found),
            "divergence": sum(found) / len(found), "others": others[bits],
        })  # fmt: skip
        print(report[-1])
    print(json.dumps(report))


def _read(backend: Backend, reference: LLaVA, encoded: Encoded, said: list[int]) -> torch.Tensor:
    """Log-probabilities (token, vocab) after the prompt and each word of the answer, read one by one."""
    embeds = backend.words(encoded.ids)
    features = backend.encode_images(torch.from_numpy(reference.encoder.pixels(encoded.images)))
    for (start, end), feature in zip(encoded.image_spans, features, strict=True):
        embeds[start:end] = feature
    blocks = list(range(backend.blocks))
    logits = [backend.step([Chunk(embeds, 0, blocks, 1)])]
    for past, word in enumerate(said, start=len(embeds)):
        logits.append(backend.step([Chunk(backend.words([word]), past, blocks, 1)]))
    return torch.cat(logits).log_softmax(-1)


if __name__ == "__main__":
    main()
