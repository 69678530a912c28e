"""How a JSON file holds its rows, told by its beginning."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.synth.sources.stream import Layout, Window, lines, members, reading, rows

# What objects of lists begin with, and their rows: COCO's members, and the fields of LLaVA-Med's figures.
COCO = frozenset(("info", "licenses", "images", "annotations", "categories", "type"))
FIGURE = frozenset(("fig_caption", "in_text_mention", "pair_id"))

_LOOKED_AT = 100  # rows: one of them should be whole


def layout_of(path: Path) -> Layout:
    """
    Raises:
        UsageError: it is not JSON at all, or cannot be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, or --format folder")
    with reading(path) as file:
        if b"\0" in file.read(4096):
            raise UsageError(f"{path} cannot be read as text: it should be JSON in UTF-8")
    with reading(path) as file:
        start = Window(file, path).peek()
    if start == "[":
        return "list"
    if start == "{":
        name, first = first_list(path)
        if name in COCO or (isinstance(first, dict) and first.keys() & (FIGURE | {"caption"})):
            return "lists"
    if not start:
        raise UsageError(f"{path}: nothing is in it")
    if not any(True for _ in first_rows(path, "lines")):
        raise UsageError(f"{path}: not JSON: a list, or an object on each line, is expected")
    return "lines"


def first_list(path: Path) -> tuple[str, Any]:
    """Of an object: the name of its first list, and that list's first element, unless something else comes
    before: then that, or ("", None) if it is broken.
    """
    try:
        name, number, value = next(members(path), ("", 0, None))
    except UsageError:
        return "", None
    return name, value if number else None


def first_rows(path: Path, layout: Layout) -> Iterator[dict[str, Any]]:
    found = lines(path) if layout == "lines" else rows(path, layout)
    return (row for _, row in islice(found, _LOOKED_AT) if isinstance(row, dict))
