"""From the loop's bare facts to what a person watches: rates, utilisation, memory, time left.

It knows no file and no terminal; see report.py for those.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil
import torch

from llavakit.train.flops import Work, peak_flops
from llavakit.train.loop import Step
from llavakit.train.recipe import Stage

_WINDOW = 20  # steps that rates are taken over: one alone is noise, a whole stage hides that it slows down
_INERTIA = 0.95  # of the smoothed loss


@dataclass(frozen=True)
class Reading:
    """One step as it is shown and logged. Rates are means over the last steps; GB are 1e9 bytes.

    Attributes:
        loss, smooth_loss: of this step; its moving average
        grad_norm: before it is clipped
        tokens, supervised, examples: of this step, over all processes
        supervised_share: of the tokens, how many the loss looks at
        mfu: model FLOPs utilisation, the share of the devices' peak that the model's own products
            take up; None where the peak is not known
        memory_gb: the most that the GPU has held in this stage; on a CPU, what the process holds
        stage_left, run_left: seconds; None where a later stage's length is not known
        skipped: rows that could not be used, in this run
        seconds: that this step took
    """

    stage: str
    step: int  # from 1
    steps: int
    loss: float
    smooth_loss: float
    lr: float
    grad_norm: float
    tokens: int
    supervised: int
    examples: int
    supervised_share: float
    tokens_per_second: float
    examples_per_second: float
    mfu: float | None
    memory_gb: float
    stage_left: float
    run_left: float | None
    skipped: int
    seconds: float

    def numbers(self) -> dict[str, float]:
        """What changes from step to step, by name, as a plot of it wants."""
        found = {
            "loss": self.loss,
            "lr": self.lr,
            "grad_norm": self.grad_norm,
            "tokens_per_second": self.tokens_per_second,
            "examples_per_second": self.examples_per_second,
            "supervised_share": self.supervised_share,
            "memory_gb": self.memory_gb,
            "skipped": float(self.skipped),
        }
        return found if self.mfu is None else found | {"mfu": self.mfu}


class Smooth:
    """A moving average of numbers that come one by one; early ones are not drawn towards zero."""

    def __init__(self, inertia: float = _INERTIA) -> None:
        self.inertia = inertia
        self._sum = 0.0
        self._weight = 0.0

    def __call__(self, value: float) -> float:
        if math.isfinite(value):
            self._sum = self.inertia * self._sum + (1 - self.inertia) * value
            self._weight = self.inertia * self._weight + (1 - self.inertia)
        return self._sum / self._weight if self._weight else value


class Meter:
    """Reads off the `Step`s of a run, in order.

    Args:
        stages: of the recipe
        lengths: steps of each stage, as far as they are known
        flops: operations that a step of a stage asks for, over all processes; None: not known
        device: of this process; others have the same
        processes: how many train together
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        lengths: Mapping[str, int],
        flops: Callable[[Stage, Work], float] | None,
        device: torch.device,
        processes: int = 1,
    ) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self._lengths = lengths
        self._flops = flops
        self._device = device
        precisions = {stage.precision for stage in stages}
        peaks = {p: peak_flops(device, p) for p in precisions} if flops is not None else {}
        self._peaks = {name: peak * processes for name, peak in peaks.items() if peak is not None}
        self._process = psutil.Process()
        self._stage = ""
        self._smooth = Smooth()
        self._recent: deque[tuple[Step, float]] = deque(maxlen=_WINDOW)  # with the operations of each

    def read(self, step: Step) -> Reading:
        """What to show of a step."""
        stage = self._stages[step.stage]
        if step.stage != self._stage:
            self._begin(step.stage)
        self._recent.append((step, self._asked(stage, step)))
        seconds = sum(one.seconds for one, _ in self._recent)
        asked = sum(flops for _, flops in self._recent)
        peak = self._peaks.get(stage.precision)
        left = (step.steps - step.step) * seconds / len(self._recent)
        return Reading(
            stage=step.stage,
            step=step.step,
            steps=step.steps,
            loss=step.loss,
            smooth_loss=self._smooth(step.loss),
            lr=step.lr,
            grad_norm=step.grad_norm,
            tokens=step.tokens,
            supervised=step.supervised,
            examples=step.examples,
            supervised_share=step.supervised / max(1, step.tokens),
            tokens_per_second=sum(one.tokens for one, _ in self._recent) / seconds,
            examples_per_second=sum(one.examples for one, _ in self._recent) / seconds,
            mfu=None if peak is None else asked / seconds / peak,
            memory_gb=self._memory() / 1e9,
            stage_left=left,
            run_left=self._run_left(stage, left, asked / seconds),
            skipped=step.skipped,
            seconds=step.seconds,
        )

    def _begin(self, stage: str) -> None:
        self._stage = stage
        self._smooth = Smooth()
        self._recent.clear()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _asked(self, stage: Stage, step: Step) -> float:
        return 0.0 if self._flops is None else self._flops(stage, _work(stage, step))

    def _run_left(self, stage: Stage, left: float, speed: float) -> float | None:
        """The later stages, as if their conversations were as long as the last ones and went as fast."""
        names = list(self._stages)
        for name in names[names.index(stage.name) + 1 :]:
            if name not in self._lengths or self._flops is None or not speed:
                return None
            later = self._stages[name]
            one = sum(self._flops(later, _work(later, step)) / step.examples for step, _ in self._recent)
            left += self._lengths[name] * later.batch * one / len(self._recent) / speed
        return left

    def _memory(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        held: int = self._process.memory_info().rss
        return held


def _work(stage: Stage, step: Step) -> Work:
    views, cached = (0, step.views) if stage.cache_features else (step.views, 0)
    return Work(step.tokens, step.supervised, step.examples, views, cached)
