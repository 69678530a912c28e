"""A folder of pictures, each with a text beside it: of dog.jpg, dog.txt has captions, one a line."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from llavakit.errors import UsageError
from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.sources.base import Told, check_told
from llavakit.synth.sources.values import FaultError, image_name, sentences

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"))

_TEXT = ".txt"
_LARGEST = 1 << 20  # bytes of a text: more is something else, and would not be bounded


class Folder(Told):
    """With its subfolders, by name; what is hidden, and folders that links lead to, are passed over.

    A picture's id is its path without the ending. Memory: the names in one folder.
    """

    def _read(self) -> Iterator[Scene | SceneError]:
        for number, (picture, text) in enumerate(walk(self.path), 1):
            called = _utf8((picture or text or Path()).relative_to(self.path).with_suffix("").as_posix())
            try:
                yield self._scene(picture, text, called, number)
            except FaultError as fault:
                yield self._error(number, called, fault)

    def _scene(self, picture: Path | None, text: Path | None, called: str, number: int) -> Scene:
        if picture is None:
            raise FaultError("image", f"has a text, {called}{_TEXT}, and no picture of that name beside it")
        name = image_name(picture.relative_to(self.path).as_posix())
        if text is None:
            raise FaultError("captions", f"has a picture, {name}, and no {picture.stem}{_TEXT} beside it")
        captions = sentences(_lines(text), "caption")
        return check_told(Scene(called, name, captions, complete=False, row=number))


def walk(folder: Path) -> Iterator[tuple[Path | None, Path | None]]:
    """(picture, text) of each name that has either, in the order of names.

    Raises:
        UsageError: a folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            held = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not entry.name.startswith(".")
            )
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror or error}") from None
    names = {name for name, is_folder in held if not is_folder}
    texts = {name[: -len(_TEXT)]: name for name in names if name.lower().endswith(_TEXT)}
    told = set()
    for name, is_folder in held:
        stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix
        if is_folder:
            yield from walk(folder / name)
        elif ending.lower() in PICTURES:
            text = texts.get(stem)
            told.add(stem)
            yield folder / name, folder / text if text else None
    for stem in sorted(texts.keys() - told):
        yield None, folder / texts[stem]


def _utf8(name: str) -> str:
    """A file's name, its bytes that are not UTF-8 made visible."""
    return name.encode("utf-8", "replace").decode()


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise FaultError("format", f"has a text that cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST:
        raise FaultError("format", f"has a text of more than {_LARGEST >> 20} MiB")
    try:
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise FaultError("format", "has a text that is not UTF-8") from None
