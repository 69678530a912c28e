"""A clean copy of a file of instruction data: what is safe to repair is repaired, the rest left out."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from llavakit.data.check import KINDS, Checker, record
from llavakit.data.instruct import InstructData
from llavakit.data.json_rows import JsonRows
from llavakit.data.parquet import ParquetRows, rewrite
from llavakit.data.rows import IMAGE, MalformedError, row_id
from llavakit.errors import LlavaError, UsageError
from llavakit.files import whole


@dataclass
class Fixed:
    """What a clean copy was made of.

    Attributes:
        kept: its rows
        repaired: what was done to them, and to how many
        left_out: kinds of faults (`KINDS`) of the rows that are not in it, and how many each
    """

    kept: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def fix(checker: Checker, out: Path, on_rows: Callable[[int], None] = lambda rows: None) -> Fixed:
    """Write a clean copy of the checker's data to `out`, whole or not at all.

    It is JSON lines where the source is or `out` is called .jsonl, else a JSON array; Parquet from Parquet.
    A name that ends in .gz is gzipped.

    Args:
        on_rows: told how many more rows are done

    Raises:
        UsageError: `out` exists, or the data is no single file.
        LlavaError: it cannot be written, or no row is left.
    """
    data, done = checker.data, Fixed()
    check_out(data, out)
    rows = _clean(checker, done, on_rows)
    with whole(out) as partial:
        if isinstance(data.records, ParquetRows):
            rewrite(data.records.path, partial, rows)
        else:
            lines = getattr(data.records, "lines", False) or ".jsonl" in out.suffixes
            with gzip.open(partial, "wb") if out.suffix == ".gz" else partial.open("wb") as file:
                _write_json(cast(BinaryIO, file), rows, lines)
        if not done.kept:
            worst = KINDS[done.left_out.most_common(1)[0][0]].title
            raise LlavaError(f"{data.path}: no row would be left, most of them for this: {worst}")
    return done


def _write_json(file: BinaryIO, rows: Iterator[dict[str, Any] | None], lines: bool) -> None:
    before, between, after = (b"", b"\n", b"\n") if lines else (b"[\n", b",\n", b"\n]\n")
    file.write(before)
    first = True
    for values in rows:
        if values is not None:
            # A lone surrogate, which no encoding can write, stays an escape in the fields that nobody reads.
            written = json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")
            file.write(written if first else between + written)
            first = False
    file.write(after)


def check_out(data: InstructData, out: Path) -> None:
    """See that `fix` could write `out`.

    Raises:
        UsageError: it could not.
    """
    if not isinstance(data.records, JsonRows | ParquetRows):
        raise UsageError(
            f"{data.path} is not one file of JSON, JSON lines or Parquet: --fix copies those, one at a time"
        )
    if out.exists():
        raise UsageError(f"{out} is there already: choose another name for the clean copy")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}")
    if isinstance(data.records, ParquetRows) != (out.suffix == ".parquet"):
        raise UsageError(f"{out}: a copy of Parquet is Parquet, of JSON is JSON: choose a name that says so")


def repair(values: Any) -> tuple[Any, list[str]]:
    """A record with what is safe to repair repaired, and what was done.

    A picture that no turn places is put first; surplus placeholders are dropped, and so are an opening
    answer, and turns at the end that have no words or no answer. Anything else stays as it is.
    """
    turns = values.get("conversations") if isinstance(values, dict) else None
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        return values, []
    turns, done = [dict(turn) for turn in turns], []
    if turns and turns[0]["from"] == "gpt":
        del turns[0]
        done.append("an opening answer dropped")
    while turns and (turns[-1]["from"] == "human" or not turns[-1]["value"].strip()):
        turns.pop()
        if "turns at the end without an answer dropped" not in done:
            done.append("turns at the end without an answer dropped")
    given = values.get("image", values.get("images"))
    count = len(given) if isinstance(given, list) else int(given is not None)
    asked = [turn for turn in turns if turn["from"] == "human"]
    places = sum(turn["value"].count(IMAGE) for turn in asked)
    if asked and count and not places:
        asked[0]["value"] = f"{IMAGE}\n" * count + asked[0]["value"]
        done.append(f"a missing {IMAGE} put first")
    elif count and places > count:
        left = count
        for turn in asked:
            pieces = turn["value"].split(IMAGE)
            shown = min(left, len(pieces) - 1)
            turn["value"] = IMAGE.join(pieces[: shown + 1]) + "".join(pieces[shown + 1 :])
            left -= shown
        done.append(f"surplus {IMAGE} dropped")
    return ({**values, "conversations": turns}, done) if done else (values, [])


def _clean(checker: Checker, done: Fixed, on_rows: Callable[[int], None]) -> Iterator[dict[str, Any] | None]:
    """Each row repaired, or None where it is left out."""
    seen: set[str] = set()
    for index in range(len(checker.data)):
        on_rows(1)
        given = record(checker.data, index)
        values, repairs = repair(given)
        if repairs and not values["conversations"]:
            faults = [fault.kind for fault in checker.examine(index, given).faults]
        else:
            faults = [f.kind for f in checker.examine(index, values).faults if KINDS[f.kind].skipped]
        if faults or isinstance(values, MalformedError):
            done.left_out[faults[0]] += 1
            yield None
            continue
        own = row_id(values)
        if own in seen:
            number = 2
            while f"{own}-{number}" in seen:
                number += 1
            values = {**values, "id": f"{own}-{number}"}
            repairs = [*repairs, "an id made unique"]
        if own:
            seen.add(row_id(values))
        done.repaired.update(repairs)
        done.kept += 1
        yield values


def _is_turn(turn: Any) -> bool:
    return (
        isinstance(turn, dict) and turn.get("from") in ("human", "gpt") and isinstance(turn.get("value"), str)
    )
