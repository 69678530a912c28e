"""The small files beside weights: JSON objects, or one error that a person understands."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavakit.errors import CheckpointError

Json = dict[str, Any]


def read_json(path: Path) -> Json:
    """A JSON object.

    Raises:
        CheckpointError: there is none, or it is not readable.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}: the model is only half there") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}): fetch it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} should hold a JSON object")
    return value


def json_if_there(path: Path) -> Json | None:
    """`read_json`, or None where there is no such file."""
    return read_json(path) if path.is_file() else None


def write_json(folder: Path, files: Mapping[str, Json]) -> None:
    """Write each of `files`, by name, into `folder`."""
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
