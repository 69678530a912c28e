"""Where scenes come from: files of captions and boxes in the forms that are about."""

from collections.abc import Sequence
from pathlib import Path

from llavakit.errors import UsageError
from llavakit.synth.sources.base import Source
from llavakit.synth.sources.coco import Coco
from llavakit.synth.sources.figures import Figures
from llavakit.synth.sources.folder import Folder
from llavakit.synth.sources.layout import layout_of
from llavakit.synth.sources.look import FORMATS, format_of
from llavakit.synth.sources.scenes import Scenes
from llavakit.synth.sources.visual_genome import VisualGenome

__all__ = ["FORMATS", "Source", "open_source"]


def open_source(
    path: Path,
    format: str = "auto",  # noqa: A002
    *,
    captions: Path | None = None,
    categories: Sequence[str] | None = None,
    boxes: str = "auto",
) -> Source:
    """Scenes from a file or a folder.

    Args:
        path: rows of our own form ("scenes"), a file or the folder of COCO's annotations ("coco"),
            `region_descriptions.json` of Visual Genome or its folder ("visual-genome"), captions of figures
            with mentions ("figures"), or a folder of pictures with texts ("folder")
        format: one of `FORMATS`, or "auto": found out by looking
        captions: of "coco": its file of captions, where that is not beside `path` under its usual name
        categories: of "scenes" and "coco": all that may be; a scene with another is faulty
        boxes: of "scenes" and "coco": how they are written, one of `llavakit.synth.boxes.CONVENTIONS`.
            "auto": COCO's as COCO has them; those of scenes are found out, and are corners in 0 to 1 unless
            there is evidence of something else

    Raises:
        UsageError: no such file, not of the format, or the format or how boxes are written cannot be known.
    """
    if format == "auto":
        format = format_of(path)  # noqa: A001
    if format not in FORMATS:
        raise UsageError(f"--format {format}: no such form of data; valid: auto, {', '.join(FORMATS)}")
    if captions is not None and format != "coco":
        raise UsageError(f"{captions}: a file of captions goes with COCO's instances, and {path} is {format}")
    if format not in ("scenes", "coco") and (categories is not None or boxes != "auto"):
        what = "boxes are" if categories is None else "categories are"
        raise UsageError(
            f"{path}: {what} told of scenes and coco only, and this is {format}: leave that away"
        )
    if format == "coco":
        return Coco(path, captions, categories, boxes)
    if format == "visual-genome":
        return VisualGenome(path)
    if format == "folder":
        return Folder(path)
    layout = layout_of(path)
    if format == "figures":
        return Figures(path, layout)
    if layout == "lists":
        raise UsageError(f"{path}: an object of lists; scenes stand in one list, or on lines")
    return Scenes(path, layout, categories, boxes)
