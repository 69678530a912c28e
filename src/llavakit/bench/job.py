"""What every contender of one run is given: the same model, the same lengths, the same noise."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plan:
    """Lengths in tokens; a picture's come on top of `words`.

    Attributes:
        words: of the first prompt
        answer: written after it
        turn: of a second question, with all that the template puts around it
        rows: how many sequences are written together
        row_words, row_answer: of each of them; so many that the prompts of sixteen are read in one step
    """

    words: int = 64
    answer: int = 64
    turn: int = 30
    rows: tuple[int, ...] = (4, 16)
    row_words: int = 64
    row_answer: int = 32


@dataclass(frozen=True)
class Job:
    """A model to load and what to do with it; travels as JSON.

    Attributes:
        folder: the model, in Hugging Face's layout
        gguf: paths of the same model as llama.cpp's two files ("model", "mmproj"), where they are wanted
        image_size, image_tokens: of one picture, in pixels a side and in tokens
        vocabulary, image_token_id: which token ids there are, and which of them is no word
        quantize, backend, dtype: as `LLaVA.from_pretrained` has them; None: not given
    """

    folder: str
    threads: int
    image_size: int
    image_tokens: int
    vocabulary: int
    image_token_id: int
    plan: Plan = field(default_factory=Plan)
    gguf: dict[str, str] = field(default_factory=dict)
    quantize: str | None = None
    backend: str | None = None
    dtype: str = "auto"

    @classmethod
    def parse(cls, values: dict[str, Any]) -> "Job":
        """The job that `as_json` wrote."""
        plan = values["plan"]
        return cls(**{**values, "plan": Plan(**{**plan, "rows": tuple(plan["rows"])})})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self, count: int, seed: int) -> list[int]:
        """Token ids of words; the first ids of a vocabulary, where special tokens are, are left out."""
        draw = random.Random(seed)
        ids = [i for i in range(self.vocabulary // 8, self.vocabulary) if i != self.image_token_id]
        return draw.choices(ids, k=count)

    def picture(self, seed: int) -> NDArray[np.uint8]:
        """(size, size, 3) of noise."""
        shape = (self.image_size, self.image_size, 3)
        return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
