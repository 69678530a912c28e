"""Sources of any size: JSON read a piece at a time, in bounded memory, and whatever stands in it."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llavakit.errors import UsageError
from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.sources import open_source, stream
from llavakit.synth.sources.base import Seen
from llavakit.synth.sources.stream import members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda held: st.lists(held, max_size=4) | st.dictionaries(st.text(), held, max_size=4),
    max_leaves=12,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    value=st.lists(JSON, max_size=6)
    | st.dictionaries(st.text(), st.lists(JSON, max_size=4) | JSON, max_size=4),
    window=st.integers(1, 40),
    ascii_=st.booleans(),
)
def test_a_window_of_any_size_reads_what_json_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, window: int, ascii_: bool
) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(json.dumps(value, ensure_ascii=ascii_, indent=1).encode("utf-8", "surrogatepass"))
    monkeypatch.setattr(stream, "_WINDOW", window)
    held: dict[str, Any] = {"": []} if isinstance(value, list) else {name: [] for name in value}
    for name, number, each in members(path):
        held[name] = [*held[name], each] if number else each
    assert held == ({"": value} if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1}, {"a": 2', "after row 1"),
        ('[{"a": 1} {"a": 2}]', "'{' where ',' or ']' should be"),
        ("[1, 2", "it is cut short"),
        ("[1, 2]]", "something follows its end"),
        ('{"images": [1, 2,]}', "after element 2 of 'images'"),
        ('{"images" [1]}', "where ':' should be"),
        ('["\xff"]', "it is not UTF-8"),
        ("[" * 100_000, "nested too deep"),
        ("[" + "9" * 5000 + "]", "a number is too long"),
    ],
)
def test_broken_json_is_refused_with_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is not valid JSON") as caught:
        list(members(path))
    assert words in str(caught.value)


def test_a_value_without_end_is_not_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST", 1 << 16)
    monkeypatch.setattr(stream, "_WINDOW", 1 << 12)
    path = tmp_path / "any.json"
    path.write_text('["' + "x" * (1 << 22))
    tracemalloc.start()
    with pytest.raises(UsageError, match="Unterminated string"):
        list(members(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


FIELDS = st.sampled_from(
    ["id", "image", "captions", "instances", "regions", "mentions", "complete", "boxes", "width"]
)
THING = st.fixed_dictionaries(
    {},
    optional={
        "category": JSON,
        "phrase": JSON,
        "bbox": st.lists(st.floats() | st.integers(), max_size=5) | JSON,
    },
)


@quick
@given(row=st.dictionaries(FIELDS, JSON | st.lists(THING, max_size=3)) | JSON)
def test_whatever_a_row_is_it_is_a_scene_or_a_fault(tmp_path: Path, row: Any) -> None:
    path = tmp_path / "rows.jsonl"
    row = row | {"image": "a.jpg"} if isinstance(row, dict) else row
    path.write_text(f'{{"image": "a.jpg", "caption": "A dog."}}\n{json.dumps(row)}\n')
    for source in (open_source(path, "scenes", boxes="xyxy"), open_source(path, "figures")):
        first, *found = source
        assert isinstance(first, Scene)
        for each in found:
            if isinstance(each, Scene):
                str(each).encode()
                assert all(
                    0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1 for x1, y1, x2, y2 in (t.box for t in each.things)
                )
            else:
                assert isinstance(each, SceneError) and str(each).encode()


def test_twenty_thousand_lines_are_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            things = [{"category": "dog", "bbox": [0.1, 0.2, 0.5, 0.6 + i / 10]} for i in range(4)]
            row = {"id": number, "image": f"{number}.jpg", "captions": ["A dog."], "instances": things}
            file.write(f"{json.dumps(row)}\n")
    assert path.stat().st_size > 4 << 20
    source = open_source(path)
    tracemalloc.start()
    assert sum(isinstance(scene, Scene) for scene in source) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 2 << 20  # ids take 24 bytes each, at most
    tracemalloc.stop()


def test_cocos_annotations_do_not_stay_in_memory(tmp_path: Path) -> None:
    count, outline = 600, "x" * 1200
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(count)]
    things = [
        {"id": i, "image_id": i * 7 % count, "category_id": 1, "bbox": [i % 600, 0, 9, 9], "area": outline}
        for i in range(9000)
    ]
    path = tmp_path / "instances_x.json"
    path.write_text(
        json.dumps({"images": images, "annotations": things, "categories": [{"id": 1, "name": "dog"}]})
    )
    assert path.stat().st_size > 10 << 20
    tracemalloc.start()
    assert sum(isinstance(scene, Scene) for scene in open_source(path)) == count
    assert tracemalloc.get_traced_memory()[1] < 6 << 20  # the window, and what it is read into
    tracemalloc.stop()


def test_what_was_seen_is_known_and_nothing_else() -> None:
    seen = Seen()
    assert all(seen.add(str(i)) for i in range(5000))
    assert not any(seen.add(str(i)) for i in range(5000))
    assert seen.add("5000")
