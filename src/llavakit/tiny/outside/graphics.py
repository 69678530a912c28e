"""Pictures that no camera took, and not of the drawn world either: codes, maps, noise, modern art.

Each is busy all over: a plain ground with little on it belongs to the drawn world.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from llavakit.tiny.outside.fields import Floats, field, one_of, palette, tinted
from llavakit.tiny.outside.pages import PAGES, Painter, Size, bright, floats, inks, line_of_text, sheet


def noise(rng: np.random.Generator, size: Size) -> Floats:
    """Every pixel by itself: white, coloured, salt and pepper, a bad signal, static in lines or blocks."""
    width, height = size
    form, strength = int(rng.integers(6)), rng.uniform(45, 110)
    cells: NDArray[np.floating]
    block = int(rng.choice((1, 1, 2, 3, 5, 8)))
    across, down = -(-width // block), -(-height // block)
    if form == 0:
        cells = np.repeat(rng.normal(128, strength, (down, across, 1)), 3, 2)
    elif form == 1:
        cells = rng.normal(128, strength, (down, across, 3))
    elif form == 2:
        share = rng.uniform(0.15, 0.5)
        cells = np.full((down, across, 3), rng.uniform(0, 255))
        luck = rng.random((down, across))
        cells[luck < share], cells[luck > 1 - share] = 0, 255
    elif form == 3:
        cells = rng.integers(0, 2, (down, across, 3)) * 255.0
    elif form == 4:
        cells = np.repeat(rng.normal(128, strength, (down, 1, 3)), across, 1) + rng.normal(
            0, 40, (down, across, 3)
        )
    else:
        cells = tinted(field(rng, size, 20), palette(rng)) + rng.normal(0, strength, (height, width, 3))
        return cells.astype(np.float32)
    return cells.repeat(block, 0).repeat(block, 1)[:height, :width].astype(np.float32)


def scribble(rng: np.random.Generator, size: Size) -> Floats:
    """Pen strokes that mean nothing, or lines of handwriting."""
    width, height = size
    paper, ink = inks(rng, 0.2)
    image, pen = sheet(size, paper)
    if rng.random() < 0.5:
        for y in np.arange(0.06, 1, rng.uniform(0.06, 0.12)) * height:
            steps = np.arange(0, rng.uniform(0.7, 1) * 40, 0.12)
            high = 0.025 * height
            x = (steps * 0.024 + 0.01 * np.sin(steps * rng.uniform(5, 8))) * width
            ys = y + high * np.sin(steps * rng.uniform(6, 9) + np.sin(steps)) * (1 + np.sin(steps * 1.7)) / 2
            pen.line(list(zip(x.tolist(), ys.tolist(), strict=True)), fill=ink, width=1 + max(size) // 300)
    else:
        for _ in range(int(rng.integers(4, 22))):
            walk = np.cumsum(np.cumsum(rng.normal(0, 0.004, (60, 2)), 0), 0) + rng.uniform(0, 1, 2)
            colour = ink if rng.random() < 0.6 else bright(rng)
            points = [(x * width, y * height) for x, y in walk.tolist()]
            pen.line(points, fill=colour, width=int(rng.integers(1, 2 + max(size) // 60)))
    return floats(image)


def squares(rng: np.random.Generator, size: Size) -> Floats:
    """A QR-like code, a maze, a crossword: black and white cells."""
    width, height = size
    cells = int(rng.integers(14, 46))
    grid = rng.random((cells, cells)) < rng.uniform(0.35, 0.6)
    form = rng.random()
    if form < 0.45:
        for y, x in ((0, 0), (0, cells - 7), (cells - 7, 0)):
            grid[y : y + 7, x : x + 7] = True
            grid[y + 1 : y + 6, x + 1 : x + 6] = False
            grid[y + 2 : y + 5, x + 2 : x + 5] = True
    elif form < 0.8:
        grid[:] = True
        grid[1::2, 1::2] = False
        for y in range(1, cells - 1, 2):
            for x in range(1, cells - 1, 2):
                grid[(y - 1, x) if rng.random() < 0.5 else (y, x - 1)] = False
    paper, ink = inks(rng, 0.3)
    pixels = np.where(grid[..., None], ink, paper).astype(np.uint8)
    whole = Image.new("RGB", size, paper)
    edge = int(min(size) * rng.choice((0.0, 0.06, 0.12)))
    box = (width - 2 * edge, height - 2 * edge)
    whole.paste(Image.fromarray(pixels).resize(box, Image.Resampling.NEAREST), (edge, edge))
    return floats(whole)


def bars(rng: np.random.Generator, size: Size) -> Floats:
    """A bar code, a television's test card, colour bars, a spectrum."""
    width, height = size
    image, pen = sheet(size, inks(rng, 0.2)[0])
    if rng.random() < 0.45:
        x, tall = 0.06 * width, rng.uniform(0.6, 0.9) * height
        while x < 0.94 * width:
            wide = width * 0.008 * int(rng.integers(1, 5))
            pen.rectangle((x, 0.05 * height, x + wide, tall), fill=(12, 12, 12))
            x += wide + width * 0.008 * int(rng.integers(1, 4))
        line_of_text(rng, image, 0.1 * width, tall + 0.02 * height, 0.9 * width, 0.05 * height, (12, 12, 12))
        return floats(image)
    share, count = rng.uniform(0.5, 1), int(rng.integers(6, 13))
    for bar in range(count):
        red, green, blue = (int(v) for v in rng.integers(0, 2, 3) * rng.integers(170, 256))
        pen.rectangle(
            (bar * width / count, 0, (bar + 1) * width / count, share * height), fill=(red, green, blue)
        )
    for row in np.arange(share, 1, 0.12):
        shades = np.sort(rng.integers(0, 256, int(rng.integers(4, 30))))
        for column, shade in enumerate(shades.tolist()):
            x = column * width / len(shades)
            pen.rectangle((x, row * height, x + width / len(shades), height), fill=(shade, shade, shade))
    if rng.random() < 0.5:
        reach = rng.uniform(0.25, 0.48) * min(size)
        for r in np.arange(reach, 0, -reach / rng.integers(4, 14)):
            shade = int(rng.choice((0, 255, 128)))
            box = (width / 2 - r, height / 2 - r, width / 2 + r, height / 2 + r)
            pen.ellipse(box, outline=(shade, shade, shade), width=int(1 + r / 12))
    return floats(image)


