"""Hostile and odd files (the test pictures of Pillow): each loads sensibly or is a `MediaError`."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image, features

from llavakit.errors import MediaError
from llavakit.media import open_image

NASTY = Path(__file__).resolve().parents[3] / "shared/data/nasty"
ACCEPTED = {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"}


def _rows() -> list[dict[str, str]]:
    """What Pillow 13 did with each file: columns file, format, size (of the header), outcome, ..."""
    table = NASTY / "EXPECTED_pillow13.tsv"
    if not table.is_file():
        return []
    names, *rows = (line.split("\t") for line in table.read_text().splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.skipif(not NASTY.is_dir(), reason="no nasty files here")
@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["file"])
def test_a_nasty_file_loads_or_is_a_media_error(row, capfd):
    path = NASTY / row["file"]
    if row["format"] == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if row["format"] in ACCEPTED and row["outcome"] == "load ok":
            image = open_image(path)
            width, height = map(int, row["size"].split("x"))
            # Pillow gives a TIFF's size as it is upright, that of others as it is stored.
            turned = row["exif_orientation"] in ("5", "6", "7", "8") and row["format"] != "TIFF"
            assert image.size == ((height, width) if turned else (width, height))
            assert image.mode == "RGB"
            assert image.info == {}
            image.getpixel((image.width - 1, image.height - 1))
        else:
            with pytest.raises(MediaError) as error:
                open_image(path)
            message = str(error.value)
            assert message.startswith(f"{path}: ")
            assert ";" in message  # what is wrong; what to do
            if "truncated" in row["outcome"].lower():
                assert "truncated" in message


@pytest.mark.skipif(not NASTY.is_dir(), reason="no nasty files here")
def test_all_nasty_files_together_take_little_memory_and_time():
    """In a process of its own: a crash of a decoder, or memory beyond the limit, would end it."""
    script = """
import resource, sys
from pathlib import Path
from llavakit.errors import MediaError
from llavakit.media import open_image
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
count = 0
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_file():
        count += 1
        try:
            open_image(path)
        except MediaError as error:
            assert "not enough memory" not in str(error), path
# Not ru_maxrss: a child begins with its parent's, and a whole test run's parent is large.
peak = next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(count, peak)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(NASTY / "pillow")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, peak = map(int, done.stdout.split())
    assert count == len(_rows())
    assert peak < 300  # MiB, of which NumPy, Pillow and the HTTP client are 50; the largest file takes 10


@pytest.mark.skipif(not NASTY.is_dir(), reason="no nasty files here")
def test_lab_and_cmyk_pictures_look_like_the_rgb_original():
    """The same photograph in other colour spaces stays within a mean difference of 12 levels of 255."""
    reference = open_image(NASTY / "pillow/hopper.webp")
    lab = open_image(NASTY / "pillow/hopper.Lab.tif")
    small = [list(image.resize((8, 8), Image.Resampling.BOX).tobytes()) for image in (reference, lab)]
    assert sum(abs(a - b) for a, b in zip(*small, strict=True)) / len(small[0]) < 12
    cmyk = NASTY / "pillow/pil_sample_cmyk.jpg"
    with Image.open(cmyk) as raw:
        assert open_image(cmyk).tobytes() == raw.convert("RGB").tobytes()
