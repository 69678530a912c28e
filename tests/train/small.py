"""A training run of seconds: two-layer organs, pictures of one colour. Run as a script, it trains in a
process of its own, for tests that kill it."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from llavakit.data.contrast import CaptionedImage, Label, Region
from llavakit.errors import LlavaError
from llavakit.prompt.messages import assistant, user
from llavakit.train import Recipe, train
from llavakit.train.loop import Step
from llavakit.train.recipe import Source
from llavakit.train.run import OpenData

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
# The last stage with a LoRA in place of the language model's own training: it has dropout.
LORA = RECIPE.replace(
    'trainable = ["connector", "language_model"]',
    'trainable = ["connector"]\nlora = { rank = 4, alpha = 8, dropout = 0.3 }',
)
# Conversations with and without pictures, in several micro-batches; float32, so that runs compare closely.
MIXED = (
    RECIPE[: RECIPE.index("[text_tower]")].replace("projection_dim = 16\n", "")
    + RECIPE[RECIPE.index("[language]") : RECIPE.index("[[stages]]")]
    + """
[[stages]]
name = "align"
data = "mixed"
trainable = ["connector"]
steps = 3
batch = 8
lr = 1e-2
precision = "float32"

[[stages]]
name = "instruct"
data = "mixed"
trainable = ["vision_tower", "connector", "language_model"]
steps = 5
batch = 8
lr = 1e-3
precision = "float32"

[hardware]
micro_tokens = 160
"""
)
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 80, 220)}
LABELS = {"colour": Label(tuple(COLOURS)), "thing": Label(("nothing", "a plate"), cells=1)}


class Plates:
    """Plain pictures and what is said of them."""

    def __init__(self, kind: str, length: int = 64) -> None:
        self.kind, self.length = kind, length
        self.labels = LABELS if kind == "pairs" else {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        colour = random.Random(index).choice(sorted(COLOURS))
        image = Image.new("RGB", (32, 32), COLOURS[colour])
        if self.kind == "pairs":
            corner = Region((0.0, 0.0, 0.5, 0.5), {"colour": colour, "thing": "a plate"})
            return CaptionedImage(image, f"a {colour} plate", (corner,))
        if self.kind == "captions":
            return (user(image), assistant(f"a {colour} plate"))
        if self.kind == "mixed":
            said = "What colour is the plate? " * (1 + index % 3)
            return (user(*[image] * (index % 2), said), assistant(f"The plate is {colour}."))
        return (user(image, "What colour is the plate?"), assistant(f"The plate is {colour}."))


def words(name: str, samples: int) -> list[str]:
    return [
        f"What colour is the plate? The plate is {colour}. a {colour} plate" for colour in COLOURS
    ] * samples


def opened(sources: tuple[Source, ...]) -> Plates:
    return Plates(sources[0].path)


def run(
    out: Path,
    on_step: Callable[[Step], None],
    save_every: int = 2,
    overrides: dict[str, str] | None = None,
    open_data: OpenData = opened,
    text: str = RECIPE,
) -> Path:
    changes = {"hardware.save_every": str(save_every), **(overrides or {})}
    recipe = Recipe.parse_toml(text, "the small recipe", changes)
    return train(recipe, out, open_data, words, hooks=[on_step])


def start(
    out: Path, log: Path, recipe: str = "RECIPE", *changes: str, pause: float = 0.0, **environment: str
) -> subprocess.Popen[str]:
    """A run in a process of its own, which leads a group of its own."""
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"} | environment
    words = [str(out), str(log), recipe, str(pause), *changes]
    return subprocess.Popen(
        [sys.executable, __file__, *words],
        env=here,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(processes: int, out: Path, log: Path, recipe: str, *changes: str, here: int | None = None,
             pause: float = 0.0) -> list[subprocess.Popen[str]]:  # fmt: skip
    """Several processes that are one run; `here` of them on each of what they take for machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes),
             "LOCAL_WORLD_SIZE": str(here or processes)}  # fmt: skip
    return [
        start(out, log, recipe, *changes, pause=pause, RANK=str(rank), LOCAL_RANK=str(rank), **place)
        for rank in range(processes)
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a log."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, log, which, pause = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    rank = os.environ.get("RANK", "0")

    def on_step(step: Step) -> None:
        if rank == "0":
            with log.open("a") as file:
                values = asdict(step)
                del values["seconds"]
                file.write(json.dumps(values) + "\n")
        time.sleep(pause)

    try:
        run(
            folder,
            on_step,
            overrides=dict(word.split("=", 1) for word in sys.argv[5:]),
            text=globals()[which],
        )
    except LlavaError as error:
        sys.stderr.write(f"llava: {error}\n")
        sys.exit(error.exit_code)
