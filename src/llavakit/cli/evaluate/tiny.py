"""`llava eval tiny`: the examination on drawn scenes."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from llavakit.cli import options
from llavakit.errors import LlavaError, UsageError, nearest

if TYPE_CHECKING:
    from llavakit.llava import LLaVA
    from llavakit.prompt.messages import Message
    from llavakit.tiny.exam import Line, Marked, Result
    from llavakit.tiny.exam.retrieval import Match

_LONGEST = 240  # tokens of a reply: twelve things described in detail take some 200


def tiny(
    model: options.Model = "tiny",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Questions of each line.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Another seed asks other questions.")] = 0,
    lines: Annotated[
        str | None, typer.Option(help="Only these lines, with commas between: presence,colour.")
    ] = None,
    blind: Annotated[
        bool, typer.Option(help="Ask all a second time with grey pictures: what can be guessed.")
    ] = True,
    errors: Annotated[
        Path | None, typer.Option(help="Write wrong replies to this file, one JSON object a line.")
    ] = None,
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
    """Examine a model on drawn scenes that no training run has seen: scores with their number of questions,
    95 % interval, and what chance and a blind model would score.

    \b
    llava eval tiny --lines presence,count
    """
    from llavakit.tiny.exam import LINES, RETRIEVAL

    keys = [key.strip() for key in lines.split(",")] if lines else [*LINES, RETRIEVAL]
    for key in keys:
        if key not in (*LINES, RETRIEVAL):
            raise UsageError(f"the examination has no line {key!r} ({nearest(key, (*LINES, RETRIEVAL))})")
    with _written(errors) as file:
        llava = options.load(
            model, device=device, dtype=dtype, quantize=quantize, template=template, base=base,
            vision_tower=vision_tower, backend=backend, image_tokens=image_tokens,
        )  # fmt: skip
        results = _examined(llava, keys, n, seed, blind, file)
    if as_json:
        told = _overall(results) | {"model": model, "seed": seed}
        told["scores"] = [_row(result) for result in results]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(results)


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO | None]:
    """The file, opened before anything is asked."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    with file:
        yield file


def _examined(
    llava: "LLaVA", keys: Sequence[str], n: int, seed: int, blind: bool, errors: TextIO | None
) -> list["Result"]:
    from rich.console import Console
    from rich.progress import Progress

    from llavakit.tiny.exam import RETRIEVAL, chosen, examine, examine_retrieval, notes

    console = Console(stderr=True)
    asked = [key for key in keys if key != RETRIEVAL]
    for note in notes(asked):
        console.print(note, highlight=False)
    match = _match(llava, console) if RETRIEVAL in keys else None
    total = sum(line.count(n) for line in chosen(asked) if not line.missing()) * (2 if blind else 1)

    def generate(talks: Sequence[Sequence["Message"]]) -> list[str]:
        return [reply.text for reply in llava.generate_batch(talks, max_new_tokens=_LONGEST)]

    def keep(line: "Line", marked: "Marked") -> None:
        if errors is not None and not marked.right:
            print(json.dumps(_wrong(line, marked), ensure_ascii=False), file=errors, flush=True)

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("asking", total=total)

        def advance(count: int) -> None:
            progress.advance(bar, count)

        results = examine(
            generate, n, seed, asked, blind=blind, on_asked=advance, on_marked=keep,
            on_line=lambda line: progress.update(bar, description=line.key),
        )  # fmt: skip
        if match is not None:
            progress.update(bar, description=RETRIEVAL)
            results += examine_retrieval(match, n, seed, blind=blind)
    return results


def _match(llava: "LLaVA", console: Any) -> "Match | None":
    """How well pictures fit captions, by the model's tower and the text tower that was kept with it."""
    from llavakit.retrieve import Space

    try:
        space = Space(llava)
    except LlavaError as error:
        console.print(f"the line 'retrieval' is left out: {error}", highlight=False)
        return None
    return lambda images, captions: space.images(images) @ space.texts(captions).T


def _wrong(line: "Line", marked: "Marked") -> dict[str, Any]:
    item = marked.item
    return {
        "line": line.key, "seed": item.seed, "turns": item.turns, "truth": item.truth,
        "answer": item.answer, "reply": marked.reply, "group": item.group,
    }  # fmt: skip


def _overall(results: Sequence["Result"]) -> dict[str, Any]:
    """What every task prints, in percent: here the mean of the lines of which more is better."""
    counted = [result.score for result in results if result.bar is None or not result.bar.at_most]
    score, interval = None, None
    if counted:
        score = 100 * math.fsum(line.value for line in counted) / len(counted)
        half = 100 * math.hypot(*((line.high - line.low) / 2 for line in counted)) / len(counted)
        interval = [score - half, min(100.0, score + half)]
    return {
        "task": "tiny", "score": score, "n": sum(result.score.n for result in results), "missing": 0,
        "interval": interval,
        "metrics": {result.score.name: 100 * result.score.value for result in results},
    }  # fmt: skip


def _row(result: "Result") -> dict[str, Any]:
    bar = result.bar
    row = {"line": result.line} | dataclasses.asdict(result.score) | {"blind": result.blind}
    row |= {"bar": bar and bar.value, "at_most": bar is not None and bar.at_most, "met": result.met}
    return row | {"groups": [dataclasses.asdict(score) for score in result.groups]}


def _print(results: Sequence["Result"]) -> None:
    from rich.console import Console
    from rich.table import Table

    from llavakit.tiny.exam.table import COLUMNS, cells

    table = Table(box=None, pad_edge=False)
    for column in (*COLUMNS, " "):
        table.add_column(column, justify="right" if column.strip() else "left", no_wrap=True)
    for result in results:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[result.met]
        table.add_row(*cells(_row(result)), mark)
    Console().print(table)
