"""The drawn world as training data: endless, made on the fly, the same for the same index.

`tiny/pairs` are pictures with captions and labels (contrastive), `tiny/text` conversations about a described
picture (the language model's own schooling), `tiny/captions` and `tiny/instruct` LLaVA's two stages.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from llavakit.data.contrast import CaptionedImage, Labels, Region
from llavakit.errors import UsageError, nearest
from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.tiny import outside
from llavakit.tiny.labels import LABELS, OUTSIDE, regions
from llavakit.tiny.talk.ask import QUICK, ask, conversation
from llavakit.tiny.talk.captions import caption, inventory
from llavakit.tiny.talk.outside import outside_conversation
from llavakit.tiny.talk.question import Language, Question
from llavakit.tiny.talk.several import frames_conversation, pair_conversation
from llavakit.tiny.talk.small_talk import small_talk
from llavakit.tiny.world.compose import charted, clocked, crowd, make_scene, medley, mosaic, primer, written
from llavakit.tiny.world.render import render
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.themes import themed

T = TypeVar("T")
SCENES = 1_000_000  # of a dataset; examinations take their seeds from above them
SIZE = 224  # pixels of the longer side that most pictures are drawn at: what the tower sees
_TURNS = 8
_car_park = partial(themed, theme="car park")
_ZH = 0.12  # share of conversations in Chinese, where the conversation does not choose itself
_SMALL_TALK = 0.03  # share of conversations with a greeting or the like among the questions
_CAPITALS = re.compile("(?<=[A-Z])(?=[A-Z])")
_NO_SYSTEM = 0.3  # share without the template's system prompt, as people's own prompts often are


def picture(scene: Scene, rng: random.Random) -> Image.Image:
    """Drawn at the size that the tower sees, or (a quarter) at any other that people's pictures may have."""
    return render(scene, _size(rng, 0.75))


def _size(rng: random.Random, usual: float) -> int:
    """The size that the tower sees in a share `usual` of cases."""
    return SIZE if rng.random() < usual else rng.randrange(144, 449, 8)


def pairs(seed: int, rng: random.Random) -> CaptionedImage:
    """A picture, its caption, and of each part of it what it is, where it is, one of how many …

    Many show more than conversations are held about: there is more to learn from each.
    """
    return _one_of(_PAIRS, rng)(seed, rng)


def _one_of(mixture: Mapping[T, float], rng: random.Random) -> T:
    """One of its keys, as often as its values say."""
    (chosen,) = rng.choices(tuple(mixture), tuple(mixture.values()))
    return chosen


def _outsider(seed: int, rng: random.Random) -> CaptionedImage:
    # What is written on a page from outside nobody knows here.
    everything = (Region(None, {"kind": OUTSIDE}),)
    return CaptionedImage(outside.make_outside(seed, SIZE), "not a drawn scene", everything, complete=False)


def _tiles(seed: int, rng: random.Random) -> CaptionedImage:
    """A mosaic, with a caption that names some of it."""
    scene = mosaic(seed)
    few = replace(scene, things=tuple(rng.sample(scene.things, min(6, len(scene.things)))), writings=())
    return CaptionedImage(render(scene, SIZE), f"among much else {caption(few, rng)}", regions(scene))


def _reader(seed: int, rng: random.Random) -> CaptionedImage:
    """A page of letters, with a caption that spells some of it."""
    scene = primer(seed)
    few = replace(scene, writings=tuple(rng.sample(scene.writings, min(4, len(scene.writings)))))
    return CaptionedImage(render(scene, SIZE), f"a page with {caption(few, rng)}", regions(scene))


def _seen(compose: Callable[[int], Scene]) -> Callable[[int, random.Random], CaptionedImage]:
    def make(seed: int, rng: random.Random) -> CaptionedImage:
        scene = compose(seed)
        return CaptionedImage(picture(scene, rng), caption(scene, rng), regions(scene))

    return make


# How often each comes. Letters are slow to learn, and little else is learned beside pages of them.
_PAIRS: dict[Callable[[int, random.Random], CaptionedImage], float] = {
    _outsider: 0.03,
    _tiles: 0.36,
    _reader: 0.12,
    _seen(medley): 0.10,
    _seen(crowd): 0.07,
    _seen(written): 0.05,
    _seen(charted): 0.05,
    _seen(clocked): 0.03,
    _seen(_car_park): 0.03,
    _seen(make_scene): 0.16,
}


def text(seed: int, rng: random.Random) -> tuple[Message, ...]:
    """A conversation in which words stand where the picture will stand later."""
    scene = make_scene(seed)
    questions = conversation(scene, rng, _TURNS)
    first = f"{inventory(scene, rng)}\n{questions[0].text}"
    return _turns(rng, [(user(first), questions[0].answer), *_worded(questions[1:])])


