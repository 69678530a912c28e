"""Several processes as one run: who is who, what they agree on, how the weights are split among them.

One process a GPU, started by `torchrun` (or whoever sets its environment: RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Weights, gradients and the optimiser's state are split by
PyTorch's FSDP2 (Zhao et al. 2023). With one process there is no group, and nothing here costs anything.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from llavakit.errors import LlavaError, UsageError
from llavakit.model.device import usable
from llavakit.model.encoder import EncoderLayer
from llavakit.model.language.decoder import DecoderLayer

T = TypeVar("T")
# A process that is silent for so long hangs. Long, for one may be writing a model while the others wait.
_PATIENCE = timedelta(minutes=30)
_ROLL_CALL = timedelta(seconds=5)


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: which one this is, from 0
        size: how many there are
        here: how many of them are on a machine
        device: that this process computes on
        group: what they agree through, on CPUs; None: there is one process
    """

    rank: int = 0
    size: int = 1
    here: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    group: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def gather(self, mine: T) -> list[T]:
        """What each process gives, in the order of ranks; the same list for all. No GPU is waited for.

        Raises:
            LlavaError: another process has died.
        """
        if self.group is None:
            return [mine]
        everyone: list[Any] = [None] * self.size
        try:
            dist.all_gather_object(everyone, mine, group=self.group)
        except RuntimeError as error:
            raise LlavaError(self.roll_call(error)) from None
        return everyone

    def together(self, work: Callable[[], T]) -> list[T]:
        """What `work` gives in each process; fails in all where it fails in one, so that none waits for it.

        Raises:
            OSError, LlavaError: what `work` raised in the first process where it did.
        """
        mine: T | OSError | LlavaError
        try:
            mine = work()
        except (OSError, LlavaError) as error:
            mine = error
        found = self.gather(mine)
        for each in found:
            if isinstance(each, OSError | LlavaError):
                raise each
        return found  # type: ignore[return-value]

    def sum(self, values: Tensor) -> Tensor:
        """The sum of all processes' `values`, in their place, on their device."""
        if self.group is not None:
            dist.all_reduce(values)
        return values

    def roll_call(self, error: BaseException) -> str:
        """Which processes no longer answer, after `error` in this one, in words for a person."""
        gone: list[str] = []
        with suppress(RuntimeError, ValueError):
            store = dist.distributed_c10d._get_default_store()
            store.set(f"llavakit/here/{self.rank}", "1")
            for rank in range(self.size):
                try:
                    store.wait([f"llavakit/here/{rank}"], _ROLL_CALL)
                except RuntimeError:
                    gone.append(str(rank))
        who = f"process {', '.join(gone)}" if gone else "another process"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return (
            f"{who} of {self.size} no longer answers process {self.rank} ({reason}): its own last words say "
            "why. Run again: it resumes from the last checkpoint"
        )


@contextmanager
def join(device: torch.device | str) -> Iterator[World]:
    """The run that this process is part of.

    Args:
        device: what to compute on; with several processes on GPUs, each takes its own

    Raises:
        UsageError: the device cannot be used; there are more processes on this machine than GPUs.
        LlavaError: the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=_used(device))
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if str(device).startswith("cuda"):
        if 0 < torch.cuda.device_count() <= local:
            raise UsageError(
                f"{local + 1} processes but {torch.cuda.device_count()} GPUs on this machine: "
                "give torchrun --nproc-per-node the number of GPUs"
            )
        device = f"cuda:{local}"
    device = _used(device)
    ours = not dist.is_initialized()  # else a launcher, such as Ray, has done so
    if ours:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        try:
            dist.init_process_group(backend, timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise LlavaError(f"process {rank} of {size} cannot reach the others ({reason})") from None
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    try:
        yield World(rank, size, here, device, group)
    finally:
        if ours:
            dist.destroy_process_group()


def _used(device: torch.device | str) -> torch.device:
    """The device, known to work; a GPU is from now on the one that is meant where none is named, as by events
    and page-locked memory."""
    chosen = usable(device)
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)
    return chosen


def shard(model: nn.Module, world: World, how: Literal["full", "hybrid"], *, half: bool) -> None:
    """Split the weights of `model` over the processes; each layer is whole only while it computes.

    Args:
        how: over all processes, or over those of a machine, each machine having a copy
        half: on GPUs, layers travel as bfloat16, which is what autocast would make of them anyway

    Raises:
        UsageError: the processes are not spread evenly over the machines.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    if world.size == 1:
        return
    shape, names = (world.size,), ("shard",)
    if how == "hybrid":
        if world.size % world.here:
            raise UsageError(
                f"hybrid sharding needs as many processes on each machine: {world.here} here, "
                f'{world.size} in all; start equal numbers, or set hardware.shard to "full"'
            )
        shape, names = (world.size // world.here, world.here), ("replicate", "shard")  # type: ignore[assignment]
    mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=names)
    # Neither single numbers nor quantised weights can be cut; none of them learns here (the one number that
    # ever does, CLIP's temperature, belongs to an objective for one process).
    whole = {p for p in model.parameters() if p.ndim == 0 or not p.is_floating_point()}
    apart: dict[str, Any] = {"ignored_params": whole} if whole else {}
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    layers = policy
    if half and world.device.type == "cuda":
        layers = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for module in model.modules():
        if isinstance(module, EncoderLayer | DecoderLayer):
            fully_shard(module, mesh=mesh, mp_policy=layers, **apart)
    fully_shard(model, mesh=mesh, mp_policy=policy, **apart)


def release(model: nn.Module) -> None:
    """Let go of weights that were gathered for a forward pass which no backward pass follows.

    The outermost ones would else stay as they are now, whatever the optimiser does to the shards.
    """
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.reshard()
