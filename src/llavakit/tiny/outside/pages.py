"""Pages and screens, made by code: documents, programs, windows, messages, tables; and the text on them.

Each is busy all over: a plain ground with little on it belongs to the drawn world.
"""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from llavakit.tiny.outside.fields import RGB, Floats, field, one_of, palette, tinted

Size = tuple[int, int]
Painter = Callable[[np.random.Generator, Size], Floats]
_LETTERS = "eeeeetttaaooiinnssrrhhllddccuummffppggwwyybbvkxjqzTSIAM.,"


def sheet(size: Size, paper: RGB) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A blank picture and its pen."""
    image = Image.new("RGB", size, paper)
    return image, ImageDraw.Draw(image)


def floats(image: Image.Image) -> Floats:
    """The picture's pixels."""
    return np.asarray(image).astype(np.float32)


def bright(rng: np.random.Generator) -> RGB:
    """Any colour at all."""
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def inks(rng: np.random.Generator, dark_share: float = 0.4) -> tuple[RGB, RGB]:
    """Paper and ink."""
    low, high = int(rng.integers(8, 60)), int(rng.integers(215, 256))
    tint = rng.integers(-8, 8, 3)
    pale: RGB = (high + int(min(0, tint[0])), high + int(min(0, tint[1])), high + int(min(0, tint[2])))
    deep: RGB = (low, low + int(abs(tint[1])), low + int(abs(tint[2])))
    return (deep, pale) if rng.random() < dark_share else (pale, deep)


@lru_cache(512)
def _strip(high: int, number: int) -> Image.Image:
    """A line of made-up words as a mask, letters about `high` pixels tall."""
    rng = random.Random(f"strip {high} {number}")
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(2, 10))) for _ in range(24)]
    if rng.random() < 0.3:
        words = [str(rng.randint(0, 9999)) for _ in words]
    font = ImageFont.load_default(max(4, round(1.4 * high)))
    mask = Image.new("L", (70 * high, 2 * high))
    ImageDraw.Draw(mask).text((0, 0), " ".join(words), fill=255, font=font)
    return mask


def line_of_text(
    rng: np.random.Generator, image: Image.Image, x: float, y: float, end: float, high: float, ink: RGB
) -> None:
    """Something like words, from x to at most `end`."""
    size = max(2, round(high))
    mask = _strip(size, int(rng.integers(24)))
    wide = min(int(end - x), mask.width)
    if wide > 0:
        image.paste(ink, (int(x), int(y)), mask.crop((0, 0, wide, mask.height)))


def _paragraphs(
    rng: np.random.Generator,
    image: Image.Image,
    box: tuple[float, float, float, float],
    ink: RGB,
    high: float,
) -> None:
    x0, y0, x1, y1 = box
    y, pitch = y0, high * rng.uniform(1.7, 2.4)
    while y < y1 - high:
        short = rng.random() < 0.15
        line_of_text(rng, image, x0, y, x0 + (x1 - x0) * (rng.uniform(0.2, 0.9) if short else 1), high, ink)
        y += pitch * (1.6 if short else 1)


