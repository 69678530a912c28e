"""Visual Genome: phrases about parts of pictures.

`region_descriptions.json` is a list of {"id" or "image_id", "regions": [{"phrase", "x", "y", "width",
"height"}]}; `image_data.json`, beside it, tells the pictures' sizes and addresses; `objects.json`, if it is
there, things. (https://homes.cs.washington.edu/~ranjay/visualgenome/api_readme.html)
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.synth.boxes import Convention
from llavakit.synth.scene import Region, Scene, SceneError, Thing
from llavakit.synth.sources.annotations import key
from llavakit.synth.sources.base import Told, check_told
from llavakit.synth.sources.layout import layout_of
from llavakit.synth.sources.shelf import Shelf
from llavakit.synth.sources.stream import rows
from llavakit.synth.sources.values import FaultError, Reader, identifier, image_name, sentence

REGIONS, IMAGES, OBJECTS = "region_descriptions.json", "image_data.json", "objects.json"

_NAMED = 3  # of the parts that are left out


class VisualGenome(Told):
    """Scenes that are not complete: people wrote what they liked about a picture.

    Some of its boxes lie outside their pictures, or have no size. As nothing is counted here, only the part
    with such a box is left out: the picture's `SceneError` comes first, and then its scene with the others.
    """

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: `region_descriptions.json`, or its folder

        Raises:
            UsageError: a file is missing.
        """
        if path.is_dir():
            path = path / REGIONS
        super().__init__(path)
        if layout_of(path) != "list":
            raise UsageError(f"{path}: not a list of pictures with their regions, as Visual Genome has it")
        self._images, self._objects = self._beside(IMAGES), self._beside(OBJECTS)
        if self._images is None:
            raise UsageError(f"{path}: {IMAGES}, which tells the pictures' sizes, has to be beside it")
        self._reader = Reader(Convention("xywh", "pixels"))

    def _beside(self, name: str) -> Path | None:
        found = (self.path.with_name(name), self.path.with_name(f"{name}.gz"))
        return next((path for path in found if path.is_file()), None)

    @cached_property
    def _shelf(self) -> Shelf:
        shelf = Shelf(
            "CREATE TABLE image (id PRIMARY KEY, name, width, height)",
            "CREATE TABLE object (id PRIMARY KEY, objects)",
        )
        assert self._images is not None
        shelf.fill("INSERT OR IGNORE INTO image VALUES (?, ?, ?, ?)", _sizes(self._images))
        if self._objects is not None:
            shelf.fill("INSERT OR IGNORE INTO object VALUES (?, ?)", _objects(self._objects))
        return shelf

    def _read(self) -> Iterator[Scene | SceneError]:
        for number, row in rows(self.path, "list"):
            called = key(row.get("image_id", row.get("id"))) if isinstance(row, dict) else None
            try:
                lost: list[FaultError] = []
                scene = self._scene(row, called, number, lost)
                if lost:
                    yield self._error(number, called, _lost(lost))
                yield check_told(scene)
            except FaultError as fault:
                yield self._error(number, called, fault)

    def _scene(self, row: Any, called: int | str | None, number: int, lost: list[FaultError]) -> Scene:
        if called is None or not isinstance(row.get("regions"), list):
            raise FaultError("format", 'is not {"id": …, "regions": […]}')
        found = next(self._shelf.find("SELECT name, width, height FROM image WHERE id = ?", called), None)
        if found is None:
            raise FaultError("image", f"is of a picture that {IMAGES} does not tell of")
        name, *size = found
        parts = self._shelf.find("SELECT objects FROM object WHERE id = ?", called)
        objects = [each for (text,) in parts for each in json.loads(text)]
        things = self._kept(self._thing, objects, size, lost)
        return Scene(
            id=identifier(called),
            image=image_name(name),
            things=tuple({(thing.category, thing.box): thing for thing in things}.values()),
            regions=tuple(self._kept(self._region, row["regions"], size, lost)),
            complete=False,
            row=number,
        )

    def _kept(self, read: Any, parts: list[Any], size: list[Any], lost: list[FaultError]) -> list[Any]:
        kept = []
        for place, part in enumerate(parts, 1):
            try:
                kept.append(read(part if isinstance(part, dict) else {}, place, size))
            except FaultError as fault:
                lost.append(fault)
        return kept

    def _region(self, part: dict[str, Any], place: int, size: list[Any]) -> Region:
        phrase = part.get("phrase")
        phrase = sentence(phrase, "phrase") if isinstance(phrase, str) else ""
        if not phrase:
            raise FaultError("format", f"has a region {place} without a phrase")
        return Region(phrase, self._reader.box(_box(part), f"region {place}", *size))

    def _thing(self, part: dict[str, Any], place: int, size: list[Any]) -> Thing:
        names = part.get("names")
        category = self._reader.category(
            names[0] if isinstance(names, list) and names else None, f"object {place}"
        )
        return Thing(category, self._reader.box(_box(part), f"object {place} ({category})", *size))


def _box(part: dict[str, Any]) -> list[Any]:
    return [part.get("x"), part.get("y"), part.get("width", part.get("w")), part.get("height", part.get("h"))]


def _lost(faults: list[FaultError]) -> FaultError:
    kinds = {fault.kind for fault in faults}
    told = "; ".join(fault.reason for fault in faults[:_NAMED])
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return FaultError(
        "box" if "box" in kinds else faults[0].kind, f"is used without some parts: {told}{more}"
    )


def _sizes(path: Path) -> Iterator[tuple[Any, ...]]:
    for _, row in rows(path, "list"):
        called = key(row.get("image_id", row.get("id"))) if isinstance(row, dict) else None
        if called is not None:
            # …/VG_100K_2/1.jpg: its archives unpack into folders of these names.
            url = row.get("url")
            *_, folder, name = ("", *url.split("/")) if isinstance(url, str) else ("", f"{called}.jpg")
            size = [
                each if type(each) in (int, float) else None for each in (row.get("width"), row.get("height"))
            ]
            yield called, f"{folder}/{name}" if folder.startswith("VG_") else name, *size


def _objects(path: Path) -> Iterator[tuple[Any, str]]:
    for _, row in rows(path, "list"):
        called = key(row.get("image_id", row.get("id"))) if isinstance(row, dict) else None
        if called is not None and isinstance(row.get("objects"), list):
            wanted = ("names", "x", "y", "w", "h", "width", "height")
            parts = [
                {name: part[name] for name in wanted if name in part} if isinstance(part, dict) else {}
                for part in row["objects"]
            ]
            yield called, json.dumps(parts)
