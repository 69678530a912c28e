"""Rows in tar shards, as WebDataset has them: `key.json` and `key.jpg`, or `key.txt` and `key.jpg`.

A sample is the files, one after another, whose names agree up to the first dot. Its JSON is a row of the
official format; without `conversations` its `caption`, or the text file, says what the picture shows.
Shards are read once to find where things lie, and then by offset, from any process.
"""

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from llavakit.data.pictures import TarMember, read_at, tar_members
from llavakit.data.rows import MalformedError
from llavakit.errors import UsageError

_PICTURES = {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"}
_WORDS = {"json": 0, "txt": 1}
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Shards:
    """The samples of tars, in order, as `Records`. Takes some 50 bytes a sample."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._ends: list[int] = []  # of the shards, in samples
        self._words = array("Q")  # of each sample (offset, size) of its JSON, and of its text; size 0: none
        self._pictures = array("Q")  # (offset, size) of each
        self._picture_ends = array("Q")  # of the samples, in pictures

    def scan(self) -> Iterator[Any]:
        for path in self.paths:
            for _, members in groupby(tar_members(path), lambda member: _split(member.name)[0]):
                if self._note(list(members)):
                    try:
                        yield self._record(path, len(self) - 1)
                    except MalformedError as fault:
                        yield fault
            self._ends.append(len(self._picture_ends))

    def __len__(self) -> int:
        return len(self._picture_ends)

    def __getitem__(self, index: int) -> Any:
        return self._record(self.paths[bisect_right(self._ends, index)], index)

    def where(self, index: int) -> tuple[Path, int]:
        shard = bisect_right(self._ends, index)
        return self.paths[shard], index - (self._ends[shard - 1] if shard else 0) + 1

    def embedded(self, index: int) -> list[bytes] | None:
        path = self.paths[bisect_right(self._ends, index)]
        places = self._places(index)
        return [read_at(path, *self._pictures[2 * i : 2 * i + 2]) for i in places]

    def _note(self, members: list[TarMember]) -> bool:
        """Remember where a sample's files lie; False: none of them is ours."""
        words, pictures = [0] * 4, []
        for member in members:
            last = _split(member.name)[1].rpartition(".")[2].lower()
            if last in _PICTURES:
                pictures.append(member)
            elif last in _WORDS:
                words[2 * _WORDS[last] : 2 * _WORDS[last] + 2] = member.offset, member.size
        if not pictures and not words[1] and not words[3]:
            return False
        self._words.extend(words)
        for member in sorted(pictures, key=_order):
            self._pictures.extend((member.offset, member.size))
        self._picture_ends.append(len(self._pictures) // 2)
        return True

    def _places(self, index: int) -> range:
        return range(self._picture_ends[index - 1] if index else 0, self._picture_ends[index])

    def _record(self, path: Path, index: int) -> Any:
        at, size, text_at, text_size = self._words[4 * index : 4 * index + 4]
        try:
            values = json.loads(read_at(path, at, size).decode()) if size else {}
            text = read_at(path, text_at, text_size).decode() if text_size else None
        except (ValueError, RecursionError) as error:
            raise MalformedError("json", f"is not valid JSON, or not UTF-8: {error}") from None
        if not isinstance(values, dict):
            return values
        if "conversations" not in values and text is not None:
            values["caption"] = text
        named = values.pop("image", None) or values.pop("images", None)
        count = len(self._places(index))
        if named and not count:
            raise MalformedError(
                "missing", f"names the picture {named!r}, which does not lie beside it in the tar"
            )
        return values | {"image": [f"picture {i + 1}" for i in range(count)]}


def expand(pattern: str) -> list[Path]:
    """The paths that `{000..123}` in a pattern stands for; a name without is itself."""
    found = _RANGE.search(pattern)
    if found is None:
        return [Path(pattern)]
    first, last = found.groups()
    if int(last) < int(first):
        raise UsageError(f"{pattern}: {found[0]} counts down: write the smaller number first")
    numbers = range(int(first), int(last) + 1)
    names = [f"{pattern[: found.start()]}{n:0{len(first)}d}{pattern[found.end() :]}" for n in numbers]
    return [path for name in names for path in expand(name)]


def _split(name: str) -> tuple[str, str]:
    """A sample's key, with its folder, and what follows the first dot of the file's name."""
    path = PurePosixPath(name)
    stem, _, rest = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, rest


def _order(member: TarMember) -> tuple[int, str]:
    """Pictures of a sample by number (`key.0.jpg`, `key.10.jpg`), then by name."""
    number = _split(member.name)[1].partition(".")[0]
    return int(number) if number.isdecimal() else -1, member.name
