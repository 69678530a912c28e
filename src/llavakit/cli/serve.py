"""`llava serve`: the API and the web page."""

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavakit.cli import options
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI


_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models, the first by default: 'tiny', a folder, a hub name, or NAME=MODEL."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0: for other machines too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="LLAVAKIT_API_KEY", help="What clients must know; the page asks for it."),
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the web page at /.")] = True,
    remote_images: Annotated[
        bool, typer.Option("--remote-images", help="Fetch pictures from public http(s) addresses.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Let pages of this origin use the API (https://chat.example); repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name by which browsers may call this server; repeatable."),
    ] = None,
    models_root: Annotated[
        Path | None, typer.Option(help="Folder from which POST /admin/load may load models.")
    ] = None,
    feedback: Annotated[
        Path, typer.Option(help="File for answers that were liked or disliked, to train on.")
    ] = Path("feedback/feedback.jsonl"),
    queue: Annotated[int, typer.Option(min=1, help="Answers that may wait or be in work at a time.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer that may be asked for.")] = 4096,
    max_images: Annotated[int, typer.Option(min=0, help="Pictures that a request may have.")] = 16,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    template: options.TemplateName = None,
    base: options.Base = None,
    vision_tower: options.VisionTower = None,
    backend: options.Backend = "auto",
    image_tokens: options.ImageTokens = None,
) -> None:
    """Serve OpenAI's and Ollama's API and a web page.

    \b
    llava serve                           the embedded model on http://127.0.0.1:8000
    llava serve llava-hf/llava-1.5-7b-hf --quantize int4
    """
    started = time.perf_counter()
    if api_key is not None and not api_key.strip():
        raise UsageError("the API key is empty: set LLAVAKIT_API_KEY or --api-key to one, or to none at all")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError("llava serve needs more libraries: pip install 'llavakit[serve]'") from None
    from llavakit.serve.server import bind
    from llavakit.serve.settings import Settings

    settings = Settings(
        host=host, port=port, api_key=api_key, page=page, remote_images=remote_images,
        origins=tuple(allow_origin or ()), hosts=tuple(allow_host or ()), models_root=models_root,
        feedback=feedback.absolute(), queue=queue, max_tokens=max_tokens,
        default_tokens=min(1024, max_tokens), max_images=max_images,
    )  # fmt: skip
    if host not in _LOCAL and api_key is None:
        typer.echo("llava: whoever reaches this machine can use the server: consider --api-key", err=True)
    sock = bind(host, port)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for loud in ("httpx", "httpx2", "httpcore", "uvicorn.error", "asyncio"):
        logging.getLogger(loud).setLevel(logging.WARNING)
    with options.lasting():
        from llavakit.serve.app import create_app
        from llavakit.serve.models import parse_sources
        from llavakit.serve.server import Server

    app = create_app(
        parse_sources(models or ["tiny"]),
        settings,
        {
            "device": device, "dtype": dtype, "quantize": quantize, "template": template, "base": base,
            "vision_tower": vision_tower, "backend": backend, "image_tokens": image_tokens,
        },
    )  # fmt: skip
    where = f"[{host}]" if ":" in host else host
    address = f"http://{where}:{sock.getsockname()[1]}"

    def ready() -> None:
        typer.echo(_ready(app, address, time.perf_counter() - started), err=True)

    Server(app, settings, sock).run(ready)


def _ready(app: "FastAPI", address: str, seconds: float) -> str:
    """What is being served, in a few lines."""
    import psutil

    lines = [f"llavakit is on {address}  (after {seconds:.1f} s; Ctrl-C ends it)"]
    for served in app.state.answering.models.served:
        device = next(served.llava.model.parameters()).device
        lines.append(f"  model {served.name} on {device}, {served.bytes / 1e6:,.0f} MB of weights")
    memory = psutil.Process(os.getpid()).memory_info().rss
    lines.append(f"  memory {memory / 1e6:,.0f} MB")
    if app.state.answering.settings.page:
        lines.append(f"  page {address}/")
    lines.append(f"  OpenAI clients: base_url {address}/v1    Ollama clients: OLLAMA_HOST={address}")
    return "\n".join(lines)
