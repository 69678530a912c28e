"""Options that several verbs share, and how a model is loaded from them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llavakit.engine import Usage
    from llavakit.llava import LLaVA

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="'tiny' (embedded), a model folder, or a name on the Hugging Face hub."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")]
Quantize = Annotated[
    str | None,
    typer.Option(
        help="int8 or int4: the language model's weights in 8 or 4 bits (bnb-int8, bnb-nf4: bitsandbytes')."
    ),
]
TemplateName = Annotated[
    str | None,
    typer.Option("--template", help="Conversation template, where the model's own is wrong or missing."),
]
Base = Annotated[
    str | None, typer.Option(help="For a LoRA or a connector alone: the model it was trained on.")
]
VisionTower = Annotated[
    str | None,
    typer.Option(help="For an original LLaVA whose tower cannot be had by the name in its config.json."),
]
Backend = Annotated[str, typer.Option(help="What computes: auto, torch, openvino (extra 'cpu').")]
ImageTokens = Annotated[
    int | None, typer.Option(help="Keep so many of a picture's tokens: faster, and less exact.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@contextmanager
def lasting() -> Iterator[None]:
    """For heavy imports: what they make stays. Looking through it for cycles again and again while it grows,
    and once more at the interpreter's end, took half a second of a `llava chat -p`."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def load(model: str, **settings: Any) -> "LLaVA":
    """Load a model, saying so on stderr where it takes a while; `settings` as `LLaVA.from_pretrained`'s."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(f"Loading {model} …"):
        from llavakit.llava import LLaVA

        return LLaVA.from_pretrained(model, **settings)


def usage_line(usage: "Usage") -> str:
    """What an answer took, in one line."""
    return (
        f"{usage.prompt_tokens} prompt tokens ({usage.image_tokens} of pictures), "
        f"{usage.cached_tokens} of them cached; "
        f"{usage.completion_tokens} answer tokens; first after {usage.seconds_to_first_token:.2f} s, "
        f"then {usage.tokens_per_second:.0f} a second"
    )
