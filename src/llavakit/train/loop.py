"""One stage: batches in, weights out. Saves often enough to lose little, resumes where it stopped."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from llavakit.data.collate import Batch
from llavakit.train import faults
from llavakit.train.agree import Whole, agree, evened
from llavakit.train.batches import Share, order, shares, steps_of
from llavakit.train.distributed import World, release
from llavakit.train.optimiser import Group, Optimiser
from llavakit.train.organs import Trainee
from llavakit.train.readings import Readings, Told
from llavakit.train.recipe import Hardware, Stage
from llavakit.train.schedule import cosine
from llavakit.train.skipped import FILE, Skipped
from llavakit.train.state import Position, State
from llavakit.train.task import Task


@dataclass(frozen=True)
class Step:
    """What a hook is told after each optimiser step; counts are over all processes.

    Attributes:
        step: from 1
        loss: mean over the terms of the whole batch
        lr: of the organs that have none of their own
        grad_norm: before it was clipped
        tokens: without padding
        supervised: tokens that the loss looked at
        views: pictures, or tiles of them
        examples: that the step learned from
        skipped: rows of this stage so far that could not be used
        seconds: since the step before
    """

    stage: str
    step: int
    steps: int
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    supervised: int
    views: int
    examples: int
    skipped: int
    seconds: float


Hook = Callable[[Step], None]


@dataclass(frozen=True)
class _Noted:
    """What is kept of a step until its numbers can be read."""

    step: int  # from 0
    lr: float
    whole: Whole
    skipped: int
    names: list[str]


class StageRun:
    """A stage in the making.

    Args:
        learned: names of the parameters that checkpoints hold
        out: the run's folder
    """

    def __init__(
        self,
        stage: Stage,
        trainee: Trainee,
        task: Task,
        *,
        seed: int,
        world: World,
        hardware: Hardware,
        state: State,
        learned: Iterable[str],
        out: Path,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.stage, self.trainee, self.seed = stage, trainee, seed
        self.examples, self.collate, self.loss = task.examples, task.collate, task.loss
        self.world, self.hardware, self.state = world, hardware, state
        self.learned, self.out, self.hooks = frozenset(learned), out, hooks
        self.steps = steps_of(stage, len(self.examples))
        groups = [Group(lr, parameters) for _, lr, parameters in trainee.groups(stage)]
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        self.optimiser = Optimiser(stage, trainee, groups, fused=hardware.fused_optimiser)
        self.skipped = Skipped(out / FILE)
        self.readings: Readings[_Noted] = Readings(world.device)
        self.first = 0
        if (found := state.begun(stage.name)) is not None:
            self.first = found.step
            self.skipped.resume(found.seen, found.skipped)
            state.load_optimiser(trainee, self.optimiser)

    def run(self) -> None:
        """Take the steps that are left, and save.

        Raises:
            StoppedError: somebody asked for it; the run is saved.
            LlavaError: a step has no number for a loss, too many rows cannot be used, the disk or the GPU is
                full, or another process has died.
        """
        self.trainee.train()
        self.since = time.monotonic()
        batches = order(self.examples, self.stage, self.seed, self.first, self.steps)
        prepared = shares(self.examples, self.collate, batches, self.hardware.workers, self.world)
        with faults.listening() as asked, closing(prepared):
            for step, share in enumerate(prepared, start=self.first):
                whole = agree(self.world, share, asked.number)
                if whole.stop:
                    self._save(step)
                    raise faults.StoppedError(whole.stop, self.stage.name, step)
                self.skipped.add(whole.rows, whole.skipped, write=self.world.first)
                self.skipped.check(self.stage.name, len(self.examples), ended=step + 1 == self.steps)
                if whole.weight:
                    self._step(step, share, whole)
                if (step + 1) % self.hardware.save_every == 0 or step + 1 == self.steps:
                    self._save(step + 1)
        self.trainee.eval()

    def _step(self, step: int, share: Share, whole: Whole) -> None:
        """Forward, backward, clip, step, hooks."""
        batches = share.batches
        if self.world.size > 1:
            batches = evened(batches, whole, self.collate)
        torch.manual_seed(_seed(self.seed, step, self.world.rank))
        loss = self._backward(batches, whole.weight)
        norm = _clip(self.parameters, self.stage.clip_norm).to(self.world.device)
        factor = cosine(step, self.steps, self.stage.warmup)
        lr = self.stage.lr * factor
        self.readings.note(_Noted(step, lr, whole, self.skipped.count, share.names), loss, norm)
        told = self.readings.told(wait=not self.optimiser.can_hold_still)
        self._check(told)
        self.optimiser.step(factor, self.readings.bad)
        self._tell(told)

    def _backward(self, batches: Sequence[Batch], weight: int) -> Tensor:
        """Gradients of the mean over all processes' terms; that mean, () on the device."""
        world, total = self.world, torch.zeros((), device=self.world.device)
        for batch in batches:
            half = self.stage.precision == "bfloat16"
            with torch.autocast(world.device.type, torch.bfloat16, enabled=half):
                value = self.trainee(self.loss, batch.to(world.device))
            if value.requires_grad:  # not of words alone, where the connector alone learns
                # Sharded gradients are averaged over processes, where the sum is wanted.
                torch.autograd.backward(value * (world.size / weight))
            else:
                release(self.trainee)
            total += value.detach()
        return world.sum(total) / weight

    def _check(self, told: Sequence[Told[_Noted]]) -> None:
        """Stop at the first step whose numbers are none; since it, nothing has moved."""
        bad = next((one for one in told if not one.finite), None)
        if bad is None:
            return
        noted = bad.noted
        for parameter in self.parameters:
            parameter.grad = None
        self._write(noted.step)
        rows = [name for names in self.world.gather(noted.names) for name in names]
        raise faults.not_a_number(self.stage, noted.step + 1, bad.loss, bad.norm, rows, self.out, self.world)

    def _tell(self, told: Sequence[Told[_Noted]]) -> None:
        for one in told:
            now = time.monotonic()
            seconds, self.since = now - self.since, now
            noted, whole = one.noted, one.noted.whole
            step = Step(
                self.stage.name, noted.step + 1, self.steps, one.loss, noted.lr, one.norm,
                whole.tokens, whole.supervised, whole.views, whole.examples, noted.skipped, seconds,
            )  # fmt: skip
            for hook in self.hooks:
                hook(step)

    def _save(self, step: int) -> None:
        """A checkpoint after `step` steps, once they are known to be good."""
        told = self.readings.told(wait=True)
        self._check(told)
        self._tell(told)
        self._write(step)

    def _write(self, step: int) -> None:
        skipped = self.skipped
        position = Position(self.stage.name, step, skipped.seen, dict(skipped.kinds), len(self.examples))
        self.state.save(position, self.trainee, self.learned, self.optimiser)


def _clip(parameters: Sequence[nn.Parameter], longest: float) -> Tensor:
    """Shorten the gradient to `longest`, over all processes; its norm before that, () on the device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    whole = getattr(norm, "full_tensor", None)  # of gradients in shards
    if whole is not None:
        norm = whole()
    nn.utils.clip_grads_with_norm_(parameters, longest, norm)
    return norm


def _seed(seed: int, step: int, rank: int) -> int:
    """What chance in a step is drawn from, so that no generator's state has to be kept."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()[:8], "big")
