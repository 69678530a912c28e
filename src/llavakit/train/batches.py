"""What each step of a stage reads: which examples, in what order, as which tensors.

All of it follows from (data, seed, step, process), so that a resumed run needs to know the step alone.
"""

import itertools
import math
import random
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from llavakit.data.check import KINDS
from llavakit.data.collate import Batch
from llavakit.data.rows import RowError
from llavakit.errors import LlavaError, UsageError
from llavakit.train.distributed import World
from llavakit.train.recipe import Stage

_MEGABATCH = 50  # batches within which examples are grouped by length, as transformers' LengthGroupedSampler
_AHEAD = 2  # steps that each worker prepares in advance


class Examples(Protocol):
    """A dataset: example `i` is the same whenever it is asked for, which makes resuming exact.

    It may have `size(i) -> (has pictures, about how long)`, without which a stage cannot group by length,
    `name(i) -> str`, by which messages call an example, and `labels`, what a contrastive stage asks patches.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class Collate(Protocol):
    """Examples into batches, in two moves: the first may fail for one example, the second for none."""

    def encode(self, example: Any, /) -> Any: ...
    def batches(self, encoded: Sequence[Any], /) -> list[Batch]: ...


@dataclass(frozen=True)
class Skip:
    """An example that could not be used."""

    source: str
    row: int  # from 1
    id: str
    reason: str
    kind: str  # what all that fail alike have in common; `reason` may name a picture


@dataclass(frozen=True)
class Share:
    """One process's part of a step.

    Attributes:
        batches: micro-batches, whose gradients add up
        names: what its examples are called
        error: why there are no batches, where that is nobody's example's fault
    """

    batches: list[Batch] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    error: str | None = None

    def pin_memory(self) -> "Share":
        """The same in page-locked memory, from which a GPU copies while it computes."""
        return replace(self, batches=[batch.pin_memory() for batch in self.batches])


def steps_of(stage: Stage, examples: int) -> int:
    """How many steps a stage takes.

    Raises:
        LlavaError: there are no examples.
    """
    if not examples:
        told = ", ".join(repr(source.path) for source in stage.sources)
        raise LlavaError(f"stage {stage.name}: its data {told} is empty")
    return stage.steps or math.ceil(float(stage.epochs or 0) * examples / stage.batch)


def order(examples: Examples, stage: Stage, seed: int, first: int, steps: int) -> Iterator[list[int]]:
    """The examples of each step from `first` (from 0) to `steps`, over all processes.

    Epoch e is a permutation seeded by seed + e; steps cut the epochs, end to end, into batches. Where a
    stage groups by length, the examples of 50 batches are sorted, cut into batches anew, and these shuffled.

    Raises:
        UsageError: the stage groups by length, and the data cannot tell lengths.
    """
    span = stage.batch * (_MEGABATCH if stage.group_by else 1)
    start = first * stage.batch // span * span
    step = start // stage.batch
    epochs = _epochs(len(examples), seed, start)
    for begin in range(start, steps * stage.batch, span):
        chosen = list(itertools.islice(epochs, min(span, steps * stage.batch - begin)))
        for batch in _grouped(chosen, examples, stage, f"{seed} {begin}"):
            if step >= first:
                yield batch
            step += 1


def _epochs(length: int, seed: int, start: int) -> Iterator[int]:
    """Every epoch's order, end to end, from place `start` on."""
    for epoch in itertools.count(start // length):
        permutation = torch.randperm(length, generator=torch.Generator().manual_seed(seed + epoch))
        yield from permutation[start % length :].tolist()
        start = 0


def _grouped(chosen: list[int], examples: Examples, stage: Stage, seed: str) -> list[list[int]]:
    if stage.group_by is None:
        return _cut(chosen, stage.batch)
    size: Callable[[int], tuple[bool, int]] | None = getattr(examples, "size", None)
    if size is None:
        raise UsageError(
            f"stage {stage.name}: its data cannot tell how long a conversation is: leave group_by out"
        )
    sizes = {i: size(i) for i in set(chosen)}
    kinds = [chosen]
    if stage.group_by == "modality_length":
        kinds = [[i for i in chosen if sizes[i][0] is shown] for shown in (True, False)]
    batches, rest = [], []
    for kind in kinds:
        kind.sort(key=lambda i: sizes[i][1], reverse=True)
        whole = len(kind) - len(kind) % stage.batch
        batches += _cut(kind[:whole], stage.batch)
        rest += kind[whole:]
    batches += _cut(rest, stage.batch)
    random.Random(seed).shuffle(batches)
    return batches


def _cut(items: list[int], size: int) -> list[list[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


@dataclass(frozen=True)
class _Shares(Dataset[Share]):
    """Indices of examples -> the share that is made of them."""

    examples: Examples
    collate: Collate

    def __getitem__(self, indices: list[int]) -> Share:
        names, encoded, skipped = [], [], []
        for index in indices:
            try:
                encoded.append(self.collate.encode(self.examples[index]))
            except RowError as fault:
                skipped.append(Skip(fault.source, fault.row, fault.id, fault.reason, KINDS[fault.kind].title))
            except LlavaError as fault:
                reason = str(fault)
                skipped.append(Skip(_name(self.examples, index), index + 1, "", reason, reason))
            else:
                names.append(_name(self.examples, index))
        try:
            return Share(self.collate.batches(encoded) if encoded else [], names, skipped)
        except LlavaError as fault:  # as words: a worker's exceptions arrive with their traceback in them
            return Share(names=names, error=str(fault))


def _name(examples: Examples, index: int) -> str:
    name: Callable[[int], str] | None = getattr(examples, "name", None)
    return f"example {index + 1}" if name is None else name(index)


def shares(
    examples: Examples, collate: Collate, batches: Iterable[list[int]], workers: int, world: World
) -> Generator[Share]:
    """This process's share of each of `batches`, prepared ahead by `workers` processes.

    Raises:
        RuntimeError: a "DataLoader worker" was killed, as torch says it.
    """
    mine = (batch[world.rank :: world.size] for batch in batches)
    loader = DataLoader(
        _Shares(examples, collate),
        batch_size=None,
        sampler=mine,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        pin_memory=world.device.type == "cuda",
        worker_init_fn=_leave_signals_to_the_run,
    )
    iterator: Any = iter(loader)
    try:
        yield from iterator
    except (OSError, EOFError) as error:  # it was handing over its tensors
        raise RuntimeError(f"a DataLoader worker was killed: {error!r}") from None
    finally:
        if workers and not iterator._shutdown:  # as it is after the last batch
            _end(iterator)


def _end(iterator: Any) -> None:
    """Kill the workers of a DataLoader's iterator; they hold nothing that would be lost.

    Its own way asks them first, under a lock that a worker which was killed may have taken along, and then
    sends SIGTERM, which ours do not hear.
    """
    # From here on it is no accident that they end.
    signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]
    iterator._worker_pids_set, iterator._shutdown = False, True
    if hasattr(iterator, "_pin_memory_thread"):
        iterator._pin_memory_thread_done_event.set()
    for worker in iterator._workers:
        worker.kill()
    for worker in iterator._workers:
        worker.join()
    for queue in iterator._index_queues:
        queue.cancel_join_thread()
        queue.close()


def _leave_signals_to_the_run(_: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM reach all processes of a job, and the run has a step to end first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
