"""Tables as benchmarks ship them: JSON lines, JSON, CSV, TSV, xlsx, Parquet; one dictionary a row."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.files import read_text

Row = dict[str, Any]

csv.field_size_limit(sys.maxsize)  # MMBench keeps its pictures in a column


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, of the kind that its name says; of a folder, those of all such files in it.

    A JSON file holds a list of objects, or an object of objects or texts by id: then "question_id" is the
    key, and a text becomes "text".

    Raises:
        UsageError: the file cannot be read, or a row is malformed; names the file and the line.
    """
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in _READERS)
        if not files:
            raise UsageError(f"{path}: no file of rows in this folder ({', '.join(_READERS)})")
        return [row for file in files for row in read_rows(file)]
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: rows are read from {', '.join(_READERS)} files")
    try:
        return list(reader(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            line = line.strip().removesuffix(",")  # SEED-Bench's authors end their lines so
            if line:
                where = f"{path}, line {number}"
                yield _object(_parsed(line, where), where)


def _json(path: Path) -> Iterator[Row]:
    text = read_text(path)
    try:
        held = _parsed(text, str(path))
    except UsageError:
        if "\n" not in text.strip():
            raise
        yield from _json_lines(path)  # POPE's own files are lines, whatever they are called
        return
    if isinstance(held, list):
        for number, row in enumerate(held, 1):
            yield _object(row, f"{path}, row {number}")
        return
    if "question_id" in _object(held, str(path)):  # a single line
        yield held
        return
    for key, value in held.items():
        yield {"question_id": key} | (value if isinstance(value, dict) else {"text": value})


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({error})") from None


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise UsageError(f"{where}: {type(row).__name__} where an object is expected")
    return row


def _csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(
                        f"{path}, line {reader.line_num}: not as many fields as there are columns"
                    )
                yield dict(row)
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}: {error}") from None


def _tsv(path: Path) -> Iterator[Row]:
    return _csv(path, "\t")


def _xlsx(path: Path) -> Iterator[Row]:
    try:
        import openpyxl
    except ImportError:
        raise UsageError(f"{path}: xlsx needs one more library: pip install 'llavakit[eval]'") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except OSError:
        raise
    except Exception as error:  # a zip that is none, a workbook without its parts
        raise UsageError(f"{path}: not an xlsx file ({error})") from None
    rows = book.worksheets[0].iter_rows(values_only=True)
    names = [str(name) for name in next(rows, ())]
    for values in rows:
        if any(value is not None for value in values):
            yield {name: value for name, value in zip(names, values, strict=False) if value is not None}


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UsageError(
            f"{path}: Parquet files need one more library: pip install 'llavakit[eval]'"
        ) from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches(256):
            yield from batch.to_pylist()
    except ArrowException as error:
        raise UsageError(f"{path}: not a Parquet file ({error})") from None


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".tsv": _tsv, ".xlsx": _xlsx, ".parquet": _parquet,
}  # fmt: skip


def field(row: Row, names: tuple[str, ...], path: Path, number: int | None = None) -> Any:
    """The first of these that the row has.

    Args:
        number: of the row, for the error

    Raises:
        UsageError: it has none.
    """
    for name in names:
        if name in row:
            return row[name]
    had = ", ".join(str(name)[:40] for name in list(row)[:8]) or "nothing"
    had += ", …" if len(row) > 8 else ""
    which = "a row" if number is None else f"row {number}"
    raise UsageError(f"{path}: {which} has no {' or '.join(repr(name) for name in names)} (it has {had})")


def read_json(path: Path) -> Any:
    """All that a JSON file holds.

    Raises:
        UsageError: it cannot be read, or is not JSON.
    """
    return _parsed(read_text(path), str(path))


def listed(path: Path, key: str) -> list[Row]:
    """The rows that a JSON file's one object holds in a list, as {"questions": [{...}, ...]}.

    Raises:
        UsageError: the file cannot be read, or holds no such list of objects.
    """
    return lists(path, key)[0]


def lists(path: Path, *keys: str) -> list[list[Row]]:
    """As `listed`, for several lists."""
    held = read_json(path)
    for key in keys:
        if not isinstance(held, dict) or not isinstance(held.get(key), list):
            raise UsageError(f"{path}: an object with a list {key!r} is expected")
    return [
        [_object(row, f"{path}, {key}, row {number}") for number, row in enumerate(held[key], 1)]
        for key in keys
    ]


def check_folder(data: Path) -> None:
    """
    Raises:
        UsageError: it is none.
    """
    if not data.is_dir():
        raise UsageError(f"{data}: there is no such folder; --data names the one with the benchmark's files")


def find(data: Path, *patterns: str) -> Path:
    """The file or folder below `data` that the first fitting pattern finds; of several, the one least deep.

    Raises:
        UsageError: there is none.
    """
    check_folder(data)
    for pattern in patterns:
        found = sorted(data.rglob(pattern), key=lambda path: (len(path.parts), path))
        if found:
            return found[0]
    raise UsageError(f"{data}: no {' or '.join(patterns)} in this folder")