def city_map(rng: np.random.Generator, size: Size) -> Floats:
    """Streets, blocks, parks, a river, labels; or contour lines."""
    width, height = size
    if rng.random() < 0.35:
        values = field(rng, size, 32)
        lines = np.abs(np.modf(values * rng.uniform(3, 9))[0]) < 0.12
        return np.where(
            lines[..., None], one_of(rng, "bark", "night"), tinted(values, palette(rng)) * 0.4 + 150
        )
    image, pen = sheet(size, (238, 234, 226) if rng.random() < 0.7 else (36, 40, 48))
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        a, b = rng.uniform(0.05, 0.3, 2) * max(size)
        pen.polygon(
            [(x, y), (x + a, y + b / 5), (x + a, y + b), (x - a / 4, y + b)],
            one_of(rng, "grass", "sand", "sky"),
        )
    points = np.cumsum(rng.normal(0, 0.12, (9, 2)), 0) + rng.uniform(0, 1, 2)
    river = [(x * width, y * height) for x, y in points.tolist()]
    pen.line(river, fill=one_of(rng, "sky"), width=int(max(size) * rng.uniform(0.03, 0.08)), joint="curve")
    turn, pitch = rng.uniform(0, math.pi), rng.uniform(0.05, 0.14) * max(size)
    road = (255, 255, 255) if rng.random() < 0.6 else (250, 214, 120)
    for angle in (turn, turn + math.pi / 2 + rng.normal(0, 0.2)):
        for step in np.arange(-1.5 * max(size), 1.5 * max(size), pitch):
            x, y = width / 2 - step * math.sin(angle), height / 2 + step * math.cos(angle)
            a, b = 2 * max(size) * math.cos(angle), 2 * max(size) * math.sin(angle)
            wide = int(rng.choice((1, 1, 2, 3, 5))) + max(size) // 200
            pen.line([(x - a, y - b), (x + a, y + b)], fill=road, width=wide)
    for _ in range(int(rng.integers(4, 16))):
        x, y, high = rng.uniform(0, width), rng.uniform(0, height), 0.016 * max(size)
        line_of_text(rng, image, x, y, x + 9 * high, high, (90, 90, 100))
    return floats(image)


