"""`llava chat`: one answer, or a conversation in the terminal."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from llavakit.cli import options
from llavakit.errors import PromptError, UsageError


def chat(
    images: Annotated[list[str] | None, typer.Argument(help="Pictures: paths or http(s) URLs.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", "-p", help="Ask this, print the answer, and end ('-': from stdin)."),
    ] = None,
    model: options.Model = "tiny",
    system: Annotated[str | None, typer.Option(help="Replaces the template's system prompt.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.")] = 512,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest token.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest tokens of this share.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw among this many likeliest tokens (0: all).")] = 0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: repeat less.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same answer.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End the answer before this; repeatable.")] = None,
    json_schema: Annotated[
        str | None, typer.Option(help="Answer in JSON that this schema describes: a file, or its text.")
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help="Answer with a text that this regular expression matches.")
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
    stats: Annotated[bool, typer.Option("--stats", help="Tokens and speed, on stderr.")] = False,
) -> None:
    """Ask about pictures: one answer with -p, a conversation without.

    \b
    llava chat photo.jpg -p "What is this?"
    """
    if prompt == "-" or (prompt is None and not sys.stdin.isatty()):
        prompt = sys.stdin.read()
    if prompt is not None and not prompt.strip():
        raise PromptError("the prompt is empty: ask something with -p")
    if as_json and prompt is None:
        raise typer.BadParameter("--json needs a prompt: -p")
    with options.lasting():
        import llavakit.llava  # noqa: F401  # here, with all that it needs, and not when a model is loaded
        from llavakit.engine import make_sampling
        from llavakit.media import open_image

    sampling = dataclasses.asdict(
        make_sampling(
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            repetition_penalty=repetition_penalty,
            seed=seed,
            stop=stop or (),
            json_schema=_schema(json_schema),
            regex=regex,
        )
    )
    pictures = [open_image(image) for image in images or []]  # a wrong picture costs no model load
    llava = options.load(
        model, device=device, dtype=dtype, quantize=quantize, template=template, base=base,
        vision_tower=vision_tower, backend=backend, image_tokens=image_tokens,
    )  # fmt: skip
    conversation = llava.chat(pictures, system_prompt=system)
    if prompt is None:
        from llavakit.cli.terminal import Terminal

        Terminal(conversation, sampling, shown=images or [], stats=stats).run()
        return
    for piece in conversation.stream(prompt, **sampling):
        if not as_json:
            print(piece, end="", flush=True)  # noqa: T201
    reply = conversation.last
    assert reply is not None  # the stream ended without error
    if as_json:
        typer.echo(json.dumps({"model": model} | dataclasses.asdict(reply), ensure_ascii=False))
    else:
        typer.echo()
    if stats:
        typer.echo(options.usage_line(reply.usage), err=True)


def _schema(given: str | None) -> str | None:
    """The text of a schema that was given as such, or as a file."""
    if given is None or given.lstrip().startswith("{"):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--json-schema {given}: neither a JSON object nor a text file ({error})") from None
