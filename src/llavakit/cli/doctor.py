"""`llava doctor`: the machine, the versions, the cache, whether the embedded model answers; or whether a
model fits into this machine, before its weights are read."""

import importlib.metadata
import json
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from llavakit.cli import options
from llavakit.errors import LlavaError

_PACKAGES = ("llavakit", "torch", "tokenizers", "safetensors", "huggingface_hub", "pillow", "numpy")
_TRIAL = ("circle", "red")  # drawn by code: needs no font
_PAPER = (245, 245, 240)


def doctor(
    model: Annotated[
        str | None, typer.Argument(help="Say whether this model fits instead: a folder or a hub name.")
    ] = None,
    device: options.Device = "auto",
    base: options.Base = None,
    vision_tower: options.VisionTower = None,
    as_json: options.Json = False,
) -> None:
    """Look at this machine, and let the embedded model answer a question on it.

    \b
    llava doctor                              the machine
    llava doctor llava-hf/llava-1.5-7b-hf     what that model needs here, setting by setting
    """
    if model is not None:
        _say_whether_it_fits(model, device, as_json, base, vision_tower)
        return
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


_SETTINGS = {  # from the most exact to the smallest
    "--dtype float32": ("float32", None),
    "--dtype bfloat16": ("bfloat16", None),
    "--quantize int8": ("bfloat16", "int8"),
    "--quantize int4": ("bfloat16", "int4"),
}


def _say_whether_it_fits(
    model: str, device: str, as_json: bool, base: str | None, vision_tower: str | None
) -> None:
    from llavakit.checkpoint import describe
    from llavakit.llava import DTYPES, pick_device, quantization
    from llavakit.memory import cache_needed, free_memory, memory_needed

    config = describe(model, base=base, vision_tower=vision_tower, weights=False).config
    place = pick_device(device)
    free, context = free_memory(place), min(4096, config.language.context)
    packed = config.quantization
    needs = {}
    for setting, (dtype, scheme) in _SETTINGS.items():
        if packed is not None and scheme is not None:
            continue  # its weights are packed already
        plan = config if scheme is None else config.model_copy(update={"quantization": quantization(scheme)})
        needs[setting] = memory_needed(plan, DTYPES[dtype]) + cache_needed(plan, DTYPES[dtype], context)
    fitting = [setting for setting, bytes_ in needs.items() if bytes_ < free]
    # Twice the speed for nothing that shows: float32 is for comparing numbers.
    best = next((setting for setting in fitting if setting != "--dtype float32"), None)
    if as_json:
        report = {"model": model, "device": str(place), "free": free, "context": context,
                  "bytes": needs, "suggested": best}  # fmt: skip
        typer.echo(json.dumps(report, indent=2))
    else:
        kind = f"{packed.scheme} weights" if packed else "weights"
        typer.echo(f"{model}: {kind} and a conversation of {context} tokens; {free / 1e9:.1f} GB is free")
        for setting, bytes_ in needs.items():
            verdict = "fits" if setting in fitting else "does not fit"
            typer.echo(f"  {setting:<20}{bytes_ / 1e9:7.2f} GB  {verdict}")
        if best is not None:
            typer.echo(f"llava chat --model {model} {best}")
    if best is None:
        raise LlavaError(f"{model} does not fit into {free / 1e9:.1f} GB in any setting: try a smaller model")


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

    from llavakit.checkpoint.hub import cached_models

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
    from llavakit.tiny.world.render import render
    from llavakit.tiny.world.scene import Backdrop, Scene, Thing

    kind, colour = _TRIAL
    circle = Thing(kind, colour, (0.4, 0.4, 0.7, 0.7))
    picture = render(Scene((circle,), Backdrop("plain", (_PAPER, _PAPER))))
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
