"""A benchmark's pictures: found below a folder, whatever their endings are called."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from llavakit.errors import UsageError
from llavakit.evaluate.answers import ENDINGS, Question
from llavakit.media import open_image

_MAGIC = ((b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"))  # else JPEG


def data_uri(encoded: bytes) -> str:
    """A picture's file as text, which goes wherever a name of one goes."""
    kind = next((kind for magic, kind in _MAGIC if encoded.startswith(magic)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def cell_uri(cell: Any) -> str | None:
    """Of a cell of the hub's Parquet files, {"bytes": …}; None where it has none."""
    held = cell.get("bytes") if isinstance(cell, dict) else None
    return data_uri(held) if isinstance(held, bytes) else None


class Pictures:
    """
    Args:
        folders: where to look, in this order; those that do not exist are passed over
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [folder for folder in folders if folder.is_dir()]
        self._names: dict[str, Path] | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(str(folder.absolute()) for folder in self._folders)

    def find(self, name: str) -> str | Path | None:
        """The file of that name, or what holds the picture itself (`data:`); None: it is not here.

        A name with another ending is found, and one that lies deeper, if it is the only one so called.
        """
        if name.startswith("data:"):
            return name
        for folder in self._folders:
            if (path := folder / name).is_file():
                return path
            for ending in ENDINGS:
                if (path := folder / name).with_suffix(ending).is_file():
                    return path.with_suffix(ending)
        return self._deeper().get(Path(name).stem)

    def opened(self, names: Iterable[str]) -> list[Image.Image]:
        """Those of a question, all of which `check` has found.

        Raises:
            MediaError: one cannot be opened.
        """
        return [open_image(found) for name in names if (found := self.find(name)) is not None]

    def _deeper(self) -> dict[str, Path]:
        if self._names is None:
            found: dict[str, list[Path]] = {}
            for folder in self._folders:
                for path in folder.rglob("*"):
                    if path.suffix.lower() in ENDINGS:
                        found.setdefault(path.stem, []).append(path)
            self._names = {stem: paths[0] for stem, paths in found.items() if len(paths) == 1}
        return self._names

    def check(self, questions: Sequence[Question]) -> None:
        """
        Raises:
            UsageError: pictures are missing; names how many and the first.
        """
        shown = dict.fromkeys(name for question in questions for name in question.images)
        missing = [name for name in shown if self.find(name) is None]
        if missing:
            where = " or ".join(map(str, self._folders)) or "any folder (name it with --images)"
            raise UsageError(
                f"{len(missing)} of {len(shown)} pictures are missing, the first is {missing[0]}: "
                f"not in {where}"
            )
