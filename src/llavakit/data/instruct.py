"""Instruction data: the rows of a file, or of several, with their pictures, as conversations.

Every format becomes `Records`; what a row must be is said in `rows.py`. Reading a file checks every row,
and keeps a few numbers of each. Pictures are opened only when an example is asked for.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL.Image import Image

from llavakit.data.json_rows import JsonRows
from llavakit.data.parquet import ParquetRows
from llavakit.data.pictures import Pictures, open_pictures
from llavakit.data.records import Joined, Records
from llavakit.data.rows import MalformedError, Row, RowError, parse_row, row_id
from llavakit.data.webdataset import Shards, expand
from llavakit.errors import LlavaError, MediaError, PictureTooLargeError, UsageError
from llavakit.media import open_image
from llavakit.prompt.messages import Message

_JSON = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
_ROWS = (*_JSON, ".parquet")
_TRIED = 50  # pictures looked for before training: are they where they are said to be?


class InstructData:
    """The rows of `path` as conversations.

    Args:
        path: JSON, JSON lines (also gzipped) or Parquet; a .tar of WebDataset samples, or several by
            `{000..123}` in the name; a folder of any of these
        images: the folder or .tar that pictures' names are relative to; default: where `path` lies

    Attributes:
        bad: the rows that are not of the format, from 0; to ask for one raises `RowError`

    Raises:
        UsageError: there is no such file.
        LlavaError: it cannot be read, has no rows, or none that is of the format.
    """

    def __init__(self, path: Path | str, images: Path | str | None = None) -> None:
        self.path = Path(path)
        self.records = open_records(self.path)
        self._words = array("I")
        self._pictured = bytearray()  # a byte a row
        self.bad: list[int] = []
        first: MalformedError | None = None
        for index, values in enumerate(self.records.scan()):
            words = pictures = 0
            try:
                row = _parse(values, index + 1)
                words, pictures = row.words, len(row.images)
            except MalformedError as fault:
                self.bad.append(index)
                first = first or fault
            self._words.append(words)
            self._pictured.append(pictures > 0)
        if not len(self):
            raise LlavaError(f"{path} has no rows: it should be a JSON array of conversations, or JSON lines")
        if first is not None and len(self.bad) == len(self):
            raise LlavaError(f"{path} has no row that can be used: the first {first.reason}")
        where = self.path if self.path.is_dir() else self.path.parent
        self.images = where if images is None else Path(images)
        self._places: Pictures | None = None

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, index: int) -> tuple[Message, ...]:
        """A row as a conversation, its pictures open.

        Raises:
            RowError: it is not of the format, or a picture of it cannot be opened.
        """
        row = self.row(index)
        encoded = self._embedded(index, row)
        pictures: list[Image] = []
        for i, name in enumerate(row.images):
            try:
                pictures.append(self.place.open(name) if encoded is None else open_image(encoded[i]))
            except MediaError as error:
                raise self._unopened(index, row, name, error, encoded is not None) from None
        return row.with_pictures(pictures)

    def row(self, index: int) -> Row:
        """A row without its pictures.

        Raises:
            RowError: it is not of the format.
        """
        index = range(len(self))[index]
        values = None
        try:
            values = self.records[index]
            return _parse(values, self.records.where(index)[1])
        except MalformedError as fault:
            raise self.fault(index, fault.reason, fault.kind, row_id(values)) from None

    def read(self, index: int, row: Row | None = None) -> list[bytes]:
        """A row's pictures as they are encoded.

        Args:
            row: the row, where it is known already

        Raises:
            RowError: the row is not of the format, or a picture is missing.
        """
        row = row or self.row(index)
        encoded = self._embedded(index, row)
        if encoded is not None:
            return encoded
        found = []
        for name in row.images:
            try:
                found.append(self.place.read(name))
            except MediaError as error:
                raise self._unopened(index, row, name, error) from None
        return found

    def size(self, index: int) -> tuple[bool, int]:
        """Whether a row has pictures, and about how many words it has; a picture counts as 128."""
        return bool(self._pictured[index]), self._words[index]

    def name(self, index: int) -> str:
        """A row as a message names it."""
        path, number = self.records.where(index)
        try:
            return f"{path} row {number} (id {self.row(index).id})"
        except RowError:
            return f"{path} row {number}"

    def fault(self, index: int, reason: str, kind: str, id_: str = "") -> RowError:
        """What is wrong with a row, as an error that names it."""
        path, number = self.records.where(index)
        return RowError(str(path), number, id_, reason, kind)

    @property
    def place(self) -> Pictures:
        """Where pictures lie that are not in the file itself."""
        if self._places is None:
            self._places = open_pictures(self.images)
        return self._places

    def check_pictures(self) -> None:
        """See that pictures are where they are said to be, by looking for the first few.

        Raises:
            LlavaError: there is no such folder or tar, or none of the first pictures is in it.
        """
        named = self._named()
        first = next(named, None)
        if first is None:
            return
        remedy = "say where the pictures lie: `images` in a recipe, --images on the command line"
        if not self.images.exists():
            raise UsageError(
                f"there is no folder or .tar {self.images}: {self.path} names the picture {first!r}; {remedy}"
            )
        tried = [first, *(name for _, name in zip(range(_TRIED - 1), named, strict=False))]
        if not any(name in self.place for name in tried):
            raise LlavaError(
                f"{self.images} has none of the first {len(tried)} pictures that {self.path} names, such as "
                f"{first!r}; {remedy}"
            )

    def _named(self) -> Iterator[str]:
        """Names of pictures that lie outside the file, in order."""
        for index, pictured in enumerate(self._pictured):
            if pictured:
                row = self.row(index)
                if self._embedded(index, row) is not None:
                    return
                yield from row.images

    def _embedded(self, index: int, row: Row) -> list[bytes] | None:
        if not row.images:
            return None
        try:
            return self.records.embedded(index)
        except MalformedError as fault:
            raise self.fault(index, fault.reason, fault.kind, row.id) from None

    def _unopened(self, index: int, row: Row, name: str, error: MediaError, inside: bool = False) -> RowError:
        kind, reason = unopened(name, error)
        if kind == "corrupt" and not inside and name not in self.place:
            kind = "missing"
        return self.fault(index, reason, kind, row.id)


def unopened(name: str, error: MediaError) -> tuple[str, str]:
    """The kind of fault that a picture has which is there and cannot be opened, and what to say of it."""
    kind = "large" if isinstance(error, PictureTooLargeError) else "corrupt"
    return kind, f"has a picture {name!r} that cannot be opened: {error}"


def _parse(values: object, number: int) -> Row:
    if isinstance(values, MalformedError):
        raise values
    return parse_row(values, number)


def open_records(path: Path) -> Records:
    """The rows that `path` names, in whatever format, not yet read.

    Raises:
        UsageError: there is nothing there, or nothing that is known.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(_ROWS))
        shards = sorted(path.glob("*.tar"))
        if not files and not shards:
            raise UsageError(f"{path} holds no rows: none of {', '.join(_ROWS)}, .tar. Name the file itself")
        return Joined([_open_file(file) for file in files]) if files else Shards(shards)
    several = expand(str(path))
    if missing := [file for file in several if not file.is_file()]:
        raise UsageError(f"{missing[0]} cannot be read: there is no such file")
    if all(file.suffix == ".tar" for file in several):
        return Shards(several)
    parts: Sequence[Records] = [_open_file(file) for file in several]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _open_file(path: Path) -> Records:
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    return ParquetRows(path) if parquet or path.suffix == ".parquet" else JsonRows(path)
