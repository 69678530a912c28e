"""The drawing styles of the world's things: which emoji sets there are, and their pictures as they come.

Noto is read from the system's font. The others are fetched once, by `python -m llavakit.tiny.world.styles`,
from npm packages of the Iconify project, and kept in the cache folder as small zips of PNGs. Nothing of them
is copied into this package. What is made of the pictures (paint, size, tilt) is `draw`.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from llavakit.cache import cache_folder
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.tiny.world.things import KINDS

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SIDE = 160  # pixels of a kept picture's longest side, before it is cut
_STRIKE = 109  # the one size, in pixels per em, that the font's bitmaps have


@dataclass(frozen=True)
class Style:
    """One way to draw everything.

    Attributes:
        package: the npm package and its version; "" for the font
        second: draws the other emoji of the kinds that have two (a cat's face in place of a whole cat)
        credit: whose pictures these are, and under what licence
    """

    name: str
    package: str
    version: str
    credit: str
    second: bool = False

    @property
    def set(self) -> str:
        """The name of the set of pictures, which two styles may share."""
        return self.name.removesuffix("-2")


_SETS = (
    Style(
        "noto", "", "",
        "Noto Color Emoji by Google (https://github.com/googlefonts/noto-emoji; font: SIL Open Font License "
        "1.1, images: Apache-2.0)",
    ),
    Style(
        "twemoji", "@iconify-json/twemoji", "1.2.5",
        "Twemoji by Twitter, Inc and other contributors (https://github.com/jdecked/twemoji; CC BY 4.0)",
    ),
    Style(
        "openmoji", "@iconify-json/openmoji", "1.2.29",
        "OpenMoji, the open-source emoji and icon project (https://openmoji.org; CC BY-SA 4.0)",
    ),
    Style(
        "emojione", "@iconify-json/emojione", "1.2.3",
        "EmojiOne 2 by Ranks.com (https://github.com/EmojiTwo/emojitwo; CC BY 4.0)",
    ),
    Style(
        "fluent", "@iconify-json/fluent-emoji-flat", "1.2.6",
        "Fluent Emoji by Microsoft (https://github.com/microsoft/fluentui-emoji; MIT)",
    ),
)  # fmt: skip
STYLES: dict[str, Style] = {style.name: style for style in _SETS} | {
    f"{style.name}-2": Style(f"{style.name}-2", style.package, style.version, style.credit, second=True)
    for style in _SETS
}
TRAINED = (
    "noto", "twemoji", "openmoji", "emojione", "noto-2", "twemoji-2", "openmoji-2", "emojione-2",
)  # fmt: skip
HELD_OUT = "fluent"  # never in a training picture
ATTRIBUTION = "Pictures of the tiny model's world are drawn with " + "; ".join(s.credit for s in _SETS) + "."
FETCH = "python -m llavakit.tiny.world.styles"

# EmojiOne has names but no code points; its names are mostly Twemoji's.
_NAMES_FROM = {"emojione": "twemoji"}
# Pictures that are left out: of another colour than all other sets', mostly white and so
# beyond painting, within a scenery, or hardly there.
_UNLIKE = {"emojione": "🐢🥄⛺👻💎🐟👗🎒☎🚜👠", "openmoji": "🧢⏰🚲🚌", "fluent": "👕"}


def font_path() -> Path:
    """The emoji font: `LLAVAKIT_EMOJI_FONT`, else where Debian puts it."""
    return Path(os.environ.get("LLAVAKIT_EMOJI_FONT", FONT))


def available() -> tuple[str, ...]:
    """The styles whose pictures are on this machine."""
    return tuple(
        name
        for name, style in STYLES.items()
        if (_kept(style).is_file() if style.package else font_path().is_file())
    )


def has(style: str, kind: str) -> bool:
    """Whether the style has a picture of this kind; of shapes every style has one.

    Raises:
        LlavaError: the style's pictures are not on this machine.
    """
    glyph = glyph_of(style, kind)
    return glyph is None or glyph in _pictures(STYLES[style].set)


def glyph_of(style: str, kind: str) -> str | None:
    """The emoji that the style draws this kind with; None: a shape drawn by code."""
    if style not in STYLES:
        raise UsageError(f"there is no drawing style {style!r}; {nearest(style, STYLES)}")
    if kind not in KINDS:
        raise UsageError(f"the drawn world has no {kind!r}; {nearest(kind, KINDS)}")
    of = KINDS[kind]
    if STYLES[style].second and of.other and of.other in _pictures(STYLES[style].set):
        return of.other
    return of.glyph


def picture(style: str, kind: str) -> Image.Image:
    """The kind's picture as the set has it, RGBA, uncut.

    Raises:
        LlavaError: the style has none.
    """
    glyph = glyph_of(style, kind)
    pictures = _pictures(STYLES[style].set)
    if glyph is None or glyph not in pictures:
        raise LlavaError(f"the drawing style {style!r} has no picture of {kind!r}: use another style or kind")
    return _from_font(glyph) if not STYLES[style].package else _decoded(pictures[glyph])


def _decoded(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _glyphs() -> list[str]:
    return sorted({glyph for kind in KINDS.values() for glyph in (kind.glyph, kind.other) if glyph})


@lru_cache(len(_SETS))
def _pictures(name: str) -> Mapping[str, bytes]:
    """The set's pictures as PNG, by emoji; of the font only which there are."""
    style = STYLES[name]
    if not style.package:
        return _in_font()
    try:
        with zipfile.ZipFile(_kept(style)) as kept:
            pictures = {chr(int(Path(entry).stem, 16)): kept.read(entry) for entry in kept.namelist()}
    except (OSError, zipfile.BadZipFile):
        raise LlavaError(
            f"the pictures of the drawing style {name!r} are not in {str(cache_folder())!r}: run `{FETCH}`"
        ) from None
    return {glyph: png for glyph, png in pictures.items() if glyph not in _UNLIKE.get(name, "")}


# ---------------------------------------------------------------- the font


@lru_cache(1)
def _font() -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(font_path()), _STRIKE)
    except OSError:
        raise LlavaError(
            f"the emoji font {str(font_path())!r} cannot be opened: install the Debian package "
            "fonts-noto-color-emoji, or set LLAVAKIT_EMOJI_FONT to a NotoColorEmoji.ttf"
        ) from None


