"""`llava data report`: what a file of rows is like; `llava data prompts`: what teachers are told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from llavakit.cli import options
from llavakit.cli.data.looking import File
from llavakit.cli.data.record import rejected_beside
from llavakit.cli.telling import say
from llavakit.errors import UsageError


def report(
    file: File,
    out: Annotated[
        Path | None, typer.Option(help="Write one page with everything in it: report.html.")
    ] = None,
    rejected: Annotated[
        Path | None,
        typer.Option(help="What `llava data make` put aside; default: what it wrote beside FILE, if it did."),
    ] = None,
    near: Annotated[
        bool, typer.Option("--near", help="Also count rows that nearly repeat an earlier one.")
    ] = False,
    sample: Annotated[int, typer.Option(min=0, help="Rows of each kind of fate that the page shows.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows others.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Show what a file of instruction data is like: kinds, lengths, what is asked and answered.

    \b
    llava data report data.jsonl
    llava data report data.jsonl --out report.html
    """
    from rich.console import Console

    from llavakit.synth.near import Near
    from llavakit.synth.report import look, summary, write_report

    beside = rejected or rejected_beside(Path(file))
    others = _records(str(beside)) if rejected is not None or beside.is_file() else None
    with Console(stderr=True).status(f"Reading {file} …"):
        found = look(
            _records(file), rejected=others, like=Near().like if near else None, name=Path(file).name,
            sample=sample, seed=seed,
        )  # fmt: skip
    if out is not None:
        write_report(out, found)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        Console().print(summary(found))
    if out is not None:
        say(f"written: {out}")


def prompts(
    folder: Annotated[Path, typer.Argument(help="Gets a file for each kind of row.")],
) -> None:
    """Write the prompts that teachers are given, for you to change.

    `llava data make --prompts FOLDER` takes yours, and its own for kinds that have no file there.
    """
    from llavakit.synth.kinds import write_prompts

    for path in write_prompts(folder):
        typer.echo(str(path))


def _records(file: str) -> Iterator[Any]:
    from llavakit.data.instruct import open_records

    if not Path(file).exists() and "{" not in file:
        raise UsageError(f"{file}: there is no such file")
    return open_records(Path(file)).scan()
