"""Guessing ahead (`lookup=True`) on the embedded model: how many guesses are right, how much time it saves.

    python benchmarks/lookup.py [--rounds 3]

Free text: each picture described once. Repetitive: the same question asked again in the same conversation, so
that the answer stood there before. Answers with and without are compared. Prints one JSON object at the end.
"""

import argparse
import json
import statistics
import time
from typing import Any

from PIL import Image

from llavakit.llava import LLaVA

PICTURE = "examples/toys.png"
ASKED = "Describe the picture in detail."


def measure(repetitive: bool, lookup: bool) -> dict[str, Any]:
    llava = LLaVA.from_pretrained("tiny", device="cpu", dtype="float32", lookup=lookup)
    picture = Image.open(PICTURE).convert("RGB")
    llava.generate("Hello", max_new_tokens=2)
    seconds, said = 0.0, []
    for turn in range(8):
        chat = llava.chat(images=[picture.rotate(3 * turn)])
        if repetitive:
            chat.ask(ASKED, max_new_tokens=64)
        started = time.perf_counter()
        said.append(chat.ask(ASKED, max_new_tokens=64).text)
        seconds += time.perf_counter() - started
    counters = llava.engine.counters
    return {
        "seconds": seconds,
        "drafted": counters.drafted_tokens,
        "accepted": counters.accepted_tokens,
        "said": said,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    report = {}
    for repetitive in (False, True):
        name = "repetitive" if repetitive else "free"
        plain, guessed = [], []
        for _ in range(arguments.rounds):
            plain.append(measure(repetitive, False))
            guessed.append(measure(repetitive, True))
        report[name] = {
            "faster": statistics.median(
                p["seconds"] / g["seconds"] for p, g in zip(plain, guessed, strict=True)
            ),
            "drafted": guessed[0]["drafted"],
            "accepted": guessed[0]["accepted"],
            "same answers": plain[0]["said"] == guessed[0]["said"],
        }
        print(name, report[name])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
