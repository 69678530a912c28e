"""Checkpoints as folders of files: which there are, whether they are whole, how one appears at once."""

import json
import os
import re
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUN = "run.json"  # beside the weights: where the run was, and a checksum of every other file
_PARTIAL = ".partial-"
_BLOCK = 1 << 20


def name_of(stage: str, step: int) -> str:
    """The folder of a checkpoint."""
    return f"{_letters(stage)}-{step:06d}"


def partial_of(path: Path) -> Path:
    """Where `path` is written before it is whole."""
    return path.with_name(_PARTIAL + path.name)


def newest_first(folder: Path, stages: Sequence[str]) -> list[Path]:
    """The checkpoints in `folder`, by stage and step; half-written ones are left out.

    Args:
        stages: names, in order
    """
    ranks = {_letters(stage): rank for rank, stage in enumerate(stages)}

    def place(path: Path) -> tuple[int, int]:
        stage, _, step = path.name.rpartition("-")
        return ranks.get(stage, -1), int(step) if step.isdecimal() else -1

    there = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted((p for p in there if not p.name.startswith(_PARTIAL)), key=place, reverse=True)


def read_run(path: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None if it cannot be read."""
    try:
        told = json.loads((path / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(told, dict) and {"fingerprint", "position", "seconds", "files"} <= set(told)
    return told if whole else None


def checksum(path: Path) -> int:
    """CRC-32 of a file: a bit that flipped, or an end that is missing, changes it."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def begin(path: Path) -> None:
    """An empty folder to write into."""
    partial = partial_of(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)


def finish(path: Path, told: dict[str, Any]) -> None:
    """Make what was written into `partial_of(path)` the checkpoint `path`, on the disk itself."""
    partial = partial_of(path)
    with (partial / RUN).open("w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync(partial)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
    _sync(path.parent)


def discard(path: Path) -> None:
    """Delete what was written of a checkpoint that did not become whole."""
    shutil.rmtree(partial_of(path), ignore_errors=True)


def forget(last: Path, stages: Sequence[str], keep: int) -> None:
    """Delete all checkpoints but `last` and those before it, so that `keep` stay, and what is half written.

    Later ones than `last` are damaged: else it would not have been written now.
    """
    there = newest_first(last.parent, stages)
    at = there.index(last)
    for path in [*there[:at], *there[at + keep :], *last.parent.glob(f"{_PARTIAL}*")]:
        shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    """What a folder lists, on the disk."""
    if os.name == "nt":  # which cannot open folders
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _letters(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
