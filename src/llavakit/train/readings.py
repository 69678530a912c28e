"""A step's loss and gradient norm, read from the device without making it wait.

On a GPU they are copied while later steps run, and told a fixed number of steps late: the same in every
process, so that all notice the same thing at the same moment. On a CPU they are told at once.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
_LATE = 2  # steps: one may run and one wait while a third is read


@dataclass(frozen=True)
class Told(Generic[T]):
    """What was noted of a step, with its numbers."""

    noted: T
    loss: float
    norm: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Readings(Generic[T]):
    """Numbers on their way from `device`.

    Attributes:
        bad: () float32 on the device: 1 from the first step on whose numbers are no numbers
    """

    def __init__(self, device: torch.device) -> None:
        self.bad = torch.zeros((), device=device)
        self._late = _LATE if device.type == "cuda" else 0
        self._waiting: deque[tuple[T, Tensor, torch.cuda.Event | None]] = deque()

    def note(self, noted: T, loss: Tensor, norm: Tensor) -> None:
        """Take a step's numbers, both () on the device."""
        numbers = torch.stack([loss, norm]).detach()
        self.bad = torch.maximum(self.bad, 1 - numbers.isfinite().all().float())
        arrived = None
        if numbers.is_cuda:
            host = torch.empty(2, pin_memory=True)
            host.copy_(numbers, non_blocking=True)
            numbers, arrived = host, torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(torch.cuda.current_stream(loss.device))
        self._waiting.append((noted, numbers, arrived))

    def told(self, *, wait: bool = False) -> list[Told[T]]:
        """The steps that can be read by now, in order; with `wait`, the device is waited for."""
        found = []
        while len(self._waiting) > (0 if wait else self._late):
            noted, numbers, arrived = self._waiting.popleft()
            if arrived is not None:
                arrived.synchronize()
            loss, norm = numbers.tolist()
            found.append(Told(noted, loss, norm))
        return found
