"""A run on disk, so that a killed one goes on where it was: its checkpoints.

`checkpoints/<stage>-<step>/` holds what PyTorch's distributed checkpointing writes: each process its part,
readable by any number of processes. With several machines the folder has to be one that all of them see.
"""

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from llavakit.errors import CheckpointError, LlavaError
from llavakit.train import disk
from llavakit.train.distributed import World
from llavakit.train.optimiser import Optimiser

FOLDER = "checkpoints"
_MODEL, _OPTIMISER = "model.", "optimiser."


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        step: how many of the stage are done
        seen: rows of the stage
        skipped: those of them that could not be used, by kind
        examples: that the stage's data has, which its order follows from; 0: not known
    """

    stage: str
    step: int
    seen: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: int = 0


class State:
    """The checkpoints of the run in `out`.

    Args:
        stages: names, in order, with what the run is made of up to each one's end (the recipe so far);
            checkpoints of another run are refused
        keep: how many checkpoints stay

    Attributes:
        position: of the newest whole checkpoint; None: there is none
        seconds: spent on the run in all, interruptions left out

    Raises:
        LlavaError: `out` holds a run of another recipe.
    """

    def __init__(self, out: Path, stages: Mapping[str, str], world: World, keep: int = 2) -> None:
        self.folder = out / FOLDER
        self.position: Position | None = None
        self.seconds = 0.0
        self._stages, self._world, self._keep = stages, world, keep
        self._since = time.monotonic()
        self._path: Path | None = None  # of the newest whole checkpoint
        # What the first process sees is what all go by: on a shared disk, others may see it later.
        names = world.gather([path.name for path in disk.newest_first(self.folder, list(stages))])[0]
        for path in map(self.folder.joinpath, names):
            told = disk.read_run(path)
            if told is not None and told["fingerprint"] != stages.get(told["position"]["stage"]):
                raise LlavaError(
                    f"{out} holds a run of another recipe: choose another --out, or delete that folder"
                )
            if told is not None and all(world.gather(self._is_whole(path, told["files"]))):
                self.position, self.seconds = Position(**told["position"]), told["seconds"]
                self._path = path
                break
            if world.first:
                warnings.warn(f"{path} is damaged: the checkpoint before it is taken", stacklevel=2)

    def begun(self, stage: str) -> Position | None:
        """Where the run is in that stage; None if it is not in it."""
        return self.position if self.position is not None and self.position.stage == stage else None

    def _is_whole(self, path: Path, files: dict[str, int]) -> bool:
        """Whether this process's part of the files is what was written."""
        try:
            return all(disk.checksum(path / name) == files[name] for name in self._part(files))
        except OSError:
            return False

    def _part(self, names: Iterable[str]) -> list[str]:
        return sorted(names)[self._world.rank :: self._world.size]

    def load_model(self, model: nn.Module, *, alone: bool = False) -> None:
        """Restore the weights that the newest checkpoint holds, if there is one.

        Args:
            alone: only this process does

        Raises:
            CheckpointError: they are not those of `model`.
        """
        if self._path is None:
            return
        own = {_MODEL + name: p.detach() for name, p in model.named_parameters()}
        saved = [key for key in self._saved() if key.startswith(_MODEL)]
        if strange := sorted(set(saved) - set(own)):
            raise CheckpointError(
                f"{self._path} holds {strange[0].removeprefix(_MODEL)}, which the model has not: another "
                "version of llavakit wrote it. Go on with that one, or choose another --out"
            )
        self._load({key: own[key] for key in saved}, alone)

    def load_optimiser(self, model: nn.Module, optimiser: Optimiser) -> None:
        """Restore what the optimiser remembered, if there is a checkpoint."""
        if self._path is None:
            return
        own = dict(model.named_parameters())
        wanted = {}
        for key, told in self._saved().items():
            if key.startswith(_OPTIMISER):
                like = own[_parameter(key)].detach()
                alike = told.size == like.shape
                wanted[key] = torch.zeros_like(like) if alike else torch.zeros(told.size)
        self._load(wanted, alone=False)
        for key, value in wanted.items():
            optimiser.restore(own[_parameter(key)], key.rpartition(".")[2], value)

    def _saved(self) -> dict[str, Any]:
        assert self._path is not None
        return dict(FileSystemReader(self._path).read_metadata().state_dict_metadata)

    def _load(self, wanted: dict[str, Tensor], alone: bool) -> None:
        assert self._path is not None
        reader = FileSystemReader(self._path)
        group = None if alone else self._world.group
        with _quiet():
            load(wanted, storage_reader=reader, process_group=group, no_dist=group is None)

    def save(
        self, position: Position, model: nn.Module, learned: Iterable[str], optimiser: Optimiser
    ) -> None:
        """Write a checkpoint, then forget the oldest.

        Args:
            learned: names of the parameters to be written; the others are the base's

        Raises:
            LlavaError: it cannot be written, as when the disk is full; those from before are untouched.
        """
        path = self.folder / disk.name_of(position.stage, position.step)
        if path == self._path:  # already there: the same step leaves the same state
            return
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        names = set(learned)
        content: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            if name in names:
                content[_MODEL + name] = parameter.detach()
            for key, value in optimiser.state(parameter).items():
                content[f"{_OPTIMISER}{name}.{key}"] = value
        try:
            self._write(path, content, position)
        except (OSError, RuntimeError, CheckpointException) as error:
            self._give_up(path, error)
        self.position, self._path = position, path
        if self._world.first:
            disk.forget(path, list(self._stages), self._keep)

    def _write(self, path: Path, content: dict[str, Tensor], position: Position) -> None:
        world, folder = self._world, disk.partial_of(path)
        world.together(lambda: disk.begin(path) if world.first else None)
        writer = FileSystemWriter(folder)
        with _quiet():
            save(content, storage_writer=writer, process_group=world.group, no_dist=world.group is None)
        mine = self._part(p.name for p in folder.iterdir())
        sums = world.together(lambda: {name: disk.checksum(folder / name) for name in mine})
        told = {
            "fingerprint": self._stages[position.stage],
            "position": asdict(position),
            "seconds": self.seconds,
            "files": {name: value for part in sums for name, value in part.items()},
        }
        world.together(lambda: disk.finish(path, told) if world.first else None)

    def _give_up(self, path: Path, error: BaseException) -> None:
        if self._world.first:
            disk.discard(path)
        kept = f"{self._path} is whole" if self._path else "there is none from before"
        raise LlavaError(
            f"the checkpoint {path} could not be written ({_reason(error)}); {kept}. "
            "Make room on that disk and run again: it resumes"
        ) from None


def _parameter(key: str) -> str:
    """What a key of the optimiser's state is about."""
    return key.removeprefix(_OPTIMISER).rpartition(".")[0]


def _reason(error: BaseException) -> str:
    if isinstance(error, CheckpointException):
        error = next((cause for cause, _ in error.failures.values()), error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remark that one process is no group of processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
