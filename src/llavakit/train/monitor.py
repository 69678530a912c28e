"""What a person sees of a run: a table when a stage begins, progress, the log, a plot at the end."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from llavakit.errors import LlavaError, UsageError
from llavakit.train.features import Encoding
from llavakit.train.flops import Work, step_flops
from llavakit.train.loop import StageRun, Step
from llavakit.train.meter import Meter
from llavakit.train.organs import OrganSize
from llavakit.train.plot import plot
from llavakit.train.progress import Bars, Lines, table
from llavakit.train.recipe import Recipe, Stage
from llavakit.train.report import LOG, LogFile, Report, Sink, TensorBoard, WandB, read_log

PLOT = "loss.png"
BOARD = "tensorboard"
_EVERY = 10.0  # seconds between two lines about pictures that are encoded


class Monitor:
    """Watches the run in `out`: `begin` goes to `train` as `on_stage`, `encoding` as `on_encoding`, and the
    monitor itself as a hook.

    Of several processes only the first is watched. As a context manager it closes what it opened, and draws
    the plot, however the run ends.

    Args:
        say: told lines for a person
        bars: whether progress is shown as bars, not lines
        wandb: a project at Weights & Biases to report to
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        say: Callable[[str], None],
        *,
        bars: bool = False,
        wandb: str | None = None,
    ) -> None:
        self._recipe, self._out, self._say = recipe, out, say
        self._bars, self._wandb = bars, wandb
        self._report: Report | None = None
        self._told = -_EVERY

    def encoding(self, far: Encoding) -> None:
        """Pictures are encoded for a stage that caches features; for `train`'s `on_encoding`."""
        now = time.monotonic()
        if far.done == 0:
            self._say(f"encoding {far.pictures:,} pictures, {far.size / 1e9:.1f} GB in {far.folder}")
        elif far.done == far.pictures or now - self._told >= _EVERY:
            self._say(f"encoded {far.done:,} of {far.pictures:,} pictures")
            self._told = now

    def begin(self, run: StageRun) -> None:
        """A stage is about to begin, or to go on."""
        if not run.world.first:
            return
        for line in opening(run, self._recipe):
            self._say(line)
        if self._report is None:
            if self._recipe.on(run.world.device) != self._recipe:
                self._say("computing in float32: this CPU has no instructions for bfloat16")
            self._report = Report(self._meter(run), self._sinks())

    def __call__(self, step: Step) -> None:
        if self._report is not None:
            self._report(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._report is None:
            return
        self._report.close()
        if not read_log(self._out / LOG):
            return
        try:
            plot(self._out / LOG, self._out / PLOT)
        except LlavaError as fault:  # which takes nothing from the run
            self._say(str(fault))
        else:
            self._say(f"the loss is drawn in {self._out / PLOT}")

    def _meter(self, run: StageRun) -> Meter:
        recipe, model = self._recipe.on(run.world.device), run.trainee.llava.config

        def flops(stage: Stage, work: Work) -> float:
            return sum(step_flops(model, stage, work, recipe.text_tower).values())

        return Meter(recipe.stages, _lengths(recipe), flops, run.world.device, run.world.size)

    def _sinks(self) -> list[Sink]:
        from rich.console import Console

        sinks: list[Sink] = []
        if self._wandb is not None:
            told = self._recipe.model_dump(mode="json", exclude_none=True)
            sinks.append(WandB(self._wandb, self._recipe.name, self._out, told))
        sinks.append(LogFile(self._out / LOG))
        with suppress(UsageError):  # it is there for those who have it
            sinks.append(TensorBoard(self._out / BOARD))
        sinks.append(Bars(Console(stderr=True)) if self._bars else Lines(self._say))
        return sinks


def _lengths(recipe: Recipe) -> Mapping[str, int]:
    """Steps of the stages that say how many they have, or how many rows."""
    found = {}
    for stage in recipe.stages:
        rows = [source.weight * source.rows for source in stage.sources if source.rows is not None]
        if stage.steps is not None:
            found[stage.name] = stage.steps
        elif stage.epochs is not None and len(rows) == len(stage.sources):
            found[stage.name] = -int(-stage.epochs * sum(rows) // stage.batch)
    return found


def opening(run: StageRun, recipe: Recipe) -> list[str]:
    """What is said when a stage begins: its place, its data, what learns in it."""
    stage, world = run.stage, run.world
    place = [other.name for other in recipe.stages].index(stage.name) + 1
    said = f"stage {stage.name} ({place} of {len(recipe.stages)}): {len(run.examples):,} examples, "
    said += f"{run.steps:,} steps of {stage.batch}"
    if world.size > 1:
        said += f", {world.size} processes"
    if run.first:
        said += f"; resumes after step {run.first:,}" if run.first < run.steps else "; all done"
    return [said, *_organs(run.trainee.summary())]


def _organs(sizes: list[OrganSize]) -> list[str]:
    rows = [(one.organ.replace("_", " "), one.total, one.learning) for one in sizes]
    rows.append(("in all", sum(one.total for one in sizes), sum(one.learning for one in sizes)))
    numbers = [(name, f"{total:,}", f"{learns:,}", f"{total - learns:,}") for name, total, learns in rows]
    return [f"  {line}" for line in table([("", "parameters", "trainable", "frozen"), *numbers])]
