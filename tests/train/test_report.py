"""Readings are kept whole whatever happens to the run, and shown where somebody looks."""

import json
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from llavakit.errors import LlavaError, UsageError
from llavakit.train.meter import Reading
from llavakit.train.plot import plot
from llavakit.train.progress import Bars, Lines, describe, duration, table
from llavakit.train.report import LogFile, Report, TensorBoard, WandB, read_log


def reading(step: int = 1, stage: str = "align", **values: Any) -> Reading:
    facts: dict[str, Any] = {
        "stage": stage, "step": step, "steps": 10, "loss": 3.0 / step, "smooth_loss": 3.0, "lr": 1e-3,
        "grad_norm": 0.5, "tokens": 1000, "supervised": 250, "examples": 8, "supervised_share": 0.25,
        "tokens_per_second": 5000.0, "examples_per_second": 40.0, "mfu": 0.41, "memory_gb": 34.12,
        "stage_left": 90.0, "run_left": 90.0, "skipped": 0, "seconds": 0.2,
    }  # fmt: skip
    return Reading(**facts | values)


def test_the_log_has_a_line_for_each_step(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    for step in (1, 2):
        log.write(reading(step))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"loss", "lr", "grad_norm", "tokens_per_second", "mfu", "memory_gb", "skipped"} <= lines[0].keys()


def test_steps_that_a_resumed_run_repeats_are_read_once_and_as_they_came_out_last(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for steps, loss in (((1, 2, 3, 4), 1.0), ((3, 4, 5), 2.0)):
        log = LogFile(path)
        for step in steps:
            log.write(reading(step, loss=loss))
        log.close()
    found = read_log(path)["align"]
    assert [(line["step"], line["loss"]) for line in found] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]


def test_a_line_that_a_kill_cut_short_spoils_neither_itself_nor_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"stage": "align", "step": 1, "loss": 1.0}\n{"stage": "align", "st')
    log = LogFile(path)
    log.write(reading(2))
    log.close()
    assert [line["step"] for line in read_log(path)["align"]] == [1, 2]


def test_stages_are_read_in_the_order_in_which_they_ran(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    for stage in ("clip", "align", "instruct"):
        log.write(reading(1, stage))
    log.close()
    assert list(read_log(tmp_path / "log.jsonl")) == ["clip", "align", "instruct"]


def test_what_is_no_number_is_left_out_of_the_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    log.write(reading(grad_norm=math.inf, mfu=None))
    log.close()
    (line,) = read_log(tmp_path / "log.jsonl")["align"]
    assert not {"grad_norm", "mfu"} & line.keys()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"log\.jsonl cannot be written: No such file.*run again"):
        LogFile(tmp_path / "missing" / "log.jsonl")


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"log\.jsonl: No such file"):
        read_log(tmp_path / "log.jsonl")


def test_tensorboard_has_a_run_for_each_stage_and_repeated_steps_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((1, 2, 3), (2, 3, 4)):
        board = TensorBoard(tmp_path)
        for step in steps:
            board.write(reading(step))
        board.write(reading(1, "instruct"))
        board.close()
    found = EventAccumulator(str(tmp_path / "align")).Reload()
    losses = found.Scalars("loss")
    assert [event.step for event in losses] == [1, 2, 3, 4]
    assert losses[-1].value == pytest.approx(0.75)
    assert {"lr", "mfu", "tokens_per_second"} <= set(found.Tags()["scalars"])
    assert EventAccumulator(str(tmp_path / "instruct")).Reload().Scalars("loss")[0].step == 1


def test_tensorboard_that_is_missing_is_said_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'llavakit\[train\]'"):
        TensorBoard(tmp_path)


