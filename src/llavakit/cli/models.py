"""`llava models`: what can be loaded without a download, and what is worth one."""

import json
from typing import Any

import typer

from llavakit.cli import options

_SUGGESTED = {
    "llava-hf/llava-1.5-7b-hf": "LLaVA-1.5 on Vicuna 7B",
    "llava-hf/llava-1.5-13b-hf": "LLaVA-1.5 on Vicuna 13B",
    "llava-hf/bakLlava-v1-hf": "BakLLaVA on Mistral 7B",
}


def models(as_json: options.Json = False) -> None:
    """List the embedded model, those in the local cache, and some to download."""
    from llavakit.checkpoint.hub import cached_models
    from llavakit.checkpoint.locate import EMBEDDED, embedded_folder

    folder = embedded_folder()
    size = sum(path.stat().st_size for path in folder.glob("*")) if folder.is_dir() else 0
    rows: list[dict[str, Any]] = [
        {"name": EMBEDDED, "where": str(folder), "bytes": size, "note": "embedded: simple drawn scenes"}
    ]
    rows += [
        {"name": name, "where": str(path), "bytes": size, "note": "in the local cache"}
        for name, path, size in cached_models()
    ]
    here = {row["name"] for row in rows}
    rows += [
        {"name": name, "where": None, "bytes": None, "note": f"downloads on first use: {what}"}
        for name, what in _SUGGESTED.items()
        if name not in here
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "size", ""):
        table.add_column(column, no_wrap=column == "model")
    for row in rows:
        shown = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f} MB"
        table.add_row(row["name"], shown, row["note"])
    Console().print(table)
