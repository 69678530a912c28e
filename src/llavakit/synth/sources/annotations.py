"""Annotations in COCO's form, read once and put down on disk by picture."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.synth.boxes import finite
from llavakit.synth.sources.shelf import Shelf
from llavakit.synth.sources.stream import members
from llavakit.synth.sources.values import FaultError, sentence

_TABLES = (
    "CREATE TABLE image (number INTEGER PRIMARY KEY, id, name, width, height)",
    "CREATE TABLE thing (number INTEGER PRIMARY KEY, image, category, crowd, x, y, w, h)",
    "CREATE TABLE caption (number INTEGER PRIMARY KEY, image, text)",
)
_INDICES = (
    "CREATE INDEX image_id ON image (id)",
    "CREATE INDEX thing_image ON thing (image)",
    "CREATE INDEX caption_image ON caption (image)",
)
_TOGETHER = 1000  # records put down at once
_NUMBERS = (int, float)  # not bool


class Annotations:
    """
    Attributes:
        count: of pictures
        categories: names by id
        complete: whether every picture was searched for all of them
    """

    def __init__(self, path: Path, captions: Path | None = None) -> None:
        """
        Args:
            path: with pictures, and things or captions or both
            captions: a file with captions of these pictures

        Raises:
            UsageError: a file is not of this form, or the captions are of other pictures.
            LlavaError: the disk is full.
        """
        self.count = 0
        self.categories: dict[int | str, str] = {}
        self._federated = False
        self._shelf = Shelf(*_TABLES)
        self._waiting: dict[str, list[tuple[Any, ...]]] = {"image": [], "thing": [], "caption": []}
        for name, number, value in members(path):
            if name == "images" and number:
                self._put_image(number, value)
            elif name == "annotations" and number:
                self._put_annotation(number, value)
            elif name == "categories" and number:
                self._put_category(path, number, value)
        if not self.count:
            raise UsageError(f'{path}: no pictures in it; COCO\'s form has a list of "images"')
        if captions is not None:
            for name, number, value in members(captions):
                if name == "annotations" and number and isinstance(value, dict) and "caption" in value:
                    self._put_annotation(number, value)
        for table in self._waiting:
            self._flush(table)
        for statement in _INDICES:
            self._shelf.do(statement)
        if captions is not None and not any(
            self._shelf.find("SELECT 1 FROM caption JOIN image ON caption.image = image.id LIMIT 1")
        ):
            raise UsageError(f"{captions}: no caption in it is of a picture of {path.name}: another split's?")

    @property
    def complete(self) -> bool:
        return bool(self.categories) and not self._federated

    def images(self) -> Iterator[tuple[Any, ...]]:
        """(number, id or None, name or None, width, height), in the file's order."""
        return self._shelf.find("SELECT number, id, name, width, height FROM image ORDER BY number")

    def things(self, image: Any) -> Iterator[tuple[int, Any, bool, Any]]:
        """(number, id of the category or None, whether it is a crowd, box as in the file)."""
        sought = "SELECT number, category, crowd, x, y, w, h FROM thing WHERE image = ? ORDER BY number"
        for number, category, crowd, x, y, w, h in self._shelf.find(sought, image):
            yield number, category, bool(crowd), [x, y, w, h] if type(x) is float else x

    def captions(self, image: Any) -> list[str]:
        sought = "SELECT text FROM caption WHERE image = ? ORDER BY number"
        return [text for (text,) in self._shelf.find(sought, image)]

    def strays(self) -> Iterator[tuple[Any, ...]]:
        """(number of the first, id of the picture or None, how many) of things whose picture is not there."""
        return self._shelf.find(
            "SELECT min(number), image, count(*) FROM thing WHERE image IS NULL OR NOT EXISTS "
            "(SELECT 1 FROM image WHERE image.id = thing.image) GROUP BY image ORDER BY min(number)"
        )

    def _put_image(self, number: int, value: Any) -> None:
        value = value if isinstance(value, dict) else {}
        self.count += 1
        # LVIS: a picture was searched for some categories only.
        self._federated |= "neg_category_ids" in value or "not_exhaustive_category_ids" in value
        name, url = value.get("file_name"), value.get("coco_url")
        if name is None and isinstance(url, str):  # LVIS again: …/train2017/000000391895.jpg
            name = "/".join(url.split("/")[-2:])
        size = [
            each if type(each) in _NUMBERS else None for each in (value.get("width"), value.get("height"))
        ]
        self._put("image", (number, key(value.get("id")), _text(name), *size))

    def _put_annotation(self, number: int, value: Any) -> None:
        value = value if isinstance(value, dict) else {}
        image, caption = key(value.get("image_id")), value.get("caption")
        if isinstance(caption, str):
            self._put("caption", (None, image, _text(caption)))
        if "caption" not in value or "category_id" in value:
            crowd = bool(value.get("iscrowd"))
            self._put(
                "thing", (number, image, key(value.get("category_id")), crowd, *_box(value.get("bbox")))
            )

    def _put_category(self, path: Path, number: int, value: Any) -> None:
        called, name = (key(value.get("id")), value.get("name")) if isinstance(value, dict) else (None, None)
        try:
            told = sentence(name, "name") if isinstance(name, str) else ""
        except FaultError:
            told = ""
        if called is None or not told:
            raise UsageError(f'{path}: its category {number} is not {{"id", "name"}}: mend its table')
        self.categories[called] = told

    def _put(self, table: str, row: tuple[Any, ...]) -> None:
        waiting = self._waiting[table]
        waiting.append(row)
        if len(waiting) == _TOGETHER:
            self._flush(table)

    def _flush(self, table: str) -> None:
        if waiting := self._waiting[table]:
            places = ", ".join("?" * len(waiting[0]))
            self._shelf.fill(f"INSERT INTO {table} VALUES ({places})", waiting)
            waiting.clear()


def key(value: Any) -> int | str | None:
    """An id, as it can be compared; None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and abs(value) < 1 << 63:
        return value
    return _text(value)


def _text(value: Any) -> str | None:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _box(value: Any) -> tuple[Any, Any, Any, Any]:
    """Four columns; what is no box is kept for the message, in the first."""
    if isinstance(value, list) and len(value) == 4 and all(type(each) in _NUMBERS for each in value):
        x, y, w, h = value
        if finite(x) and finite(y) and finite(w) and finite(h):
            return float(x), float(y), float(w), float(h)
    return None if value is None else json.dumps(value)[:80], None, None, None
