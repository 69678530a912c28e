"""Every format of instruction data gives the same rows; what cannot be used is named, not fatal."""

import json
import multiprocessing
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data.files import first_turn, gpt, human, picture, row, rows, write_json, write_parquet, write_tar
from llavakit.config import ImageConfig
from llavakit.data.instruct import InstructData
from llavakit.data.rows import RowError
from llavakit.errors import LlavaError, UsageError
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "instruct"
COLOURS = ["red", "lime", "blue", "white", "black"]
RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]


def named() -> list[dict[str, Any]]:
    return [each | {"image": f"{i}.png"} for i, each in enumerate(rows(5))]


def folder_of_pictures(folder: Path) -> None:
    for i, colour in enumerate(COLOURS):
        (folder / f"{i}.png").write_bytes(picture(colour))


def array(folder: Path) -> InstructData:
    folder_of_pictures(folder)
    return InstructData(write_json(folder / "a.json", named()))


def lines(folder: Path) -> InstructData:
    folder_of_pictures(folder)
    return InstructData(write_json(folder / "a.jsonl", named()))


def lines_without_saying_so(folder: Path) -> InstructData:
    folder_of_pictures(folder)
    text = "\n\n".join(json.dumps(each) for each in named())
    return InstructData(write_json(folder / "a.json", f"\ufeff\r\n{text}\r\n"))


def gzipped(folder: Path) -> InstructData:
    folder_of_pictures(folder)
    return InstructData(write_json(folder / "a.jsonl.gz", named()))


def gzipped_array(folder: Path) -> InstructData:
    folder_of_pictures(folder)
    return InstructData(write_json(folder / "a.json.gz", json.dumps(named(), indent=2)))


def several_files(folder: Path) -> InstructData:
    (folder / "rows").mkdir()
    write_json(folder / "rows" / "a.json", named()[:2])
    write_json(folder / "rows" / "b.jsonl", named()[2:])
    folder_of_pictures(folder)
    return InstructData(folder / "rows", folder)


def tar_of_pictures(folder: Path) -> InstructData:
    tar = write_tar(folder / "p.tar", {f"./{i}.png": picture(c) for i, c in enumerate(COLOURS)})
    return InstructData(write_json(folder / "a.json", named()), tar)


def shards(folder: Path) -> InstructData:
    for shard, places in enumerate((range(3), range(3, 5))):
        members: dict[str, bytes | str] = {"notes.md": "nothing of ours"}
        for i in places:
            members |= {f"s/{i}.png": picture(COLOURS[i]), f"s/{i}.json": json.dumps(named()[i])}
        write_tar(folder / f"part-{shard}.tar", members)
    return InstructData(folder / "part-{0..1}.tar")


def folder_of_shards(folder: Path) -> InstructData:
    shards(folder)
    return InstructData(folder)


def parquet(folder: Path) -> InstructData:
    pytest.importorskip("pyarrow")
    folder_of_pictures(folder)
    return InstructData(write_parquet(folder / "a.parquet", named()))


def parquet_with_pictures(folder: Path) -> InstructData:
    pytest.importorskip("pyarrow")
    values = [
        each | {"image": {"bytes": picture(COLOURS[i]), "path": f"/made/{i}.png"}}
        for i, each in enumerate(named())
    ]
    return InstructData(write_parquet(folder / "a.parquet", values))


def parquet_with_lists_of_pictures(folder: Path) -> InstructData:
    pytest.importorskip("pyarrow")
    values = [each | {"images": [{"bytes": picture(COLOURS[i])}]} for i, each in enumerate(rows(5))]
    return InstructData(write_parquet(folder / "a.parquet", values))


Make = Callable[[Path], InstructData]
FORMATS: list[Make] = [
    array, lines, lines_without_saying_so, gzipped, gzipped_array, several_files, tar_of_pictures, shards,
    folder_of_shards, parquet, parquet_with_pictures, parquet_with_lists_of_pictures,
]  # fmt: skip
every_format = pytest.mark.parametrize("make", FORMATS, ids=lambda make: make.__name__)


