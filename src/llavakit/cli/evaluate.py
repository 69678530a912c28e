"""`llava eval`: examine a model."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from llavakit.cli import options
from llavakit.errors import UsageError, nearest

if TYPE_CHECKING:
    from PIL import Image

    from llavakit.evaluate import Score

_TASKS = ("tiny",)


def evaluate(
    task: Annotated[
        str, typer.Argument(help="tiny: questions on drawn scenes that no training run has seen.")
    ],
    model: options.Model = "tiny",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Questions of each kind.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Another seed asks other questions.")] = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    template: options.TemplateName = None,
    base: options.Base = None,
    vision_tower: options.VisionTower = None,
    backend: options.Backend = "auto",
    image_tokens: options.ImageTokens = None,
    as_json: options.Json = False,
) -> None:
    """Examine a model: scores with their number of questions, 95 % interval and chance level.

    llava eval tiny
    """
    if task not in _TASKS:
        raise UsageError(f"no task {task!r} ({nearest(task, _TASKS)})")
    from rich.progress import Progress

    from llavakit.tiny.exam import LINES, examine

    llava = options.load(
        model, device=device, dtype=dtype, quantize=quantize, template=template, base=base,
        vision_tower=vision_tower, backend=backend, image_tokens=image_tokens,
    )  # fmt: skip
    from rich.console import Console

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("asking", total=len(LINES) * n)

        def answer(questions: Sequence[tuple[str, "Image.Image"]]) -> list[str]:
            replies = []
            for at in range(0, len(questions), _TOGETHER):
                some = [(text, [image]) for text, image in questions[at : at + _TOGETHER]]
                replies += [reply.text for reply in llava.generate_batch(some, max_new_tokens=120)]
                progress.advance(bar, len(some))
            return replies

        scores = examine(answer, n, seed)
    if as_json:
        result = {
            "task": task,
            "model": model,
            "seed": seed,
            "scores": [dataclasses.asdict(s) for s in scores],
        }
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print(scores)


_TOGETHER = 32


def _print(scores: Sequence["Score"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("", "score", "95 %", "chance", "n"):
        table.add_column(column, justify="left" if not column else "right")
    for score in scores:
        chance = "" if score.chance is None else f"{100 * score.chance:.1f}"
        interval = f"{100 * score.low:.1f}–{100 * score.high:.1f}"
        table.add_row(score.name, f"{100 * score.value:.1f}", interval, chance, str(score.n))
    Console().print(table)
