"""`llava doctor`: the machine, the versions, the cache, and whether the embedded model answers."""

import importlib.metadata
import json
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import typer

from llavakit.cli import options

_PACKAGES = ("llavakit", "torch", "tokenizers", "safetensors", "huggingface_hub", "pillow", "numpy")
_TRIAL = ("circle", "red")  # drawn by code: needs no font
_PAPER = (245, 245, 240)


def doctor(as_json: options.Json = False) -> None:
    """Look at this machine, and let the embedded model answer a question on it."""
    report = {
        "machine": _machine(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "cache": _cache(),
        "self-test": _self_test(),
    }
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        for title, lines in report.items():
            typer.echo(title)
            for name, value in lines.items():
                typer.echo(f"  {name:<24}{value}")
    if not report["self-test"]["passed"]:
        raise typer.Exit(1)


def _machine() -> dict[str, Any]:
    import psutil
    import torch

    memory = psutil.virtual_memory()
    found = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "cpu features": torch.backends.cpu.get_cpu_capability(),
        "memory": f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free",
        "gpu": "none",
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found["gpu"] = f"{torch.cuda.get_device_name()}, {total / 1e9:.0f} GB, {free / 1e9:.0f} GB free"
    elif torch.backends.mps.is_available():
        found["gpu"] = "Apple (mps)"
    return found


def _cache() -> dict[str, Any]:
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    from llavakit.checkpoint.locate import cached_models

    folder = Path(HF_HUB_CACHE)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return {
        "folder": str(folder),
        "free on its disk": f"{shutil.disk_usage(there).free / 1e9:.0f} GB",
        "LLaVA models in it": ", ".join(name for name, _, _ in cached_models()) or "none",
        "downloads": "off (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else "on",
    }


def _self_test() -> dict[str, Any]:
    """The embedded model tells the colour of one circle."""
    from llavakit.llava import LLaVA
    from llavakit.tiny.world import Background, Scene, Thing, render

    kind, colour = _TRIAL
    circle = Thing(kind, colour, (0.4, 0.4, 0.7, 0.7), 0, False)
    picture = render(Scene((circle,), Background("plain", (_PAPER, _PAPER)), 0))
    started = time.perf_counter()
    llava = LLaVA.from_pretrained("tiny")
    loaded = time.perf_counter() - started
    reply = llava.generate(f"What colour is the {kind}?", [picture], max_new_tokens=20)
    return {
        "passed": colour in reply.text,
        "answer": reply.text,
        "seconds to load": round(loaded, 2),
        "seconds to first token": round(reply.usage.seconds_to_first_token, 3),
        "tokens a second": round(reply.usage.tokens_per_second),
    }