@every_format
def test_every_format_gives_the_same_conversations(tmp_path: Path, make: Make) -> None:
    data = make(tmp_path)
    assert (len(data), data.bad) == (5, [])
    order = list(range(5))
    random.Random(0).shuffle(order)
    for i in order:
        question, answer = data[i]
        (shown,) = question.images
        assert (question.text, answer) == (f"What? {i}", assistant(f"A {i}."))
        assert (shown.size, shown.getpixel((1, 1))) == ((3, 5), RGB[i])
        assert data.read(i) == [picture(COLOURS[i])]
        assert data.size(i) == (True, 133)  # 5 words, and 128 for the picture
        assert f"(id {i})" in data.name(i)
    data.check_pictures()
    with pytest.raises(IndexError):
        data[5]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes_read_what_was_opened_in_this_one(tmp_path: Path, method: str) -> None:
    made = []
    for make in (tar_of_pictures, shards, gzipped, parquet_with_pictures):
        (tmp_path / make.__name__).mkdir()
        made.append(make(tmp_path / make.__name__))
        first_turn(made[-1], 3)  # whatever is opened on the way is not in the way of the others
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert list(pool.map(first_turn, made, [1] * len(made))) == [("What? 1", [RGB[1]])] * len(made)


def test_of_a_row_of_json_only_numbers_are_kept(tmp_path: Path) -> None:
    data = InstructData(write_json(tmp_path / "a.json", rows(2000)))
    # 12 bytes say where it is, 5 how long and of which kind; the rest is the object itself.
    assert len(pickle.dumps(data)) < 17 * 2000 + 1000


def test_a_bad_row_is_no_reason_to_lose_a_file(tmp_path: Path) -> None:
    good = json.dumps(row(human("Hi"), gpt("Ho")))
    bad = json.dumps({"id": "b", "conversations": []})
    data = InstructData(write_json(tmp_path / "a.jsonl", f"{good}\n{{\n{bad}\n3\n{good}\n"))
    assert (len(data), data.bad) == (5, [1, 2, 3])
    assert data[4] == data[0] == (user("Hi"), assistant("Ho"))
    for index, (called, reason) in {
        1: ("", "not valid JSON"),
        2: ("b", "no `conv"),
        3: ("", "not an"),
    }.items():
        with pytest.raises(RowError, match=reason) as caught:
            data[index]
        error = caught.value
        assert (error.source, error.row, error.id) == (str(tmp_path / "a.jsonl"), index + 1, called)
        assert data.size(index) == (False, 0)
        assert f"row {index + 1}" in data.name(index)


def test_a_row_of_several_files_is_named_by_its_own_file_and_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", rows(2))
    write_json(tmp_path / "b.json", [*rows(1), "text"])
    with pytest.raises(RowError, match=r"b\.json: row 2 is not an object"):
        InstructData(tmp_path)[3]


def test_lines_are_cut_at_line_breaks_only(tmp_path: Path) -> None:
    values = [row(human("Hi"), gpt("Hö\u2028!\x85")) for _ in range(2)]
    text = "\n".join(json.dumps(each, ensure_ascii=False) for each in values)
    data = InstructData(write_json(tmp_path / "a.jsonl", text))
    assert [data.row(i).turns[1][1] for i in range(len(data))] == ["Hö\u2028!\x85"] * 2


