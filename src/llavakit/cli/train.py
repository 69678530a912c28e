"""`llava train`: run a recipe."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavakit.cli import options
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.train.loop import Examples, Step


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe: recipes/*.toml.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: runs/<recipe's name>.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: stages.0.lr=1e-4. Repeatable.")
    ] = None,
    device: options.Device = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; fewer where the machine is shared.")
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Let torch fuse operations: a minute's wait, then 1.5 times as fast."),
    ] = False,
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 250,
) -> None:
    """Train a model as a recipe says. Run again after an interruption, it goes on where it was.

    llava train recipes/tiny.toml
    """
    changes = dict(_change(text) for text in overrides or [])
    import torch

    from llavakit.train import Recipe
    from llavakit.train import train as run

    plan = Recipe.load(recipe, changes)
    folder = out or Path("runs") / plan.name
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = ("[bold]{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[state]}"), transient=False) as progress:
        bars = {
            stage.name: progress.add_task(stage.name, total=stage.steps, state="", start=False, visible=False)
            for stage in plan.stages
        }
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:

            def on_step(step: "Step") -> None:
                log.write(json.dumps(dataclasses.asdict(step)) + "\n")
                log.flush()
                bar = bars[step.stage]
                if not progress.tasks[bar].started:
                    progress.start_task(bar)
                state = f"loss {step.loss:.3f}  lr {step.lr:.1e}  {step.examples_per_second:.1f}/s"
                progress.update(bar, total=step.steps, completed=step.step, state=state, visible=True)

            run(
                plan,
                folder,
                _open_data,
                _open_texts,
                device=device,
                hooks=[on_step],
                save_every=save_every,
                compiled=compiled,
            )
    typer.echo(f"the model is in {folder / 'model'}: llava chat --model {folder / 'model'}", err=True)


def _change(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: write it as path=value")
    return path, value


def _open_data(name: str, images: str | None) -> "Examples":
    """`tiny/…` is drawn; anything else is a file of instructions."""
    if name.startswith("tiny/"):
        from llavakit.tiny.dataset import Drawn

        return Drawn(name)
    from llavakit.data.instruct import InstructData

    return InstructData(Path(name), Path(images) if images else Path(name).parent)


def _open_texts(name: str, samples: int) -> list[str]:
    if name.startswith("tiny/"):
        from llavakit.tiny.dataset import texts

        return texts(name, samples)
    raise UsageError(f"a tokenizer is learned from tiny/… only, not from {name!r}")
