"""Where readings go: `log.jsonl`, TensorBoard, Weights & Biases; all have one interface, `Sink`.

What is shown in the terminal is in progress.py.
"""

import json
import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from llavakit.errors import LlavaError, UsageError
from llavakit.train.loop import Step
from llavakit.train.meter import Meter, Reading

LOG = "log.jsonl"


class Sink(Protocol):
    """Something that keeps or shows readings."""

    def write(self, reading: Reading) -> None:
        """Take the next one."""
        ...

    def close(self) -> None:
        """Let go of files; may be called more than once."""
        ...


class Report:
    """A hook of the loop: reads each step off and hands it to every sink."""

    def __init__(self, meter: Meter, sinks: Sequence[Sink]) -> None:
        self._meter = meter
        self._sinks = sinks

    def __call__(self, step: Step) -> None:
        reading = self._meter.read(step)
        for sink in self._sinks:
            sink.write(reading)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


class LogFile:
    """`log.jsonl`: one JSON object a step, appended at once, so that nothing is lost in a kill.

    A resumed run repeats the steps after its last checkpoint and appends them again; `read_log` keeps
    the later of two lines for a step, and passes over one that a kill cut short.

    Raises:
        LlavaError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("a+b")
            if self._file.seek(0, 2):
                self._file.seek(-1, 2)
                if self._file.read(1) != b"\n":
                    self._file.write(b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def write(self, reading: Reading) -> None:
        # JSON has no infinity; a field without a value is left out.
        shown = {name: value for name, value in asdict(reading).items() if _is_shown(value)}
        try:
            self._file.write(json.dumps(shown, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> LlavaError:
        return LlavaError(
            f"{self._path} cannot be written: {error.strerror}. Put that right and run again: it resumes"
        )


def _is_shown(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def read_log(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a `LogFile` by stage, each step once, in order.

    Raises:
        LlavaError: there is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LlavaError(f"{path}: {error.strerror}: `llava train` writes it") from None
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for line in text.split("\n"):
        try:
            values = json.loads(line)
            found.setdefault(values["stage"], {})[values["step"]] = values
        except (ValueError, KeyError, TypeError):  # cut short by a kill
            continue
    return {stage: [steps[step] for step in sorted(steps)] for stage, steps in found.items()}


class TensorBoard:
    """TensorBoard's files, a run for each stage; steps that a resumed run repeats replace the earlier.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError("TensorBoard is not installed: pip install 'llavakit[train]'") from None
        self._writer_of = SummaryWriter
        self._folder = folder
        self._stage = ""
        self._writer: Any = None

    def write(self, reading: Reading) -> None:
        if reading.stage != self._stage:
            self.close()
            self._stage = reading.stage
            self._writer = self._writer_of(str(self._folder / reading.stage), purge_step=reading.step)
        for name, value in reading.numbers().items():
            self._writer.add_scalar(name, value, reading.step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def check_wandb() -> None:
    """Say early what `WandB` would say late.

    Raises:
        UsageError: wandb is not installed.
    """
    try:
        import wandb  # noqa: F401
    except ImportError:
        raise UsageError("--wandb needs wandb: pip install wandb") from None


class WandB:
    """Weights & Biases: one run for `out`, gone on with when it resumes.

    Its account, server and whether it is offline come from its own settings (`wandb login`,
    WANDB_MODE).

    Args:
        project: where the run is listed
        name: of the run
        out: the run's folder; the run's id is kept there
        config: what is to be seen beside the curves

    Raises:
        UsageError: wandb is not installed, or not logged in.
    """

    def __init__(self, project: str, name: str, out: Path, config: dict[str, Any]) -> None:
        check_wandb()
        import wandb

        kept = out / "wandb-id"
        if not kept.is_file():
            kept.write_text(secrets.token_hex(8), encoding="utf-8")
        identity = kept.read_text(encoding="utf-8").strip()
        try:
            self._run = wandb.init(
                project=project, name=name, id=identity, resume="allow", dir=str(out), config=config
            )
        except wandb.Error as error:
            raise UsageError(f"--wandb {project}: {error}") from None
        self._stages: set[str] = set()

    def write(self, reading: Reading) -> None:
        stage = reading.stage
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        numbers = {f"{stage}/{name}": value for name, value in reading.numbers().items()}
        self._run.log({f"{stage}/step": reading.step} | numbers)

    def close(self) -> None:
        self._run.finish()
