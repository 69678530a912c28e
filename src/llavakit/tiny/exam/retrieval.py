"""Examines the vision tower and its text tower alone: whose caption is this, and whose picture?"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavakit.evaluate import accuracy
from llavakit.tiny.dataset import SIZE
from llavakit.tiny.exam.ask import grey, numbers
from llavakit.tiny.exam.item import Bar, Result
from llavakit.tiny.exam.making import chance_of, trained
from llavakit.tiny.talk.captions import caption
from llavakit.tiny.world.compose import make_scene
from llavakit.tiny.world.render import render
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.things import colour_of

RETRIEVAL = "retrieval"  # the line's key
GALLERY = 200  # pictures, and as many captions, of which one is right
_BAR = Bar(0.80)

# How well each picture fits each caption: (picture, caption).
Match = Callable[[Sequence[Image.Image], Sequence[str]], NDArray[np.float32]]


def examine_retrieval(
    match: Match,
    n: int = 500,
    seed: int = 0,
    *,
    blind: bool = True,
    on_asked: Callable[[int], None] = lambda count: None,
) -> list[Result]:
    """Recall@1 among 200, both ways, in as many galleries as have `n` pictures together."""
    galleries = math.ceil(n / GALLERY)
    seeds = iter(numbers(RETRIEVAL, seed))
    seen: list[NDArray[np.bool_]] = []
    unseen: list[NDArray[np.bool_]] = []
    for _ in range(galleries):
        images, captions = gallery([next(seeds) for _ in range(2 * GALLERY)])
        seen.append(found(match(images, captions)))
        on_asked(GALLERY)
        if blind:
            unseen.append(found(match([grey(image) for image in images], captions)))
            on_asked(GALLERY)
    results = []
    for way, name in enumerate(("picture → caption, of 200", "caption → picture, of 200")):
        score = accuracy(name, [bool(right) for each in seen for right in each[way]])
        score = replace(score, chance=1 / GALLERY)
        guessed = float(np.mean([each[way] for each in unseen])) if blind else None
        results.append(Result(RETRIEVAL, score, _BAR, guessed))
    return results


def gallery(seeds: Sequence[int]) -> tuple[list[Image.Image], list[str]]:
    """Pictures with captions, no two of the same facts or words; empty pictures have no caption to tell."""
    images, captions, facts = [], list[str](), set[Hashable]()
    for number in seeds:
        scene = make_scene(number, trained())
        told, words = _facts(scene), caption(scene, chance_of(number))
        if _shows_something(scene) and told not in facts and words not in captions:
            facts.add(told)
            images.append(render(scene, SIZE))
            captions.append(words)
        if len(images) == GALLERY:
            break
    return images, captions


def found(similarity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each picture's best caption, and each caption's best picture, is its own: (2, pair)."""
    own = np.arange(len(similarity))
    return np.stack([similarity.argmax(1) == own, similarity.argmax(0) == own])


def _shows_something(scene: Scene) -> bool:
    return bool(scene.theme or scene.things or scene.writings or scene.clocks or scene.charts)


def _facts(scene: Scene) -> Hashable:
    """What a caption may tell."""
    things = Counter((thing.kind, colour_of(thing)) for thing in scene.things)
    return (
        frozenset(things.items()), scene.theme, scene.night,
        tuple(sorted(writing.text for writing in scene.writings)),
        tuple((clock.hour, clock.minute) for clock in scene.clocks),
        tuple((chart.labels, chart.values) for chart in scene.charts),
    )  # fmt: skip
