"""From captions and boxes to a better model, in some minutes: `python examples/data_loop.py`.

A drawn world stands in for your pictures. Of each picture only a caption and boxes are told to the offline
teacher, which writes conversations about it. The embedded model gets a new connector, which knows nothing,
and learns from these conversations, as in LLaVA's second stage. The examination tells what that was
worth. With data of your own it is the three commands in the middle.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

from llavakit.checkpoint import load, save
from llavakit.model.connectors import CONNECTORS
from llavakit.tiny.talk.captions import brief
from llavakit.tiny.world.compose import loose
from llavakit.tiny.world.render import render

LINES = "presence,absent"
RECIPE = """\
name = "data-loop"
init = "{model}"
template = "vicuna_v1"

[[stages]]
name = "instruct"
data = [{{ path = "{data}", images = "{pictures}" }}]
trainable = ["connector", "language_model"]
steps = {steps}
batch = 16
lr = 1e-3
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/data-loop"))
    parser.add_argument("--scenes", type=int, default=500, help="pictures to learn from")
    parser.add_argument("--steps", type=int, default=400, help="of training, 16 conversations each")
    parser.add_argument("--questions", type=int, default=200, help="of the examination, each line")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source, data, untrained = args.out / "scenes.jsonl", args.out / "data.jsonl", args.out / "untrained"

    draw(args.scenes, args.out / "pictures", source)
    forget(untrained)
    llava("data", "make", source, "--types", "conversation,brief,absent", "--out", data, "--overwrite")
    llava("data", "check", data, "--images", args.out / "pictures")
    recipe = args.out / "recipe.toml"
    told = {"model": untrained, "data": data, "pictures": args.out / "pictures", "steps": args.steps}
    recipe.write_text(RECIPE.format(**told))
    llava("train", recipe, "--out", args.out / "trained")

    before, after = (examined(model, args.questions) for model in (untrained, args.out / "trained" / "model"))
    for name in before:
        print(f"{name:32} {before[name]:5.1f} % -> {after[name]:5.1f} %")


def draw(count: int, pictures: Path, source: Path) -> None:
    """Pictures, and of each what a person could have written down of it."""
    pictures.mkdir(exist_ok=True)
    rows = []
    for seed in range(count):
        scene, name = loose(seed, ("noto",)), f"{seed}.png"
        render(scene, 224).save(pictures / name)
        things = [{"category": thing.kind, "bbox": inside(thing.box)} for thing in scene.things]
        rows.append({"id": str(seed), "image": name, "captions": [brief(scene)], "instances": things})
    source.write_text("\n".join(map(json.dumps, rows)))


def inside(box: tuple[float, float, float, float]) -> list[float]:
    """The part of a box that the picture shows."""
    return [min(1.0, max(0.0, side)) for side in box]


def forget(folder: Path) -> None:
    """The embedded model with a new connector."""
    torch.manual_seed(0)
    checkpoint = load("tiny", dtype=torch.float32)
    config = checkpoint.model.config
    sizes = config.vision.hidden_size, config.language.hidden_size
    checkpoint.model.connector = CONNECTORS[config.connector](
        *sizes, config.connector_act, config.connector_bias
    )
    save(checkpoint, folder)


def examined(model: Path, questions: int) -> dict[str, float]:
    said = llava("eval", "tiny", "--model", model, "--lines", LINES, "-n", questions, "--no-blind", "--json")
    return {name: float(value) for name, value in json.loads(said)["metrics"].items()}


def llava(*words: object) -> str:
    """A command, said before it runs; what it prints."""
    print("llava", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "llavakit", *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


if __name__ == "__main__":
    main()
