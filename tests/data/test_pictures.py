"""Pictures by name, under a folder or in a tar."""

import pickle
import tarfile
from pathlib import Path

import pytest

from data.files import picture, write_tar
from llavakit.data.pictures import Folder, Tar, open_pictures, read_at
from llavakit.errors import LlavaError, MediaError, PictureTooLargeError, UsageError


@pytest.fixture(params=["folder", "tar"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Folder | Tar:
    content = {"a.png": picture("red"), "in/中.png": picture("blue"), "z.png": b"no picture"}
    if request.param == "tar":
        return Tar(write_tar(tmp_path / "p.tar", content))
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return Folder(tmp_path)


def test_pictures_are_found_by_name(place: Folder | Tar) -> None:
    assert place.read("a.png") == picture("red")
    assert place.open("in/中.png").getpixel((0, 0)) == (0, 0, 255)
    assert [name in place for name in ("a.png", "in/中.png", "in", "b.png", "zz")] == [True] * 2 + [False] * 3


def test_a_picture_that_is_not_there_or_none_is_an_error_that_names_it(place: Folder | Tar) -> None:
    for read in (place.read, place.open):
        with pytest.raises(MediaError, match=r"b\.png"):
            read("b.png")
    assert place.read("z.png") == b"no picture"
    with pytest.raises(MediaError, match="not a picture"):
        place.open("z.png")


def test_a_picture_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    size = 51 * 2**20  # of a file with a hole in it: it takes no room
    for name, before in (("a.png", b""), ("p.tar", header("a.png", size))):
        (tmp_path / name).write_bytes(before)
        with (tmp_path / name).open("ab") as file:
            file.truncate(len(before) + size)
    for place in (Folder(tmp_path), Tar(tmp_path / "p.tar")):
        with pytest.raises(PictureTooLargeError, match=r"a\.png.*51\.0 MiB"):
            place.read("a.png")


def header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()


def test_a_tar_is_known_in_another_process_without_being_read_again(tmp_path: Path) -> None:
    place = pickle.loads(pickle.dumps(Tar(write_tar(tmp_path / "p.tar", {"./a.png": picture("red")}))))
    assert place.read("a.png") == place.read("./a.png") == picture("red")


def test_of_two_members_of_a_name_the_later_counts_and_links_do_not(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "p.tar", [("a.png", b"old"), ("a.png", b"new")])
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    place = Tar(path)
    assert place.read("a.png") == b"new"
    assert "b.png" not in place


def test_a_tar_of_many_pictures_takes_little_more_than_their_names(tmp_path: Path) -> None:
    names = [f"coco/train2017/{i:012d}.jpg" for i in range(1000)]
    place = Tar(write_tar(tmp_path / "p.tar", dict.fromkeys(names, b"x")))
    assert all(name in place for name in names)
    assert len(pickle.dumps(place)) < 1000 * (len(names[0]) + 24) + 1000


def test_where_there_is_no_folder_or_tar_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder or \.tar of pictures .*nowhere"):
        open_pictures(tmp_path / "nowhere")
    (tmp_path / "p.zip").write_bytes(b"PK")
    with pytest.raises(LlavaError, match=r"p\.zip cannot be read as a tar"):
        open_pictures(tmp_path / "p.zip")


def test_a_file_that_shrinks_or_goes_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    assert read_at(path, 3, 4) == b"3456"
    path.write_bytes(b"01234")
    with pytest.raises(LlavaError, match="shorter than when it was opened"):
        read_at(path, 3, 4)
    path.unlink()
    with pytest.raises(LlavaError, match="can no longer be read"):
        read_at(path, 3, 4)
