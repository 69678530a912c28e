"""The typefaces that the drawn world is written in: which there are, and where they are found.

Read from the system's folder of fonts, never copied here.
"""

import os
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.tiny.world.scene import Box

# What comes with Pillow itself: there is always this one.
OWN = "Aileron-Regular"
# Face -> the Debian package it is in. A face is its file's name, without what follows the dot.
FONTS: dict[str, str] = {
    OWN: "",
    "DejaVuSans": "fonts-dejavu-core",
    "DejaVuSans-Bold": "fonts-dejavu-core",
    "DejaVuSerif": "fonts-dejavu-core",
    "DejaVuSerif-Bold": "fonts-dejavu-core",
    "DejaVuSansMono": "fonts-dejavu-core",
    "DejaVuSansMono-Bold": "fonts-dejavu-core",
    "LiberationSans-Regular": "fonts-liberation",
    "LiberationSans-Bold": "fonts-liberation",
    "LiberationSerif-Regular": "fonts-liberation",
    "LiberationSerif-Bold": "fonts-liberation",
    "LiberationMono-Bold": "fonts-liberation",
    "FreeSansBold": "fonts-freefont-ttf",
    "FreeSerifBold": "fonts-freefont-ttf",
    "Lato-Regular": "fonts-lato",
    "Lato-Bold": "fonts-lato",
    "Lato-Black": "fonts-lato",
    "Roboto-Regular": "fonts-roboto-unhinted",
    "Roboto-Bold": "fonts-roboto-unhinted",
    "RobotoCondensed-Bold": "fonts-roboto-unhinted",
    "OpenSans-Regular": "fonts-open-sans",
    "OpenSans-Bold": "fonts-open-sans",
    "ComicNeue-Bold": "fonts-comic-neue",
    "Quicksand-Bold": "fonts-quicksand",
    "BebasNeue-Bold": "fonts-bebas-neue",
}
# For examinations only: one with serifs, one without.
HELD_OUT_FONTS = ("FreeSerifBold", "OpenSans-Bold")
# Their small letters look like capitals.
CAPITALS_ONLY = frozenset({"BebasNeue-Bold"})


def fonts_folder() -> Path:
    """`LLAVAKIT_FONTS`, else where Debian puts fonts."""
    return _path(os.environ.get("LLAVAKIT_FONTS", "/usr/share/fonts"))


_path = lru_cache(4)(Path)  # asked for each letter: making paths took as long as the rest of choosing a face


def available_fonts() -> tuple[str, ...]:
    """The faces of `FONTS` that are found, held-out ones included."""
    files = _files(fonts_folder())
    return tuple(name for name in FONTS if name == OWN or name in files)


@lru_cache(4)
def _files(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf"))
    return {path.stem: path for path in found if path.stem in FONTS}


def face(name: str, size: float) -> ImageFont.FreeTypeFont:
    """The face at `size` pixels an em, to the quarter of a pixel.

    Raises:
        UsageError: there is no such face in `FONTS`.
        LlavaError: it is not installed.
    """
    return _face(fonts_folder(), name, max(1, round(size * 4)))


@lru_cache(192)  # a thousand of them hold 160 MB, and are no faster
def _face(folder: Path, name: str, quarters: int) -> ImageFont.FreeTypeFont:
    if name not in FONTS:
        raise UsageError(f"no typeface is called {name!r}; {nearest(name, FONTS)}")
    if name == OWN:
        own = ImageFont.load_default(quarters / 4)
        if not isinstance(own, ImageFont.FreeTypeFont):
            raise LlavaError("this Pillow cannot draw letters: install one that was built with FreeType")
        return own
    if name not in _files(folder):
        raise LlavaError(
            f"the typeface {name!r} is not in {str(folder)!r}: install the Debian package {FONTS[name]}, "
            "or set LLAVAKIT_FONTS to a folder that has it"
        )
    return ImageFont.truetype(str(_files(folder)[name]), quarters / 4)


def can_write(name: str, text: str) -> bool:
    """Whether the face has every letter of the text, and tells capitals from small ones where it has both."""
    if name in CAPITALS_ONLY and text != text.upper():
        return False
    folder = fonts_folder()
    return all(_has(folder, name, letter) for letter in text if letter != " ")


@lru_cache(4096)
def _has(folder: Path, name: str, letter: str) -> bool:
    pen = _face(folder, name, 128)
    # What it draws for what it lacks.
    return bytes(pen.getmask(letter)) != bytes(pen.getmask("\U0010fffd"))


def spelt(
    pen: ImageFont.FreeTypeFont, text: str, at: tuple[float, float], anchor: str, size: tuple[int, int]
) -> list[tuple[str, Box]]:
    """Each character but spaces and its box, of a line that Pillow writes there in a picture of that size."""
    across, down = anchor[0], anchor[1]
    left = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[across] * pen.getlength(text)
    baseline = at[1] + pen.getbbox(text, anchor=f"l{down}")[1] - pen.getbbox(text, anchor="ls")[1]
    found = []
    for i, character in enumerate(text):
        if character == " ":
            continue
        # Kerning moves a letter by what came before it.
        start = left + pen.getlength(text[: i + 1]) - pen.getlength(character)
        x0, y0, x1, y1 = pen.getbbox(character, anchor="ls")
        box = (
            (start + x0) / size[0], (baseline + y0) / size[1],
            (start + x1) / size[0], (baseline + y1) / size[1],
        )  # fmt: skip
        found.append((character, box))
    return found
