"""The drawn world as training data: endless, made on the fly, the same for the same index.

`tiny/pairs` are pictures with captions and phrases (contrastive), `tiny/text` conversations about a
described picture (the language model's own schooling), `tiny/captions` and `tiny/instruct` the two
stages of LLaVA, `tiny/doubt` more questions about what is not there.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from llavakit.data.collate import CaptionedImage
from llavakit.errors import UsageError, nearest
from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.tiny.language import (
    DOUBT,
    EVERYTHING,
    SMALL_TALK,
    Mixture,
    ask,
    aspects,
    caption,
    conversation,
    inventory,
)
from llavakit.tiny.world import make_scene, render

SCENES = 1_000_000  # of a dataset; examinations take their seeds from above them
_TURNS = 6
_SMALL_TALK = 0.02  # share of conversations that begin with a greeting
_NO_SYSTEM = 0.3  # share without the template's system prompt, as people's own prompts often are


def pairs(seed: int, rng: random.Random) -> CaptionedImage:
    """A picture, its caption, and of each thing in it: what it is, where it is, one of how many."""
    scene = make_scene(seed)
    regions = tuple((thing.box, aspects(scene, thing)) for thing in scene.things)
    return CaptionedImage(render(scene), caption(scene, rng), regions)


def text(seed: int, rng: random.Random) -> tuple[Message, ...]:
    """A conversation in which words stand where the picture will stand later."""
    scene = make_scene(seed)
    questions = conversation(scene, rng, _TURNS)
    first = f"{inventory(scene, rng)}\n{questions[0].text}"
    asked = [first, *(question.text for question in questions[1:])]
    return _turns(rng, [(user(q), a.answer) for q, a in zip(asked, questions, strict=True)])


def captions(seed: int, rng: random.Random) -> tuple[Message, ...]:
    """A picture of one or two things and what it shows, for the connector's alignment.

    Few things, because then there is little doubt which patches a word is about.
    """
    scene = next(scene for scene in map(make_scene, _onwards(seed)) if 1 <= len(scene.things) <= 2)
    question = ask(scene, rng, rng.choice(("list", "describe")))
    return (user(render(scene), question.text), assistant(question.answer))


def _onwards(seed: int) -> Iterator[int]:
    """Training seeds from `seed` on, round and round."""
    return (number % SCENES for number in itertools.count(seed))


def instruct(seed: int, rng: random.Random, mixture: Mixture = EVERYTHING) -> tuple[Message, ...]:
    """A picture and a conversation about it."""
    scene = make_scene(seed)
    questions = [(q.text, q.answer) for q in conversation(scene, rng, _TURNS, mixture)]
    if rng.random() < _SMALL_TALK:
        questions.insert(rng.randrange(len(questions)), rng.choice(SMALL_TALK))
    turns = [(user(question), answer) for question, answer in questions]
    picture = user(render(scene), questions[0][0])
    return _turns(rng, [(picture, turns[0][1]), *turns[1:]])


def _turns(rng: random.Random, turns: list[tuple[Message, str]]) -> tuple[Message, ...]:
    opening = (system(""),) if rng.random() < _NO_SYSTEM else ()
    return opening + tuple(m for question, answer in turns for m in (question, assistant(answer)))


_MAKERS: dict[str, Callable[[int, random.Random], Any]] = {
    "tiny/pairs": pairs,
    "tiny/text": text,
    "tiny/captions": captions,
    "tiny/instruct": instruct,
    "tiny/doubt": partial(instruct, mixture=DOUBT),
}


@dataclass(frozen=True)
class Drawn:
    """One of the datasets above, by name."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in _MAKERS:
            raise UsageError(f"no dataset {self.name!r} ({nearest(self.name, _MAKERS)})")

    def __len__(self) -> int:
        return SCENES

    def __getitem__(self, index: int) -> Any:
        return _MAKERS[self.name](index, random.Random(f"{self.name} {index}"))


def texts(name: str, samples: int) -> list[str]:
    """Everything said in the first conversations of a dataset of conversations."""
    drawn = Drawn(name)
    said = [
        part
        for index in range(samples)
        for message in drawn[index]
        for part in message.content
        if isinstance(part, str)
    ]
    return said + [sentence for pair in SMALL_TALK for sentence in pair]
