"""Views of a picture against transformers' PIL image processors of LLaVA-NeXT and LLaVA-OneVision: equal."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llavakit.config import ImageConfig, Tiling
from llavakit.media import preprocess, views

PHOTOS = Path(__file__).resolve().parents[3] / "shared/data/photos"
HALF = (0.5, 0.5, 0.5)
SIDES = range(384, 2305, 384)
# As the published models have them.
MODELS = {
    "next": (
        Tiling(grids=((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)), tile=336, patches=24),
        ImageConfig(size=336, resize="exact"),
    ),
    "onevision": (
        Tiling(
            grids=tuple((h, w) for h in SIDES for w in SIDES), tile=384, patches=27, max_tiles=9, single=True
        ),
        ImageConfig(size=384, resize="exact", mean=HALF, std=HALF),
    ),
}  # fmt: skip
SHAPES = [
    (336, 336),
    (640, 480),
    (427, 640),
    (337, 335),
    (1, 1),
    (1, 40),
    (40, 1),
    (3, 7),  # as wide as there are channels
    (17, 1900),
    (1900, 17),
    (1023, 1024),
    (3000, 20),
]

names = pytest.mark.parametrize("name", MODELS)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels: unlike a photograph, they show an error of a single one."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def reference(name: str):
    transformers = pytest.importorskip("transformers")
    tiling, config = MODELS[name]
    square = {"height": config.size, "width": config.size}
    given = {
        "image_grid_pinpoints": [list(grid) for grid in tiling.grids],
        "image_mean": list(config.mean),
        "image_std": list(config.std),
    }
    if name == "next":
        return transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": config.size}, crop_size=square, **given
        )
    return transformers.LlavaOnevisionImageProcessorPil(size=square, **given)


def ours(name: str, image: Image.Image, pictures: int = 1) -> np.ndarray:
    tiling, config = MODELS[name]
    return views(image, config, tiling.layout(*image.size, pictures))


@names
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_views_of_odd_shapes_equal_the_reference_exactly(name, shape):
    image = noise(*shape)
    expected = reference(name)(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(ours(name, image), expected)


@names
def test_views_of_photographs_equal_the_reference_exactly(name):
    if not PHOTOS.is_dir():
        pytest.skip("no photographs here")
    processor = reference(name)
    files = sorted((PHOTOS / "coco").glob("*.jpg"))[:6] + sorted((PHOTOS / "demo").glob("*.[jpw]*g*"))
    assert len(files) > 6
    for file in files:
        image = Image.open(file).convert("RGB")
        expected = processor(image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_array_equal(ours(name, image), expected, str(file))


@names
def test_pictures_of_one_prompt_are_prepared_as_the_reference_does(name):
    images = [noise(640, 480), noise(300, 500, 1), noise(64, 64, 2)]
    expected = reference(name)([images], return_tensors="np")["pixel_values"]
    for image, theirs in zip(images, expected, strict=True):
        mine = ours(name, image, pictures=3)
        assert len(mine) == (1 if name == "onevision" else MODELS[name][0].layout(*image.size).views)
        np.testing.assert_array_equal(mine, theirs[: len(mine)])
        assert not theirs[len(mine) :].any()  # the batch's padding


def test_tiles_come_row_by_row_after_the_whole():
    tiling, config = MODELS["next"]
    image = Image.new("RGB", (1000, 1000))
    corners = {(0, 0): "red", (500, 0): "green", (0, 500): "blue", (500, 500): "white"}
    for corner, colour in corners.items():
        image.paste(colour, (*corner, corner[0] + 500, corner[1] + 500))
    pixels = views(image, config, tiling.layout(1000, 1000))
    assert pixels.shape == (5, 3, 336, 336)
    assert pixels.dtype == np.float32
    for tile, colour in zip(pixels[1:], corners.values(), strict=True):
        flat = preprocess(Image.new("RGB", (8, 8), colour), config)[:, 0, 0]
        np.testing.assert_array_equal(tile[:, 100, 100], flat)


def test_a_grey_picture_is_read_as_rgb():
    image = noise(40, 90).convert("L")
    np.testing.assert_array_equal(ours("next", image), ours("next", image.convert("RGB")))


@names
@pytest.mark.parametrize("shape", [(1, 65_535), (65_535, 1), (60_000, 900)])
def test_a_thread_of_pixels_needs_no_picture_larger_than_the_grid(name, shape, monkeypatch):
    picture, made = Image.new("RGB", shape, "white"), []
    resize, new = Image.Image.resize, Image.new

    def counted_resize(self, size, *args, **kwargs):
        made.append(size)
        return resize(self, size, *args, **kwargs)

    def counted_new(mode, size, *args):
        made.append(size)
        return new(mode, size, *args)

    monkeypatch.setattr(Image.Image, "resize", counted_resize)
    monkeypatch.setattr(Image, "new", counted_new)
    pixels = ours(name, picture)
    largest = max(height * width for height, width in MODELS[name][0].grids)
    assert len(made) == 3
    assert max(width * height for width, height in made) <= largest
    assert np.isfinite(pixels).all()
