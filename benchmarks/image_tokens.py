"""What fewer image tokens cost in accuracy: the embedded model's examination, with so many tokens a picture.

    python benchmarks/image_tokens.py [--n 100] [--draws 3] [--seed 0]

Features are chosen as `llavakit.engine.prune` does, without and with merging, and at random as a control:
what any choice of so many would give. The model was trained with all of its tokens and is not told.
Every line asks the same questions. Prints a table, shares in per cent, and one JSON object; "mean" leaves
out the last column, which is a guard.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from llavakit.engine.prune import merge, prune
from llavakit.llava import LLaVA
from llavakit.prompt.messages import Message
from llavakit.tiny.exam import examine

LINES = (
    "presence", "colour", "relation", "count", "count-many", "words", "chart", "absent", "where", "largest",
    "not-denied",
)  # fmt: skip
SHARES = tuple(map(Fraction, ("3/4", "1/2", "1/3", "1/4", "1/8")))
Choice = Callable[[Tensor, int], Tensor]  # features (token, hidden), count -> (count, hidden)
CHOICES: dict[str, list[Choice]] = {"DivPrune": [prune], "merged": [merge]}


def by_chance(seed: int) -> Choice:
    generator = torch.Generator().manual_seed(seed)

    def choose(features: Tensor, count: int) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:count].sort().values]

    return choose


def with_tokens(count: int, choose: Choice) -> LLaVA:
    """The embedded model, seeing `count` of a picture's features."""
    llava = LLaVA.from_pretrained("tiny", dtype="float32")
    encode = llava.model.encode_images

    def encode_fewer(*args: Any) -> list[Tensor]:
        return [choose(features, count) for features in encode(*args)]

    llava.model.encode_images = encode_fewer  # type: ignore[method-assign]
    llava.encoder = dataclasses.replace(llava.encoder, tokens_per_image=count)
    llava.engine.encoder = llava.encoder
    return llava


def scores(llava: LLaVA, n: int, seed: int) -> dict[str, float]:
    """The lines of `LINES`, and the mean of all but the last."""

    def generate(talks: Sequence[Sequence[Message]]) -> list[str]:
        return [reply.text for reply in llava.generate_batch(talks, max_new_tokens=120)]

    results = examine(generate, n, seed, LINES, blind=False)
    lines = {result.line: result.score.value for result in results}
    return {"mean": statistics.mean(list(lines.values())[:-1])} | lines


def measure(count: int, choice: str, n: int, draws: int, seed: int) -> dict[str, Any]:
    choices = CHOICES.get(choice) or [by_chance(draw) for draw in range(draws)]
    found = [scores(with_tokens(count, choose), n, seed) for choose in choices]
    mean = {line: statistics.mean(each[line] for each in found) for line in found[0]}
    return {"tokens": count, "choice": choice, "scores": mean, "means": [each["mean"] for each in found]}


def show(result: dict[str, Any]) -> None:
    values = "".join(f"{100 * value:7.1f}" for value in result["scores"].values())
    print(f"{result['tokens']:6}  {result['choice']:9}{values}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=100, help="questions a line")
    parser.add_argument("--draws", type=int, default=3, help="random choices, which are averaged")
    parser.add_argument("--seed", type=int, default=0, help="of the questions")
    arguments = parser.parse_args()
    n, draws, seed = arguments.n, arguments.draws, arguments.seed
    whole = LLaVA.from_pretrained("tiny").config.tokens_per_image
    results = [measure(whole, "DivPrune", n, 1, seed) | {"choice": "all"}]
    print("tokens  choice   " + "".join(f"{line[:6]:>7}" for line in results[0]["scores"]))
    show(results[0])
    for share in SHARES:
        for choice in (*CHOICES, "random"):
            results.append(measure(round(whole * share), choice, n, draws, seed))
            show(results[-1])
    json.dump(
        {"model": "tiny", "n": n, "draws": draws, "seed": seed, "results": results}, sys.stdout, indent=1
    )
    print()


if __name__ == "__main__":
    main()
