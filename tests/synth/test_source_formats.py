"""Sources in others' forms: COCO, Visual Genome, LLaVA-Med's figures, folders of pictures with texts."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import UsageError
from llavakit.synth.scene import Region, Scene, SceneError, Thing
from llavakit.synth.sources import Source, open_source

IMAGES = [
    {"id": 9, "file_name": "000000000009.jpg", "width": 640, "height": 480},
    {"id": 4, "file_name": "000000000004.jpg", "width": 200, "height": 100},
]
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 20, "name": "sheep"}]
THINGS = [
    {"id": 71, "image_id": 4, "category_id": 18, "bbox": [20, 10, 100, 50], "segmentation": [[1]]},
    {"id": 72, "image_id": 9, "category_id": 1, "bbox": [0, 0, 640.5, 240], "iscrowd": 0},
    {"id": 73, "image_id": 4, "category_id": 1, "bbox": [0, 0, 20, 100]},
    {"id": 74, "image_id": 9, "category_id": 20, "bbox": [0, 0, 600, 400], "iscrowd": 1},
]  # fmt: skip
CAPTIONS = [
    {"id": 1, "image_id": 9, "caption": "A shepherd."},
    {"id": 2, "image_id": 4, "caption": "A dog."},
    {"id": 3, "image_id": 9, "caption": "Many sheep.\n"},
    {"id": 4, "image_id": 555, "caption": "Of another split."},
]


def coco(folder: Path, split: str = "val2017", **held: Any) -> Path:
    folder.mkdir(exist_ok=True)
    told = {"info": {}, "images": IMAGES, "annotations": THINGS, "categories": CATEGORIES} | held
    path = folder / f"instances_{split}.json"
    path.write_text(json.dumps({name: value for name, value in told.items() if value is not None}))
    captions = {"info": {}, "images": IMAGES, "annotations": CAPTIONS}
    (folder / f"captions_{split}.json").write_text(json.dumps(captions))
    return path


def scenes(source: Source) -> list[Scene]:
    found = list(source)
    assert all(isinstance(each, Scene) for each in found), [str(each) for each in found]
    return [each for each in found if isinstance(each, Scene)]


def faults(source: Source) -> list[tuple[str, str]]:
    return [(each.kind, str(each)) for each in source if isinstance(each, SceneError)]


WHOLE = [
    Scene(
        "9", "000000000009.jpg", ("A shepherd.", "Many sheep."), (Thing("person", (0.0, 0.0, 1.0, 0.5)),),
        crowds=frozenset({"sheep"}), row=1,
    ),
    Scene(
        "4", "000000000004.jpg", ("A dog.",),
        (Thing("dog", (0.1, 0.1, 0.6, 0.6)), Thing("person", (0.0, 0.0, 0.1, 1.0))), row=2,
    ),
]  # fmt: skip


def test_coco_is_found_by_its_folder_or_either_file_and_gives_the_same(tmp_path: Path) -> None:
    path = coco(tmp_path / "annotations")
    for given in (path, path.parent, tmp_path, path.with_name("captions_val2017.json")):
        source = open_source(given)
        assert scenes(source) == WHOLE == scenes(source)
        assert source.vocabulary() == ("dog", "person", "sheep")
        assert source.count() == 2
        assert source.name == str(path)


def test_coco_may_be_in_any_order_gzipped_and_of_any_name(tmp_path: Path) -> None:
    path = coco(tmp_path)
    held = json.loads(path.read_text())
    turned = tmp_path / "mine.json.gz"
    turned.write_bytes(gzip.compress(json.dumps(dict(reversed(held.items()))).encode()))
    assert scenes(open_source(turned, captions=tmp_path / "captions_val2017.json")) == WHOLE
    assert [scene.captions for scene in scenes(open_source(turned))] == [(), ()]


def test_coco_with_captions_alone_has_no_things_and_is_not_complete(tmp_path: Path) -> None:
    coco(tmp_path).unlink()
    source = open_source(tmp_path)
    assert [(scene.captions, scene.things, scene.complete) for scene in scenes(source)] == [
        (scene.captions, (), False) for scene in WHOLE
    ]
    assert source.vocabulary() == ()


def test_coco_wants_one_pair_in_a_folder_and_captions_of_its_pictures(tmp_path: Path) -> None:
    path = coco(tmp_path)
    other = coco(tmp_path, "train2017", images=[IMAGES[0] | {"id": 1000}])
    with pytest.raises(UsageError, match=r"has instances_train2017\.json, instances_val2017\.json: name one"):
        open_source(tmp_path)
    with pytest.raises(UsageError, match=r"captions_val2017\.json: no caption in it is of a picture"):
        list(open_source(other, captions=tmp_path / "captions_val2017.json"))
    with pytest.raises(UsageError, match=r"gone\.json cannot be read"):
        open_source(path, captions=tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"bbox": [20, 10, 300, 50]}, "box", "(dog) with a box [20.0, 10.0, 300.0, 50.0] that lies outside"),
        ({"bbox": [20, 10, -5, 50]}, "box", "that is inverted: as xywh-pixels"),
        ({"bbox": [20, 10, 0, 50]}, "box", "of no size"),
        ({"bbox": [20, float("nan"), 5, 50]}, "box", "a box [20, NaN, 5, 50] that is not four numbers"),
        ({"bbox": [20, 10]}, "box", "that is not four numbers"),
        ({"bbox": None}, "box", "annotation 1 (dog) without a box"),
        ({"category_id": 91}, "category", "annotation 1 of a category 91; the file has a table of them"),
        ({"category_id": None}, "category", "annotation 1 without a category"),
    ],
)  # fmt: skip
def test_a_fault_in_coco_costs_its_picture_and_is_named(
    tmp_path: Path, fault: dict[str, Any], kind: str, words: str
) -> None:
    source = open_source(coco(tmp_path, annotations=[THINGS[0] | fault, *THINGS[1:]]))
    ((found, message),) = faults(source)
    assert found == kind and words in message and "row 2 (id 4)" in message
    assert [scene for scene in source if isinstance(scene, Scene)] == WHOLE[:1]


def test_things_of_pictures_that_coco_does_not_have_are_named(tmp_path: Path) -> None:
    strays = [THINGS[0] | {"image_id": 5}, THINGS[0] | {"image_id": 5}, THINGS[0] | {"image_id": [1]}]
    path = coco(tmp_path, annotations=[*THINGS, *strays])
    assert faults(open_source(path)) == [
        ("image", f"{path}: row 5 of its annotations names the image 5, of which it tells nothing; 2 do so"),
        ("image", f"{path}: row 7 of its annotations names no image"),
    ]


def test_pictures_of_coco_that_cannot_be_told_apart_are_named(tmp_path: Path) -> None:
    odd = [IMAGES[0], "x", IMAGES[0], {"id": 3}, {"id": 8, "file_name": "8.jpg"}]
    things = [*THINGS[1:2], {"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1]}]
    found = faults(open_source(coco(tmp_path, images=odd, annotations=things)))
    assert [kind for kind, _ in found] == ["format", "duplicate", "image", "box"]
    assert "the picture's width and height are not told" in found[-1][1]


def test_a_table_of_categories_that_is_none_is_refused(tmp_path: Path) -> None:
    path = coco(tmp_path, categories=[{"id": 1}])
    with pytest.raises(UsageError, match="its category 1 is not"):
        open_source(path).vocabulary()


def test_categories_that_may_not_be_cost_a_picture_of_coco(tmp_path: Path) -> None:
    source = open_source(coco(tmp_path), categories=["person", "sheep"])
    assert [kind for kind, _ in faults(source)] == ["category"]
    assert source.vocabulary() == ("person", "sheep")


def test_lvis_which_is_not_searched_for_all_is_not_complete(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/train2017/000000000009.jpg"
    image = {"id": 9, "coco_url": url, "width": 640, "height": 480, "neg_category_ids": [18]}
    source = open_source(coco(tmp_path, images=[image], annotations=THINGS[1:2]))
    (scene,) = scenes(source)
    assert (scene.image, scene.complete) == ("train2017/000000000009.jpg", False)
    assert source.vocabulary() == ()


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
def test_a_full_disk_is_said_and_how_to_go_on(tmp_path: Path) -> None:
    things = [THINGS[0] | {"id": i, "image_id": i % 3000} for i in range(60_000)]
    path = coco(tmp_path, annotations=things)
    run = (
        "import resource, sys; from pathlib import Path; from llavakit.synth.sources import open_source;"
        "from llavakit.errors import LlavaError\n"
        "source = open_source(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))\n"
        "try: source.count()\n"
        "except LlavaError as error: sys.exit(f'{type(error).__name__}: {error}')"
    )
    done = subprocess.run([sys.executable, "-c", run, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("LlavaError: annotations are sorted in a temporary file, which failed (")
    assert "TMPDIR" in done.stderr


def genome(folder: Path, *rows: Any, objects: Any = None) -> Path:
    place = "https://cs.stanford.edu/people/rak248"
    images = [
        {"image_id": 1, "url": f"{place}/VG_100K_2/1.jpg", "width": 800, "height": 600},
        {"image_id": 2, "url": f"{place}/VG_100K/2.jpg", "width": 100, "height": 100},
    ]
    (folder / "image_data.json").write_text(json.dumps(images))
    if objects is not None:
        (folder / "objects.json").write_text(json.dumps(objects))
    path = folder / "region_descriptions.json"
    path.write_text(json.dumps(rows))
    return path


def region(phrase: str, *box: float) -> dict[str, Any]:
    return dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"phrase": phrase, "region_id": 1}


def test_visual_genome_has_regions_and_its_pictures_folders(tmp_path: Path) -> None:
    path = genome(
        tmp_path,
        {"id": 1, "regions": [region("a clock ", 400, 300, 200, 150), region("a street", 0, 0, 800, 600)]},
        {"image_id": 2, "regions": [region("a cat", 10, 10, 50, 50)]},
    )
    for given in (path, tmp_path):
        source = open_source(given)
        assert scenes(source) == [
            Scene(
                "1", "VG_100K_2/1.jpg", complete=False, row=1,
                regions=(Region("a clock", (0.5, 0.5, 0.75, 0.75)), Region("a street", (0.0, 0.0, 1.0, 1.0))),
            ),
            Scene(
                "2", "VG_100K/2.jpg", regions=(Region("a cat", (0.1, 0.1, 0.6, 0.6)),), complete=False, row=2
            ),
        ]  # fmt: skip
        assert source.vocabulary() == ()


def test_visual_genomes_objects_are_things(tmp_path: Path) -> None:
    objects = [
        {"image_id": 2, "objects": [{"names": ["cat"], "x": 10, "y": 10, "w": 50, "h": 50, "synsets": []}]}
    ]
    path = genome(tmp_path, {"id": 2, "regions": []}, objects=objects)
    (scene,) = scenes(open_source(path, "visual-genome"))
    assert scene.things == (Thing("cat", (0.1, 0.1, 0.6, 0.6)),) and not scene.complete


def test_a_bad_region_costs_itself_alone_as_nothing_is_counted_there(tmp_path: Path) -> None:
    bad = [region("sky", 0, 0, 120, 10), region("", 0, 0, 5, 5), region("sea", 0, 0, 0, 10), {}, {}]
    path = genome(
        tmp_path,
        {"id": 2, "regions": [*bad, region("a cat", 10, 10, 50, 50)]}, {"id": 3, "regions": []}, {"id": 1}, 5,
        {"id": 1, "regions": [region("sky", 0, 0, -1, 10)]},
    )  # fmt: skip
    first, scene, *others, last, empty = list(open_source(path))
    assert isinstance(first, SceneError) and isinstance(scene, Scene)
    assert (first.kind, first.id, scene.id) == ("box", "2", "2")
    assert "is used without some parts: has a region 1 with a box [0, 0, 120, 10] that lies outside" in str(
        first
    )
    assert "; and 2 more" in str(first)
    assert [each.phrase for each in scene.regions] == ["a cat"]
    assert [each.kind for each in others if isinstance(each, SceneError)] == ["image", "format", "format"]
    assert isinstance(last, SceneError) and last.kind == "box"
    assert isinstance(empty, SceneError) and empty.kind == "captions"


def test_visual_genome_wants_the_pictures_sizes(tmp_path: Path) -> None:
    path = genome(tmp_path, {"id": 1, "regions": []})
    (tmp_path / "image_data.json").unlink()
    with pytest.raises(
        UsageError, match=r"image_data\.json, which tells the pictures' sizes, has to be beside"
    ):
        open_source(path)
    with pytest.raises(UsageError, match="boxes are told of scenes and coco only"):
        open_source(path, boxes="xyxy")


FIGURE = {
    "pair_id": "18627621_F2", "pmid": "18627621", "fig_id": "F2", "fig_label": "Figure 2",
    "domain": {"mri": False}, "fig_caption": "Chest X-ray.",
    "in_text_mention": [{"tokens": "It grew ( Figure 2 ) .", "entities": []}, "See it ."],
}  # fmt: skip


@pytest.mark.parametrize("form", ["domains", "list", "lines"])
def test_figures_have_their_captions_and_mentions_in_every_form(tmp_path: Path, form: str) -> None:
    other = {"image": "x/y.png", "caption": "A cell."}
    path = tmp_path / "figures.json"
    if form == "lines":
        path.write_text(f"{json.dumps(FIGURE)}\n{json.dumps(other)}\n")
    else:
        path.write_text(
            json.dumps([FIGURE, other] if form == "list" else {"mri": [], "ct": [FIGURE], "x": [other]})
        )
    assert scenes(open_source(path)) == [
        Scene(
            "18627621_F2", "18627621_F2.jpg", ("Chest X-ray.",), complete=False, row=1,
            mentions=("It grew ( Figure 2 ) .", "See it ."),
        ),
        Scene("2", "x/y.png", ("A cell.",), complete=False, row=2),
    ]  # fmt: skip


def test_faulty_figures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    rows = [FIGURE, {"fig_caption": "x"}, {"pair_id": "e"}, 3, FIGURE, {"pair_id": "m", "in_text_mention": 3}]
    path.write_text(json.dumps({"mri": rows[:4], "ct": rows[4:]}))
    found = [each for each in open_source(path) if isinstance(each, SceneError)]
    assert [(each.row, each.id, each.kind) for each in found] == [
        (2, "", "image"), (3, "e", "captions"), (4, "", "format"), (5, "18627621_F2", "duplicate"),
        (6, "m", "format"),
    ]  # fmt: skip


def folder(path: Path, **held: str | bytes | None) -> Path:
    """Files by name, with "__" for a slash and "_" for a point; None: an empty picture."""
    for name, content in held.items():
        place = path / name.replace("__", "/").replace("_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content or b"")
    return path


def test_a_folder_has_pictures_with_a_caption_on_each_line(tmp_path: Path) -> None:
    folder(
        tmp_path, b_jpg=None, b_txt="A bird.\n\n  Sky. \n", a__z_PNG=None, a__z_txt="A zoo.", a__c_d_webp=None
    )
    folder(tmp_path, a__c_d_txt="A cat.", _hidden_jpg=None, Thumbs_db="x")
    assert scenes(open_source(tmp_path)) == [
        Scene("a/c.d", "a/c.d.webp", ("A cat.",), complete=False, row=1),
        Scene("a/z", "a/z.PNG", ("A zoo.",), complete=False, row=2),
        Scene("b", "b.jpg", ("A bird.", "Sky."), complete=False, row=3),
    ]


def test_pictures_and_texts_that_have_no_other_half_are_named(tmp_path: Path) -> None:
    folder(
        tmp_path,
        a_jpg=None,
        a_txt="A.",
        b_jpg=None,
        c_txt="C.",
        d_jpg=None,
        d_txt="\n",
        e_jpg=None,
        e_txt=b"\xff",
    )
    folder(tmp_path, a_png=None, f_jpg=None, f_txt=b"x" * (2 << 20))
    source = open_source(tmp_path)
    found = [each for each in source if isinstance(each, SceneError)]
    assert [(each.id, each.kind) for each in found] == [
        ("a", "duplicate"), ("b", "captions"), ("d", "captions"), ("e", "format"), ("f", "format"),
        ("c", "image"),
    ]  # fmt: skip
    assert "has a picture, b.jpg, and no b.txt beside it" in str(found[1])
    assert "has a text, c.txt, and no picture of that name beside it" in str(found[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_picture_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    folder(tmp_path, a_jpg=None, a_txt="A.")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).touch()
    (found,) = faults(open_source(tmp_path))
    assert found[0] == "image"
    found[1].encode()


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, a_jpg=None)
    with pytest.raises(UsageError, match=r"nor pictures with a \.txt beside them"):
        open_source(tmp_path)
