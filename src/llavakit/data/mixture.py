"""Several datasets as one, each with its weight."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from llavakit.data.contrast import Labels
from llavakit.data.instruct import InstructData
from llavakit.errors import LlavaError, UsageError


class Part(Protocol):
    """One part of a mixture, as a recipe names it."""

    @property
    def path(self) -> str: ...
    @property
    def images(self) -> str | None: ...
    @property
    def weight(self) -> float: ...


class Dataset(Protocol):
    """Example `i` is the same whenever it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class Mixture:
    """The examples of several datasets, one dataset after the other, each as often as its weight says.

    A weight of 2.5 is every example twice, and half of them once more; which half, `seed` draws. The
    order is for the trainer to shuffle. What is asked about an example is answered by its own dataset.
    """

    def __init__(self, parts: Sequence[tuple[Dataset, float]], seed: int = 0) -> None:
        self.datasets = [dataset for dataset, _ in parts]
        self._rest = [_drawn(len(dataset), weight, seed + i) for i, (dataset, weight) in enumerate(parts)]
        whole = [int(weight) * len(dataset) for dataset, weight in parts]
        self._whole = whole
        self._ends = list(accumulate(n + len(rest) for n, rest in zip(whole, self._rest, strict=True)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Any:
        dataset, own = self.find(index)
        return dataset[own]

    def size(self, index: int) -> tuple[bool, int]:
        """Whether an example has pictures, and about how many words it has.

        Raises:
            UsageError: it is of a dataset that cannot tell without making it.
        """
        dataset, own = self.find(index)
        if not isinstance(dataset, InstructData):
            raise UsageError("group_by needs rows from files: the length of drawn ones is not known before")
        return dataset.size(own)

    @property
    def labels(self) -> Labels:
        """What patches are asked, by any of the datasets."""
        return {k: label for dataset in self.datasets for k, label in getattr(dataset, "labels", {}).items()}

    def name(self, index: int) -> str:
        """An example as a message names it."""
        dataset, own = self.find(index)
        return dataset.name(own) if isinstance(dataset, InstructData) else f"example {own + 1}"

    def find(self, index: int) -> tuple[Dataset, int]:
        """The dataset that an example is of, and its place there."""
        index = range(len(self))[index]
        part = bisect_right(self._ends, index)
        index -= self._ends[part - 1] if part else 0
        dataset, whole = self.datasets[part], self._whole[part]
        return dataset, index % len(dataset) if index < whole else int(self._rest[part][index - whole])


def open_mixture(
    parts: Sequence[Part], *, open_part: Callable[[Part], Dataset] | None = None, seed: int = 0
) -> Mixture:
    """Open what a recipe's stage names.

    Args:
        open_part: opens one part, where it is not a file; default: `open_file`
        seed: of the subsets that weights with a fraction draw

    Raises:
        UsageError: a file, or the place of its pictures, does not exist.
        LlavaError: a file cannot be used, or none of the first pictures it names is there.
    """
    if not parts:
        raise UsageError("a stage's data has no parts: name at least one file")
    opened = [(open_part or open_file)(part) for part in parts]
    for part, dataset in zip(parts, opened, strict=True):
        if not len(dataset):
            raise LlavaError(f"{part.path} is empty: it has no examples")
    return Mixture([(d, part.weight) for d, part in zip(opened, parts, strict=True)], seed)


def open_file(part: Part) -> InstructData:
    """A part that is a file, its pictures looked for."""
    data = InstructData(Path(part.path), None if part.images is None else Path(part.images))
    data.check_pictures()
    return data


def _drawn(length: int, weight: float, seed: int) -> np.ndarray:
    """Which examples come once more than the others, in order; at least one where there were none at all."""
    count = round((weight - int(weight)) * length) or int(weight < 1)
    return np.sort(np.random.default_rng(seed).permutation(length)[:count])
