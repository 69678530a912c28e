"""How boxes are written: each convention is read alike, found out where it can be, and else asked for."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.synth.boxes import CONVENTIONS, BoxError, Convention, convention
from llavakit.synth.scene import Box, Scene
from llavakit.synth.sources import open_source
from llavakit.synth.sources.scenes import Scenes

WIDE, HIGH = 640, 480


def written(box: Box, name: str, width: float = WIDE, height: float = HIGH) -> list[float]:
    known = convention(name)
    across, down = {"": (1, 1), "pixels": (width, height), "1000": (1000, 1000)}[known.unit]
    x1, y1, x2, y2 = box[0] * across, box[1] * down, box[2] * across, box[3] * down
    return {
        "xyxy": [x1, y1, x2, y2], "yxyx": [y1, x1, y2, x2], "xywh": [x1, y1, x2 - x1, y2 - y1],
        "cxcywh": [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
    }[known.order]  # fmt: skip


def drawn(count: int, seed: int = 0) -> list[Box]:
    """Boxes as pictures have them: some at the edges, most anywhere."""
    draw = random.Random(seed).random
    found: list[Box] = []
    for i in range(count):
        x, y = 0.9 * draw(), 0.9 * draw()
        far = 1.0 if i % 7 == 0 else x + (1 - x) * (0.05 + 0.9 * draw())
        found.append((x, y, far, 1.0 if i % 5 == 0 else y + (1 - y) * (0.05 + 0.9 * draw())))
    return found


def rows(tmp_path: Path, boxes: list[Any], sized: bool = True, size: tuple[int, int] = (WIDE, HIGH)) -> Path:
    path = tmp_path / "rows.jsonl"
    told = {"width": size[0], "height": size[1]} if sized else {}
    with path.open("w") as file:
        for number, box in enumerate(boxes):
            row = {
                "id": number,
                "image": f"{number}.jpg",
                "instances": [{"category": "dog", "bbox": box}],
            } | told
            file.write(json.dumps(row) + "\n")
    return path


def found(path: Path) -> str:
    source = open_source(path)
    assert isinstance(source, Scenes)
    return str(source.boxes)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_gives_the_same_fractions(name: str) -> None:
    for box in drawn(50):
        assert convention(name).read(written(box, name), WIDE, HIGH) == pytest.approx(box, abs=1e-9)


@pytest.mark.parametrize(
    ("box", "name"),
    [
        ({"x1": 64, "y1": 48, "x2": 320, "y2": 240}, "xyxy-pixels"),
        ({"xmin": 0.1, "ymin": 0.1, "xmax": 0.5, "ymax": 0.5}, "xyxy"),
        ({"x": 64, "y": 48, "w": 256, "h": 192}, "xyxy-pixels"),
        ({"x": 100, "y": 100, "width": 400, "height": 400, "score": 1}, "xyxy-1000"),
        ({"cx": 0.3, "cy": 0.3, "w": 0.4, "h": 0.4}, "xyxy"),
        ({"left": 0.1, "top": 0.1, "right": 0.5, "bottom": 0.5}, "xywh"),
    ],
)
def test_the_keys_of_a_box_that_is_an_object_tell_the_order(box: dict[str, float], name: str) -> None:
    assert convention(name).read(box, WIDE, HIGH) == pytest.approx((0.1, 0.1, 0.5, 0.5))


def test_a_hundredth_beyond_the_edge_is_cut_off_and_more_is_a_fault() -> None:
    assert Convention().read([-0.009, 0, 1.009, 1]) == (0.0, 0.0, 1.0, 1.0)
    assert Convention("xywh", "pixels").read([0, 0, 643, 480.3], 640, 480) == (0.0, 0.0, 1.0, 1.0)
    with pytest.raises(BoxError, match=r"its x2 is at 1\.011 of the width"):
        Convention().read([0, 0, 1.011, 1])


def test_pixels_want_the_size_of_the_picture() -> None:
    for size in ((None, 480), (0, 480), (640, -1), ("640", 480), (640, float("nan")), (True, True)):
        with pytest.raises(BoxError, match="width and height are not told"):
            Convention("xyxy", "pixels").read([0, 0, 5, 5], *size)


@pytest.mark.parametrize("name", ["xyxy", "xywh", "cxcywh", "xyxy-pixels", "xywh-pixels", "cxcywh-pixels"])
def test_a_convention_is_found_out_from_many_boxes(tmp_path: Path, name: str) -> None:
    boxes = drawn(200)
    path = rows(tmp_path, [written(box, name) for box in boxes])
    assert found(path) == name
    scenes = [scene for scene in open_source(path) if isinstance(scene, Scene)]
    assert [scene.things[0].box for scene in scenes] == [pytest.approx(box) for box in boxes]


@pytest.mark.parametrize("name", ["xyxy-1000", "xywh-1000"])
@pytest.mark.parametrize("size", [(WIDE, HIGH), (4000, 3000)])
def test_thousandths_are_told_from_pixels_of_pictures_of_another_size(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    assert found(rows(tmp_path, [written(box, name) for box in drawn(200)], size=size)) == name


def test_a_few_faults_do_not_hide_the_convention(tmp_path: Path) -> None:
    boxes: list[Any] = [written(box, "xywh") for box in drawn(100)]
    boxes[3], boxes[50] = [0.5, 0.5, 0.9, 0.9], ["x"]
    assert found(rows(tmp_path, boxes)) == "xywh"


@pytest.mark.parametrize(
    "bad", [[0.5, 0.5, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4], [0.1, 0.1, 1.7, 0.5], [5, 5, 90, 90]]
)
def test_one_bad_box_of_two_does_not_make_a_small_file_anothers(tmp_path: Path, bad: list[float]) -> None:
    assert found(rows(tmp_path, [[0.1, 0.1, 0.4, 0.4], bad])) == "xyxy"


def test_corners_in_fractions_are_the_rule_where_nothing_tells(tmp_path: Path) -> None:
    assert found(rows(tmp_path, [None])) == "xyxy"
    assert found(rows(tmp_path, [[0.1, 0.1, 0.4, 0.4]])) == "xyxy"  # fits xywh, too


@pytest.mark.parametrize(
    ("boxes", "sized", "words"),
    [
        ([[0.5, 0.5, 0.1, 0.1]], True, "of 1 boxes 0 fit xyxy, 1 fit xywh, 1 fit cxcywh"),
        ([[0.5, 0.5, 0.1, 0.1]] * 30, True, "0 fit xyxy, 30 fit xywh, 30 fit cxcywh"),
        ([[10, 20, 300, 200]], True, "1 are too few to tell"),
        ([[10, 20, 300, 200]] * 30, True, "no way fits all of them"),
        ([written(box, "xyxy-1000") for box in drawn(100)], False, "the rows do not tell width and height"),
    ],
)
def test_what_cannot_be_known_is_asked_for(tmp_path: Path, boxes: list[Any], sized: bool, words: str) -> None:
    path = rows(tmp_path, boxes, sized)
    with pytest.raises(UsageError, match="--boxes with one of xyxy") as caught:
        open_source(path)
    assert words in str(caught.value)
    assert open_source(path, boxes="cxcywh")


def test_pixels_and_thousandths_of_pictures_a_thousand_wide_are_asked_for(tmp_path: Path) -> None:
    path = rows(tmp_path, [written(box, "xyxy-1000") for box in drawn(100)], size=(1000, 1000))
    with pytest.raises(UsageError, match="several ways fit: xyxy-pixels, xyxy-1000"):
        open_source(path)


def test_a_row_may_name_its_own_convention(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {
        "image": "a.jpg",
        "boxes": "cxcywh-1000",
        "instances": [{"category": "dog", "bbox": [500, 500, 200, 200]}],
    }
    path.write_text(json.dumps(row))
    (scene,) = open_source(path)
    assert isinstance(scene, Scene)
    assert scene.things[0].box == pytest.approx((0.4, 0.4, 0.6, 0.6))
