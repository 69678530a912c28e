"""Pixels against transformers' PIL image processors, which are the reference.

Equality is exact wherever the reference's own road is taken: the same Pillow resize, then one table
per channel computed with the reference's roundings. Where the reference would need gigabytes, the
tolerance is one level of 255 over the smallest deviation (0.26), which is 0.0151.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.media import preprocess, process

PHOTOS = Path(__file__).resolve().parents[3] / "shared/data/photos"
ONE_LEVEL = 1 / 255 / 0.26
SHAPES = [
    (336, 336),
    (640, 480),
    (427, 640),
    (500, 333),
    (337, 335),
    (1, 1),
    (1, 40),
    (40, 1),
    (2, 3),
    (17, 1900),
    (1900, 17),
    (1024, 1023),
    (100, 101),
    (3000, 20),
]


def _noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels: unlike a photograph, they show an error of a single one."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _clip(config: ImageConfig):
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    return module.CLIPImageProcessorPil(
        size={"shortest_edge": config.size},
        crop_size={"height": config.size, "width": config.size},
        image_mean=config.mean,
        image_std=config.std,
    )


def _llava(config: ImageConfig):
    module = pytest.importorskip("transformers.models.llava.image_processing_pil_llava")
    return module.LlavaImageProcessorPil(
        size={"shortest_edge": config.size},
        crop_size={"height": config.size, "width": config.size},
        image_mean=config.mean,
        image_std=config.std,
        do_pad=True,
    )


def _siglip(config: ImageConfig):
    module = pytest.importorskip("transformers.models.siglip.image_processing_pil_siglip")
    return module.SiglipImageProcessorPil(
        size={"height": config.size, "width": config.size}, image_mean=config.mean, image_std=config.std
    )


HALF = (0.5, 0.5, 0.5)
REFERENCES = {
    "clip": (_clip, ImageConfig()),
    "clip-224": (_clip, ImageConfig(size=224)),
    "clip-odd": (_clip, ImageConfig(size=97)),
    "llava-1.5": (_llava, ImageConfig(pad=True)),
    "siglip": (_siglip, ImageConfig(size=384, resize="exact", mean=HALF, std=HALF)),
}


def _expected(reference, image: Image.Image) -> np.ndarray:
    return np.asarray(reference(image, return_tensors="np")["pixel_values"][0])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("name", REFERENCES)
def test_pixels_of_odd_shapes_equal_the_reference_exactly(name, shape):
    make, config = REFERENCES[name]
    image = _noise(*shape)
    np.testing.assert_array_equal(preprocess(image, config), _expected(make(config), image))


@pytest.mark.parametrize("name", REFERENCES)
def test_pixels_of_photographs_equal_the_reference_exactly(name):
    if not PHOTOS.is_dir():
        pytest.skip("no photographs here")
    make, config = REFERENCES[name]
    reference = make(config)
    files = sorted((PHOTOS / "coco").glob("*.jpg"))[:12] + sorted((PHOTOS / "demo").glob("*.[jpw]*g*"))
    assert len(files) > 12
    for file in files:
        image = Image.open(file).convert("RGB")
        np.testing.assert_array_equal(preprocess(image, config), _expected(reference, image), str(file))


def test_pixels_are_channels_first_float32_of_the_configured_size():
    pixels = preprocess(_noise(50, 70), ImageConfig(size=28))
    assert pixels.shape == (3, 28, 28)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous


def test_the_longer_edge_is_rounded_down_before_the_crop():
    # 336 * 500 / 333 = 504.5: the edge is 504, so 84 columns are cut off on the left.
    image = _noise(500, 333)
    resized = image.resize((504, 336), Image.Resampling.BICUBIC).crop((84, 0, 420, 336))
    np.testing.assert_array_equal(preprocess(image, ImageConfig()), preprocess(resized, ImageConfig()))


def test_padding_keeps_what_the_crop_would_cut_and_surrounds_it_with_the_mean_colour():
    image = Image.new("RGB", (300, 100), "black")
    image.paste("white", (0, 0, 30, 100))
    config = ImageConfig(size=30, pad=True)
    pixels = preprocess(image, config)
    black, white, mean = (
        (np.array(colour) / 255 - config.mean) / config.std
        for colour in ((0, 0, 0), (255, 255, 255), (122, 116, 104))
    )
    np.testing.assert_allclose(pixels[:, 2, 15], mean, atol=1e-6)
    np.testing.assert_allclose(pixels[:, 15, 0], white, atol=1e-6)
    np.testing.assert_allclose(pixels[:, 15, 25], black, atol=1e-6)
    assert np.abs(pixels[:, 2, 15]).max() < ONE_LEVEL  # the mean colour, rounded down, is nearly zero


def test_a_grey_picture_is_read_as_rgb_as_the_reference_does():
    image = _noise(40, 30).convert("L")
    np.testing.assert_array_equal(
        preprocess(image, ImageConfig(size=28)), preprocess(image.convert("RGB"), ImageConfig(size=28))
    )


EXTREME = [
    (False, (900, 6)),
    (False, (6, 900)),
    (False, (901, 3)),
    (False, (3, 901)),
    (False, (1, 2000)),
    (True, (900, 60)),
    (True, (60, 900)),
    (True, (901, 3)),
    (True, (3, 901)),
    (True, (301, 200)),
]


@pytest.mark.parametrize(("pad", "shape"), EXTREME)
def test_the_road_for_extreme_shapes_agrees_with_the_ordinary_one(pad, shape, monkeypatch):
    """The limit is lowered so that both can be computed."""
    config = ImageConfig(size=56, pad=pad)
    image = _noise(*shape)
    expected = preprocess(image, config)
    monkeypatch.setattr(process, "_MAX_PIXELS", 1)
    assert np.abs(preprocess(image, config) - expected).max() <= ONE_LEVEL * 1.01


@pytest.mark.parametrize("shape", [(1, 65_535), (65_535, 1), (60_000, 900)])
@pytest.mark.parametrize("options", [{}, {"pad": True}, {"resize": "exact"}])
def test_a_thread_of_pixels_needs_no_gigabytes(shape, options, monkeypatch):
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
    pixels = preprocess(picture, ImageConfig(**options))
    assert pixels.shape == (3, 336, 336)
    assert np.isfinite(pixels).all()
    assert max(width * height for width, height in made) <= process._MAX_PIXELS
