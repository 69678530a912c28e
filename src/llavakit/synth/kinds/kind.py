"""A kind of row: its prompt, which is a file that users can replace, and what can be asked of a scene."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from llavakit.config import Strict
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.files import read_text, write_whole
from llavakit.synth.kinds.context import EXPLAINED, shown
from llavakit.synth.kinds.forms import read_choice, read_in_form, read_pairs, read_plain
from llavakit.synth.scene import Box, Region, Scene, Thing
from llavakit.synth.task import KINDS, RejectedError, Task, Turns

_PROMPTS = Path(__file__).parents[1] / "prompts"
_WORDED = ("detail", "brief")  # their questions are ours; the teacher writes the answer alone
_FEW = 3  # things by which a picture can be described though nobody put it into words

Message = dict[str, str]


class _Boxed(Strict):
    box: Box

    @field_validator("box")
    @classmethod
    def _inside(cls, box: Box) -> Box:
        x1, y1, x2, y2 = box
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            raise ValueError("is not [x1, y1, x2, y2] with 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1")
        return box


class _Thing(_Boxed):
    category: str = Field(min_length=1)


class _Region(_Boxed):
    phrase: str = Field(min_length=1)


class Example(Strict):
    """A scene and the reply that would be right: what the teacher is shown before its task."""

    captions: tuple[str, ...] = ()
    things: tuple[_Thing, ...] = ()
    regions: tuple[_Region, ...] = ()
    mentions: tuple[str, ...] = ()
    complete: bool = True
    crowds: frozenset[str] = frozenset()
    absent: tuple[str, ...] = ()
    reply: str = Field(min_length=1)

    def task(self, kind: str, number: int) -> Task:
        scene = Scene(
            f"example-{number}", "", self.captions,
            tuple(Thing(thing.category, thing.box) for thing in self.things),
            tuple(Region(region.phrase, region.box) for region in self.regions),
            self.mentions, self.complete, self.crowds,
        )  # fmt: skip
        return Task(scene, kind, absent=self.absent)


class Prompt(Strict):
    """A prompt's file.

    Attributes:
        system: `{scene}` in it stands for how a scene is written
        max_tokens: that a reply may have
    """

    system: str = Field(min_length=1)
    max_tokens: int = Field(gt=0)
    temperature: float = Field(ge=0, le=2)
    examples: tuple[Example, ...]


class WordedPrompt(Prompt):
    """One for a kind whose question is drawn from `wordings`."""

    wordings: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _questions(self) -> "WordedPrompt":
        for wording in self.wordings:
            if not wording.strip() or "<image>" in wording:
                raise ValueError(f"wordings: {wording!r} is no question: words are needed, without <image>")
        return self


@dataclass(frozen=True)
class Kind:
    """
    Attributes:
        name: one of `KINDS`
    """

    name: str
    prompt: Prompt

    @property
    def max_tokens(self) -> int:
        return self.prompt.max_tokens

    @property
    def temperature(self) -> float:
        return self.prompt.temperature

    @cached_property
    def version(self) -> str:
        """A hash of what is sent beside the scene."""
        sent = [self._beginning, self.max_tokens, self.temperature]
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()[:12]

    def messages(self, task: Task) -> tuple[Message, ...]:
        """The system prompt, the examples, and the scene, as chat APIs take them."""
        return (*map(dict, self._beginning), _message("user", shown(task)))

    def read(self, task: Task, text: str) -> Turns:
        """The turns of a reply; questions without `<image>`.

        Raises:
            RejectedError: it is not in the form that the prompt asks for.
        """
        return read_in_form(self._reader(task), text)

    def usable(self, scene: Scene) -> str:
        """Why this kind cannot be asked of a scene, "" where it can."""
        words = scene.captions or scene.regions or scene.mentions
        if self.name == "absent" and not scene.complete:
            return "not everything in the picture is known"
        if self.name == "reasoning" and not words:
            return "no words about the picture"
        if self.name == "detail" and not words and len(scene.things) < _FEW:
            return f"no words about the picture, and fewer than {_FEW} things"
        if self.name != "absent" and not words and not scene.things and not scene.crowds:
            return "nothing is known of the picture"
        return ""

    @cached_property
    def _beginning(self) -> tuple[Message, ...]:
        """What precedes the scene."""
        found = [_message("system", self.prompt.system.replace("{scene}", EXPLAINED).strip())]
        for number, example in enumerate(self.prompt.examples, 1):
            task, reply = example.task(self.name, number), example.reply.strip()
            right = self.read(task, reply)[0][1] if self.name == "choice" else None
            found += [_message("user", shown(task, right)), _message("assistant", reply)]
        return tuple(found)

    def _reader(self, task: Task) -> Callable[[str], Turns]:
        if self.name == "conversation":
            return lambda text: read_pairs(text, 2)
        if self.name == "reasoning":
            return lambda text: read_pairs(text, 1, 1)
        if self.name == "absent":
            return read_pairs
        if self.name == "choice":
            return read_choice
        assert isinstance(self.prompt, WordedPrompt)
        wordings = self.prompt.wordings
        question = wordings[task.draw("wording") % len(wordings)]
        return lambda text: read_plain(text, question)


def load_kinds(folder: Path | None = None) -> dict[str, Kind]:
    """All kinds by name.

    Args:
        folder: a user's prompts, as `write_prompts` writes them; what is not there is ours

    Raises:
        UsageError: a file that is no prompt, or none at all in the folder; names the file and the field.
    """
    files = {name: _PROMPTS / f"{name}.toml" for name in KINDS}
    if folder is not None:
        files |= _replaced(folder)
    return {name: _load(name, path) for name, path in files.items()}


def write_prompts(folder: Path) -> list[Path]:
    """Copies of our prompts, to be changed.

    Raises:
        UsageError: there are some already.
        LlavaError: the folder cannot be written.
    """
    paths = [folder / f"{name}.toml" for name in KINDS]
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} is there already: remove it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LlavaError(f"{folder} cannot be made: {error.strerror or error}") from None
    for name, path in zip(KINDS, paths, strict=True):
        write_whole(path, (_PROMPTS / f"{name}.toml").read_bytes())
    return paths


def _replaced(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of prompts")
    found = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    for name, path in found.items():
        if name not in KINDS:
            raise UsageError(f"{path}: there is no kind {name!r} ({nearest(name, KINDS)})")
    if not found:
        raise UsageError(
            f"{folder}: no prompt in this folder ({', '.join(f'{name}.toml' for name in KINDS)})"
        )
    return found


def _load(name: str, path: Path) -> Kind:
    form = WordedPrompt if name in _WORDED else Prompt
    kind = Kind(name, form.parse_toml(read_text(path), str(path)))
    for number, example in enumerate(kind.prompt.examples, 1):
        # A teacher does as it is shown: what cannot be read here could never be read.
        try:
            kind.read(example.task(name, number), example.reply)
        except RejectedError as error:
            raise UsageError(f"{path}: examples.{number - 1}.reply: {error.reason}") from None
    return kind


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": text}
