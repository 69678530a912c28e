"""Nothing that is examined was learnt: no scene, pair of kind and colour, style, typeface; few wordings."""

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from llavakit.tiny.dataset import Drawn
from llavakit.tiny.exam import LINES, RETRIEVAL, Item, newcomers
from llavakit.tiny.exam.ask import items, numbers
from llavakit.tiny.talk.ask import conversation
from llavakit.tiny.talk.outside import outside_conversation
from llavakit.tiny.talk.question import Language
from llavakit.tiny.talk.several import frames_conversation, pair_conversation
from llavakit.tiny.talk.small_talk import small_talk
from llavakit.tiny.world.changes import make_frames, make_pair
from llavakit.tiny.world.compose import make_scene, medley
from llavakit.tiny.world.fonts import HELD_OUT_FONTS
from llavakit.tiny.world.scene import Scene, Thing
from llavakit.tiny.world.styles import HELD_OUT, TRAINED, available, font_path
from llavakit.tiny.world.things import held_out

pytestmark = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")

# What training draws of these seeds, with the styles that are here: the same scenes where all are.
STYLES = tuple(style for style in TRAINED if style in available())
LEARNT = 1200  # scenes looked at


@pytest.fixture(scope="module")
def learnt() -> list[Scene]:
    """A sample of what training shows, of every sort."""
    scenes = [make_scene(seed, STYLES) for seed in range(LEARNT)]
    scenes += [medley(seed, STYLES) for seed in range(LEARNT // 5)]
    for seed in range(LEARNT // 15):
        pair = make_pair(seed, STYLES)
        scenes += [pair.first, pair.second, *make_frames(seed, STYLES).scenes]
    return scenes


@pytest.fixture(scope="module")
def examined() -> dict[str, list[Item]]:
    """A sample of what every line asks."""
    return {key: list(items(line, 6)) for key, line in LINES.items() if not line.missing()}


def facts(scene: Scene) -> Scene:
    return replace(scene, seed=0)


def bare_of_all(scene: Scene) -> tuple[tuple[object, ...], ...]:
    return scene.things, scene.writings, scene.clocks, scene.charts


def pairs(scene: Scene) -> Iterator[tuple[str, str]]:
    return ((thing.kind, thing.colour) for thing in scene.things if thing.colour)


def test_seeds_of_examinations_are_none_of_trainings_and_every_line_has_its_own() -> None:
    ranges = [numbers(key, seed) for seed in range(3) for key in (*LINES, RETRIEVAL)]
    ranges = sorted([range(len(Drawn("tiny/instruct"))), *ranges], key=lambda each: each.start)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(ranges))


def test_every_item_is_of_a_seed_of_its_line(examined: dict[str, list[Item]]) -> None:
    for key, asked in examined.items():
        assert all(item.seed in numbers(key) for item in asked)


def test_no_examined_scene_is_learnt(learnt: list[Scene], examined: dict[str, list[Item]]) -> None:
    """But for plain white with nothing on it, which is the same everywhere."""
    known = {facts(scene) for scene in learnt}
    scenes = [scene for asked in examined.values() for item in asked for scene in item.scenes]
    assert len(scenes) > 300
    again = [scene for scene in scenes if facts(scene) in known]
    assert {(scene.backdrop.pattern, *bare_of_all(scene)) for scene in again} <= {("plain", (), (), (), ())}


def test_no_newcomers_scene_is_learnt(learnt: list[Scene]) -> None:
    def shown(scene: Scene) -> tuple[Thing, ...]:
        return tuple(replace(thing, style="", flip=False) for thing in scene.things)

    asked = {shown(scene) for case in newcomers.cases() for scene in case.scenes if len(scene.things) > 1}
    assert not asked & {shown(scene) for scene in learnt}


def test_pairs_held_out_are_examined_and_never_learnt(
    learnt: list[Scene], examined: dict[str, list[Item]]
) -> None:
    seen = {pair for scene in learnt for pair in pairs(scene)}
    assert len(seen) > 300
    assert not [pair for pair in seen if held_out(*pair)]
    shown = [scene for item in examined["unseen-pairs"] for scene in item.scenes]
    asked = {pair for scene in shown for pair in pairs(scene)}
    assert sum(held_out(*pair) for pair in asked) >= 5


def test_the_held_out_style_and_typefaces_are_never_learnt(learnt: list[Scene]) -> None:
    assert HELD_OUT not in {style.removesuffix("-2") for style in TRAINED}
    assert {thing.style for scene in learnt for thing in scene.things} <= set(TRAINED)
    fonts = {writing.font for scene in learnt for writing in scene.writings}
    assert len(fonts) > 1
    assert not fonts & set(HELD_OUT_FONTS)


def bare(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def asked_in_training(count: int) -> Iterator[str]:
    """So many questions in the mixture of the instruct stage, and of text alone."""
    seed = 0
    while count > 0:
        rng = random.Random(f"wordings {seed}")
        language: Language = "zh" if rng.random() < 0.12 else "en"
        sort = rng.random()
        if sort < 0.80:
            texts = [q.text for q in conversation(make_scene(seed, STYLES), rng, 8)]
        elif sort < 0.88:
            texts = [q.text for q in pair_conversation(seed, rng, language, STYLES)[1]]
        elif sort < 0.92:
            texts = [q.text for q in frames_conversation(seed, rng, language, STYLES)[1]]
        elif sort < 0.98:
            texts = [q.text for q in outside_conversation(seed, rng, language, STYLES)]
        else:
            texts = [small_talk(rng, language)[0]]
        yield from texts
        count, seed = count - len(texts), seed + 1


def test_few_of_newcomers_questions_are_learnt_word_for_word() -> None:
    """Some are so common that they must be: "What is this?", "Where is it?".

    17 % of newcomers' are among 20,000 of training's, capitals and marks left aside; here it is fewer.
    """
    said = {bare(text) for text in asked_in_training(3000)}
    asked = [bare(case.ask) for case in newcomers.cases()]
    assert sum(text in said for text in asked) / len(asked) < 0.15
