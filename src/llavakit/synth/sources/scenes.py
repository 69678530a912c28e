"""Our own form: a row a picture, `{image, captions, instances: [{category, bbox}]}`, in lines or a list."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from llavakit.synth.boxes import CONVENTIONS, Convention, convention
from llavakit.synth.scene import Region, Scene, SceneError, Thing
from llavakit.synth.sources.base import Told, check_told
from llavakit.synth.sources.convention import decide
from llavakit.synth.sources.stream import Layout, rows
from llavakit.synth.sources.values import (
    FaultError,
    Reader,
    identifier,
    image_name,
    mentions,
    sentence,
    sentences,
)

_LOOKED_AT = 2000  # rows that boxes are sought in


class Scenes(Told):
    """
    A row is {"image", "captions": [text], "instances": [{"category", "bbox"}]}; also "id", else its number
    is; "regions": [{"phrase", "bbox"}]; "mentions": [text]; "width" and "height" of the picture, where boxes
    are in pixels; "boxes": the name of its own convention; "complete": whether every thing of the file's
    categories is among its instances, which is taken as said of a row that has "instances" at all. An
    instance with "iscrowd" is several.
    """

    def __init__(
        self, path: Path, layout: Layout, categories: Sequence[str] | None = None, boxes: str = "auto"
    ) -> None:
        """
        Args:
            categories: all that may be
            boxes: one of `CONVENTIONS`, or "auto"

        Raises:
            UsageError: how boxes are written cannot be known.
        """
        super().__init__(path)
        self._layout: Layout = layout
        self._categories = categories
        if boxes == "auto":
            known = decide(path, (row for _, row in islice(rows(path, layout), _LOOKED_AT)))
        else:
            known = convention(boxes)
        self._reader = Reader(known, categories)
        self._readers = {name: Reader(convention(name), categories) for name in CONVENTIONS}

    @property
    def boxes(self) -> Convention:
        """How boxes are read."""
        return self._reader.convention

    def vocabulary(self) -> tuple[str, ...]:
        return self._counted[0]

    def count(self) -> int | None:
        return self._counted[1] if "_counted" in vars(self) else None

    @cached_property
    def _counted(self) -> tuple[tuple[str, ...], int]:
        """The categories of complete scenes, and how many rows there are: takes a reading of the file."""
        names: set[str] = set()
        count = 0
        complete = False
        for scene in self:
            count += 1
            if isinstance(scene, Scene) and scene.complete:
                complete = True
                names.update([thing.category for thing in scene.things], scene.crowds)
        if complete and self._categories is not None:
            names.update(self._categories)
        return tuple(sorted(names)), count

    def _read(self) -> Iterator[Scene | SceneError]:
        for number, row in rows(self.path, self._layout):
            try:
                yield self._scene(row, number)
            except FaultError as fault:
                yield self._error(number, row.get("id") if isinstance(row, dict) else None, fault)

    def _scene(self, row: Any, number: int) -> Scene:
        if isinstance(row, FaultError):
            raise row
        if not isinstance(row, dict):
            raise FaultError("format", 'is not an object: write {"image": …, "captions": […]}')
        get = row.get
        reader = self._of(get("boxes"))
        size = get("width"), get("height")
        things, crowds = self._things(get("instances"), reader, size)
        complete = get("complete", get("instances") is not None)
        if not isinstance(complete, bool):
            raise FaultError("format", "has a `complete` that is neither true nor false")
        return check_told(
            Scene(
                id=identifier(get("id"), number),
                image=image_name(get("image")),
                captions=sentences(get("captions", get("caption")), "caption"),
                things=things,
                regions=self._regions(get("regions"), reader, size),
                mentions=mentions(get("mentions")),
                complete=complete,
                crowds=crowds,
                row=number,
            )
        )

    def _of(self, name: Any) -> Reader:
        if name is None:
            return self._reader
        if name not in CONVENTIONS:
            raise FaultError("box", f"has boxes of a convention that is none: {str(name)[:40]!r}")
        return self._readers[name]

    def _things(
        self, held: Any, reader: Reader, size: tuple[Any, Any]
    ) -> tuple[tuple[Thing, ...], frozenset[str]]:
        if held is None:
            return (), frozenset()
        if not isinstance(held, list):
            raise FaultError("format", "has `instances` that are not a list")
        found = {}  # of things in one box, one
        crowds = []
        for place, instance in enumerate(held, 1):
            if not isinstance(instance, dict):
                raise FaultError("format", f"has an instance {place} that is not an object")
            category = reader.category(instance.get("category"), f"instance {place}")
            if instance.get("iscrowd"):
                crowds.append(category)
                continue
            box = reader.box(instance.get("bbox"), f"instance {place} ({category})", *size)
            found[category, box] = Thing(category, box)
        return tuple(found.values()), frozenset(crowds)

    def _regions(self, held: Any, reader: Reader, size: tuple[Any, Any]) -> tuple[Region, ...]:
        if held is None:
            return ()
        if not isinstance(held, list) or not all(isinstance(region, dict) for region in held):
            raise FaultError("format", "has `regions` that are not a list of objects")
        found = []
        for place, region in enumerate(held, 1):
            phrase = region.get("phrase")
            phrase = sentence(phrase, "phrase") if isinstance(phrase, str) else ""
            if not phrase:
                raise FaultError("format", f"has a region {place} without a phrase")
            found.append(Region(phrase, reader.box(region.get("bbox"), f"region {place}", *size)))
        return tuple(found)
