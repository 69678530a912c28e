"""What the engine asks of whatever computes: PyTorch, OpenVINO.

A backend holds weights and a pool of cache blocks, each of which keeps the keys and values of
`Backend.block` positions. It knows nothing of requests, sampling or text: those are the scheduler's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from llavakit.config import Layout

MEMORY_RAN_OUT = (
    "memory ran out: take fewer or shorter conversations at a time (cache_tokens), "
    "or smaller weights (--quantize int4)"
)


@dataclass(frozen=True)
class Chunk:
    """Consecutive tokens of one sequence, read in one step.

    Attributes:
        embeds: (token, hidden), as `Backend.words` and `Backend.encode_images` give them
        past: positions of the sequence that its blocks hold already
        blocks: the i-th holds positions i * block … (i + 1) * block - 1; as many as past + token fill
        wanted: logits are wanted after so many of its last tokens; 0 while a prompt goes on
    """

    embeds: Tensor
    past: int
    blocks: Sequence[int]
    wanted: int

    @property
    def length(self) -> int:
        """Positions of the sequence after this step."""
        return self.past + len(self.embeds)


class Interrupted(Exception):  # noqa: N818 - a signal, like StopIteration
    """A step was told to end early; what it should have written to the cache is not to be trusted."""


class Backend(Protocol):
    """One model on one device.

    Attributes:
        name: as `LLaVA.from_pretrained(backend=…)` names it
        block: positions in a block
        blocks: how many blocks the pool has
        context: positions that a sequence may have
    """

    name: str
    block: int
    blocks: int
    context: int

    def words(self, ids: Sequence[int]) -> Tensor:
        """Word embeddings, (token, hidden)."""
        ...

    def encode_images(self, pixels: Tensor, layouts: Sequence[Layout] | None = None) -> Sequence[Tensor]:
        """(view, 3, size, size) float32 -> for each picture (token, hidden); see `Llava.encode_images`."""
        ...

    def step(self, chunks: Sequence[Chunk]) -> Tensor:
        """Read chunks of different sequences together; logits (sum of `wanted`, vocab) in float32.

        Raises:
            Interrupted: `interrupt` was called meanwhile.
            LlavaError: memory ran out; the message says which setting to change.
        """
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Keys and values of one block over those of another."""
        ...

    def interrupt(self) -> None:
        """End the step that another thread is in as soon as may be; without one, nothing happens."""
        ...

    def where_not_finite(self, chunks: Sequence[Chunk]) -> str:
        """Which part of the model gave the first number that is none, for the error a person reads."""
        ...
