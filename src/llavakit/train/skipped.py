"""Rows that could not be used: counted, named in `skipped.jsonl`; many of them end the run."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from llavakit.errors import LlavaError
from llavakit.train.batches import Skip

FILE = "skipped.jsonl"
_SHARE = 0.01  # of the rows seen, beyond which something is wrong with the data rather than with a row
_FEW, _HANDFUL = 100, 5  # rows seen, and of them left out, before which a share says little


class Skipped:
    """How many rows of a stage were seen, and which could not be used.

    Args:
        path: the file that names each of them once
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = 0
        self.kinds: Counter[str] = Counter()

    def resume(self, seen: int, kinds: Mapping[str, int]) -> None:
        """Go on counting from where an earlier run was."""
        self.seen, self.kinds = seen, Counter(kinds)

    @property
    def count(self) -> int:
        return self.kinds.total()

    def add(self, seen: int, skips: Iterable[Skip], *, write: bool) -> None:
        """Take the rows of a step, over all processes.

        Args:
            seen: how many there were, those that could not be used included
            write: whether this process keeps the file

        Raises:
            LlavaError: the file cannot be written.
        """
        found = list(skips)
        self.seen += seen
        self.kinds.update(skip.kind for skip in found)
        if not found or not write:
            return
        lines = dict.fromkeys(json.dumps(asdict(skip), ensure_ascii=False) for skip in found)
        try:
            there = set(self.path.read_text(encoding="utf-8").splitlines()) if self.path.is_file() else set()
            with self.path.open("a", encoding="utf-8") as file:
                # A resumed run meets again what it met after its last checkpoint; a second epoch, everything.
                file.writelines(f"{line}\n" for line in lines if line not in there)
        except OSError as error:
            raise LlavaError(
                f"{self.path} cannot be written: {error.strerror}. Put that right and run again: it resumes"
            ) from None

    def check(self, stage: str, rows: int, *, ended: bool = False) -> None:
        """Stop a run whose data is broken.

        Args:
            rows: how many its data has
            ended: whether the stage takes no more steps

        Raises:
            LlavaError: more than one row in a hundred could not be used, or none of them; gives the commonest
                reason.
        """
        hopeless = self.count == self.seen and (ended or self.count > _HANDFUL)
        few = (self.seen < _FEW or self.count <= _HANDFUL) and self.seen < rows
        if not hopeless and (few or self.count <= _SHARE * self.seen):
            return
        kind, times = self.kinds.most_common(1)[0]
        raise LlavaError(
            f"stage {stage}: {self.count} of {self.seen} rows could not be used, {times} of them because: "
            f"{kind}. They are named in {self.path}; look the data over with `llava data check FILE`"
        )
