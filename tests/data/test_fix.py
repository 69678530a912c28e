"""A clean copy: what is safe to repair is repaired, what is not is left out, the rest is as it was."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from data.files import gpt, human, picture, row, rows, write_json, write_parquet, write_tar
from data.test_check import ASK, FAULTS, GOOD, encoder
from llavakit.data.check import KINDS, Checker, check
from llavakit.data.fix import Fixed, fix, repair
from llavakit.data.instruct import InstructData
from llavakit.errors import LlavaError, UsageError


def mend(path: Path, out: Path, pictures: Path | None = None) -> Fixed:
    return fix(Checker(InstructData(path, pictures), encoder(), 200), out)


@pytest.mark.parametrize(
    ("given", "repaired"),
    [
        (row(human("Hi"), gpt("Ho"), image="a"), [human("<image>\nHi"), gpt("Ho")]),
        (row(human("Hi"), gpt("Ho"), image=["a", "b"]), [human("<image>\n<image>\nHi"), gpt("Ho")]),
        (row(human("<image> Hi <image>"), gpt("Ho"), image="a"), [human("<image> Hi "), gpt("Ho")]),
        (
            row(human("<image>"), gpt("A"), human("<image> B <image>"), gpt("C"), images=["a", "b"]),
            [human("<image>"), gpt("A"), human("<image> B "), gpt("C")],
        ),
        (row(human("Hi"), gpt("Ho"), human("?")), [human("Hi"), gpt("Ho")]),
        (row(human("Hi"), gpt("Ho"), human("?"), gpt(" ")), [human("Hi"), gpt("Ho")]),
        (row(gpt("Hi"), human("Hi"), gpt("Ho")), [human("Hi"), gpt("Ho")]),
        (row(human("Hi"), gpt("")), []),
    ],
)
def test_what_is_safe_to_repair_is_repaired(given: dict[str, Any], repaired: list[Any]) -> None:
    before = json.dumps(given)
    values, done = repair(given)
    assert (values["conversations"], len(done)) == (repaired, 1)
    assert json.dumps(given) == before  # the record itself is not touched


@pytest.mark.parametrize(
    "values",
    [
        GOOD,
        row(human("Hi <image>"), gpt("Ho")),  # a tag, or a lost picture: nobody can tell
        row(human("<image>"), gpt("Ho"), image=["a", "b"]),  # whose place is it?
        row(human("Hi"), human("Ho"), gpt("Ha")),
        row(human("Hi"), "Ho"),
        "text",
    ],
)
def test_what_is_not_safe_to_repair_stays_as_it_is(values: Any) -> None:
    assert repair(values) == (values, [])


def test_a_clean_copy_has_nothing_that_a_run_would_leave_out(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(picture("red"))
    source = write_json(tmp_path / "a.json", [GOOD, *FAULTS.values(), GOOD])
    before = source.read_bytes()
    done = mend(source, tmp_path / "b.json", pictures)
    # Of what a run would leave out, one row is repaired: its picture is given a place. An empty answer is all
    # that its row has to teach. Two of the pictures are not in this folder, so three are missing.
    lost = {kind for kind in FAULTS if KINDS[kind].skipped} - {"placeholders", "corrupt", "large"}
    assert done.left_out == dict.fromkeys([*lost, "answer"], 1) | {"missing": 3}
    assert done.kept + done.left_out.total() == len(FAULTS) + 2
    report = check(Checker(InstructData(tmp_path / "b.json", pictures), encoder(), 200))
    assert (report.rows, report.skipped) == (done.kept, 0)
    assert set(report.found) <= {"truncated", "letters"}
    assert source.read_bytes() == before


def test_ids_are_made_unique_and_the_first_keeps_its_own(tmp_path: Path) -> None:
    values = [row(human("Hi"), gpt("Ho"), id=i) for i in ("x", "x", "x-2", 7, "7", "x")]
    values.append({"conversations": [human("Hi"), gpt("Ho")]})
    done = mend(write_json(tmp_path / "a.json", values), tmp_path / "b.json")
    copied = json.loads((tmp_path / "b.json").read_text())
    assert [each.get("id") for each in copied] == ["x", "x-2", "x-2-2", 7, "7-2", "x-3", None]
    assert done.repaired == {"an id made unique": 4}


@pytest.mark.parametrize(
    ("name", "out"), [("a.json", "b.json"), ("a.jsonl", "b.jsonl"), ("a.json", "b.jsonl.gz")]
)
def test_a_copy_is_of_the_format_of_its_source_or_of_its_name(tmp_path: Path, name: str, out: str) -> None:
    values = rows(3, note={"kept": ["ü\u2028", 1.5, None]})
    mend(write_json(tmp_path / name, values), tmp_path / out)
    data = (tmp_path / out).read_bytes()
    text = (gzip.decompress(data) if out.endswith(".gz") else data).decode()
    assert text.startswith("[") == (out == "b.json")
    copied = json.loads(text) if out == "b.json" else [json.loads(line) for line in text.strip().split("\n")]
    assert copied == values


def test_parquet_is_copied_with_its_pictures_and_row_groups(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    values = [row(ASK, gpt("Ho"), id=i % 4, note=f"n{i}", image={"bytes": picture("red")}) for i in range(5)]
    values[1]["conversations"][0] = human("What?")  # no place for its picture
    values[2]["conversations"] = []
    source = write_parquet(tmp_path / "a.parquet", values)
    done = mend(source, tmp_path / "b.parquet")
    assert (done.kept, done.left_out.total()) == (4, 1)
    assert done.repaired == {"a missing <image> put first": 1, "an id made unique": 1}
    table = pq.read_table(tmp_path / "b.parquet")
    assert table.column("id").to_pylist() == ["0", "1", "3", "0-2"]
    assert table.column("note").to_pylist() == ["n0", "n1", "n3", "n4"]
    assert [image["bytes"] for image in table.column("image").to_pylist()] == [picture("red")] * 4
    assert pq.ParquetFile(tmp_path / "b.parquet").metadata.num_row_groups == 3
    assert check(Checker(InstructData(tmp_path / "b.parquet"), encoder(), 200)).found == {}


def test_a_copy_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    source = write_json(tmp_path / "a.json", rows(3))
    data = InstructData(source)

    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fix(Checker(data, encoder(), 200), tmp_path / "b.json", stop)
    with pytest.raises(LlavaError, match="no row would be left, most of them for this: no token"):
        fix(Checker(data, encoder(), 10, "trust"), tmp_path / "b.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_copy_takes_no_other_files_place(tmp_path: Path) -> None:
    source = write_json(tmp_path / "a.json", rows(1))
    with pytest.raises(UsageError, match=r"a\.json is there already"):
        mend(source, source)
    with pytest.raises(UsageError, match="no folder"):
        mend(source, tmp_path / "none" / "b.json")
    with pytest.raises(UsageError, match="a copy of Parquet is Parquet"):
        mend(source, tmp_path / "b.parquet")
    shard = write_tar(tmp_path / "a.tar", {"0.json": json.dumps(rows(1)[0])})
    with pytest.raises(UsageError, match="not one file of JSON"):
        mend(shard, tmp_path / "b.json")
