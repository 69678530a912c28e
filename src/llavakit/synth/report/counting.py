"""Counting in bounded memory: lengths, distinct texts, what is most frequent, a sample."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Generic, TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Where the bins of a histogram begin; the last has no end."""

_LONGEST = 10_000  # a longer length counts as this one, in quantiles
_SPAN = 1 << 64  # of hashes


@dataclass(frozen=True)
class Spread:
    """How long things are.

    Attributes:
        median, low, high: quantiles at 50, 5 and 95 %: the smallest length that at least this share is not
            above; 0 of none
        bins: how many there are from each of `EDGES` to the next
    """

    n: int
    total: int
    median: int
    low: int
    high: int
    longest: int
    bins: tuple[int, ...]

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0


class Lengths:
    """Whole numbers, each counted."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = self._longest = 0

    def add(self, length: int) -> None:
        self._counts[min(length, _LONGEST)] += 1
        self._total += length
        self._longest = max(self._longest, length)

    def merge(self, other: "Lengths") -> None:
        self._counts.update(other._counts)
        self._total += other._total
        self._longest = max(self._longest, other._longest)

    def spread(self) -> Spread:
        n = self._counts.total()
        bins = [0] * len(EDGES)
        for length, times in self._counts.items():
            bins[max(place for place, edge in enumerate(EDGES) if edge <= length)] += times
        median, low, high = (self._quantile(share, n) for share in (50, 5, 95))
        return Spread(n, self._total, median, low, high, self._longest, tuple(bins))

    def _quantile(self, percent: int, n: int) -> int:
        below = 0
        for length in sorted(self._counts):
            below += self._counts[length]
            if below * 100 >= percent * n:
                return length
        return 0


def hashed(text: str) -> int:
    """A number below 2**64, the same in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


hashed_word = lru_cache(1 << 16)(hashed)


class Distinct:
    """How many different hashes there are: exactly up to `most`, beyond that within about 1 %.

    It holds all hashes below a limit, which is halved whenever there are too many. How many are held, by the
    share of all hashes that lies below the limit, is the estimate: where 65,536 are held, it is off by more
    than 0.4 % one time in three. One that is held takes about 70 bytes.
    """

    def __init__(self, most: int = 1 << 17) -> None:
        self._most, self._limit = most, _SPAN
        self._held: set[int] = set()

    def add(self, hashes: Iterable[int]) -> None:
        limit = self._limit
        self._held.update(hashes if limit == _SPAN else (each for each in hashes if each < limit))
        while len(self._held) > self._most:
            self._limit //= 2
            self._held = {each for each in self._held if each < self._limit}

    @property
    def exact(self) -> bool:
        return self._limit == _SPAN

    @property
    def count(self) -> int:
        return len(self._held) * (_SPAN // self._limit)


class Tally(Generic[Key]):
    """What is frequent. Of more than `most` different keys the rarest are forgotten again.

    Attributes:
        total: of all that was added
        lost: by how much a count may be too low; 0 as long as nothing was forgotten
    """

    def __init__(self, most: int = 50_000) -> None:
        self._counts: Counter[Key] = Counter()
        self._most = most
        self.total = self.lost = 0

    def add(self, key: Key, times: int = 1) -> None:
        self.total += times
        self._counts[key] += times
        if len(self._counts) > self._most:
            self._forget()

    def update(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.add(key)

    def _forget(self) -> None:
        """At least half of the keys, the rarest."""
        floor = sorted(self._counts.values())[len(self._counts) // 2]
        self._counts = Counter({key: times for key, times in self._counts.items() if times > floor})
        self.lost += floor

    def __getitem__(self, key: Key) -> int:
        return self._counts[key]

    def most_common(self, n: int | None = None) -> list[tuple[Key, int]]:
        """The most frequent, of equally frequent ones those that come first in the alphabet."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], str(item[0])))[:n]


class Sample(Generic[Item]):
    """Some of a stream, each as likely as every other; the same ones for the same seed."""

    def __init__(self, size: int, seed: object) -> None:
        self._size, self._random, self._seen = size, Random(str(seed)), 0
        self._items: list[Item] = []

    def wanted(self) -> int | None:
        """Where the next item of the stream goes, None where it is not taken. Call it once for each."""
        self._seen += 1
        if self._seen <= self._size:
            return self._seen - 1
        place = self._random.randrange(self._seen)
        return place if place < self._size else None

    def put(self, place: int, item: Item) -> None:
        self._items[place : place + 1] = [item]

    def items(self) -> list[Item]:
        """In an order that is drawn, too: the first ten are a sample as well."""
        return self._random.sample(self._items, len(self._items))
