"""What a teacher is told of a picture: captions, and things with their boxes."""

from dataclasses import dataclass

from llavakit.errors import RecordError

# x1, y1, x2, y2 as fractions of the picture's width and height; y runs downwards.
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Thing:
    """An instance of a category, as "dog"; of things in one box there is one only."""

    category: str
    box: Box


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture with words for it, as Visual Genome has them."""

    phrase: str
    box: Box


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture in words.

    Attributes:
        id: unique in its source
        image: the picture's path, relative to the folder of pictures
        captions: sentences, each about the whole picture
        things: in the source's order
        regions: phrases about parts
        mentions: what the text around a figure says of it (LLaVA-Med's in-text mentions)
        complete: whether every thing of the source's categories is in `things`, so that what is not there is
            absent, and what is there can be counted
        crowds: categories of which there are more than `things` tells, as COCO's `iscrowd` marks them: they
            are there, and cannot be counted
        row: its number in the source, from 1
    """

    id: str
    image: str
    captions: tuple[str, ...] = ()
    things: tuple[Thing, ...] = ()
    regions: tuple[Region, ...] = ()
    mentions: tuple[str, ...] = ()
    complete: bool = True
    crowds: frozenset[str] = frozenset()
    row: int = 0


class SceneError(RecordError):
    """Something of a source that makes no scene.

    Its `kind` is "format", "captions", "box", "category", "image" or "duplicate".
    """
