"""A file looked over: every kind of fault is found, counted, and named by row."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data.files import gpt, human, picture, row, write_json, write_parquet
from llavakit.config import ImageConfig, Tiling
from llavakit.data.check import KINDS, Checker, Report, check
from llavakit.data.collate import TokenCollator
from llavakit.data.instruct import InstructData
from llavakit.errors import LlavaError
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

SHARED = Path(__file__).parents[3] / "shared" / "data"
LONG = "word " * 200
ASK = human("<image>\nWhat?")


def encoder(template: str = "vicuna_v1", **values: Any) -> PromptEncoder:
    return PromptEncoder(small("llama3-bytes"), TEMPLATES[template], 3, ImageConfig(size=8), **values)


def look_over(data: InstructData, max_length: int = 200, **values: Any) -> Report:
    return check(Checker(data, encoder(), max_length, **values))


def counts(report: Report) -> dict[str, int]:
    return {kind: found.count for kind, found in report.found.items()}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture("red"))
    (folder / "half.png").write_bytes(picture("red")[:50])
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    return folder


FAULTS: dict[str, dict[str, Any]] = {
    "format": {"id": "x"},
    "order": row(human("Hi"), human("Ho"), id="a"),
    "empty": row(human(" "), gpt("Ho"), id="b"),
    "placeholders": row(human("Hi"), gpt("Ho"), id="c", image="a.png"),
    "missing": row(ASK, gpt("Ho"), id="d", image="no.png"),
    "corrupt": row(ASK, gpt("Ho"), id="e", image="half.png"),
    "large": row(ASK, gpt("Ho"), id="f", image="huge.png"),
    "prompt": row(human("<image>"), gpt("Ho"), id="g", image="a.png"),
    "cut": row(human(LONG), gpt("Ho"), human("<image>\nThis?"), gpt("Ho"), id="h", image="a.png"),
    "silent": row(human(LONG), gpt("Ho"), id="i"),
    "truncated": row(human("Hi"), gpt(LONG), id="j"),
    "answer": row(human("Hi"), gpt("\n"), id="k"),
    "surplus": row(human("<image> Hi <image>"), gpt("Ho"), id="l", image="a.png"),
    "letters": row(human("Hi <image>"), gpt("Ho"), id="m"),
    "opening": row(gpt("Welcome."), human("Hi"), gpt("Ho"), id="n"),
    "duplicate": row(human("Hi"), gpt("Ho"), id="good"),
}
GOOD = row(ASK, gpt("Ho"), id="good", image="a.png")


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_of_fault_is_found_where_it_is(tmp_path: Path, pictures: Path, kind: str) -> None:
    data = InstructData(write_json(tmp_path / "a.json", [GOOD, FAULTS[kind]]), pictures)
    report = look_over(data)
    assert counts(report) == {kind: 1}
    (error,) = report.found[kind].examples
    assert (error.row, error.kind) == (2, kind)
    assert report.skipped == KINDS[kind].skipped


@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_said_to_be_left_out_is_what_a_run_cannot_use(
    tmp_path: Path, pictures: Path, kind: str
) -> None:
    data = InstructData(write_json(tmp_path / "a.json", [GOOD, FAULTS[kind]]), pictures)
    collate = TokenCollator(encoder(), 200)
    collate.encode(data[0])
    if KINDS[kind].skipped:
        with pytest.raises(LlavaError):
            collate.encode(data[1])
    else:
        collate.encode(data[1])


def test_every_kind_has_a_test() -> None:
    assert {*FAULTS, "json"} == set(KINDS)


def test_a_line_that_is_no_json_is_counted(tmp_path: Path, pictures: Path) -> None:
    path = write_json(tmp_path / "a.jsonl", [GOOD])
    path.write_text(path.read_text() + '\n{"id": ')
    assert counts(look_over(InstructData(path, pictures))) == {"json": 1}


def test_all_together_are_counted_row_by_row(tmp_path: Path, pictures: Path) -> None:
    data = InstructData(write_json(tmp_path / "a.json", [GOOD, *FAULTS.values()] * 40), pictures)
    done: list[int] = []
    report = check(Checker(data, encoder(), 200), done.append)
    assert sum(done) == report.rows == len(data) == 40 * (len(FAULTS) + 1)
    assert report.skipped == 40 * sum(KINDS[kind].skipped for kind in FAULTS)
    assert list(report.found) == [kind for kind in KINDS if kind != "json"]
    assert [error.row for error in report.found["format"].examples] == [2 + 17 * i for i in range(5)]
    assert counts(report)["format"] == 40
    # Every id but the first time it comes; a row without one has none to share.
    assert counts(report)["duplicate"] == len(data) - len(FAULTS)


def test_tokens_are_those_the_model_would_read(tmp_path: Path, pictures: Path) -> None:
    values = [GOOD, FAULTS["truncated"]]
    data = InstructData(write_json(tmp_path / "a.json", values), pictures)
    report = look_over(data, max_length=100)
    encoded = [encoder().encode(data[i], reply=False) for i in range(2)]
    assert list(report.lengths) == [len(e.ids) for e in encoded]
    assert report.lengths_at(0, 1) == sorted(report.lengths)
    assert report.supervised == sum(label >= 0 for e in encoded for label in e.labels[:100])
    assert report.picture_tokens == 3


def test_without_opening_pictures_only_their_names_are_looked_for_or_nothing(
    tmp_path: Path, pictures: Path
) -> None:
    values = [GOOD, FAULTS["missing"], FAULTS["corrupt"], FAULTS["large"]]
    data = InstructData(write_json(tmp_path / "a.json", values), pictures)
    assert counts(look_over(data, pictures="find")) == {"missing": 1}
    assert counts(look_over(data, pictures="trust")) == {}


def test_a_picture_of_many_rows_is_opened_once(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        "llavakit.data.check.open_image", lambda data: opened.append(1) or Image.new("1", (1, 1))
    )
    data = InstructData(write_json(tmp_path / "a.json", [GOOD] * 10), pictures)
    checker = Checker(data, encoder(), 200)
    for i in range(10):
        assert checker.examine(i, data.records[i]).faults == []
    assert len(opened) == 1


def test_with_tiles_the_size_of_a_picture_counts(tmp_path: Path, pictures: Path) -> None:
    (pictures / "wide.png").write_bytes(picture("red", 90, 30))
    tiling = Tiling(grids=((8, 16), (16, 8), (16, 16)), tile=8, patches=2, max_tiles=2)
    tiled = encoder(tiling=tiling)
    data = InstructData(
        write_json(tmp_path / "a.json", [row(ASK, gpt("Ho"), image=f"{n}.png") for n in ("a", "wide")]),
        pictures,
    )
    report = check(Checker(data, tiled, 500))
    assert list(report.lengths) == [len(tiled.encode(data[i], reply=False).ids) for i in range(2)]


def test_pictures_inside_a_file_are_opened_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    shown = [picture("red"), picture("red")[:50], None]
    values = [row(ASK, gpt("Ho"), id=str(i), image={"bytes": data}) for i, data in enumerate(shown)]
    data = InstructData(write_parquet(tmp_path / "a.parquet", values))
    assert counts(look_over(data)) == {"missing": 1, "corrupt": 1}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public rows are not here")
def test_what_is_known_of_the_public_rows_is_found() -> None:
    data = InstructData(SHARED / "instruct" / "llava_v1_5_mix1k.json")
    report = check(Checker(data, encoder(), 10_000, "trust"))
    assert counts(report) == {"duplicate": 3}
    assert (report.rows, report.skipped, len(report.lengths)) == (1000, 0, 1000)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public photographs are not here")
def test_public_photographs_open(tmp_path: Path) -> None:
    photos = sorted((SHARED / "photos" / "coco").glob("*.jpg"))
    values = [row(ASK, gpt("Ho"), id=photo.stem, image=photo.name) for photo in photos]
    data = InstructData(write_json(tmp_path / "a.json", values), SHARED / "photos" / "coco")
    data.check_pictures()
    assert len(photos) > 40
    assert counts(look_over(data)) == {}
