"""One picture, however it comes, is one RGB image; and every failure is one sentence."""

import base64
import io
import os
import random
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from llavakit.errors import MediaError
from llavakit.media import Limits, open_image

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"] + ["AVIF"] * features.check("avif")


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _picture(width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(_noise(height, width, 3))


def _encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()


# Sources


def test_every_kind_of_source_gives_the_same_picture(tmp_path):
    picture = _picture()
    data = _encoded(picture)
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    sources = [
        path,
        str(path),
        data,
        picture,
        np.asarray(picture),
        f"data:image/png;base64,{text}",
        f"DATA:;BASE64,{text.rstrip('=')}",
        "data:image/png;charset=x;base64," + text.replace("+", "%2B").replace("/", "%2F"),
        "data:image/png;base64," + "\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
        "data:image/png," + "".join(f"%{byte:02x}" for byte in data),
    ]
    for source in sources:
        assert _same(open_image(source), picture), str(source)[:60]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_accepted_format_opens(kind):
    image = open_image(_encoded(_picture(), kind))
    assert (image.mode, image.size) == ("RGB", (40, 30))


def test_the_result_is_a_new_image_without_metadata():
    picture = _picture()
    picture.info["comment"] = "x"
    opened = open_image(picture)
    opened.putpixel((0, 0), (1, 2, 3))
    assert opened.info == {}
    assert picture.info == {"comment": "x"}
    assert picture.getpixel((0, 0)) != (1, 2, 3)


def test_opening_what_was_opened_changes_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = open_image(_encoded(_picture(), exif=exif))
    assert _same(open_image(once), once)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("no/such/picture.png", "there is no such file"),
        (Path("no/such/picture.png"), "there is no such file"),
        (".", "a folder"),
        ("", "a folder"),
        ("nul\0.png", "cannot read this file"),
        ("x" * 5000, "cannot read this file"),
        ("~no-such-user-here/x.png", "cannot read this file"),
        ("ftp://example.com/x.png", "ftp: addresses are not opened"),
        ("file:///etc/hostname", "file: addresses are not opened"),
        ("data:image/png;base64", "needs a comma"),
        ("data:image/png;base64,@@@@", "not valid base64"),
        ("data:image/png;base64,", "empty"),
        ("data:text/plain,hello", "not a picture that can be opened"),
        (b"", "empty"),
        (b"\0" * 100, "not a picture that can be opened"),
        (b"  <!DOCTYPE html><html></html>", "a web page"),
        (b"<?xml version='1.0'?>\n<!-- x --><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photograph"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
        (b"\x89PNG\r\n\x1a\n", "begins like a PNG picture"),
        (None, "give a path"),
        ([Path("a.png")], "give a path"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(source, words):
    with pytest.raises(MediaError) as error:
        open_image(source)
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 500


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="not a regular file"):
        open_image(tmp_path / "pipe")


def test_a_message_shortens_data_and_hides_passwords_and_control_characters():
    with pytest.raises(MediaError) as error:
        open_image("data:image/png;base64," + "A" * 10_000)
    assert len(str(error.value)) < 200
    with pytest.raises(MediaError, match=r"^ftp://example.com/x"):
        open_image("ftp://someone:secret@example.com/x")
    with pytest.raises(MediaError) as error:
        open_image("\x1b[31mred.png")
    assert "\x1b" not in str(error.value)


def test_a_server_can_refuse_local_files_and_web_addresses(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(_encoded(_picture()))
    closed = Limits(allow_files=False, allow_urls=False)
    for source in (path, str(path), str(tmp_path / "missing.png")):
        with pytest.raises(MediaError, match="local files are not accepted here"):
            open_image(source, closed)
    with pytest.raises(MediaError, match="web addresses are not accepted here"):
        open_image("http://127.0.0.1/x.png", closed)
    assert open_image(path.read_bytes(), closed).size == (40, 30)


# Limits


def test_the_size_in_bytes_is_limited_for_every_source(tmp_path):
    data = _encoded(_picture(), "BMP")
    path = tmp_path / "picture.bmp"
    path.write_bytes(data)
    enough, little = Limits(max_bytes=len(data)), Limits(max_bytes=len(data) - 1)
    encoded = base64.b64encode(data).decode()
    for source in (path, data, f"data:;base64,{encoded}", "data:," + "".join(f"%{b:02x}" for b in data)):
        assert open_image(source, enough).size == (40, 30)
        with pytest.raises(MediaError, match="MiB allowed"):
            open_image(source, little)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it would take all memory
    with pytest.raises(MediaError, match="MiB allowed"):
        open_image(path)


def test_the_number_of_pixels_is_limited_for_every_source():
    picture = _picture(40, 30)
    for source in (picture, np.asarray(picture), *[_encoded(picture, kind) for kind in FORMATS]):
        assert open_image(source, Limits(max_pixels=1200)).size == (40, 30)
        with pytest.raises(MediaError, match=r"40x30 is 0\.0 megapixels, more than"):
            open_image(source, Limits(max_pixels=1199))


def _png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((9000, 9000), "81.0 megapixels"),
        ((11_000, 11_000), "121.0 megapixels"),  # here Pillow would warn
        ((40_000, 40_000), "hundreds of megapixels"),  # and here raise
        ((70_000, 10), "a side is longer"),
    ],
)
def test_a_bomb_is_refused_by_its_header(size, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MediaError, match=words):
            open_image(_png_claiming(*size))


def test_a_small_file_with_a_huge_webp_canvas_takes_little_memory():
    """The WebP decoder reserves its canvas before Pillow tells the size; it must stay untouched."""
    frame = _encoded(_picture(), "WEBP", lossless=True)[12:]
    body = (
        b"WEBP"
        + b"VP8X"
        + (10).to_bytes(4, "little")
        + bytes([2, 0, 0, 0])
        + (16_382).to_bytes(3, "little") * 2
        + b"ANIM"
        + (6).to_bytes(4, "little")
        + bytes(6)
        + b"ANMF"
        + (16 + len(frame)).to_bytes(4, "little")
        + bytes(6)
        + (39).to_bytes(3, "little")
        + (29).to_bytes(3, "little")
        + bytes(4)
        + frame
    )
    data = b"RIFF" + len(body).to_bytes(4, "little") + body
    script = """
import sys
from llavakit.errors import MediaError
from llavakit.media import open_image
try:
    open_image(sys.stdin.buffer.read())
except MediaError as error:
    # Not ru_maxrss: a child begins with its parent's, and a whole test run's parent is large.
    status = open("/proc/self/status")
    print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")), error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], input=data, capture_output=True, timeout=60, check=True
    )
    peak, message = done.stdout.decode().split(" ", 1)
    assert int(peak) < 200
    assert "megapixels" in message


# Damage


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_a_truncated_picture_is_an_error_that_says_so(kind, share):
    data = _encoded(_picture(200, 150), kind)
    with pytest.raises(MediaError, match=r"truncated|damaged"):
        open_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_bytes_load_or_are_a_media_error(kind):
    rng = random.Random(0)
    data = _encoded(_picture(), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(150):
            damaged = bytearray(data)
            for _ in range(rng.choice([1, 3, 10])):
                # mostly in the headers, where the decisions are
                damaged[rng.randrange(len(data) if rng.random() < 0.3 else 120)] = rng.randrange(256)
            try:
                assert open_image(bytes(damaged)).mode == "RGB"
            except MediaError:
                continue


def test_broken_metadata_does_not_lose_the_picture():
    picture = _picture()
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert open_image(_encoded(picture, "JPEG", exif=exif)).size == picture.size


def test_warnings_of_several_threads_are_silenced_and_then_back():
    data = _encoded(_picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = warnings.filters[:]
        threads = [threading.Thread(target=lambda: [open_image(data) for _ in range(20)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert caught == []
        assert warnings.filters == before
        warnings.warn("still heard", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["still heard"]


# Pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encoded(_picture(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as raw:
        expected = ImageOps.exif_transpose(raw)
    opened = open_image(data)
    assert opened.size == ((30, 40) if orientation > 4 else (40, 30))
    assert _same(opened, expected.convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_shown_on_white(kind):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0], rgba[0, :, 3] = 200, (0, 51, 255)
    opened = open_image(_encoded(Image.fromarray(rgba), kind, lossless=True))
    assert [opened.getpixel((x, 0)) for x in range(3)] == [(255, 255, 255), (244, 204, 204), (200, 0, 0)]


def test_transparent_palette_entries_greys_and_colours_become_white():
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([9, 9, 9, 0, 0, 255])
    palette.putpixel((0, 0), 0)
    grey = Image.fromarray(np.array([[9, 100]], np.uint8))
    deep = Image.fromarray(np.array([[9, 25700]], np.uint16))
    rgb = Image.fromarray(np.array([[[9, 9, 9], [0, 0, 255]]], np.uint8))
    for image, key, second in (
        (palette, 0, (0, 0, 255)),
        (grey, 9, (100,) * 3),
        (deep, 9, (100,) * 3),
        (rgb, (9, 9, 9), (0, 0, 255)),
    ):
        opened = open_image(_encoded(image, transparency=key))
        assert [opened.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), second], image.mode
    for image, second in ((grey.convert("LA"), (100,) * 3), (palette.convert("PA"), (0, 0, 255))):
        alpha = Image.new("L", (2, 1), 255)
        alpha.putpixel((0, 0), 0)
        image.putalpha(alpha)
        opened = open_image(image)
        assert [opened.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), second], image.mode


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_greys_are_scaled_and_not_clipped(kind):
    levels = np.array([[0, 256, 257, 32768, 65535]], np.uint16)
    opened = open_image(_encoded(Image.fromarray(levels), kind))
    assert np.asarray(opened)[0, :, 0].tolist() == [0, 1, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([0.0, 1000.0, 4000.0], [0, 64, 255]),
        ([float("nan"), 0.5, 1.0], [0, 128, 255]),
        ([7.0, 7.0, 7.0], [255, 255, 255]),
    ],
)
def test_float_greys_are_fractions_or_scaled_from_darkest_to_brightest(values, expected):
    data = _encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.asarray(open_image(data))[0, :, 0].tolist() == expected


def test_thirty_two_bit_greys_are_scaled():
    data = _encoded(Image.fromarray(np.array([[0, 100_000, 400_000]], np.int32)), "TIFF")
    assert np.asarray(open_image(data))[0, :, 0].tolist() == [0, 64, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV"])
def test_other_modes_are_converted_as_pillow_does(mode):
    image = _picture().convert(mode)
    assert _same(open_image(image), image.convert("RGB"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = _encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert open_image(data).getpixel((4, 4)) == (255, 0, 0)


def test_several_photographs_in_one_file_give_the_first():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black")]
    data = _encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert open_image(data).getpixel((4, 4)) == (255, 255, 255)


# Arrays


def test_arrays_of_every_accepted_type_give_the_same_picture():
    pixels = _noise(6, 5, 3)
    for array in (
        pixels,
        pixels.astype(np.uint16) * 257,
        pixels / 255,
        (pixels / 255).astype(np.float32),
        pixels.astype(">u2") * 257,
        np.asfortranarray(pixels),
    ):
        np.testing.assert_array_equal(np.asarray(open_image(array)), pixels)


def test_arrays_may_be_grey_or_have_an_alpha_channel():
    grey = _noise(6, 5)
    for array in (grey, grey[..., None]):
        np.testing.assert_array_equal(np.asarray(open_image(array)), np.stack([grey] * 3, axis=-1))
    clear = np.zeros((6, 5, 4))
    assert open_image(clear).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 20, 30), np.uint8),
        np.zeros((20, 30, 2), np.uint8),
        np.zeros((1, 20, 30, 3), np.uint8),
        np.zeros(20, np.uint8),
        np.zeros((0, 30, 3), np.uint8),
        np.zeros((20, 30), np.int64),
        np.zeros((20, 30), bool),
        np.zeros((20, 30), complex),
        np.full((20, 30), 1.01),
        np.full((20, 30), -0.01),
        np.full((20, 30), np.nan),
        np.array([["a"]]),
        np.array([[None]]),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_other_arrays_are_refused(array):
    with pytest.raises(MediaError, match=r"^array of shape .*;"):
        open_image(array)
