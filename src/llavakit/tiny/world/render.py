"""A scene becomes a picture."""

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from llavakit.tiny.world import backdrop, bays, draw, places, scenery
from llavakit.tiny.world.charts import paint_chart
from llavakit.tiny.world.clocks import paint_clock
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.writing import paint_writing


def render(scene: Scene, size: int = 224) -> Image.Image:
    """The scene as an RGB picture whose longer side is `size` pixels."""
    width = size if scene.aspect >= 1 else max(1, round(size * scene.aspect))
    height = size if scene.aspect <= 1 else max(1, round(size / scene.aspect))
    picture = _behind(scene, (width, height))
    for thing in scene.things:
        x0, y0, x1, y1 = thing.box
        longest = max(1, round(max((x1 - x0) * width, (y1 - y0) * height)))
        stamp = draw.sprite(thing.kind, thing.colour, longest, thing.rotation, thing.flip, thing.style)
        picture.paste(stamp, (round(x0 * width), round(y0 * height)), stamp)
    for writing in scene.writings:
        paint_writing(picture, writing)
    for chart in scene.charts:
        paint_chart(picture, chart)
    for clock in scene.clocks:
        paint_clock(picture, clock)
    return _photograph(picture, scene.seed)


def _behind(scene: Scene, size: tuple[int, int]) -> Image.Image:
    if scene.theme is None:
        return backdrop.paint(scene.backdrop, size, scene.seed)
    if scene.theme == "car park":
        return bays.paint(scene.bays, size, scene.seed)
    return scenery.paint(places.layout(scene.theme, scene.seed, scene.night), size)


def _photograph(picture: Image.Image, seed: int) -> Image.Image:
    """Some pictures get what cameras and files do to them: 30 % in all."""
    rng = np.random.default_rng((seed, 1))
    luck = rng.random()
    if luck < 0.08:  # grain
        pixels = np.asarray(picture)
        grain = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(3, 9)
        return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    if luck < 0.18:  # JPEG's blocks
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(40, 85)))
        return Image.open(file).convert("RGB")
    if luck < 0.24:
        return picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 0.8))))
    if luck < 0.30:
        return ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.82, 1.15)))
    return picture
