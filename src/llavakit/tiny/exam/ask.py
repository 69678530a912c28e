"""Puts the examination to a model: asks, asks again with grey pictures, marks, and counts."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from PIL import Image

from llavakit.errors import UsageError
from llavakit.evaluate import Score
from llavakit.prompt.messages import Message, assistant, user
from llavakit.tiny.dataset import SCENES
from llavakit.tiny.exam.item import Item, Line, Marked, Result
from llavakit.tiny.exam.lines import LINES, chosen

# Conversations so far, each ending with the user's turn, to the model's replies.
Generate = Callable[[Sequence[Sequence[Message]]], Sequence[str]]

_TOGETHER = 32  # items whose pictures are in memory at a time
_GREY = (128, 128, 128)


def examine(
    generate: Generate,
    n: int = 500,
    seed: int = 0,
    keys: Sequence[str] | None = None,
    *,
    blind: bool = True,
    on_line: Callable[[Line], None] = lambda line: None,
    on_asked: Callable[[int], None] = lambda count: None,
    on_marked: Callable[[Line, Marked], None] = lambda line, marked: None,
) -> list[Result]:
    """Ask `n` questions of each line, or of those named, and score the replies.

    Lines that need what this machine lacks are left out; `missing` of a line tells why.

    Args:
        generate: the model; all its requests of one call may be answered together
        seed: another one asks other questions
        blind: ask everything a second time with grey pictures, for what can be guessed without looking
        on_line: told of each line before it is asked
        on_asked: told how many items were just asked
        on_marked: told of each reply to the true pictures

    Raises:
        UsageError: `n` is not positive, or there is no such line.
    """
    if n < 1:
        raise UsageError(f"n is {n}: ask at least one question a line")
    results: list[Result] = []
    for line in chosen(keys):
        if line.missing():
            continue
        on_line(line)
        seen: list[Marked] = []
        unseen: list[Marked] = []
        asked = items(line, n, seed)
        while some := list(itertools.islice(asked, _TOGETHER)):
            for marked in _marked(generate, some):
                seen.append(marked)
                on_marked(line, marked)
            on_asked(len(some))
            if blind:
                unseen += _marked(generate, [greyed(item) for item in some])
                on_asked(len(some))
        for figure in line.figures:
            guessed = figure.measure(figure.name, unseen).value if unseen else None
            score = figure.measure(figure.name, seen)
            results.append(Result(line.key, score, figure.bar, guessed, _groups(line, seen)))
    return results


def items(line: Line, n: int, seed: int = 0) -> Iterator[Item]:
    """The first `n` items of a line, or all where it is always asked as a whole."""
    return itertools.islice(line.items(iter(numbers(line.key, seed))), line.count(n))


def numbers(key: str, seed: int = 0) -> range:
    """Seeds of a line's scenes: above all of training's, and apart from every other line's."""
    place = list(LINES).index(key) if key in LINES else len(LINES)
    start = SCENES * (2 + place + seed * (len(LINES) + 1))
    return range(start, start + SCENES)


def greyed(item: Item) -> Item:
    """The same with grey pictures of the same sizes."""
    return replace(item, images=tuple(map(grey, item.images)))


def grey(image: Image.Image) -> Image.Image:
    """A grey picture of the same size."""
    return Image.new("RGB", image.size, _GREY)


def _marked(generate: Generate, some: Sequence[Item]) -> list[Marked]:
    replies = _replies(generate, some)
    return [
        Marked(replace(item, images=()), reply, item.mark(reply))
        for item, reply in zip(some, replies, strict=True)
    ]


def _replies(generate: Generate, some: Sequence[Item]) -> list[str]:
    """To the last turn of each; all first turns are asked together, then all second ones."""
    talks: list[list[Message]] = [[] for _ in some]
    for turn in range(max(len(item.turns) for item in some)):
        going = [(item, talk) for item, talk in zip(some, talks, strict=True) if len(item.turns) > turn]
        for item, talk in going:
            talk.append(user(*(() if turn else item.images), item.turns[turn]))
        for (_, talk), reply in zip(going, generate([talk for _, talk in going]), strict=True):
            talk.append(assistant(reply))
    return [str(talk[-1].content[0]) for talk in talks]


def _groups(line: Line, marked: Sequence[Marked]) -> tuple[Score, ...]:
    names = dict.fromkeys(m.item.group for m in marked if m.item.group)
    measure = line.figures[0].measure
    return tuple(measure(name, [m for m in marked if m.item.group == name]) for name in names)
