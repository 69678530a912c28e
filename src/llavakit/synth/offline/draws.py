"""What is drawn for one row: a stream of numbers that follows from the task alone."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from llavakit.synth.task import Task

Item = TypeVar("Item")

# Knuth's linear congruential generator (MMIX): its upper half is what is used. `random.Random` takes 10 times
# as long to set up, and rows are drawn afresh.
_STEP, _ADD, _MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1


class Draw:
    """Numbers, choices and orders."""

    def __init__(self, task: Task) -> None:
        self._state = task.draw("offline")

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        self._state = state = (self._state * _STEP + _ADD) & _MASK
        return (state >> 32) * n >> 32

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def one(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        found = list(items)
        state = self._state
        for i in range(len(found) - 1, 0, -1):  # `below`, without its calls
            state = (state * _STEP + _ADD) & _MASK
            j = (state >> 32) * (i + 1) >> 32
            found[i], found[j] = found[j], found[i]
        self._state = state
        return found

    def in_turn(self, items: Sequence[Item]) -> Iterator[Item]:
        """All of them in an order of their own, drawn as far as it is asked for."""
        left = list(items)
        while left:
            i = self.below(len(left))
            left[i], left[-1] = left[-1], left[i]
            yield left.pop()

    def some(self, items: Sequence[Item], n: int) -> list[Item]:
        """So many of them, in an order of their own."""
        return self.shuffled(items)[:n]
