"""A picture of a run: each stage's loss and learning rate, from its `log.jsonl`."""

from itertools import accumulate
from pathlib import Path
from typing import Any

from llavakit.errors import LlavaError, UsageError
from llavakit.train.report import read_log

_LIGHT, _DARK, _RATE = "#a9c4e6", "#1f4e8c", "#b5651d"


def check_plot() -> None:
    """Say early what `plot` would say late.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise UsageError("no plot of the loss: pip install 'llavakit[train]' brings matplotlib") from None


def plot(log: Path, picture: Path) -> None:
    """Draw the stages of `log` side by side into `picture`; the ending of its name says the format.

    The loss of each step is light, its mean over a fortieth of the stage dark, the learning rate below.

    Raises:
        UsageError: matplotlib is not installed.
        LlavaError: there is no such log, or not a step in it; the picture cannot be written.
    """
    check_plot()
    from matplotlib.figure import Figure

    stages = read_log(log)
    if not stages:
        raise LlavaError(f"{log} has no step to plot: let a stage take its first")
    figure = Figure(figsize=(max(6.4, 3.4 * len(stages)), 4.8), layout="constrained")
    grid = figure.subplots(2, len(stages), squeeze=False, sharex="col", height_ratios=(3, 1))
    for column, (name, lines) in enumerate(stages.items()):
        _stage(grid[0][column], grid[1][column], name, lines)
    grid[0][0].set_ylabel("loss")
    grid[1][0].set_ylabel("learning rate")
    grid[0][-1].legend(loc="upper right", frameon=False, fontsize="small")
    partial = picture.with_name(f".partial-{picture.name}")
    try:
        figure.savefig(partial, dpi=120)
        partial.replace(picture)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise LlavaError(f"{picture} cannot be written: {error.strerror}") from None


def _stage(above: Any, below: Any, name: str, lines: list[dict[str, Any]]) -> None:
    lines = [line for line in lines if "loss" in line]
    steps = [line["step"] for line in lines]
    losses = [line["loss"] for line in lines]
    means = _means(losses, max(2, len(losses) // 80))
    single = "." if len(steps) == 1 else None  # a line has no length there
    above.plot(steps, losses, color=_LIGHT, linewidth=0.8, label="each step")
    above.plot(steps, means, color=_DARK, linewidth=1.6, marker=single, label="mean")
    above.set_title(f"{name}: {means[-1]:.3f} at step {steps[-1]}" if lines else name, fontsize="medium")
    above.margins(x=0.01)
    below.plot(steps, [line["lr"] for line in lines], color=_RATE, linewidth=1.2)
    below.set_xlabel("step")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.set_ylim(bottom=0)
    below.ticklabel_format(axis="y", scilimits=(-2, 2))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3, linewidth=0.5)


def _means(values: list[float], reach: int) -> list[float]:
    """Each value's mean with as many as `reach` neighbours on either side."""
    sums = [0.0, *accumulate(values)]
    ends = [(max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values))]
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in ends]
