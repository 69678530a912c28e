"""A picture in words, as a teacher is shown it (LLaVA, section 3: captions, then boxes)."""

from collections.abc import Iterable

from llavakit.synth.scene import Box, Scene
from llavakit.synth.task import Task

ABSENT = "Not in the picture:"
RIGHT = "Right option:"
_LETTERS = "ABCD"

# What stands for `{scene}` in a prompt: it is kept beside the code that it speaks of.
EXPLAINED = """\
What is in the picture is told to you in words:
- First come sentences about the whole picture, one a line, by different people who looked at it. Where they \
disagree, keep to what most of them say, or leave it out.
- Then come the things in it, one a line: a name, and where it is, as [x1, y1, x2, y2]. These are the left, \
top, right and bottom edges of the place it takes up, from 0 to 1: 0 is the picture's left or upper edge, 1 \
its right or lower edge. Several lines of one name are several such things. In place of a name there may be \
a phrase about that part of the picture.
- "and more of: …" after these lines names things of which there are more than there are lines. Do not say \
how many of them there are.
- "(there may be more than this)" means that the lines tell only some of the things: say neither how many \
there are, nor that something is not there.
- "In the text:" begins what is said of the picture where it is printed."""


def context(scene: Scene) -> str:
    """Captions, a line each; an empty line; things and regions as `name: [x1, y1, x2, y2]`; mentions.

    A part that the scene lacks is left out with its empty line.
    """
    boxes = [_placed(thing.category, thing.box) for thing in scene.things]
    boxes += [_placed(region.phrase, region.box) for region in scene.regions]
    if scene.crowds:
        boxes.append(f"and more of: {', '.join(sorted(map(_line, scene.crowds)))}")
    if boxes and not scene.complete:
        boxes.append("(there may be more than this)")
    mentions = [_line(mention) for mention in scene.mentions]
    parts: list[Iterable[str]] = [map(_line, scene.captions), boxes]
    parts.append(["In the text:", *mentions] if mentions else [])
    return "\n\n".join(filter(None, map("\n".join, parts)))


def shown(task: Task, right: str | None = None) -> str:
    """All that a teacher is shown of a task: the scene, and what this row shall be about.

    Args:
        right: the letter of the right option in a row of the kind "choice"; else it is drawn, as teachers
            left to themselves put the right answer at some letters far more often than at others
    """
    parts = [context(task.scene)]
    if task.kind == "absent":
        parts.append(f"{ABSENT} {', '.join(map(_line, task.absent))}")
    elif task.kind == "choice":
        parts.append(f"{RIGHT} {right or _LETTERS[task.draw('right option') % len(_LETTERS)]}")
    return "\n\n".join(filter(None, parts))


def _placed(name: str, box: Box) -> str:
    return f"{_line(name)}: [{', '.join(f'{edge:.3f}' for edge in box)}]"


def _line(text: str) -> str:
    return " ".join(text.split())
