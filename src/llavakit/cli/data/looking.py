"""`llava data check` and `show`: training data before a run reads it."""

import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llavakit.cli import options
from llavakit.cli.telling import progress_bar
from llavakit.errors import LlavaError, UsageError

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console
    from rich.text import Text

    from llavakit.data.check import Report
    from llavakit.data.fix import Fixed
    from llavakit.data.instruct import InstructData
    from llavakit.data.show import Piece
    from llavakit.prompt.encode import PromptEncoder

File = Annotated[
    str,
    typer.Argument(
        help="JSON, JSON lines (also .gz), Parquet, a .tar of WebDataset samples (several: "
        "shard-{000..099}.tar), or a folder of these."
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help="The folder or .tar that pictures' names are relative to; default: FILE's folder."),
]
MaxLength = Annotated[
    int | None,
    typer.Option(min=1, help="Tokens, pictures included, at which a run cuts; default: the model's context."),
]


def check(
    file: File,
    images: Images = None,
    model: options.Model = "tiny",
    template: options.TemplateName = None,
    max_length: MaxLength = None,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write a clean copy; what cannot be mended is left out."),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Do not open pictures; with --images, see only that they are there."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Look a file over: format, turns, pictures, ids, and what a model's tokens make of it.

    Exits with 1 where a run would have to leave rows out. Only the model's small files are needed.

    \b
    llava data check chat.json --images pictures
    llava data check chat.json --images pictures --fix clean.json
    llava data check chat.json --fast --model llava-hf/llava-1.5-7b-hf --max-length 2048
    """
    from llavakit.data.check import Checker
    from llavakit.data.check import check as look_over
    from llavakit.data.fix import check_out
    from llavakit.data.fix import fix as mend

    encoder, context = _encoder(model, template)
    data = _open(file, images)
    if images is not None and not images.exists():
        data.check_pictures()
    if fix is not None:
        check_out(data, fix)
    look = "open" if not fast else "trust" if images is None else "find"
    most = max_length or context
    checker = Checker(data, encoder, most, look)
    with progress_bar() as progress:
        bar = progress.add_task("rows", total=len(data))
        report = look_over(checker, lambda rows: progress.advance(bar, rows))
        fixed = None
        if fix is not None:
            bar = progress.add_task("copied", total=len(data))
            fixed = mend(checker, fix, lambda rows: progress.advance(bar, rows))
    if as_json:
        typer.echo(json.dumps(_as_json(file, report, fixed, most), indent=2, ensure_ascii=False))
    else:
        _print_report(file, report, most, model)
        if "missing" in report.found and images is None:
            typer.echo("--images says where the pictures lie, and --fast leaves them out")
        if fixed is not None:
            _print_fixed(str(fix), fixed)
    if report.skipped and fixed is None:
        raise typer.Exit(1)


def show(
    file: File,
    row: Annotated[int, typer.Option("--row", "-r", min=1, help="Which, from 1.")] = 1,
    images: Images = None,
    model: options.Model = "tiny",
    template: options.TemplateName = None,
    max_length: MaxLength = None,
    ids: Annotated[bool, typer.Option("--ids", help="Token ids below their words.")] = False,
) -> None:
    """Show a row as the model reads it: pictures as blocks, what is learned in green.

    Without colour, what is learned stands between ⟦ and ⟧.

    \b
    llava data show chat.json --row 12 --images pictures
    llava data show chat.json --row 12 --template plain --ids | less
    """
    from rich.console import Console

    from llavakit.data.show import pieces

    encoder, context = _encoder(model, template)
    data = _open(file, images)
    if row > len(data):
        raise UsageError(f"{file} has rows 1 to {len(data)}, not {row}")
    found = data.row(row - 1)
    pictures, labels = _pictures(data, row - 1, found.images)
    encoded = encoder.encode(found.with_pictures(pictures), reply=False)
    most = max_length or context
    console = Console(highlight=False)
    coloured = console.is_terminal and not console.no_color
    typer.echo(_clean(data.name(row - 1)))
    shown = list(pieces(encoded, encoder.tokenizer, most))
    console.print(_painted(shown, labels, most, coloured, ids), soft_wrap=True)
    learned = [i for i, label in enumerate(encoded.labels) if label >= 0]
    total, cut = len(encoded.ids), max(len(encoded.ids) - most, 0)
    of_pictures = sum(end - start for start, end in encoded.image_spans)
    told = f"{total} tokens: {of_pictures} of pictures, {len(learned)} supervised"
    lost = f"; {cut} beyond {most} are cut off, {sum(i >= most for i in learned)} of them supervised"
    typer.echo(told + (lost if cut else f"; none is cut at {most}"))


def _open(file: str, images: Path | None) -> "InstructData":
    from rich.console import Console

    with Console(stderr=True).status(f"Reading {file} …"):
        from llavakit.data.instruct import InstructData

        return InstructData(file, images)


def _encoder(model: str, template: str | None) -> tuple["PromptEncoder", int]:
    """What writes prompts for a model, and the model's context in tokens; no weight is read.

    Of a model on the hub that is not yet here, only small files are fetched, where they say it all.
    """
    from llavakit.checkpoint import describe, open_source
    from llavakit.checkpoint.json_file import read_json
    from llavakit.checkpoint.locate import locate
    from llavakit.checkpoint.original_config import is_original
    from llavakit.prompt.encode import PromptEncoder
    from llavakit.prompt.templates import TEMPLATES, get_template
    from llavakit.prompt.tokenizer import Tokenizer

    if template is not None:
        get_template(template)
    folder = locate(model, weights=False)
    small = all((folder / name).is_file() for name in ("config.json", "tokenizer.json"))
    if small and not is_original(read_json(folder / "config.json")):
        said, tokenizer = describe(folder), Tokenizer.load(folder)
    else:
        source = open_source(model)
        said, tokenizer = source.said, source.tokenizer
    name = template or said.template
    if name is None:
        raise UsageError(
            f"{model} does not tell its conversation template: --template {', '.join(TEMPLATES)}"
        )
    encoder = PromptEncoder(
        tokenizer, get_template(name), said.config.tokens_per_image, said.image, said.own.image_markers,
        said.config.tiling,
    )  # fmt: skip
    return encoder, said.config.language.context


def _pictures(
    data: "InstructData", index: int, names: tuple[str, ...]
) -> tuple[list["Image.Image"], list[str]]:
    """A row's pictures, and what to call each; one that is not there is stood in for, and said to be."""
    from PIL import Image

    from llavakit.data.rows import RowError
    from llavakit.media import open_image

    try:
        pictures = [open_image(picture) for picture in data.read(index)]
    except LlavaError as error:
        opened = f"has a picture that cannot be opened: {error}"
        reason = error.reason if isinstance(error, RowError) else opened
        typer.echo(f"llava: row {index + 1} {reason}; a square stands in for it", err=True)
        return [Image.new("RGB", (336, 336)) for _ in names], [f"{name}, not opened" for name in names]
    return pictures, [f"{n}, {p.width}x{p.height}" for n, p in zip(names, pictures, strict=True)]


def _painted(pieces: list["Piece"], labels: list[str], most: int, coloured: bool, ids: bool) -> "Text":
    from rich.text import Text

    text = Text()
    cutting = False
    for piece in pieces:
        if piece.cut and not cutting:
            cutting = True
            text.append(f"\n──── cut at {most} tokens: a run does not read what follows ────\n", "red")
        if piece.picture is not None:
            block = f"[picture {piece.picture + 1}: {len(piece.ids)} tokens, {labels[piece.picture]}]"
            text.append(block, "black on cyan")
        elif piece.learned:
            said = _clean(piece.text)
            text.append(said if coloured else f"⟦{said}⟧", "dim green" if piece.cut else "bold green")
        else:
            text.append(_clean(piece.text), "dim" if piece.cut else "")
        if ids:
            listed = piece.ids if piece.picture is None else (f"{piece.ids[0]} × {len(piece.ids)}",)
            text.append(f"\n    {' '.join(map(str, listed))}\n", "dim yellow")
    return text


def _print_report(file: str, report: "Report", most: int, model: str) -> None:
    from rich.console import Console

    from llavakit.data.check import KINDS

    console = Console(highlight=False, soft_wrap=True)
    share = f" ({report.skipped / report.rows:.1%})" if report.skipped else ""
    colour = "red" if report.skipped else "green"
    console.print(
        f"{_escaped(file)}: {report.rows:,} rows, [{colour}]{report.skipped:,} would be left out[/]{share}"
    )
    for skipped, title in ((True, "left out by a run"), (False, "taken as they are")):
        found = {kind: each for kind, each in report.found.items() if KINDS[kind].skipped is skipped}
        if found:
            console.print(f"\n[bold]{title}[/]")
        for kind, each in found.items():
            numbers = ", ".join(str(error.row) for error in each.examples)
            more = " …" if each.count > len(each.examples) else ""
            first = each.examples[0]
            console.print(f"{each.count:>9,}  {_escaped(KINDS[kind].title)} [dim](row {numbers}{more})[/]")
            console.print(f"           [dim]row {first.row} {_escaped(first.reason)}[/]")
    if report.lengths:
        _print_tokens(console, report, most, model)


def _print_tokens(console: "Console", report: "Report", most: int, model: str) -> None:
    median, high, longest = report.lengths_at(0.5, 0.95, 1)
    total = sum(report.lengths)
    read = sum(min(n, most) for n in report.lengths)
    console.print(
        f"\ntokens of {_escaped(model)}: {total:,}; a row has {median:,} (median), {high:,} (95 %), "
        f"{longest:,} (most); cut at {most:,}: {read:,}, "
        f"{report.supervised / max(read, 1):.0%} of them supervised"
    )
    if not report.opened:
        console.print("[dim]pictures were not opened[/]")


def _print_fixed(out: str, fixed: "Fixed") -> None:
    from llavakit.data.check import KINDS

    typer.echo(f"\n{out}: {fixed.kept:,} rows")
    for what, count in fixed.repaired.most_common():
        typer.echo(f"  {count:,} mended: {what}")
    for kind, count in fixed.left_out.most_common():
        typer.echo(f"  {count:,} left out: {KINDS[kind].title}")


def _clean(text: str) -> str:
    """A text that a terminal can do no more than show."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "?" for c in text)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(" ".join(_clean(text).split()))


def _as_json(file: str, report: "Report", fixed: "Fixed | None", most: int) -> dict[str, Any]:
    from llavakit.data.check import KINDS

    told: dict[str, Any] = {
        "file": file,
        "rows": report.rows,
        "skipped": report.skipped,
        "pictures_opened": report.opened,
        "found": {
            kind: {
                "title": KINDS[kind].title,
                "skipped": KINDS[kind].skipped,
                "count": each.count,
                "first": [
                    {"source": e.source, "row": e.row, "id": e.id, "reason": e.reason} for e in each.examples
                ],
            }
            for kind, each in report.found.items()
        },
    }
    if report.lengths:
        median, high, longest = report.lengths_at(0.5, 0.95, 1)
        told["tokens"] = {
            "max_length": most, "total": sum(report.lengths), "median": median, "p95": high, "most": longest,
            "pictures": report.picture_tokens, "supervised": report.supervised,
        }  # fmt: skip
    if fixed is not None:
        told["fixed"] = {"rows": fixed.kept, "mended": fixed.repaired, "left_out": fixed.left_out}
    return told
