"""Items of lines that are not one question about one scene."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from llavakit.tiny import outside
from llavakit.tiny.dataset import SIZE
from llavakit.tiny.exam import newcomers
from llavakit.tiny.exam.item import Item
from llavakit.tiny.exam.making import about, chance_of, item, trained
from llavakit.tiny.talk import heard
from llavakit.tiny.talk.ask import ASK
from llavakit.tiny.talk.follow import follow_up
from llavakit.tiny.talk.outside import RULES, outside_conversation
from llavakit.tiny.talk.question import Asked, Question
from llavakit.tiny.talk.several import ask_changed, ask_moves, ask_what_moves
from llavakit.tiny.world import changes, compose, themes, writing
from llavakit.tiny.world.fonts import HELD_OUT_FONTS, available_fonts
from llavakit.tiny.world.render import render
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.things import held_out

_LEADING = ("presence", "colour", "count", "where", "which", "next_to", "largest", "list")
# Their right answers never say that something cannot be told.
_TOLD = (
    "presence", "colour", "count", "where", "which", "list", "brief", "describe", "relation", "largest",
    "category", "read", "clock", "chart_highest", "chart_value",
)  # fmt: skip
_COMPOSERS: tuple[Callable[..., Scene], ...] = (
    compose.loose, compose.medley, compose.crowd, compose.empty, compose.written, compose.charted,
    compose.clocked, *(partial(themes.themed, theme=theme) for theme in themes.TAGS),
)  # fmt: skip


def following(numbers: Iterator[int]) -> Iterator[Item]:
    """A question, and one that leans on it."""
    for number in numbers:
        scene, rng = compose.make_scene(number, trained()), chance_of(number)
        first = ASK[rng.choice(_LEADING)](scene, rng, "en")
        second = first and follow_up(first, scene, rng)
        if first and second:
            yield item((scene,), second.question, number, earlier=(first.question.text,))


def changed(numbers: Iterator[int]) -> Iterator[Item]:
    """What changed between two pictures."""
    for number in numbers:
        pair = changes.make_pair(number, trained())
        yield item((pair.first, pair.second), ask_changed(pair, chance_of(number)), number)


def moving(numbers: Iterator[int]) -> Iterator[Item]:
    """Which way something moves over three or four frames."""
    for number in numbers:
        frames, rng = changes.make_frames(number, trained()), chance_of(number)
        ask = ask_what_moves if rng.random() < 0.35 else ask_moves
        yield item(frames.scenes, ask(frames, rng), number)


def from_outside(numbers: Iterator[int]) -> Iterator[Item]:
    """Pictures that are not of this world, drawn by code from seeds that training has not."""
    for number in numbers:
        rng = chance_of(number)
        size = SIZE if rng.random() < 0.5 else rng.randrange(144, 449, 8)
        asked = [q for q in outside_conversation(number, rng, styles=trained()) if q.kind == "outside"]
        for question in asked[:1]:
            shown = item((), question, number)
            yield replace(shown, images=(outside.make_outside(number, size),))


def known(numbers: Iterator[int]) -> Iterator[Item]:
    """Pictures of this world by every composer in turn; right is whatever does not refuse."""

    def compose_next(number: int) -> Scene:
        return _COMPOSERS[number % len(_COMPOSERS)](number, trained())

    for asked in about(_TOLD, compose_next)(numbers):
        yield replace(asked, mark=_not_refused)


def _not_refused(reply: str) -> bool:
    return not RULES["outside"](Question("outside", "", "", ""), reply)


def denied(numbers: Iterator[int]) -> Iterator[Item]:
    """Questions about what is there; right is whatever does not say that it is missing."""

    def there(scene: Scene, asked: Asked) -> bool:
        return bool(asked.it)

    for asked in about(("colour", "where", "count"), accept=there)(numbers):
        yield replace(asked, mark=lambda reply: not heard.denied(reply))


def theme_or_none(number: int) -> Scene:
    """Mostly a place, else things on a mere pattern, of which no place can be told."""
    return (compose.loose if number % 8 == 0 else themes.themed)(number, trained())


def car_park(number: int) -> Scene:
    return themes.themed(number, trained(), theme="car park")


def of_held_out_pairs(number: int) -> Scene:
    """May show pairs of kind and colour that training never shows."""
    return compose.loose(number, trained(), held_out=True)


def is_held_out(scene: Scene, asked: Asked) -> bool:
    """Whether the question is about such a pair."""
    return any(thing.colour and held_out(thing.kind, thing.colour) for thing in asked.it)


def fonts_here() -> tuple[str, ...]:
    """The faces that training never writes with."""
    here = available_fonts()
    return tuple(font for font in HELD_OUT_FONTS if font in here)


def in_a_held_out_font(number: int) -> Scene:
    """One piece of writing in a face that training never writes with."""
    scene, rng = compose.written(number, trained()), random.Random(f"held-out font {number}")
    written = writing.make_writing(
        rng, (0.04, 0.04, 0.96, 0.96), scene.aspect, fonts=fonts_here(), behind=scene.backdrop.tones
    )
    return replace(scene, things=(), writings=(written,))


def newcomers_ask(numbers: Iterator[int]) -> Iterator[Item]:
    """Every question of the newcomers' book."""
    for case in newcomers.cases():
        number = next(numbers)
        images = [render(scene, SIZE) for scene in case.scenes]
        if case.outside:
            images.append(outside.make_outside(number, SIZE, case.outside))
        yield Item(
            tuple(images), (*case.earlier, case.ask), partial(newcomers.marks, case.rule),
            case.name, case.right, case.scenes, number, case.family,
        )  # fmt: skip


def newcomers_count() -> int:
    return sum(1 for _ in newcomers.cases())
