"""`llava bench`: how fast this is here, beside others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from llavakit.cli import options
from llavakit.errors import UsageError, nearest

app = typer.Typer(
    help="Measure this package on this machine, beside others and beside what the machine can do.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_BACKENDS = ("auto", "torch", "openvino")
_NOBODY = "none"
_WIDE = 200  # columns, where nobody says how many there are


@app.callback()
def _bench() -> None: ...


@app.command()
def engine(
    peers: Annotated[
        str, typer.Option(help="Who to measure beside: transformers, llamacpp, with a comma both, or none.")
    ] = "transformers,llamacpp",
    shapes: Annotated[str, typer.Option(help="Of a random model: 7b, 13b, tiny-random.")] = "7b",
    layers: Annotated[
        int | None,
        typer.Option(min=1, help="Its language layers; 8 unless you say, so that all contenders fit."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A folder or hub name to measure instead.")
    ] = None,
    quantize: options.Quantize = None,
    dtype: options.Dtype = "auto",
    backend: Annotated[str, typer.Option(help="Ours: auto, torch, openvino.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="After one that warms up; medians are shown.")] = 3,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write everything measured; '-': print it instead."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the ratios (extra: llavakit[bench]).")
    ] = None,
) -> None:
    """Measure tower, prefill, decode, turns, batches and memory on this machine's CPU.

    All contenders load the same weights, each in a process of its own, and take turns within one run, in
    which the machine's ceilings are measured too.

    \b
    llava bench engine --quantize int4
    llava bench engine --shapes tiny-random --peers none
    """
    if backend not in _BACKENDS:
        raise UsageError(f"unknown backend {backend!r} ({nearest(backend, _BACKENDS)})")
    if model is not None and layers is not None:
        raise UsageError("--layers is for random models: leave it out with --model")
    for file in (plot, None if json_file in (None, "-") else Path(json_file or "")):
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    from llavakit.bench.engine import Settings, failures
    from llavakit.bench.report import check_plot
    from llavakit.bench.report import plot as draw

    if plot is not None:
        check_plot(plot)
    named = () if peers == _NOBODY else tuple(name.strip() for name in peers.split(","))
    result = _measured(
        Settings(
            peers=named,
            shapes=shapes,
            layers=layers,
            model=model,
            quantize=quantize,
            backend=None if backend == "auto" else backend,
            dtype=dtype,
            rounds=rounds,
        )
    )
    if json_file is not None:
        written = json.dumps(result, indent=2)
        if json_file == "-":
            typer.echo(written)
        else:
            Path(json_file).write_text(written + "\n", encoding="utf-8")
    if json_file != "-":
        _show(result)
    if plot is not None:
        draw(result, plot)
    if said := failures(result):
        for why in said:
            typer.echo(f"llava: {why}", err=True)
        raise typer.Exit(1)


def _measured(settings: Any) -> dict[str, Any]:
    from rich.console import Console

    from llavakit.bench.engine import run

    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            return run(settings, lambda doing: status.update(f"{doing} …"))
    except KeyboardInterrupt:
        typer.echo("llava: stopped: all workers are ended, nothing was reported", err=True)
        raise typer.Exit(130) from None


def _show(result: dict[str, Any]) -> None:
    from rich.console import Console

    from llavakit.bench.report import notes, table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(table(result))
    for note in notes(result):
        typer.echo(note)