def test_rows_of_an_array_are_found_across_the_windows_it_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = 'aä中🙂\\" ,]}['
    rng = random.Random(0)
    values = [row(human("Hi"), gpt("".join(rng.choices(letters, k=rng.randrange(99))))) for _ in range(50)]
    values[7:7] = [12345, "text, ]", [[], {}], None]  # whatever they are
    for window in (2, 7, 64, 1000):
        monkeypatch.setattr("llavakit.data.json_rows._WINDOW", window)
        for indent, as_ascii in ((None, False), (1, False), (None, True)):
            text = json.dumps(values, indent=indent, ensure_ascii=as_ascii)
            data = InstructData(write_json(tmp_path / "a.json", f" \n{text}\n "))
            assert [data.records[i] for i in range(len(data))] == values
            assert data.bad == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{", "after row 0"),
        (json.dumps(rows(2))[:-1], "after row 1: it is cut short"),
        (json.dumps(rows(2))[:-9], "after row 1"),
        ('[{}, {"id" 7}]', "after row 1: Expecting ':' delimiter$"),  # without a place, which is the window's
        (json.dumps(rows(2)) + "x", "something follows"),
        (json.dumps(rows(1))[:-1] + " {}]", "after row 1: '{' where a comma"),
        ("[" * 100_000, "not valid JSON"),
        ("{\n{\n", "its first line is not valid JSON.*JSON lines"),
        ("hello", "its first line is not valid JSON"),
        ("\0\0", "cannot be read as text"),
    ],
)
def test_a_file_that_is_not_json_is_an_error_at_once(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(LlavaError, match=rf"a\.json.*{reason}"):
        InstructData(write_json(tmp_path / "a.json", text))


@pytest.mark.parametrize("text", ["", "[]", "\n \n", " [ ] "])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LlavaError, match="no rows"):
        InstructData(write_json(tmp_path / "a.json", text))


def test_a_file_of_another_kind_of_rows_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match="no row that can be used: the first has no `conversations`"):
        InstructData(write_json(tmp_path / "a.json", [{"question": "Hi", "answer": "Ho"}] * 3))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json cannot be read: there is no such file"):
        InstructData(tmp_path / "none.json")
    with pytest.raises(UsageError, match=r"s-1\.tar cannot be read"):
        write_tar(tmp_path / "s-0.tar", {"a.txt": "A"})
        InstructData(tmp_path / "s-{0..1}.tar")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LlavaError, match=r"a\.json cannot be read as text"):
        InstructData(tmp_path / "a.json")
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08nothing")
    with pytest.raises(LlavaError, match=r"a\.jsonl\.gz cannot be read"):
        InstructData(tmp_path / "a.jsonl.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty holds no rows"):
        InstructData(tmp_path / "empty")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(LlavaError, match=r"a\.parquet cannot be read as Parquet"):
        InstructData(path)


def test_a_parquet_picture_without_bytes_is_the_fault_of_its_row(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    values = rows(2)
    values[0]["image"], values[1]["image"] = {"bytes": picture("red")}, {"bytes": None}
    data = InstructData(write_parquet(tmp_path / "a.parquet", values))
    assert len(data[0]) == 2
    with pytest.raises(RowError, match=r"row 2 \(id 1\) has a picture 1 without bytes"):
        data[1]


def test_a_shards_captions_are_what_their_pictures_show(tmp_path: Path) -> None:
    members: list[tuple[str, bytes | str]] = [
        ("000.jpg", picture("red")), ("000.txt", "A red one."),
        ("000.json", json.dumps({"url": "http://x", "caption": "another"})),
        ("001.png", picture("blue")), ("001.json", json.dumps({"caption": "A blue one."})),
        ("002.txt", "No picture."),
        ("003.json", "{"), ("003.jpg", picture("red")),
        ("004.json", json.dumps(rows(1, image="elsewhere.jpg")[0])),
        ("005.json", json.dumps(row(human("Hi"), gpt("Ho")))),
    ]  # fmt: skip
    data = InstructData(write_tar(tmp_path / "a.tar", members))
    assert (len(data), data.bad) == (6, [2, 3, 4])
    assert [data[i][1].text for i in (0, 1, 5)] == ["A red one.", "A blue one.", "Ho"]
    assert [len(data[i][0].images) for i in (0, 1, 5)] == [1, 1, 0]
    with pytest.raises(RowError, match=r"a\.tar: row 5.*'elsewhere\.jpg', which does not lie beside it"):
        data[4]


def test_several_pictures_of_a_sample_come_by_their_numbers(tmp_path: Path) -> None:
    asked = json.dumps(row(human("<image>" * 3), gpt("Three.")))
    members = {f"a.{i}.png": picture(c) for i, c in ((10, "blue"), (2, "lime"), (1, "red"))} | {
        "a.json": asked
    }
    ((question, _),) = [InstructData(write_tar(tmp_path / "a.tar", members))[0]]
    assert [image.getpixel((0, 0)) for image in question.images] == RGB[:3]


def test_a_cut_or_compressed_tar_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.json": json.dumps(rows(1)[0]), "b.png": bytes(9000)})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LlavaError, match=r"a\.tar cannot be read as a tar.*cut short in 'b\.png'"):
        InstructData(path)
    path.write_bytes(b"\x1f\x8b" + bytes(5000))
    with pytest.raises(LlavaError, match=r"a\.tar cannot be read as a tar"):
        InstructData(path)


def test_a_picture_that_cannot_be_opened_is_the_fault_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("red"))
    (tmp_path / "half.png").write_bytes(picture("red")[:50])
    values = [
        each | {"image": name} for each, name in zip(rows(3), ("a.png", "half.png", "no.png"), strict=True)
    ]
    data = InstructData(write_json(tmp_path / "a.json", values))
    assert len(data[0]) == 2
    for index, kind, name in ((1, "corrupt", "half"), (2, "missing", "no")):
        with pytest.raises(
            RowError, match=rf"row {index + 1} .*'{name}\.png' that cannot be opened"
        ) as caught:
            data[index]
        assert caught.value.kind == kind
    assert data.read(1) == [picture("red")[:50]]
    with pytest.raises(RowError, match=r"no\.png"):
        data.read(2)


