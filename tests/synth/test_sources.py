"""Sources: what each form of file tells of its pictures, and how it is named."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.synth.scene import Region, Scene, SceneError, Thing
from llavakit.synth.sources import FORMATS, Source, open_source

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CAPTIONS = SHARED / "captions" / "caps_boxes_coco2014_val_80.jsonl"

DOG = {"category": "dog", "bbox": [0.1, 0.2, 0.5, 0.6]}
ROW = {"id": "a", "image": "a.jpg", "captions": ["A dog runs."], "instances": [DOG]}


def lines(path: Path, *rows: Any) -> Path:
    """Rows as they are, where they are texts; else as JSON."""
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def scenes(source: Source) -> list[Scene]:
    found = list(source)
    assert all(isinstance(each, Scene) for each in found), [str(each) for each in found]
    return [each for each in found if isinstance(each, Scene)]


def faults(source: Iterable[Scene | SceneError]) -> list[SceneError]:
    return [each for each in source if isinstance(each, SceneError)]


def fault(tmp_path: Path, row: Any, **settings: Any) -> SceneError:
    """Of a row between two good ones, which are there."""
    path = lines(tmp_path / "rows.jsonl", ROW, row, ROW | {"id": "c"})
    found = list(open_source(path, "scenes", **settings))
    assert [each.id for each in found if isinstance(each, Scene)] == ["a", "c"]
    (error,) = faults(found)
    assert error.row == 2 and str(error).startswith(f"{path}: row 2")
    return error


def test_a_scene_has_what_its_row_tells(tmp_path: Path) -> None:
    told = ROW | {
        "captions": [" A dog\n runs. ", "", "Grass."],
        "regions": [{"phrase": "green  grass", "bbox": [0, 0.5, 1, 1]}],
        "mentions": ["As is seen here."],
        "instances": [DOG, {"category": "person", "bbox": [0, 0, 1, 1], "iscrowd": 1}],
        "width": 640, "height": 480, "whatever": None,
    }  # fmt: skip
    (scene,) = scenes(open_source(lines(tmp_path / "rows.jsonl", told)))
    assert scene == Scene(
        "a", "a.jpg", ("A dog runs.", "Grass."), (Thing("dog", (0.1, 0.2, 0.5, 0.6)),),
        (Region("green grass", (0.0, 0.5, 1.0, 1.0)),), ("As is seen here.",), True, frozenset({"person"}), 1,
    )  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "json", "jsonl.gz", "json.gz"])
def test_lines_and_lists_are_read_plain_and_gzipped(tmp_path: Path, ending: str) -> None:
    rows = [ROW, ROW | {"id": 7}, {"image": "b/c d.png", "caption": "Ein Hund läuft."}]
    text = json.dumps(rows, indent=1) if "jsonl" not in ending else "\n\n".join(map(json.dumps, rows))
    path = tmp_path / f"rows.{ending}"
    data = text.encode("utf-8-sig")
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    source = open_source(path)
    first = scenes(source)
    assert [scene.id for scene in first] == ["a", "7", "5" if "jsonl" in ending else "3"]  # a line's number
    assert first[2].captions == ("Ein Hund läuft.",)
    assert first == scenes(source)  # the same each time


def test_only_what_lists_its_things_is_complete(tmp_path: Path) -> None:
    captioned = {"image": "a.jpg", "captions": ["A dog."]}
    path = lines(
        tmp_path / "rows.jsonl",
        captioned, captioned | {"instances": []}, captioned | {"instances": [DOG], "complete": False},
    )  # fmt: skip
    assert [scene.complete for scene in scenes(open_source(path))] == [False, True, False]
    assert open_source(path).vocabulary() == ()


def test_the_vocabulary_is_what_complete_scenes_name_crowds_too(tmp_path: Path) -> None:
    crowd = {"category": "sheep", "bbox": [0, 0, 1, 1], "iscrowd": 1}
    path = lines(
        tmp_path / "rows.jsonl",
        ROW, ROW | {"id": "b", "instances": [DOG | {"category": "cat"}, crowd]}, "{broken",
        ROW | {"id": "c", "instances": [DOG | {"category": "unicorn"}], "complete": False},
    )  # fmt: skip
    source = open_source(path)
    assert source.count() is None
    assert source.vocabulary() == ("cat", "dog", "sheep")
    assert source.count() == 4
    assert open_source(path, categories=["zebra", "dog", "cat", "sheep"]).vocabulary() == (
        "cat", "dog", "sheep", "zebra",
    )  # fmt: skip


def test_one_thing_told_twice_is_one_thing(tmp_path: Path) -> None:
    row = ROW | {"instances": [DOG, DOG, DOG | {"category": "cat"}]}
    (scene,) = scenes(open_source(lines(tmp_path / "rows.jsonl", row)))
    assert [thing.category for thing in scene.things] == ["dog", "cat"]


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ('{"image": "b.jpg", "captions": ["A', "format", "row 2 is not valid JSON"),
        ('["b.jpg"]', "format", "row 2 is not an object"),
        ('{"image": "b.jpg", "captions": [' + "[" * 100_000, "format", "nested too deep"),
        (ROW | {"id": "b", "captions": "A.", "instances": {}}, "format", "`instances` that are not a list"),
        (ROW | {"id": "b", "captions": [1]}, "format", "captions that are not a list of texts"),
        (ROW | {"id": "b", "captions": ["A \ud800."]}, "format", "half a character"),
        (ROW | {"id": "b", "captions": ["An <image> here."]}, "format", "the place of a picture"),
        (ROW | {"id": "b", "instances": ["dog"]}, "format", "instance 1 that is not an object"),
        (ROW | {"id": "b", "regions": [{"bbox": [0, 0, 1, 1]}]}, "format", "region 1 without a phrase"),
        (ROW | {"id": "b", "complete": "yes"}, "format", "neither true nor false"),
        (ROW | {"id": "b", "captions": ["  "], "instances": []}, "captions", "neither captions nor things"),
        (ROW | {"id": "b", "image": None}, "image", "has no `image`"),
        (ROW | {"id": "b", "image": "../b.jpg"}, "image", "outside the folder of pictures"),
        (ROW | {"id": "b", "image": "/etc/b.jpg"}, "image", "outside the folder of pictures"),
        (ROW | {"id": "b", "image": "C:\\b.jpg"}, "image", "outside the folder of pictures"),
        (ROW | {"id": "b", "image": "b\n.jpg"}, "image", "letters that no file's name should have"),
        (ROW | {"id": "b", "instances": [DOG, DOG | {"category": " "}]}, "category", "an instance 2 of no"),
        (ROW, "duplicate", "(id a) has the id of an earlier one"),
        (ROW | {"id": "b", "boxes": "yx"}, "box", "a convention that is none: 'yx'"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_named_and_the_others_are_there(
    tmp_path: Path, row: Any, kind: str, words: str
) -> None:
    error = fault(tmp_path, row)
    assert error.kind == kind
    assert words in str(error)
    str(error).encode()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([0.5, 0.2, 0.1, 0.6], "an instance 2 (cat) with a box [0.5, 0.2, 0.1, 0.6] that is inverted: as"),
        ([0.1, 0.2, 0.1, 0.6], "of no size: as xyxy, its width is 0"),
        ([0.1, 0.2, 0.4, 0.2], "of no size: as xyxy, its height is 0"),
        ([0.1, 0.2, 1.4, 0.6], "lies outside the picture: as xyxy, its x2 is at 1.4 of the width"),
        ([0.1, -0.2, 0.4, 0.6], "its y1 is at -0.2 of the height"),
        ([1.001, 0.2, 1.009, 0.6], "lies outside the picture, at its edge"),
        ([0.1, 0.2, float("nan"), 0.6], "not a number"),
        ([0.1, 0.2, float("inf"), 0.6], "not a number"),
        ([0.1, 0.2, 10**400, 0.6], "not a number"),
        ([0.1, 0.2, 0.4], "not four numbers"),
        ([0.1, 0.2, "0.4", 0.6], "not four numbers"),
        ([False, 0, True, True], "not four numbers"),
        ("0.1", "not four numbers"),
        ({"top": 0.1}, "not four numbers"),
        (None, "instance 2 (cat) without a box"),
    ],
)  # fmt: skip
def test_a_faulty_box_costs_its_scene_and_is_named(tmp_path: Path, box: Any, words: str) -> None:
    row = ROW | {"id": "b", "instances": [DOG, {"category": "cat", "bbox": box}]}
    error = fault(tmp_path, row)
    assert (error.kind, error.id) == ("box", "b")
    assert words in str(error)


def test_a_category_that_may_not_be_is_named_with_the_nearest(tmp_path: Path) -> None:
    row = ROW | {"id": "b", "instances": [DOG | {"category": "catt"}]}
    error = fault(tmp_path, row, categories=["dog", "cat"])
    assert error.kind == "category"
    assert "category 'catt', which is unknown; did you mean 'cat'?" in str(error)


def test_a_line_without_end_is_named_and_not_held(tmp_path: Path) -> None:
    error = fault(tmp_path, '{"image": "' + "x" * (17 << 20) + '"}')
    assert error.kind == "format" and "is longer than 16 MiB" in str(error)


def test_a_list_that_is_cut_off_ends_the_reading_with_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW, ROW | {"id": "b"}])[:-9])
    with pytest.raises(UsageError, match="is not valid JSON after row 1"):
        list(open_source(path, boxes="xyxy"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is in it"),
        ("[]", "nothing is in it that could be a row"),
        ("\n \n", "nothing is in it"),
        ("hello", "not JSON"),
        ("\0\1", "cannot be read as text"),
        ('{"a": [{"b": 1}]}', "--format"),
        ('[{"image": "a.jpg"}]', "--format"),
        ('{"id": 1, "image": "a.jpg", "conversations": []}', "this is instruction data"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        list(open_source(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("format_", ["scenes", "coco", "visual-genome", "figures"])
@pytest.mark.parametrize("text", ["", "[]", "hello", "\0", "7"])
def test_so_it_is_where_the_form_is_said(tmp_path: Path, text: str, format_: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"rows\.json"):
        list(open_source(path, format_))


def test_what_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    for each in ("auto", *FORMATS):
        with pytest.raises(UsageError, match="gone"):
            list(open_source(tmp_path / "gone", each))
    with pytest.raises(UsageError, match="--format cocoa"):
        open_source(lines(tmp_path / "rows.jsonl", ROW), "cocoa")
    with pytest.raises(UsageError, match=r"--boxes xyyx: .*did you mean 'x"):
        open_source(lines(tmp_path / "rows.jsonl", ROW), boxes="xyyx")
    with pytest.raises(UsageError, match="a file of captions goes with COCO's instances"):
        open_source(lines(tmp_path / "rows.jsonl", ROW), captions=tmp_path / "c.json")


def test_a_gzipped_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode() * 1000)[:-20])
    with pytest.raises(UsageError, match="cannot be read"):
        list(open_source(path, "scenes", boxes="xyxy"))


@pytest.mark.skipif(not CAPTIONS.exists(), reason="real files are not here")
def test_all_eighty_of_llavas_own_pictures_are_read() -> None:
    source = open_source(CAPTIONS)
    found = scenes(source)
    assert len(found) == 80
    assert all(len(scene.captions) >= 5 and scene.complete for scene in found)
    assert Counter(bool(scene.things) for scene in found) == {True: 77, False: 3}
    assert sum(len(scene.things) for scene in found) == sum(
        len(json.loads(line)["instances"]) for line in CAPTIONS.read_text().splitlines()
    )
    assert len(source.vocabulary()) == 66


@pytest.mark.skipif(not CAPTIONS.exists(), reason="real files are not here")
def test_photographs_with_boxes_alone_are_read_and_finished_data_is_refused() -> None:
    assert len(scenes(open_source(SHARED / "photos" / "coco_boxes.jsonl"))) == 43
    with pytest.raises(UsageError, match="this is instruction data"):
        open_source(SHARED / "instruct" / "llava_v1_5_mix1k.json")