def x_ray(rng: np.random.Generator, size: Size) -> Floats:
    """A medical or microscope picture: grey or false-coloured glow with bones, cells or rings."""
    width, height = size
    image = Image.new("L", size, int(rng.integers(0, 30)))
    pen = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        middle = width * rng.uniform(0.4, 0.6)
        pen.ellipse((0.05 * width, -0.1 * height, 0.95 * width, 1.1 * height), fill=int(rng.integers(30, 90)))
        for y in np.arange(0.02, 1, rng.uniform(0.07, 0.12)) * height:
            for side in (-1, 1):
                far = middle + side * rng.uniform(0.25, 0.42) * width
                box = (min(middle, far), y, max(middle, far), y + 0.2 * height)
                pen.arc(box, 180, 360, fill=int(rng.integers(120, 220)), width=1 + max(size) // 60)
            pen.rectangle((middle - 0.03 * width, y, middle + 0.03 * width, y + 0.05 * height), fill=200)
    else:
        for _ in range(int(rng.integers(20, 120))):
            x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.01, 0.09) * max(size)
            pen.ellipse(
                (x - r, y - r, x + r, y + r),
                outline=int(rng.integers(90, 255)),
                fill=int(rng.integers(20, 160)),
            )
    grey = floats(image.convert("RGB"))[..., 0] + rng.uniform(10, 40) * field(rng, size)
    if rng.random() < 0.6:
        return np.repeat(grey[..., None], 3, 2)
    return tinted((grey - 128) / 60, palette(rng))


def abstract(rng: np.random.Generator, size: Size) -> Floats:
    """Modern art and optical play: woven lines, plasma, rings that beat, a fractal, coloured panes."""
    width, height = size
    x = (np.linspace(-1, 1, width, dtype=np.float32) * width / max(size))[None, :] + rng.uniform(-0.5, 0.5)
    y = (np.linspace(-1, 1, height, dtype=np.float32) * height / max(size))[:, None] + rng.uniform(-0.5, 0.5)
    form = int(rng.integers(5))
    if form == 0:
        a, b, c = rng.uniform(6, 40, 3)
        wave = np.sin(a * np.hypot(x, y)) + np.sin(b * x + 3 * np.sin(c * y / 3))
        return tinted(wave, np.array([bright(rng) for _ in range(4)], np.float32))
    if form == 1:
        z, c = (
            (1.5 * (x + 1j * y)).astype(np.complex64),
            complex(rng.uniform(-0.9, 0.3), rng.uniform(-0.8, 0.8)),
        )
        steps = np.zeros(z.shape, np.float32)
        for _ in range(12):
            z = np.where(np.abs(z) < 4, z * z + c, z)
            steps += np.abs(z) < 2
        return tinted(steps / 3 - 2, np.array([bright(rng) for _ in range(5)], np.float32))
    if form == 2:
        warp = field(rng, size, 32)
        wave = np.sin(rng.uniform(6, 16) * warp + rng.uniform(0, 12) * x)
        return tinted(2 * wave, np.array([bright(rng) for _ in range(3)], np.float32))
    image, pen = sheet(size, bright(rng))
    if form == 3:
        for _ in range(int(rng.integers(60, 200))):
            ends = [(a * width, b * height) for a, b in rng.uniform(-0.1, 1.1, (2, 2)).tolist()]
            pen.line(ends, fill=bright(rng), width=int(rng.integers(1, 2 + max(size) // 40)))
    else:
        cells = int(rng.integers(5, 16))
        step = max(size) / cells
        for across in range(cells):
            for down in range(cells):
                a, b = across * step, down * step
                box = (a - step / 2, b - step / 2, a + step / 2, b + step / 2)
                pen.rectangle((a, b, a + step, b + step), fill=bright(rng))
                start = int(rng.integers(4)) * 90
                pen.pieslice(
                    (*box[:2], box[2] + step / 2, box[3] + step / 2), start, start + 180, bright(rng)
                )
    return floats(image)


GRAPHICS: dict[str, Painter] = {
    **PAGES, "noise": noise, "scribble": scribble, "squares": squares, "bars": bars, "map": city_map,
    "x-ray": x_ray, "abstract": abstract,
}  # fmt: skip
