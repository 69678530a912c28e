"""One stage: batches in, weights out. Saves often enough to lose little, resumes where it stopped."""

import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from llavakit.data.collate import Batch
from llavakit.errors import LlavaError
from llavakit.train.optimiser import Optimiser
from llavakit.train.recipe import Stage
from llavakit.train.schedule import cosine
from llavakit.train.state import State


class Examples(Protocol):
    """A dataset: example `i` is the same whenever it is asked for, which makes resuming exact."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True)
class Step:
    """What a hook is told after each optimiser step."""

    stage: str
    step: int  # from 1
    steps: int
    loss: float
    lr: float
    grad_norm: float
    examples_per_second: float


Hook = Callable[[Step], None]
Loss = Callable[[Any], Tensor]
_POOL = 8  # batches whose examples are sorted by length together


class Collate(Protocol):
    """Examples into a batch."""

    def __call__(self, examples: Sequence[Any], /) -> Batch: ...

    def size(self, example: Any, /) -> int:
        """About how long an example is; only the order matters."""
        ...


def run_stage(
    stage: Stage,
    model: nn.Module,
    parameters: list[nn.Parameter],
    loss: Loss,
    examples: Examples,
    collate: Collate,
    *,
    seed: int,
    device: torch.device,
    state: State,
    hooks: Sequence[Hook] = (),
    save_every: int = 500,
) -> None:
    """Train `parameters` for the steps of `stage`, from where `state` says an earlier run stopped.

    Raises:
        LlavaError: the dataset is empty, or the loss is no longer a number.
    """
    if len(examples) == 0:
        raise LlavaError(f"stage {stage.name}: its data {stage.data!r} is empty")
    steps = stage.steps or math.ceil(float(stage.epochs or 0) * len(examples) / stage.batch)
    optimiser = Optimiser(stage, model, parameters)
    first = state.resume(stage.name, optimiser)
    model.train()
    half = stage.precision == "bfloat16"
    started = time.monotonic()
    batches = _batches(examples, collate, stage, seed, first, steps)
    for step, batch in enumerate(batches, start=first):
        lr = stage.lr * cosine(step, steps, stage.warmup)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            value = loss(batch.to(device))
            torch.autograd.backward(value)
        norm = nn.utils.clip_grad_norm_(parameters, stage.clip_norm)
        if not math.isfinite(number := value.item()):
            raise LlavaError(
                f"stage {stage.name}, step {step + 1}: the loss is {number}. "
                f"Lower lr ({stage.lr}) or raise warmup, then run again: it resumes from the last checkpoint"
            )
        optimiser.step(lr)
        rate = (step + 1 - first) * stage.batch / (time.monotonic() - started)
        for hook in hooks:
            hook(Step(stage.name, step + 1, steps, number, lr, float(norm), rate))
        if (step + 1) % save_every == 0 or step + 1 == steps:
            state.save(stage.name, step + 1, optimiser)
    model.eval()


def _batches(
    examples: Examples, collate: Collate, stage: Stage, seed: int, first: int, steps: int
) -> Iterator[Batch]:
    """Batches `first` … `steps`: reshuffled each epoch by `seed`, prepared ahead in another process.

    They come in pools, within which examples may be sorted by length; a resumed run reads its first
    pool again and skips what it has done.
    """
    pool = _POOL if stage.group_by_length else 1
    begin = first - first % pool
    order = itertools.islice(_order(len(examples), seed), begin * stage.batch, steps * stage.batch)
    loader: DataLoader[list[Batch]] = DataLoader(
        examples,  # type: ignore[arg-type]
        batch_sampler=_chunks(list(order), pool * stage.batch),
        collate_fn=_Pool(collate, stage.batch, seed),
        num_workers=1,
        prefetch_factor=4,
    )
    yield from itertools.islice(itertools.chain.from_iterable(loader), first - begin, None)


@dataclass(frozen=True)
class _Pool:
    """Examples of several batches -> the batches, each of examples about equally long, in random order."""

    collate: Collate
    batch: int
    seed: int

    def __call__(self, examples: list[Any]) -> list[Batch]:
        if len(examples) <= self.batch:
            return [self.collate(examples)]
        chunks = _chunks(sorted(examples, key=self.collate.size), self.batch)
        random.Random(f"{self.seed} {self.collate.size(examples[0])}").shuffle(chunks)
        return [self.collate(chunk) for chunk in chunks]


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _order(length: int, seed: int) -> Iterator[int]:
    for epoch in itertools.count():
        generator = torch.Generator().manual_seed(seed + epoch)
        yield from torch.randperm(length, generator=generator).tolist()
