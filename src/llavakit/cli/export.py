"""`llava export`: any model that loads, written in the format that another program reads."""

from pathlib import Path
from typing import Annotated

import typer

from llavakit.cli import options
from llavakit.cli.telling import progress_bar
from llavakit.errors import UsageError


def export(
    model: Annotated[str, typer.Argument(help="'tiny', a folder, a .gguf file, or a name on the hub.")],
    to: Annotated[
        str,
        typer.Option(help="hf (transformers, vLLM), original (LLaVA's code), gguf (llama.cpp, Ollama)."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; a model there is replaced.")],
    quantize: Annotated[
        str | None, typer.Option(help="hf: int8, int4 (for llavakit). gguf: q8_0, q4_0, q4_k.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Of what is not quantised: auto (as it is), float32, float16, bfloat16.")
    ] = "auto",
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="MODEL is a LoRA, which is folded into its 16-bit base (so it is without this, too): "
            "refuse anything else.",
        ),
    ] = False,
    template: options.TemplateName = None,
    base: options.Base = None,
    vision_tower: options.VisionTower = None,
) -> None:
    """Write a model in another format. The folder appears whole or not at all.

    \b
    llava export llava-hf/llava-1.5-7b-hf --to gguf --quantize q4_k --out llava-gguf
    llava export runs/my-lora/adapter --merge --to hf --out merged
    """
    from llavakit.checkpoint import is_adapter, open_source
    from llavakit.checkpoint.export import export as write
    from llavakit.llava import DTYPES

    if dtype != "auto" and dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}: auto, {', '.join(DTYPES)}")
    if merge and not is_adapter(model):
        raise UsageError(f"--merge: {model} is no adapter (it has no adapter_config.json): leave --merge out")
    source = open_source(model, base=base, vision_tower=vision_tower, template=template)
    names = set(source.tensors)
    with progress_bar() as progress:
        bar = progress.add_task("weights", total=len(names))
        read: set[str] = set()

        def on_read(name: str) -> None:
            read.add(name)  # a weight may be read twice: a tied head
            progress.update(bar, completed=len(read))

        write(source, out, to, quantize=quantize, dtype=DTYPES.get(dtype), on_read=on_read)
    typer.echo(str(out))
