"""What the processes of a run tell each other before each step, so that none waits for another in vain.

Sharded layers are gathered each time they run, by all processes together: each has to run as many
micro-batches as the others, and its vision tower wherever another's runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from llavakit.data.collate import Batch, TokenBatch, TokenCollator
from llavakit.errors import LlavaError
from llavakit.train.batches import Collate, Share, Skip
from llavakit.train.distributed import World


@dataclass(frozen=True)
class Whole:
    """A step over all processes.

    Attributes:
        shown: whether any process has pictures, micro-batch by micro-batch
        weight: terms of the loss
        supervised: tokens that the loss looks at
        views: pictures, or tiles of them
        examples, skipped: that could be used, and that could not
        stop: the number of a signal that one of the processes got, else 0
    """

    shown: tuple[bool, ...]
    weight: int
    tokens: int
    supervised: int
    views: int
    examples: int
    skipped: tuple[Skip, ...]
    stop: int

    @property
    def rows(self) -> int:
        return self.examples + len(self.skipped)


def agree(world: World, share: Share, stop: int) -> Whole:
    """Tell the others of this process's share, and hear of theirs.

    Raises:
        LlavaError: one of the shares could not be prepared.
    """
    batches = share.batches
    mine = Whole(
        shown=tuple(views(batch) > 0 for batch in batches),
        weight=sum(batch.weight for batch in batches),
        tokens=sum(batch.tokens for batch in batches),
        supervised=sum(_supervised(batch) for batch in batches),
        views=sum(views(batch) for batch in batches),
        examples=len(share.names),
        skipped=tuple(share.skipped),
        stop=stop,
    )
    told = world.gather((mine, share.error))
    if error := next((error for _, error in told if error is not None), None):
        raise LlavaError(error)
    parts = [part for part, _ in told]
    return Whole(
        shown=tuple(map(any, zip_longest(*(part.shown for part in parts), fillvalue=False))),
        weight=sum(part.weight for part in parts),
        tokens=sum(part.tokens for part in parts),
        supervised=sum(part.supervised for part in parts),
        views=sum(part.views for part in parts),
        examples=sum(part.examples for part in parts),
        skipped=tuple(skip for part in parts for skip in part.skipped),
        stop=max(part.stop for part in parts),
    )


def evened(batches: Sequence[Batch], whole: Whole, collate: Collate) -> list[Batch]:
    """This process's micro-batches, filled up to what the others have and it has not."""
    assert isinstance(collate, TokenCollator)  # the other one is for one process
    filled = []
    for batch, shown in zip_longest(batches, whole.shown):
        batch = collate.filler() if batch is None else batch
        filled.append(collate.with_picture(batch) if shown else batch)
    return filled


def views(batch: Batch) -> int:
    """Pictures in a batch, or tiles of them."""
    pictures = next((found for name in _PICTURES if (found := getattr(batch, name, None)) is not None), ())
    return len(pictures)


_PICTURES = ("pixels", "features")


def _supervised(batch: Batch) -> int:
    """Tokens that the loss looks at; all of them where a batch is a single term."""
    return batch.weight if isinstance(batch, TokenBatch) else batch.tokens
