"""COCO's annotations: a file of instances and one of captions, as `annotations_trainval2017.zip` has them.

The instances' file is an object with "images", "annotations" and "categories"
(https://cocodataset.org/#format-data). It may be of any size: it is read once, in whatever order it has, and
its annotations are put down by picture in a temporary file.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.synth.boxes import Convention, convention
from llavakit.synth.scene import Scene, SceneError, Thing
from llavakit.synth.sources.annotations import Annotations
from llavakit.synth.sources.base import Told, check_told
from llavakit.synth.sources.values import FaultError, Reader, identifier, image_name, sentences

_INSTANCES, _CAPTIONS = "instances_", "captions_"  # their files' names begin so, and end alike


class Coco(Told):
    """Scenes in the order of "images". Of a file of captions alone, scenes have no things.

    LVIS's files, which have this form, are not complete: a picture was searched for some categories only.
    """

    def __init__(
        self,
        path: Path,
        captions: Path | None = None,
        categories: Sequence[str] | None = None,
        boxes: str = "auto",
    ) -> None:
        """
        Args:
            path: of instances, or of captions alone; or the folder of one such pair
            captions: of the same pictures; those of others do not matter. None: the file of the same split
                beside `path`, if it is there
            categories: all that may be
            boxes: how they are written, one of `CONVENTIONS`, where that is not COCO's x, y, width, height in
                pixels

        Raises:
            UsageError: the folder has several pairs.
        """
        found, beside = pair(path)
        super().__init__(found)
        self.captions = beside if captions is None else captions
        if self.captions == found:
            self.captions = None
        if not found.is_file():
            raise UsageError(f"{found} cannot be read: there is no such file")
        if self.captions is not None and not self.captions.is_file():
            raise UsageError(f"{self.captions} cannot be read: there is no such file")
        known = Convention("xywh", "pixels") if boxes == "auto" else convention(boxes)
        self._reader = Reader(known, categories)

    def vocabulary(self) -> tuple[str, ...]:
        if not self._held.complete:
            return ()
        names = set(self._held.categories.values())
        return tuple(sorted(names if self._reader.known is None else names & self._reader.known))

    def count(self) -> int | None:
        """Its pictures; reads the files, as whatever asks first does."""
        return self._held.count

    @cached_property
    def _held(self) -> Annotations:
        return Annotations(self.path, self.captions)

    def _read(self) -> Iterator[Scene | SceneError]:
        for number, called, name, width, height in self._held.images():
            try:
                if called is None:
                    raise FaultError("format", "of its images has no id")
                yield self._scene(number, called, name, (width, height))
            except FaultError as fault:
                yield self._error(number, called, fault)
        for number, called, count in self._held.strays():
            which = "no image" if called is None else f"the image {called}, of which it tells nothing"
            others = f"; {count} do so" if count > 1 else ""
            yield self._error(number, "", FaultError("image", f"of its annotations names {which}{others}"))

    def _scene(self, number: int, called: Any, name: Any, size: tuple[Any, Any]) -> Scene:
        things, crowds = self._things(called, size)
        return check_told(
            Scene(
                id=identifier(called),
                image=image_name(name),
                captions=sentences(self._held.captions(called), "caption"),
                things=things,
                complete=self._held.complete,
                crowds=crowds,
                row=number,
            )
        )

    def _things(self, called: Any, size: tuple[Any, Any]) -> tuple[tuple[Thing, ...], frozenset[str]]:
        table = self._held.categories
        found = {}  # of things in one box, one
        crowds = []
        for place, category, crowd, at in self._held.things(called):
            where = f"annotation {place}"
            if category not in table:
                which = "without a category" if category is None else f"of a category {category!r}"
                raise FaultError("category", f"has an {where} {which}; the file has a table of them")
            known = self._reader.category(table[category], where)
            if crowd:
                crowds.append(known)
                continue
            box = self._reader.box(at, f"{where} ({known})", *size)
            found[known, box] = Thing(known, box)
        return tuple(found.values()), frozenset(crowds)


def pair(path: Path) -> tuple[Path, Path | None]:
    """The file of things, or else of captions, that is meant, and the file of captions of the same pictures.

    Raises:
        UsageError: there are several in a folder, or none.
    """
    if path.is_dir():
        path = _in_folder(path)
    instances, captions = (path.with_name(begin + _split(path)) for begin in (_INSTANCES, _CAPTIONS))
    if path.name.startswith(_CAPTIONS):
        return (instances, path) if instances.is_file() else (path, None)
    beside = path.name.startswith(_INSTANCES) and captions.is_file()
    return path, captions if beside else None


def in_folder(folder: Path) -> list[Path]:
    """COCO's files of a folder, or of its `annotations`; of captions only where there are none of things."""
    for begin in (_INSTANCES, _CAPTIONS):
        for place in (folder, folder / "annotations"):
            if found := sorted(each for each in place.glob(f"{begin}*.json*") if each.is_file()):
                return found
    return []


def _in_folder(folder: Path) -> Path:
    found = in_folder(folder)
    if not found:
        raise UsageError(f"{folder}: no {_INSTANCES}*.json in this folder: name COCO's file of annotations")
    if len(found) > 1:
        raise UsageError(f"{folder}: has {', '.join(each.name for each in found)}: name one of these")
    return found[0]


def _split(path: Path) -> str:
    return path.name.removeprefix(_INSTANCES).removeprefix(_CAPTIONS)
