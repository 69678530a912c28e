"""`llava train`: run a recipe."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llavakit.cli import options
from llavakit.errors import UsageError, nearest

if TYPE_CHECKING:
    from llavakit.data.mixture import Part
    from llavakit.train import Recipe
    from llavakit.train.batches import Examples
    from llavakit.train.loop import Hook, StageRun
    from llavakit.train.recipe import Source

_PACKAGE = Path(__file__).parents[1]
_WIDE = 200  # columns, where nobody says how many there are
# In an installed package; in a checkout.
_SHIPPED = (_PACKAGE / "recipes", _PACKAGE.parents[1] / "recipes")


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe: a TOML file, or the name of one that comes along (tiny).")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: runs/<recipe's name>.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: stages.0.lr=1e-4. Repeatable.")
    ] = None,
    device: options.Device = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; fewer where the machine is shared.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Let torch fuse operations: a minute's wait, then faster steps.")
    ] = False,
    save_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints; default: the recipe's.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that prepare batches; default: the recipe's.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Do not train: print parameters, memory, steps and hours.")
    ] = False,
    gpu: Annotated[
        str | None,
        typer.Option(help="With --plan: a GPU (T4, A100-80, H100, 4090, …) or cpu; default: this one."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="With --plan: how many of them.")] = 1,
    mfu: Annotated[
        float | None,
        typer.Option(min=0.001, max=1.0, help="With --plan: the share of its peak that the GPU reaches."),
    ] = None,
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Report to Weights & Biases (pip install wandb).")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Run on a Ray cluster (extra 'ray').")] = False,
    num_workers: Annotated[
        int, typer.Option(min=1, help="With --ray: how many processes, one on each GPU.")
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(help="With --ray: a cluster that runs; default: this machine, or RAY_ADDRESS."),
    ] = None,
) -> None:
    """Train a model as a recipe says. Run again after an interruption, it goes on where it was.

    \b
    llava train tiny
    llava train my.toml --set stages.0.lr=1e-4
    llava train llava-v1.5-7b --plan --gpu A100-80 --gpus 8
    torchrun --nproc-per-node 8 -m llavakit train llava-v1.5-7b
    """
    if not plan and (gpu is not None or gpus > 1 or mfu is not None):
        raise UsageError(
            "--gpu, --gpus and --mfu are for --plan; a run on several GPUs is started by "
            "torchrun --nproc-per-node 8 -m llavakit train …"
        )
    if not ray and (num_workers > 1 or ray_address is not None):
        raise UsageError("--num-workers and --ray-address are for --ray: add it, or leave them out")
    changes = dict(_change(text) for text in overrides or [])
    flags = {"compile": compiled or None, "save_every": save_every, "workers": workers}
    changes |= {f"hardware.{name}": _toml(value) for name, value in flags.items() if value is not None}
    path = _find(recipe)
    from llavakit.train import Recipe

    chosen = Recipe.load(path, changes)
    if plan:
        _plan(chosen, gpu, gpus, mfu)
        return
    folder = out or Path("runs") / chosen.name
    if wandb is not None:
        from llavakit.train.report import check_wandb

        check_wandb()
    if ray:
        from llavakit.train.ray import train_on_ray

        train_on_ray(
            partial(_run, chosen, folder, wandb=wandb),
            folder,
            _say,
            workers=num_workers,
            device=device,
            threads=threads,
            address=ray_address,
            report_every=chosen.hardware.save_every,
        )
    else:
        _alone(chosen, folder, device, threads, wandb)
    if _first():
        _say(f"the model is in {folder / 'model'}: llava chat --model {folder / 'model'}")


def _find(name: str) -> Path:
    """The file that the user means: one that is there, or a recipe that comes along."""
    if Path(name).is_file() or name.endswith(".toml") or os.sep in name:
        return Path(name)  # what is wrong with it is said when it is read
    shipped = {path.stem: path for folder in _SHIPPED for path in folder.glob("*.toml")}
    if name not in shipped:
        raise UsageError(f"unknown recipe {name!r} ({nearest(name, shipped)}); or name a TOML file")
    return shipped[name]


def _plan(recipe: "Recipe", gpu: str | None, gpus: int, mfu: float | None) -> None:
    from rich.console import Console

    from llavakit.train.plan import MFU
    from llavakit.train.plan import plan as planned

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(planned(recipe, gpu, gpus, _at_hand, MFU if mfu is None else mfu).render())


def _at_hand(source: "Source") -> "Examples | None":
    """The data of a source, where it is on this machine."""
    drawn = source.path.startswith("tiny/")
    return _open_part(source) if drawn or Path(source.path).exists() else None


def _alone(recipe: "Recipe", folder: Path, device: str, threads: int | None, wandb: str | None) -> None:
    """Run without Ray: in this process, which torchrun may have started beside others."""
    import sys

    import torch

    from llavakit.train.faults import StoppedError

    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        _run(recipe, folder, device, [], _say, wandb=wandb, bars=sys.stderr.isatty())
    except StoppedError as stopped:
        if not _first():  # one of them says it
            raise typer.Exit(stopped.exit_code) from None
        raise


def _run(
    recipe: "Recipe",
    folder: Path,
    device: str,
    hooks: "Sequence[Hook]",
    say: Callable[[str], None],
    *,
    wandb: str | None = None,
    bars: bool = False,
) -> None:
    """The run, in each process that takes part in it."""
    import warnings

    from llavakit.train import train as run
    from llavakit.train.monitor import Monitor

    with Monitor(recipe, folder, say, bars=bars, wandb=wandb) as monitor, warnings.catch_warnings():

        def begin(stage: "StageRun") -> None:
            _look_ahead(recipe, stage.stage.name)
            monitor.begin(stage)

        def warn(message: Warning | str, *_: Any, **__: Any) -> None:
            if _first():
                say(str(message))

        warnings.showwarning = warn
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module="llavakit")
        run(
            recipe,
            folder,
            _open_data,
            _open_texts,
            device=device,
            hooks=[monitor, *hooks],
            on_stage=begin,
            on_encoding=monitor.encoding if _first() else lambda _: None,
        )


def _look_ahead(recipe: "Recipe", now: str) -> None:
    """Say at once that a later stage's data is not there, not after the hours of this one."""
    names = [stage.name for stage in recipe.stages]
    for index, stage in enumerate(recipe.stages[names.index(now) + 1 :], start=names.index(now) + 1):
        for part in stage.sources:
            for place in (part.path, part.images):
                drawn = place is None or place.startswith("tiny/") or "{" in place
                if not drawn and place is not None and not Path(place).exists():
                    raise UsageError(
                        f"stage {stage.name}, which comes later: there is no {place}; name another place "
                        f"with --set stages.{index}.data=…, or in the recipe"
                    )


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _change(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: write it as path=value")
    return path, value


def _toml(value: bool | int) -> str:
    return str(value).lower()


def _open_data(sources: "tuple[Source, ...]") -> "Examples":
    """`tiny/…` is drawn; anything else is a file of instructions."""
    from llavakit.data.mixture import open_mixture

    return open_mixture(sources, open_part=_open_part)


def _open_part(source: "Part") -> "Examples":
    if source.path.startswith("tiny/"):
        from llavakit.tiny.dataset import Drawn

        return Drawn(source.path)
    from llavakit.data.mixture import open_file

    return open_file(source)


def _open_texts(name: str, samples: int) -> list[str]:
    if name.startswith("tiny/"):
        from llavakit.tiny.dataset import texts

        return texts(name, samples)
    raise UsageError(f"a tokenizer is learned from tiny/… only, not from {name!r}")
