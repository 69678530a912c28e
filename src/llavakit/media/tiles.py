"""A picture as several views of the vision tower's size: the whole of it, and tiles of a larger copy.

The arithmetic is that of transformers' `LlavaNextImageProcessorPil` and `LlavaOnevisionImageProcessorPil`,
to the bit, and what `process.preprocess` says of a picture without tiles. Tiles need nothing larger than
their grid.
"""

import math

import numpy as np
from PIL import Image

from llavakit.config import ImageConfig, Layout
from llavakit.media.process import normalise, preprocess


def views(image: Image.Image, config: ImageConfig, layout: Layout) -> np.ndarray:
    """(view, 3, size, size) float32: the whole picture, then its tiles, row by row.

    The whole picture loses its shape to fit, but without tiles it is padded to a square first. Of `config`
    the size and the colours count.
    """
    if layout.tiles == (0, 0):
        return preprocess(image, config.model_copy(update={"pad": True}))[None]
    size, (down, across) = config.size, layout.tiles
    if image.mode != "RGB":
        image = image.convert("RGB")
    whole = normalise(image.resize((size, size), Image.Resampling.BICUBIC), config)
    large = normalise(_fitted(image, across * size, down * size), config)
    tiles = large.reshape(3, down, size, across, size).transpose(1, 3, 0, 2, 4)
    return np.concatenate([whole[None], tiles.reshape(-1, 3, size, size)])


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image as large as fits, in the middle of a black one of that size."""
    by_width, by_height = width / image.width, height / image.height
    if by_width < by_height:
        size = width, min(math.ceil(image.height * by_width), height)
    else:
        size = min(math.ceil(image.width * by_height), width), height
    canvas = Image.new("RGB", (width, height))
    canvas.paste(
        image.resize(size, Image.Resampling.BICUBIC), ((width - size[0]) // 2, (height - size[1]) // 2)
    )
    return canvas
