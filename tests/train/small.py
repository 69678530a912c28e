"""A training run of seconds: two-layer organs, pictures of one colour. Run as a script, it trains in a
process of its own, for tests that kill it."""

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from llavakit.checkpoint import Checkpoint
from llavakit.data.collate import CaptionedImage
from llavakit.prompt.messages import assistant, user
from llavakit.train import Recipe, train
from llavakit.train.loop import Step

RECIPE = """
name = "small"
seed = 3
projection_dim = 16

[tokenizer]
data = "words"
samples = 50
vocab_size = 320

[image]
size = 32

[vision]
image_size = 32
patch_size = 8
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 2

[text_tower]
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 16

[language]
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 2
num_key_value_heads = 1
head_dim = 16
max_position_embeddings = 256
tie_word_embeddings = true

[[stages]]
name = "clip"
objective = "contrastive"
data = "pairs"
trainable = ["vision_tower", "text_tower"]
steps = 4
batch = 4
lr = 1e-3

[[stages]]
name = "align"
data = "captions"
template = "plain"
trainable = ["connector"]
steps = 4
batch = 4
lr = 1e-3

[[stages]]
name = "instruct"
data = "questions"
trainable = ["connector", "language_model"]
steps = 6
batch = 4
lr = 1e-3
"""
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 80, 220)}


class Plates:
    """Plain pictures and what is said of them."""

    def __init__(self, kind: str, length: int = 64) -> None:
        self.kind, self.length = kind, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        colour = random.Random(index).choice(sorted(COLOURS))
        image = Image.new("RGB", (32, 32), COLOURS[colour])
        if self.kind == "pairs":
            return CaptionedImage(image, f"a {colour} plate", (((0.0, 0.0, 0.5, 0.5), (colour, "flat")),))
        if self.kind == "captions":
            return (user(image), assistant(f"a {colour} plate"))
        return (user(image, "What colour is the plate?"), assistant(f"The plate is {colour}."))


def words(name: str, samples: int) -> list[str]:
    return [
        f"What colour is the plate? The plate is {colour}. a {colour} plate" for colour in COLOURS
    ] * samples


def run(
    out: Path, on_step: Callable[[Step], None], save_every: int = 2, overrides: dict[str, str] | None = None
) -> Checkpoint:
    recipe = Recipe.parse_toml(RECIPE, "the small recipe", overrides)
    return train(recipe, out, lambda kind, _: Plates(kind), words, hooks=[on_step], save_every=save_every)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

    def on_step(step: Step) -> None:
        with log.open("a") as file:
            values = asdict(step)
            del values["examples_per_second"]
            file.write(json.dumps(values) + "\n")
        time.sleep(pause)

    run(folder, on_step)
