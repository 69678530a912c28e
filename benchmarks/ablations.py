"""LLaVA's ablations in miniature: what connector, features, stage 1, the tower's learning and data are worth.

    python benchmarks/ablations.py MODEL --out runs/ablations [--steps 300] [--only "tower learns on"]

MODEL has been through the stages of recipes/tiny.toml before `align`: its tower and its language model are
taken, as LLaVA takes CLIP and Vicuna, and joined by a new connector. Each variant is a line changed in the
same recipe, trained and examined on the same questions. Run again, it goes on where it was. Prints a table:
the loss a token over the last tenth of stage 2, whose every picture is new, and the scores in per cent.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from transformers import LlamaForCausalLM, LlavaForConditionalGeneration

from llavakit.checkpoint.folder import describe
from llavakit.config import Strict
from llavakit.train.report import LOG, read_log

LINES = ("presence", "colour", "relation", "count", "words", "chart", "absent")
TINY = Path(__file__).parents[1] / "recipes" / "tiny.toml"
# The two stages from here on are what is varied.
STAGE_1 = '[[stages]]\nname = "align"'
RECIPE = """\
name = "ablation"
seed = 7
template = "vicuna_v1"
connector = "mlp2x_gelu"
feature_layer = -1

[image]
size = 224
pad = true

[vision]
weights = "{parts}/vision"
{vision}
[language]
weights = "{parts}/language"
{language}
{stages}"""


def variants(steps: int) -> dict[str, tuple[str, ...]]:
    """What is changed, as `llava train --set` has it, where stage 2 has so many steps."""
    return {
        "as the recipe": (),
        "linear connector": ('connector="linear"',),
        "last layer but one": ("feature_layer=-2",),
        "without stage 1": ("stages.0.steps=1",),
        "tower learns on": (
            'stages.1.trainable=["vision_tower", "connector", "language_model"]',
            "stages.1.organ_lr={vision_tower=1e-3}",
        ),
        "half the data": (f"stages.1.steps={steps // 2}",),
        "a quarter of the data": (f"stages.1.steps={steps // 4}",),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--steps", type=int, default=300, help="of stage 2")
    parser.add_argument("--n", type=int, default=200, help="questions of each line")
    parser.add_argument("--only", default="", help="some of the variants, with commas between")
    args = parser.parse_args()
    known = variants(args.steps)
    chosen = [name.strip() for name in args.only.split(",") if name.strip()] or list(known)
    if unknown := set(chosen) - set(known):
        parser.error(f"--only: no variant {min(unknown)!r} (there are {', '.join(known)})")
    recipe = prepare(args.model, args.out)
    for number, name in enumerate(chosen):
        changes = (f"stages.1.steps={args.steps}", *known[name])
        out = args.out / name.replace(" ", "-")
        scores = tried(recipe, out, changes, args.n)
        if not number:
            print("| variant | loss | " + " | ".join(scores) + " | mean |\n|" + "---|" * (len(scores) + 3))
        mean = sum(scores.values()) / len(scores)
        told = (f"{last_loss(out):.3f}", *(f"{score:.1f}" for score in (*scores.values(), mean)))
        print(f"| {name} | {' | '.join(told)} |", flush=True)


def prepare(model: Path, out: Path) -> Path:
    """The model's tower and language model in folders of their own, and the recipe that joins them anew."""
    parts, recipe = out / "parts", out / "recipe.toml"
    if recipe.is_file():
        return recipe
    llava = LlavaForConditionalGeneration.from_pretrained(model)
    llava.model.vision_tower.save_pretrained(parts / "vision")
    language = LlamaForCausalLM(llava.config.text_config)
    language.model, language.lm_head = llava.model.language_model, llava.lm_head
    language.save_pretrained(parts / "language")
    shutil.copy(model / "preprocessor_config.json", parts / "vision")
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(model / file, parts / "language")
    config = describe(model).config
    told = {"vision": numbers(config.vision), "language": numbers(config.language)}
    text = TINY.read_text(encoding="utf-8")
    stages = text[text.index(STAGE_1) :]
    recipe.write_text(RECIPE.format(parts=parts.resolve(), stages=stages, **told), encoding="utf-8")
    return recipe


def numbers(config: Strict) -> str:
    """As lines of TOML."""
    told = config.model_dump(exclude_none=True)
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())


def tried(recipe: Path, out: Path, changes: tuple[str, ...], n: int) -> dict[str, float]:
    """The variant's scores in per cent."""
    scores = out / "scores.json"
    if not scores.is_file():
        llava("train", recipe, "--out", out, *(word for change in changes for word in ("--set", change)))
        asked = ("--lines", ",".join(LINES), "-n", n, "--no-blind", "--json")
        scores.write_text(llava("eval", "tiny", "--model", out / "model", *asked), encoding="utf-8")
    rows = json.loads(scores.read_text(encoding="utf-8"))["scores"]
    return {row["name"]: 100 * row["value"] for row in rows}


def last_loss(out: Path) -> float:
    """Of the supervised tokens in the last tenth of stage 2."""
    last = [row for row in read_log(out / LOG)["instruct"] if row["step"] > 0.9 * row["steps"]]
    return sum(row["loss"] * row["supervised"] for row in last) / sum(row["supervised"] for row in last)


def llava(*words: object) -> str:
    command = [sys.executable, "-m", "llavakit", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
