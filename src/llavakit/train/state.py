"""The state of a run on disk, so that a killed one goes on where it was."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llavakit.errors import LlavaError
from llavakit.train.optimiser import Optimiser


class State:
    """Weights, optimiser and position in one file, replaced atomically.

    Args:
        path: the file
        fingerprint: what the run is made of (the recipe); a file from another recipe is refused
    """

    def __init__(self, path: Path, model: nn.Module, fingerprint: str) -> None:
        self.path = path
        self.model = model
        self.fingerprint = fingerprint
        self.seconds = 0.0  # spent on the run in all, interruptions left out
        self._since = time.monotonic()
        self._found: dict[str, Any] | None = None
        if path.is_file():
            self._found = torch.load(path, weights_only=True, map_location="cpu")
            if self._found["fingerprint"] != fingerprint:
                raise LlavaError(
                    f"{path.parent} holds a run of another recipe: "
                    "choose another --out, or delete that folder"
                )
            model.load_state_dict(self._found["model"])
            self.seconds = self._found["seconds"]

    @property
    def stage(self) -> str | None:
        """The stage the found run was in."""
        return self._found["stage"] if self._found else None

    def resume(self, stage: str, optimiser: Optimiser) -> int:
        """Restore `optimiser` if the found run was in `stage`; the number of steps already done."""
        if self._found is None or self._found["stage"] != stage:
            return 0
        optimiser.load_state_dict(self._found["optimiser"])
        step: int = self._found["step"]
        self._found = None  # release the memory: from here on the model moves
        return step

    def save(self, stage: str, step: int, optimiser: Optimiser) -> None:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        content = {
            "fingerprint": self.fingerprint,
            "stage": stage,
            "step": step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
