"""The files beside a file of rows: what it was made with, what was put aside, what was replied."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.files import write_whole

_ENDINGS = (".json", ".jsonl")


def rejected_beside(out: Path) -> Path:
    """Where what was put aside goes."""
    return out.with_name(f"{out.stem}.rejected.jsonl")


def replies_beside(out: Path) -> Path:
    """Where an API's replies are kept for good."""
    return out.with_name(f"{out.stem}.replies.sqlite")


def record_beside(out: Path) -> Path:
    """What the rows were made with, and what came of it."""
    return out.with_name(f"{out.stem}.made.json")


def check_out(out: Path | None, settings: dict[str, Any], overwrite: bool) -> Path:
    """The file that rows go to: new, or one that these very settings made before.

    Raises:
        UsageError: it is another's, or no name for such a file.
    """
    if out is None:
        raise UsageError("say where the rows go: --out data.jsonl")
    if out.suffix not in _ENDINGS:
        raise UsageError(f"--out {out}: rows go to .jsonl, or to .json as the official trainer reads it")
    if not out.exists() or overwrite:
        return out
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it")
    try:
        made = json.loads(record_beside(out).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UsageError(
            f"{out} is there already, and was not made by llava data make: name another --out, or replace it "
            "with --overwrite"
        ) from None
    if made != settings:
        other = sorted(name for name in settings if made.get(name) != settings[name])
        raise UsageError(
            f"{out} was made with other settings ({', '.join(other)}): name another --out, or replace it "
            "with --overwrite"
        )
    return out


def write_record(out: Path, settings: dict[str, Any], found: dict[str, Any]) -> None:
    """
    Raises:
        LlavaError: it cannot be written.
    """
    from llavakit import __version__

    told = {"llavakit": __version__, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    text = json.dumps(told | {"settings": settings, "result": found}, indent=1, ensure_ascii=False)
    write_whole(record_beside(out), f"{text}\n".encode())
