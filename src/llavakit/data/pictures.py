"""Where a row's pictures lie: under a folder, or in a tar. Names are relative to it."""

import tarfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL.Image import Image

from llavakit.errors import LlavaError, MediaError, PictureTooLargeError, UsageError
from llavakit.media import Limits, open_image, read_encoded


class Pictures(Protocol):
    """Pictures by name."""

    path: Path

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """The picture as it is encoded.

        Raises:
            MediaError: there is none, or it is larger than a picture may be.
        """
        ...

    def open(self, name: str) -> Image:
        """The picture, RGB and upright.

        Raises:
            MediaError: there is none, or it cannot be opened safely.
        """
        ...


class Folder:
    """Files under a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        return read_encoded(self.path / name)

    def open(self, name: str) -> Image:
        return open_image(self.path / name)


class Tar:
    """Members of an uncompressed tar, found once and read by offset, from any process.

    Takes about 60 bytes a picture, most of them its name's letters.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = {member.name.removeprefix("./"): member for member in tar_members(path)}
        names = sorted(name.encode("utf-8", "surrogateescape") for name in found)
        members = [found[name.decode("utf-8", "surrogateescape")] for name in names]
        self._letters = b"".join(names)
        self._ends = array("Q", accumulate(map(len, names)))
        self._offsets = array("Q", (member.offset for member in members))
        self._sizes = array("Q", (member.size for member in members))

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def read(self, name: str) -> bytes:
        at = self._find(name)
        if at is None:
            raise MediaError(f"{self.path} holds no {name!r}: check the name, or the tar")
        if self._sizes[at] > Limits().max_bytes:
            raise PictureTooLargeError(f"{name} has {self._sizes[at] / 2**20:.1f} MiB: shrink it first")
        return read_at(self.path, self._offsets[at], self._sizes[at])

    def open(self, name: str) -> Image:
        return open_image(self.read(name))

    def _name(self, index: int) -> bytes:
        return self._letters[self._ends[index - 1] if index else 0 : self._ends[index]]

    def _find(self, name: str) -> int | None:
        wanted = name.removeprefix("./").encode("utf-8", "surrogateescape")
        at = bisect_left(range(len(self._ends)), wanted, key=self._name)
        return at if at < len(self._ends) and self._name(at) == wanted else None


class TarMember(NamedTuple):
    """A file in a tar: where its bytes lie."""

    name: str
    offset: int
    size: int


def open_pictures(path: Path) -> Pictures:
    """The pictures of a folder or a .tar.

    Raises:
        UsageError: there is neither.
        LlavaError: the tar cannot be read.
    """
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Tar(path)
    raise UsageError(f"there is no folder or .tar of pictures {path}")


def tar_members(path: Path) -> Iterator[TarMember]:
    """The regular files of an uncompressed tar, in order.

    Raises:
        LlavaError: it is no such tar, or is cut short.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # which would hold them all
                if member.isreg() and not member.issparse():
                    if member.offset_data + member.size > path.stat().st_size:
                        raise tarfile.ReadError(f"cut short in {member.name!r}")
                    yield TarMember(member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise LlavaError(
            f"{path} cannot be read as a tar without compression: {error}. Unpack it, or fetch it again"
        ) from None


def read_at(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a file from `offset` on.

    It is opened each time, for some 10 µs: nothing is then shared between processes.

    Raises:
        LlavaError: it is gone, or shorter than it was.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise LlavaError(f"{path} can no longer be read ({error.strerror}): is it still there?") from None
    if len(data) != size:
        raise LlavaError(f"{path} is shorter than when it was opened: do not change data while it is read")
    return data
