"""`llava data make`: captions and boxes to instruction data, by a teacher who never sees the picture."""

from pathlib import Path
from typing import Annotated

import typer

from llavakit.cli import options
from llavakit.cli.data.running import OFFLINE, Asking, Making


def make(
    source: Annotated[
        Path,
        typer.Argument(
            help="Captions and boxes: JSON lines of scenes, COCO's or Visual Genome's JSON, figures with "
            "captions, or a folder of pictures with .txt files beside them."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The rows: .jsonl, or .json (one array, as the official trainer reads it)."),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(help=f"Who writes: '{OFFLINE}' (a grammar, no network), or an API's model, as gpt-4o."),
    ] = OFFLINE,
    types: Annotated[
        str,
        typer.Option(
            help="Rows of each scene: kinds with commas between (conversation, detail, reasoning, brief, "
            "choice, absent), or 'all'. One row of each scene: kinds with shares, as detail=3,absent=1, or "
            "'paper' (58:23:77)."
        ),
    ] = "conversation,detail,reasoning",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many scenes.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed words and chooses differently.")] = 0,
    format_: Annotated[
        str, typer.Option("--format", help="scenes, coco, visual-genome, figures, folder; auto looks.")
    ] = "auto",
    captions: Annotated[
        Path | None, typer.Option(help="COCO's captions, where they do not lie beside the instances.")
    ] = None,
    boxes: Annotated[
        str, typer.Option(help="How boxes are written, where the file does not tell; see the documentation.")
    ] = "auto",
    categories: Annotated[
        Path | None, typer.Option(help="The categories that there are, a line each; others are faults.")
    ] = None,
    exhaustive: Annotated[
        bool,
        typer.Option(
            help="Whether boxes hold every thing of their categories; if not, nothing is counted or absent."
        ),
    ] = True,
    prompts: Annotated[
        Path | None, typer.Option(help="Your own prompts, in files as `llava data prompts` writes them.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the answers: en, zh.")] = "en",
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected replies go; default: beside OUT.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an OUT that was made with other settings.")
    ] = False,
    teacher_url: Annotated[
        str, typer.Option(metavar="URL", help="The teacher's OpenAI-compatible API; key: OPENAI_API_KEY.")
    ] = "https://api.openai.com/v1",
    replies: Annotated[
        Path | None, typer.Option(help="Where an API's replies are kept for good; default: beside OUT.")
    ] = None,
    tries: Annotated[
        int, typer.Option(min=1, help="Times that an API is asked for a reply that can be used.")
    ] = 2,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to an API at a time.")] = 8,
    rpm: Annotated[float | None, typer.Option(min=0.1, help="Requests a minute, at most.")] = None,
    tpm: Annotated[float | None, typer.Option(min=1, help="Tokens a minute, at most.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a reply may take.")] = 120.0,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print requests, tokens and money, and ask nobody.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(min=0, help="US dollars: no request goes out that might exceed it.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(metavar="IN,OUT", help="US dollars for a million tokens in and out, as 2.5,10."),
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="A table of prices of your own.")] = None,
    batch_out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Ask nobody: write the requests as OpenAI's batch files."),
    ] = None,
    batch_in: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What such a batch came to; may be given several times."),
    ] = None,
    forget_batches: Annotated[
        bool,
        typer.Option("--forget-batches", help="Wait for no batch any longer, as it was never sent."),
    ] = False,
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="Ask nobody: make rows of the replies that are kept.")
    ] = False,
    ray: Annotated[
        int, typer.Option(metavar="N", min=0, help="Spread over a Ray cluster, N workers (extra 'ray').")
    ] = 0,
    ray_address: Annotated[
        str | None,
        typer.Option(help="With --ray: a cluster that runs; default: this machine, or RAY_ADDRESS."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make LLaVA-Instruct-style data of captions and boxes.

    Every reply is parsed, checked against its scene, and kept or put aside with the reason. A run that was
    stopped, however, goes on when it is started again: nothing is paid twice.

    \b
    llava data make captions_boxes.jsonl --out data.jsonl
    llava data make annotations/instances_val2017.json --teacher gpt-4o --types paper --estimate
    llava data make scenes.jsonl --teacher qwen3 --teacher-url http://localhost:11434/v1 --out data.json
    """
    asking = Asking(
        teacher, teacher_url, replies, tries, concurrency, rpm, tpm, timeout, budget, price, prices
    )  # fmt: skip
    making = Making(
        source, out, rejected, overwrite, types, limit, seed, format_, captions, boxes, categories,
        exhaustive, prompts, language, asking, ray, ray_address, as_json,
    )  # fmt: skip
    if forget_batches:
        making.forget_batches()
    if estimate:
        making.estimate()
    elif batch_out is not None:
        making.write_batches(batch_out)
    else:
        making.run(tuple(batch_in or ()), ask=not (kept_only or batch_in))