class FakeRun:
    def __init__(self) -> None:
        self.axes: dict[str, str] = {}
        self.logged: list[dict[str, float]] = []
        self.finished = False

    def define_metric(self, name: str, step_metric: str) -> None:
        self.axes[name] = step_metric

    def log(self, values: dict[str, float]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for the library, which wants an account: keeps what it is told."""
    module: Any = ModuleType("wandb")
    module.Error = type("Error", (Exception,), {})
    module.begun = []

    def init(**settings: Any) -> FakeRun:
        run = FakeRun()
        module.begun.append(SimpleNamespace(settings=settings, run=run))
        return run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_gets_each_stage_on_an_axis_of_its_own(tmp_path: Path, wandb: Any) -> None:
    sink = WandB("llava", "tiny", tmp_path, {"seed": 1})
    sink.write(reading(1))
    sink.write(reading(1, "instruct"))
    sink.close()
    (begun,) = wandb.begun
    assert begun.settings["project"] == "llava"
    assert begun.settings["config"] == {"seed": 1}
    assert begun.run.axes == {"align/*": "align/step", "instruct/*": "instruct/step"}
    assert begun.run.logged[1]["instruct/loss"] == 3.0
    assert begun.run.finished


def test_wandb_goes_on_with_the_same_run(tmp_path: Path, wandb: Any) -> None:
    for _ in range(2):
        WandB("llava", "tiny", tmp_path, {}).close()
    first, second = (begun.settings for begun in wandb.begun)
    assert first["id"] == second["id"]
    assert second["resume"] == "allow"


def test_wandb_that_is_missing_is_said_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="--wandb needs wandb: pip install wandb"):
        WandB("llava", "tiny", tmp_path, {})


def test_a_report_hands_every_step_to_every_sink() -> None:
    class Kept:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def write(self, reading: Any) -> None:
            self.seen.append(reading)

        def close(self) -> None:
            self.seen.append("closed")

    sinks = Kept(), Kept()
    report = Report(SimpleNamespace(read=lambda step: f"read {step}"), sinks)  # type: ignore[arg-type]
    report(1)  # type: ignore[arg-type]
    report.close()
    assert [sink.seen for sink in sinks] == [["read 1", "closed"]] * 2


def test_lines_come_at_the_ends_of_a_stage_and_every_ten_seconds() -> None:
    now, said = [0.0], []
    lines = Lines(said.append, lambda: now[0])
    for step in range(1, 11):
        lines.write(reading(step))
        now[0] += 4.0
    assert [line.split()[1] for line in said] == ["1/10", "4/10", "7/10", "10/10"]


def test_a_line_has_everything_that_one_watches() -> None:
    assert describe(reading(skipped=3)) == (
        "loss 3.000  lr 1.0e-03  norm 0.50  5,000 tokens/s  40.0 examples/s  MFU 41.0 %  supervised 25 %  "
        "34.1 GB  left 1 min 30 s  skipped 3"
    )
    assert "left 1 min 30 s, 2 h 0 min in all" in describe(reading(run_left=7200.0))
    assert "left 1 min 30 s of this stage" in describe(reading(run_left=None))
    assert "MFU" not in describe(reading(mfu=None))


def test_bars_show_each_stage() -> None:
    console = Console(force_terminal=True, width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    bars = Bars(console)
    for stage in ("align", "instruct"):
        bars.write(reading(4, stage))
    bars.close()
    said = console.export_text()
    assert "align" in said
    assert "instruct" in said
    assert "4/10" in said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (250, "4 min 10 s"), (11520, "3 h 12 min")]
)
def test_durations_are_rounded_to_what_matters(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_table_stands_in_columns() -> None:
    assert table([("", "in all"), ("connector", "1")]) == ["           in all", "connector       1"]


def test_the_plot_is_a_picture_of_every_stage(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    for stage in ("align", "instruct"):
        for step in range(1, 30):
            log.write(reading(step, stage))
    log.close()
    plot(tmp_path / "log.jsonl", tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_log_without_a_step_is_not_plotted(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(LlavaError, match="has no step to plot"):
        plot(tmp_path / "log.jsonl", tmp_path / "loss.png")


def test_a_plot_without_matplotlib_is_said_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'llavakit\[train\]'"):
        plot(tmp_path / "log.jsonl", tmp_path / "loss.png")