def test_pictures_that_are_not_where_they_should_be_are_an_error_before_training(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [row(human("Hi"), gpt("Ho")), *named()])
    with pytest.raises(
        UsageError, match=r"no folder or \.tar .*nowhere: .*a\.json names the picture '0\.png'"
    ):
        InstructData(path, tmp_path / "nowhere").check_pictures()
    with pytest.raises(LlavaError, match=r"none of the first 5 pictures .*'0\.png'; say where"):
        InstructData(path).check_pictures()
    (tmp_path / "4.png").write_bytes(picture("red"))
    InstructData(path).check_pictures()  # one missing is for the run to skip
    words = write_json(tmp_path / "words.json", [row(human("Hi"), gpt("Ho"))])
    InstructData(words, tmp_path / "nowhere").check_pictures()  # nobody asks for it


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public rows are not here")
@pytest.mark.parametrize("kind", ["llama-prepend", "llama3-bytes"])
def test_every_public_row_encodes_with_its_picture_and_something_to_learn(kind: str) -> None:
    shown = Image.new("RGB", (2, 2))
    data = InstructData(PUBLIC / "llava_v1_5_mix1k.json")
    assert len(data) == 1000
    found = [data.row(i) for i in range(len(data))]
    assert sum(row.turns[0][1].endswith("<image>") for row in found) == 126
    assert (min(len(row.turns) for row in found), max(len(row.turns) for row in found)) == (2, 112)
    more = InstructData(PUBLIC / "coco2014_val_gpt4_qa_90_llava_style.json")
    found += [more.row(i) for i in range(len(more))]
    encoder = PromptEncoder(small(kind), TEMPLATES["vicuna_v1"], 3, ImageConfig())
    for one in found:
        messages = one.messages(lambda _: shown)
        encoded = encoder.encode(messages, reply=False)
        assert encoded.images == (shown,)
        ((start, end),) = encoded.image_spans
        assert encoded.ids[start:end] == [small(kind).image_token_id] * 3
        assert encoded.ids.count(small(kind).image_token_id) == 3
        assert "USER: <image>\n" in encoded.text
        learned = [label for label in encoded.labels if label != IGNORE]
        assert learned.count(small(kind).eos_id) == len(messages) // 2
        said = "".join(message.text for message in messages if message.role == "assistant")
        assert small(kind).decode(learned).replace(" ", "") == said.replace(" ", "")
