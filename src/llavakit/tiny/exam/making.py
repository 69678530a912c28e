"""From numbers of scenes to items: what lines are put together from."""

import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial

from llavakit.errors import LlavaError
from llavakit.tiny.dataset import SIZE
from llavakit.tiny.exam.item import Item, Items
from llavakit.tiny.talk.ask import ASK
from llavakit.tiny.talk.mark import correct
from llavakit.tiny.talk.question import Asked, Language, Question
from llavakit.tiny.world import compose
from llavakit.tiny.world.render import render
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.styles import FETCH, TRAINED, available

Scenes = Callable[[int], Scene]
Accept = Callable[[Scene, Asked], bool]
_TRIES = 6  # questions tried of one scene


def trained() -> tuple[str, ...]:
    """The training's drawing styles that are here.

    Raises:
        LlavaError: none is.
    """
    here = available()
    if not (styles := tuple(style for style in TRAINED if style in here)):
        raise LlavaError(
            "the examination's pictures cannot be drawn: install the Debian package fonts-noto-color-emoji, "
            f"or run `{FETCH}`"
        )
    return styles


def drawn(composer: Callable[..., Scene] = compose.make_scene) -> Scenes:
    """The composer, with the training's styles."""
    return lambda number: composer(number, trained())


def chance_of(number: int) -> random.Random:
    """What all choices of a question follow from; training draws from others."""
    return random.Random(f"examination {number}")


def item(
    scenes: Sequence[Scene], question: Question, number: int, *, earlier: Sequence[str] = (), size: int = SIZE
) -> Item:
    """The question about the scenes, marked by its kind's rule."""
    return Item(
        tuple(render(scene, size) for scene in scenes),
        (*earlier, question.text),
        partial(correct, question),
        question.truth,
        question.answer,
        tuple(scenes),
        number,
    )


def about(
    kinds: str | Sequence[str],
    scenes: Scenes | None = None,
    accept: Accept = lambda scene, asked: True,
    *,
    language: Language = "en",
    sizes: tuple[int, int] = (SIZE, SIZE),
) -> Items:
    """Questions of these kinds, one about each scene that one can be asked of."""
    found = questions(kinds, scenes or drawn(), accept, language)

    def make(numbers: Iterator[int]) -> Iterator[Item]:
        for number, scene, question in found(numbers):
            size = random.Random(f"size {number}").randint(*sizes)
            yield item((scene,), question, number, size=size)

    return make


Found = Iterator[tuple[int, Scene, Question]]


def questions(
    kinds: str | Sequence[str], scenes: Scenes, accept: Accept, language: Language = "en"
) -> Callable[[Iterator[int]], Found]:
    """The questions alone, pictures not yet drawn."""
    wanted = (kinds,) if isinstance(kinds, str) else kinds

    def find(numbers: Iterator[int]) -> Found:
        for number in numbers:
            scene, rng = scenes(number), chance_of(number)
            for _ in range(_TRIES):
                asked = ASK[rng.choice(wanted)](scene, rng, language)
                if asked and accept(scene, asked):
                    yield number, scene, asked.question
                    break

    return find


def balanced(
    find: Callable[[Iterator[int]], Found], share: Callable[[Question], Hashable], wanted: Sequence[Hashable]
) -> Items:
    """As many items of each of the `wanted` shares, in turn."""

    def make(numbers: Iterator[int]) -> Iterator[Item]:
        waiting: dict[Hashable, list[tuple[int, Scene, Question]]] = {key: [] for key in wanted}
        turn = 0
        for found in find(numbers):
            key = share(found[2])
            if key not in waiting:
                continue
            waiting[key].append(found)
            while queue := waiting[wanted[turn % len(wanted)]]:
                number, scene, question = queue.pop(0)
                turn += 1
                yield item((scene,), question, number)

    return make