def _from_font(glyph: str) -> Image.Image:
    image = Image.new("RGBA", (SIDE, SIDE))
    ImageDraw.Draw(image).text((8, 8), glyph, font=_font(), embedded_color=True)
    return image


def _in_font() -> Mapping[str, bytes]:
    absent = _from_font("\U0010fffd").tobytes()  # a private character: what the font shows for what it lacks
    drawn = {glyph: _from_font(glyph) for glyph in _glyphs()}
    return {glyph: b"" for glyph, image in drawn.items() if image.getbbox() and image.tobytes() != absent}


# ---------------------------------------------------------------- sets fetched from npm


def _kept(style: Style) -> Path:
    # Named after the emoji within, too: a world that gains kinds draws its pictures anew.
    within = zlib.crc32("".join(_glyphs()).encode())
    return cache_folder() / "styles" / f"{style.set}-{style.version}-{within:08x}.zip"


def fetch() -> list[Path]:
    """Fetches and draws the sets that are not here yet; returns the files that were written.

    Raises:
        LlavaError: npm is missing, or a package could not be had.
        UsageError: the extra `drawn` is not installed.
    """
    wanted = [style for style in _SETS if style.package and not _kept(style).is_file()]
    if not wanted:
        return []
    try:
        import resvg_py
    except ImportError:
        raise UsageError("drawing the styles needs resvg: pip install 'llavakit[drawn]'") from None
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    def png(svg: str) -> bytes:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE))

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with tempfile.TemporaryDirectory() as folder, Progress(*columns) as bars:
        files = []
        for style in wanted:
            bar = bars.add_task(f"{style.name}: fetching", total=len(_glyphs()))
            icons = _unpacked(style, Path(folder))
            names = _unpacked(STYLES[_NAMES_FROM.get(style.name, style.name)], Path(folder))
            bars.update(bar, description=f"{style.name}: drawing")
            files.append(_written(style, bars.track(_icons(icons, names), task_id=bar), png))
    return files


_ICONS, _CHARS = "icons.json", "chars.json"  # pictures by name; names by code point


def _unpacked(style: Style, folder: Path) -> Path:
    """The folder with the two files of its package that are read."""
    target = folder / style.name
    if target.is_dir():
        return target
    if not (npm := shutil.which("npm")):
        raise LlavaError("the drawing styles are fetched with npm, which is not here: install Node.js")
    target.mkdir()
    package = f"{style.package}@{style.version}"
    run = subprocess.run(
        [npm, "pack", package, "--silent"], cwd=target, capture_output=True, text=True, check=False
    )
    if run.returncode:
        reason = (run.stderr.strip() or run.stdout.strip() or "no reason given").splitlines()[-1]
        raise LlavaError(f"npm could not fetch {package} ({reason}): check the network and npm's registry")
    with tarfile.open(next(target.glob("*.tgz"))) as archive:
        for name in (_ICONS, _CHARS):  # nothing else of the package is wanted, wherever it would go
            with archive.extractfile(f"package/{name}") or io.BytesIO() as member:
                (target / name).write_bytes(member.read())
    return target


def _icons(icons: Path, names: Path) -> Iterable[tuple[str, str | None]]:
    """Every emoji of the world with its picture as SVG, None where the set has none."""
    collection = json.loads((icons / _ICONS).read_bytes())
    called = json.loads((names / _CHARS).read_bytes())
    for glyph in _glyphs():
        name = called.get(f"{ord(glyph):x}", "")
        yield glyph, _svg(collection, name) or _svg(collection, f"{name}-face")  # EmojiOne's "robot-face"


def _svg(collection: dict[str, Any], name: str) -> str | None:
    """An icon of an Iconify collection as a document of its own."""
    while name in collection.get("aliases", {}):
        name = collection["aliases"][name]["parent"]
    if not (icon := collection["icons"].get(name)):
        return None
    width, height = (icon.get(side, collection.get(side, 16)) for side in ("width", "height"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )


def _written(style: Style, icons: Iterable[tuple[str, str | None]], png: Callable[[str], bytes]) -> Path:
    path = _kept(style)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    with zipfile.ZipFile(partial, "w") as kept:  # PNGs are compressed as they are
        for glyph, svg in icons:
            if svg:
                kept.writestr(f"{ord(glyph):x}.png", png(svg))
    partial.replace(path)
    return path


def main() -> None:
    """`python -m llavakit.tiny.world.styles`."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    try:
        files = fetch()
    except LlavaError as error:
        console.print(f"error: {error}", markup=False)
        sys.exit(error.exit_code)
    for path in files:
        console.print(f"wrote {path}", markup=False)
    console.print(ATTRIBUTION, markup=False)


if __name__ == "__main__":
    main()
