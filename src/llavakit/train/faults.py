"""What can go wrong in the middle of a run, in words that name the remedy."""

import json
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

from llavakit.errors import LlavaError
from llavakit.train.distributed import World
from llavakit.train.recipe import Hardware, Stage

BAD_BATCH = "bad-batch.json"


class StoppedError(LlavaError):
    """Somebody asked the run to stop, and it has saved where it is."""

    def __init__(self, number: int, stage: str, step: int) -> None:
        super().__init__(number, stage, step)
        self.number, self.stage, self.step = number, stage, step
        self.exit_code = 128 + number  # as shells report it

    def __str__(self) -> str:
        return (
            f"stopped by {signal.Signals(self.number).name} after step {self.step} of stage {self.stage}, "
            "which is saved: run again to go on from there"
        )


class Asked:
    """Whether somebody asked the run to stop: the signal's number, 0 if nobody did."""

    number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait


@contextmanager
def listening() -> Iterator[Asked]:
    """SIGTERM and Ctrl-C are noted while this lasts, to be acted on between two steps."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():  # which alone may listen
        yield asked
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def explained(stage: Stage, hardware: Hardware, world: World) -> Iterator[None]:
    """Errors of the machine, told as what to do about them.

    Raises:
        LlavaError: the GPU has no memory left, a worker was killed, or another process no longer answers.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LlavaError(_out_of_memory(stage, hardware, world, error)) from None
    except RuntimeError as error:
        # The second: what one sent was half a batch, which ended the thread that copies for a GPU.
        if any(mark in str(error) for mark in ("DataLoader worker", "Pin memory thread")):
            raise LlavaError(
                f"stage {stage.name}: a process that prepares batches was killed, as happens when memory "
                f"runs out: lower hardware.workers (now {hardware.workers}), or give the machine more memory "
                "(/dev/shm included), and run again: it resumes from the last checkpoint"
            ) from None
        if world.size > 1 and _is_about_the_others(error):
            raise LlavaError(world.roll_call(error)) from None
        raise


def _is_about_the_others(error: RuntimeError) -> bool:
    """Whether a collective failed; gloo raises plain RuntimeErrors, which name its sockets or sources."""
    said = str(error)
    return isinstance(error, dist.DistError) or any(
        mark in said for mark in ("gloo", "Connection closed by peer", "Connection reset", "NCCL")
    )


def _out_of_memory(stage: Stage, hardware: Hardware, world: World, error: torch.OutOfMemoryError) -> str:
    """The settings that make a step smaller, the cheapest first; those in use already left out."""
    micro = hardware.micro_tokens
    remedies = [
        f"lower hardware.micro_tokens (now {micro})"
        if micro
        else "set hardware.micro_tokens (now a step's whole share at once; try 8192)"
    ]
    if not hardware.checkpoint_activations:
        remedies.append("set hardware.checkpoint_activations = true")
    if hardware.frozen != "bfloat16" and stage.precision == "bfloat16":
        remedies.append('set hardware.frozen = "bfloat16"')
    if stage.lora is None:
        remedies.append("train a LoRA ([stages.lora])")
    elif stage.lora.quantize is None:
        remedies.append('set lora.quantize = "bnb-nf4"')
    remedies.append(
        "start it on several GPUs with torchrun" if world.size == 1 else f"use more than {world.size} GPUs"
    )
    reason = str(error).split(". ")[0] or "out of memory"
    return (
        f"stage {stage.name}: the GPU has no memory left ({reason}). In this order: {'; '.join(remedies)}. "
        "Then run again: it resumes from the last checkpoint"
    )


def not_a_number(
    stage: Stage, step: int, loss: float, norm: float, rows: list[str], out: Path, world: World
) -> LlavaError:
    """The error of a step that would have ruined the weights; its rows are written beside.

    Args:
        step: from 1
        rows: what the step's examples are called
    """
    what = f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    told = {"stage": stage.name, "step": step, "fault": what, "rows": rows}
    if world.first:
        (out / BAD_BATCH).write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    named = ", ".join(rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
    return LlavaError(
        f"stage {stage.name}, step {step}: {what}, on {named} (all in {out / BAD_BATCH}). The weights from "
        "before it are saved. If a row is at fault, mend it in its place and run again: it resumes at this "
        f"step. Lower lr ({stage.lr}) or raise warmup ({stage.warmup}) otherwise, with another --out"
    )