def captions(seed: int, rng: random.Random) -> tuple[Message, ...]:
    """A picture of one or two things and what it shows, for the connector's alignment.

    Few things, because then there is little doubt which patches a word is about.
    """
    scene = next(scene for scene in map(make_scene, _onwards(seed)) if 1 <= len(scene.things) <= 2)
    question = ask(scene, rng, rng.choice(("list", "describe")))
    return (user(picture(scene, rng), question.text), assistant(question.answer))


def _onwards(seed: int) -> Iterator[int]:
    """Training seeds from `seed` on, round and round."""
    return (number % SCENES for number in itertools.count(seed))


def instruct(seed: int, rng: random.Random) -> tuple[Message, ...]:
    """A picture, or several, and a conversation about them."""
    images, questions = _one_of(_CONVERSATIONS, rng)(seed, rng)
    turns = [(user(*images, questions[0].text), questions[0].answer), *_worded(questions[1:])]
    if rng.random() < _SMALL_TALK:
        question, answer = small_talk(rng, questions[0].language)
        turns.insert(rng.randrange(len(turns) + 1), (user(question), answer))
    return _turns(rng, turns)


_Talk = tuple[list[Image.Image], list[Question]]


def _one_picture(seed: int, rng: random.Random) -> _Talk:
    scene = make_scene(seed)
    return [picture(scene, rng)], conversation(scene, rng, _TURNS)


def _quick_round(seed: int, rng: random.Random) -> _Talk:
    """Many short questions: a picture costs as much as half a dozen of them."""
    scene = make_scene(seed)
    turns = min(20, 6 + 2 * len(scene.things) + rng.randint(0, 4))
    return [picture(scene, rng)], conversation(scene, rng, turns, QUICK)


# What has to be read is seldom in a scene of any sort, and the slowest to learn.
_READABLE: dict[Callable[[int], Scene], float] = {
    written: 0.5,
    charted: 0.2,
    clocked: 0.12,
    _car_park: 0.18,
}


def _reading_round(seed: int, rng: random.Random) -> _Talk:
    scene = _one_of(_READABLE, rng)(seed)
    return [picture(scene, rng)], conversation(scene, rng, rng.randint(3, 8), QUICK)


def _two_pictures(seed: int, rng: random.Random) -> _Talk:
    scenes, questions = pair_conversation(seed, rng, _language(rng))
    return [render(scene, SIZE) for scene in scenes], questions


def _frames(seed: int, rng: random.Random) -> _Talk:
    scenes, questions = frames_conversation(seed, rng, _language(rng))
    return [render(scene, SIZE) for scene in scenes], questions


def _from_outside(seed: int, rng: random.Random) -> _Talk:
    return [outside.make_outside(seed, _size(rng, 0.5))], outside_conversation(seed, rng, _language(rng))


def _no_picture(seed: int, rng: random.Random) -> _Talk:
    language = _language(rng)
    said = [small_talk(rng, language) for _ in range(rng.randint(1, 4))]
    return [], [Question("small_talk", text, answer, answer, language) for text, answer in said]


# How often each comes. Several pictures are dear: each is 196 tokens.
_CONVERSATIONS: dict[Callable[[int, random.Random], _Talk], float] = {
    _quick_round: 0.38,
    _one_picture: 0.30,
    _reading_round: 0.14,
    _two_pictures: 0.08,
    _frames: 0.03,
    _from_outside: 0.05,
    _no_picture: 0.02,
}


def _language(rng: random.Random) -> Language:
    return "zh" if rng.random() < _ZH else "en"


def _worded(questions: Sequence[Question]) -> list[tuple[Message, str]]:
    return [(user(question.text), question.answer) for question in questions]


def _turns(rng: random.Random, turns: list[tuple[Message, str]]) -> tuple[Message, ...]:
    opening = (system(""),) if rng.random() < _NO_SYSTEM else ()
    return opening + tuple(m for question, answer in turns for m in (question, assistant(answer)))


_MAKERS: dict[str, Callable[[int, random.Random], Any]] = {
    "tiny/pairs": pairs,
    "tiny/text": text,
    "tiny/captions": captions,
    "tiny/instruct": instruct,
}


@dataclass(frozen=True)
class Drawn:
    """One of the datasets above, by name."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in _MAKERS:
            raise UsageError(f"no dataset {self.name!r} ({nearest(self.name, _MAKERS)})")

    @property
    def labels(self) -> Labels:
        """What the patches of its pictures are asked."""
        return LABELS if self.name == "tiny/pairs" else {}

    def __len__(self) -> int:
        return SCENES

    def __getitem__(self, index: int) -> Any:
        return _MAKERS[self.name](index, random.Random(f"{self.name} {index}"))


def texts(name: str, samples: int) -> list[str]:
    """Everything said in the first conversations of a dataset of conversations.

    Capitals stand apart, so that a tokenizer learned from it has a token for each and none for several: signs
    are then read letter by letter, whatever they say.
    """
    drawn = Drawn(name)
    said = [
        part
        for index in range(samples)
        for message in drawn[index]
        for part in message.content
        if isinstance(part, str)
    ]
    return [_CAPITALS.sub(" ", part) for part in said]
