"""Rows in Parquet: columns id, image or images, conversations or caption.

`image` holds names, or the pictures themselves as Hugging Face's libraries write them: a struct of `bytes`
and `path`, or a list of these. Of the words a compressed copy is kept in memory, for Parquet cannot give
back a single row; a picture is read, with the others of its row group, when it is asked for.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from llavakit.data.json_rows import Packed
from llavakit.data.rows import MalformedError
from llavakit.errors import LlavaError, UsageError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_COLUMNS = ("id", "image", "images", "conversations", "caption", "video")
_one_reader = Lock()  # of several threads that want the same row group, one reads it
_BATCH = 512  # rows decoded at a time while a file is read through


class ParquetRows:
    """The rows of one file, as `Records`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packed = Packed()
        self._column: str | None = None  # of embedded pictures
        self._ends: list[int] = []  # of the row groups

    def scan(self) -> Iterator[Any]:
        import pyarrow as pa

        file = open_parquet(self.path)
        self._column = embedded_column(file)
        groups = range(file.metadata.num_row_groups)
        self._ends = list(accumulate(file.metadata.row_group(group).num_rows for group in groups))
        wanted = _read_through(file, self._column)
        try:
            for batch in file.iter_batches(_BATCH, columns=wanted, use_threads=False):
                for values in batch.to_pylist():
                    record = self._record(values)
                    self._packed.append(json.dumps(record, default=str).encode())
                    yield record
        except (OSError, pa.ArrowException) as error:
            raise LlavaError(f"{self.path} cannot be read: {error}") from None
        self._packed.close()

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int) -> Any:
        return json.loads(self._packed[index])

    def where(self, index: int) -> tuple[Path, int]:
        return self.path, index + 1

    def embedded(self, index: int) -> list[bytes] | None:
        if self._column is None:
            return None
        group = bisect_right(self._ends, index)
        place = index - (self._ends[group - 1] if group else 0)
        with _one_reader:
            value = _pictures(self.path, group, self._column)[place].as_py()
        found = [picture["bytes"] for picture in _listed(value)]
        if None in found:
            raise MalformedError("missing", f"has a picture {found.index(None) + 1} without bytes")
        return found

    def _record(self, values: dict[str, Any]) -> dict[str, Any]:
        """A row as JSON has it: no empty columns, and embedded pictures named by their number."""
        record = {name: value for name, value in values.items() if value is not None}
        if self._column in record:
            count = len(_listed(record[self._column]))
            record[self._column] = [f"picture {i + 1}" for i in range(count)]
        return record


def open_parquet(path: Path) -> "pq.ParquetFile":
    """A Parquet file, opened.

    Raises:
        UsageError: there is none, or pyarrow is not installed.
        LlavaError: it is not Parquet, or damaged.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"{path}: to read Parquet, pip install 'llavakit[train]'") from None
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise UsageError(f"{path} cannot be read: there is no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise LlavaError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def embedded_column(file: "pq.ParquetFile") -> str | None:
    """The column that holds pictures themselves, where one does."""
    import pyarrow as pa

    for name in ("image", "images"):
        if name in file.schema_arrow.names:
            kind = file.schema_arrow.field(name).type
            if pa.types.is_list(kind) or pa.types.is_large_list(kind):
                kind = kind.value_type
            if pa.types.is_struct(kind) and "bytes" in [kind.field(i).name for i in range(kind.num_fields)]:
                return name
    return None


def _read_through(file: "pq.ParquetFile", embedded: str | None) -> list[str]:
    """The columns to read of every row: all that we know, but for the bytes of pictures.

    Where a picture has nothing but bytes, they have to be read to know how many pictures there are.
    """
    known = [file.schema.column(i).path for i in range(len(file.schema))]
    known = [path for path in known if path.split(".")[0] in _COLUMNS]
    light = [path for path in known if path.split(".")[0] != embedded or not path.endswith(".bytes")]
    told = embedded is None or any(path.split(".")[0] == embedded for path in light)
    return light if told else known


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


@lru_cache(maxsize=2)  # for whoever reads rows in order, in several threads
def _pictures(path: Path, group: int, column: str) -> Any:
    """The pictures' column of a row group, encoded as they are."""
    file = open_parquet(path)
    return file.read_row_group(group, columns=[column], use_threads=False).column(column)


def rewrite(source: Path, out: Path, rows: Iterator[dict[str, Any] | None]) -> None:
    """A copy of a file with the words of `rows` in place of its own; rows that are None are left out.

    Row groups stay as large as they were, less what is left out; ids become text.

    Raises:
        OSError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = open_parquet(source)
    schema = file.schema_arrow
    if "id" in schema.names:
        schema = schema.set(schema.get_field_index("id"), pa.field("id", pa.string()))
    with pq.ParquetWriter(out, schema) as writer:
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            new = [next(rows) for _ in range(table.num_rows)]
            table = table.filter(pa.array([values is not None for values in new]))
            for name in ("id", "conversations"):
                if name in schema.names:
                    values = [values.get(name) for values in new if values is not None]
                    if name == "id":
                        values = [None if value is None else str(value) for value in values]
                    column = pa.array(values, schema.field(name).type)
                    table = table.set_column(schema.get_field_index(name), schema.field(name), column)
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