def document(rng: np.random.Generator, size: Size) -> Floats:
    """A page of small text, in one or two columns, with a heading and perhaps a figure."""
    width, height = size
    paper, ink = inks(rng, 0.1)
    image, _ = sheet(size, paper)
    edge, high = rng.uniform(0.03, 0.1) * width, rng.uniform(0.011, 0.028) * max(size)
    if rng.random() < 0.6:
        line_of_text(rng, image, edge, edge, width * rng.uniform(0.5, 0.95), 2 * high, ink)
    columns = int(rng.choice((1, 1, 2, 3)))
    step = (width - edge) / columns
    for column in range(columns):
        x = edge + column * step
        _paragraphs(rng, image, (x, edge + 4 * high, x + step - edge, height - edge / 2), ink, high)
    if rng.random() < 0.3:
        x, y = rng.uniform(edge, width / 2), rng.uniform(0.2, 0.6) * height
        figure = tinted(field(rng, size), palette(rng)).astype(np.uint8)
        image.paste(Image.fromarray(figure).resize((width // 3 + 1, height // 4 + 1)), (int(x), int(y)))
    return floats(image)


def code(rng: np.random.Generator, size: Size) -> Floats:
    """An editor or a terminal: indented lines in several colours."""
    width, height = size
    paper, ink = inks(rng, 0.75)
    image, _ = sheet(size, paper)
    hues = [ink, *(bright(rng) for _ in range(4))]
    high, indent = rng.uniform(0.012, 0.026) * max(size), 0
    left = rng.choice((0.02, 0.08)) * width
    y = high
    while y < height - high:
        x = left + indent * 3 * high
        for _ in range(int(rng.integers(0, 6))):
            end = x + high * rng.integers(3, 16)
            line_of_text(rng, image, x, y, min(end, width), high, hues[int(rng.integers(5))])
            x = end + high
        if left > 0.05 * width:
            line_of_text(rng, image, 0.01 * width, y, 0.07 * width, high, (128, 128, 128))
        indent = int(np.clip(indent + rng.integers(-1, 2), 0, 6))
        y += 2 * high
    return floats(image)


def windows(rng: np.random.Generator, size: Size) -> Floats:
    """A desktop, telephone or web page: bars, panes, buttons, icons, lines of text."""
    width, height = size
    image, pen = sheet(size, bright(rng))
    if rng.random() < 0.5:
        image.paste(Image.fromarray(np.clip(tinted(field(rng, size), palette(rng)), 0, 255).astype(np.uint8)))
    high = rng.uniform(0.012, 0.025) * max(size)
    for pane in range(int(rng.integers(1, 4))):
        paper, ink = inks(rng)
        whole = pane == 0 and rng.random() < 0.6
        x0, y0 = (0.0, 0.0) if whole else (rng.uniform(0, 0.5) * width, rng.uniform(0, 0.5) * height)
        x1, y1 = (
            (width, height)
            if whole
            else (x0 + rng.uniform(0.4, 0.8) * width, y0 + rng.uniform(0.3, 0.8) * height)
        )
        accent = bright(rng)
        pen.rectangle((x0, y0, x1, y1), fill=paper, outline=ink if rng.random() < 0.5 else None)
        pen.rectangle((x0, y0, x1, y0 + 2.5 * high), fill=accent if rng.random() < 0.6 else inks(rng)[0])
        line_of_text(rng, image, x0 + high, y0 + 0.8 * high, (x0 + x1) / 2, high, ink)
        for button in range(3):
            bx = x1 - (button + 1) * 2 * high
            pen.rectangle((bx, y0 + 0.8 * high, bx + high, y0 + 1.8 * high), fill=bright(rng))
        side = x0 + (x1 - x0) * rng.choice((0.0, 0.22, 0.3))
        if side > x0:
            pen.rectangle((x0, y0 + 2.5 * high, side, y1), fill=inks(rng)[0])
            for y in np.arange(y0 + 4 * high, y1 - high, 2.6 * high):
                line_of_text(rng, image, x0 + high, y, side - high, high, (128, 128, 128))
        y = y0 + 4 * high
        while y < y1 - 2 * high:
            form, left = rng.random(), side + high
            if form < 0.45:
                line_of_text(rng, image, left, y, left + (x1 - left) * rng.uniform(0.3, 0.95), high, ink)
            elif form < 0.6:
                pen.rectangle(
                    (left, y, left + (x1 - left) * rng.uniform(0.4, 0.9), y + 1.6 * high), outline=ink
                )
            elif form < 0.75:
                pen.rounded_rectangle((left, y, left + 8 * high, y + 1.8 * high), high / 2, fill=accent)
                line_of_text(rng, image, left + high, y + 0.4 * high, left + 7 * high, high, paper)
            elif form < 0.85:
                pen.line([(left, y), (x1 - high, y)], fill=(128, 128, 128))
            else:
                for x in np.arange(left, x1 - 5 * high, 6 * high):
                    pen.rectangle((x, y, x + 5 * high, y + 4 * high), fill=one_of(rng))
                y += 3 * high
            y += 2.4 * high
    return floats(image)


def chat(rng: np.random.Generator, size: Size) -> Floats:
    """Bubbles of text left and right."""
    width, height = size
    paper, ink = inks(rng)
    image, pen = sheet(size, paper)
    high, y = rng.uniform(0.016, 0.03) * max(size), rng.uniform(0, 0.1) * height
    mine, theirs = bright(rng), inks(rng)[0]
    while y < height:
        lines, right = int(rng.integers(1, 5)), rng.random() < 0.5
        wide = rng.uniform(0.3, 0.75) * width
        x = width - wide - high if right else high
        tall = (1.8 * lines + 1) * high
        pen.rounded_rectangle((x, y, x + wide, y + tall), high, fill=mine if right else theirs)
        for line in range(lines):
            line_of_text(rng, image, x + high, y + (0.8 + 1.8 * line) * high, x + wide - high, high, ink)
        y += tall + high
    return floats(image)


def table(rng: np.random.Generator, size: Size) -> Floats:
    """A sheet of cells with figures, a timetable, a calendar."""
    width, height = size
    paper, ink = inks(rng, 0.2)
    image, pen = sheet(size, paper)
    rows, columns = int(rng.integers(8, 26)), int(rng.integers(3, 10))
    pitch, step = height / rows, width / columns
    head, band = bright(rng), inks(rng, 0.0)[0] if paper[0] > 128 else (40, 44, 52)
    for row in range(rows):
        fill = head if row == 0 else band if row % 2 else paper
        pen.rectangle((0, row * pitch, width, (row + 1) * pitch), fill=fill, outline=(150, 150, 150))
        for column in range(columns):
            x = column * step
            pen.line([(x, 0), (x, height)], fill=(150, 150, 150))
            if rng.random() < 0.85:
                end = x + step * rng.uniform(0.3, 0.9)
                line_of_text(rng, image, x + 2, (row + 0.3) * pitch, end, 0.4 * pitch, ink)
    return floats(image)


PAGES: dict[str, Painter] = {
    "document": document, "code": code, "windows": windows, "chat": chat, "table": table,
}  # fmt: skip
