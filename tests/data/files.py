"""Small files of instruction data, in every format there is."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image


def human(value: str) -> dict[str, str]:
    return {"from": "human", "value": value}


def gpt(value: str) -> dict[str, str]:
    return {"from": "gpt", "value": value}


def row(*conversations: Any, **values: Any) -> dict[str, Any]:
    return {"id": "1", **values, "conversations": list(conversations)}


def rows(count: int = 3, **values: Any) -> list[dict[str, Any]]:
    """Rows "0", "1" …, each with a question of its own."""
    return [row(human(f"<image>\nWhat? {i}"), gpt(f"A {i}."), id=str(i), **values) for i in range(count)]


def picture(colour: str, width: int = 3, height: int = 5) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def write_json(path: Path, values: Any) -> Path:
    """A list as an array, or as lines where the name says so; text as it is; gzipped where it ends in .gz."""
    if not isinstance(values, str):
        lines = ".jsonl" in path.suffixes
        values = "\n".join(map(json.dumps, values)) if lines else json.dumps(values)
    data = values.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_tar(path: Path, members: Mapping[str, bytes | str] | Iterable[tuple[str, bytes | str]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_parquet(path: Path, values: list[dict[str, Any]], group: int = 2, schema: Any = None) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(values, schema), path, row_group_size=group)
    return path


def first_turn(data: Any, index: int) -> tuple[str, list[Any]]:
    """What a row asks, and a colour of each picture it shows; here so that other processes can find it."""
    question = data[index][0]
    return question.text, [image.getpixel((0, 0)) for image in question.images]
