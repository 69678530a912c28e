"""What a file is, told by its beginning."""

from pathlib import Path

from llavakit.errors import UsageError
from llavakit.synth.sources import coco, visual_genome
from llavakit.synth.sources.folder import walk
from llavakit.synth.sources.layout import COCO, FIGURE, first_list, first_rows, layout_of

FORMATS = ("scenes", "coco", "visual-genome", "figures", "folder")

_SCENE = frozenset(("captions", "caption", "instances", "regions", "mentions"))


def format_of(path: Path) -> str:
    """One of `FORMATS`.

    Raises:
        UsageError: it cannot be told.
    """
    if path.is_dir():
        return _format_of_folder(path)
    layout = layout_of(path)
    if layout == "lists" and first_list(path)[0] in COCO:
        return "coco"
    rows = list(first_rows(path, layout))
    if not rows:
        raise UsageError(f"{path}: nothing is in it that could be a row")
    for row in rows:
        if row.keys() & FIGURE:
            return "figures"
        if "regions" in row and "image" not in row:
            return "visual-genome"
        if "image" in row and row.keys() & _SCENE:
            return "scenes"
        if "conversations" in row:
            raise UsageError(
                f"{path}: its rows have conversations: this is instruction data, and not what it is made from"
            )
    raise UsageError(
        f"{path}: what its rows are cannot be known, for they have no image with captions or instances, nor "
        f"another form that is read: say --format with one of {', '.join(FORMATS)}"
    )


def _format_of_folder(folder: Path) -> str:
    if coco.in_folder(folder):
        return "coco"
    if (folder / visual_genome.REGIONS).is_file():
        return "visual-genome"
    if any(picture and text for picture, text in walk(folder)):
        return "folder"
    raise UsageError(
        f"{folder}: in this folder are neither COCO's annotations nor {visual_genome.REGIONS}, nor pictures "
        "with a .txt beside them"
    )
