"""A run in the terminal: a bar a stage, or a plain line every so often where nobody watches a bar."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llavakit.train.meter import Reading

if TYPE_CHECKING:
    from rich.console import Console

_EVERY = 10.0  # seconds between plain lines


class Bars:
    """A rich progress bar for each stage that has begun, and beneath them the latest reading."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

        columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=console)
        self._live = Live(self._progress, console=console)
        self._bars: dict[str, TaskID] = {}

    def write(self, reading: Reading) -> None:
        from rich.console import Group
        from rich.text import Text

        if not self._bars:
            self._live.start()
        if reading.stage not in self._bars:
            self._bars[reading.stage] = self._progress.add_task(reading.stage, total=reading.steps)
        self._progress.update(self._bars[reading.stage], completed=reading.step)
        self._live.update(Group(self._progress, Text(describe(reading), style="dim")))

    def close(self) -> None:
        self._live.stop()


class Lines:
    """A line for the first and last step of a stage, and every few seconds between."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._stage = ""
        self._said = 0.0

    def write(self, reading: Reading) -> None:
        now = self._clock()
        due = reading.stage != self._stage or now - self._said >= _EVERY
        if due or reading.step == reading.steps:
            self._stage, self._said = reading.stage, now
            self._say(f"{reading.stage} {reading.step}/{reading.steps}  {describe(reading)}")

    def close(self) -> None: ...


def describe(reading: Reading) -> str:
    """A reading in one line."""
    said = [
        f"loss {reading.smooth_loss:.3f}",
        f"lr {reading.lr:.1e}",
        f"norm {reading.grad_norm:.2f}",
        f"{reading.tokens_per_second:,.0f} tokens/s",
        f"{reading.examples_per_second:,.1f} examples/s",
        None if reading.mfu is None else f"MFU {100 * reading.mfu:.1f} %",
        f"supervised {100 * reading.supervised_share:.0f} %",
        f"{reading.memory_gb:.1f} GB",
        f"left {_left(reading)}",
        f"skipped {reading.skipped}" if reading.skipped else None,
    ]
    return "  ".join(part for part in said if part is not None)


def _left(reading: Reading) -> str:
    stage, run = reading.stage_left, reading.run_left
    if run is None:
        return f"{duration(stage)} of this stage"
    return duration(run) if run == stage else f"{duration(stage)}, {duration(run)} in all"


def duration(seconds: float) -> str:
    """52 s, 4 min 10 s, 3 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
