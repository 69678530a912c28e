"""Which examples each step reads: a function of the data, the seed, the step and the process alone."""

import os
import signal
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
import torch

from llavakit.data.collate import Batch, TokenBatch
from llavakit.data.rows import RowError
from llavakit.errors import LlavaError, UsageError
from llavakit.train.batches import Share, Skip, order, shares, steps_of
from llavakit.train.distributed import World
from llavakit.train.faults import explained
from llavakit.train.recipe import Hardware, Stage


def stage(**values: Any) -> Stage:
    return Stage(
        **{"name": "s", "data": "d", "trainable": ["connector"], "steps": 9, "batch": 4, "lr": 1.0} | values
    )


class Numbers:
    """Examples that are their own index; every third has a picture, each is as long as it says."""

    def __init__(self, length: int, bad: Sequence[int] = ()) -> None:
        self.length, self.bad = length, bad

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        if index in self.bad:
            raise RowError("rows.json", index + 1, f"id{index}", "has no answer", "order")
        return index

    def size(self, index: int) -> tuple[bool, int]:
        return index % 3 == 0, index * 7 % 11


class Plain:
    """Collates numbers into one batch of them."""

    def encode(self, example: int) -> int:
        if example == 13:
            raise LlavaError("it is thirteen")
        return example

    def batches(self, encoded: Sequence[int]) -> list[Batch]:
        if 99 in encoded:
            raise LlavaError("ninety-nine cannot be batched")
        ids = torch.tensor([list(encoded)])
        return [TokenBatch(ids, ids)]


def numbers(share: Share) -> list[int]:
    return [n for batch in share.batches for n in batch.ids.flatten().tolist()]  # type: ignore[attr-defined]


def told(found: Sequence[Share]) -> list[tuple[list[int], list[str], list[Skip]]]:
    return [(numbers(share), share.names, share.skipped) for share in found]


def test_each_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    data = Numbers(12)
    batches = list(order(data, stage(steps=6), 5, 0, 6))
    first, second = (list(chain(*batches[i : i + 3])) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert second == torch.randperm(12, generator=torch.Generator().manual_seed(6)).tolist()


@pytest.mark.parametrize("group_by", [None, "length", "modality_length"])
@pytest.mark.parametrize("length", [3, 50, 777])
def test_steps_from_any_on_are_those_of_the_whole_run(group_by: str | None, length: int) -> None:
    plan, data = stage(group_by=group_by), Numbers(length)
    whole = list(order(data, plan, 1, 0, 120))
    assert len(whole) == 120 and all(len(batch) == 4 for batch in whole)
    for first in (1, 49, 50, 51, 119, 120):
        assert list(order(data, plan, 1, first, 120)) == whole[first:]


def test_grouped_batches_are_of_like_length_and_lose_nobody() -> None:
    data = Numbers(400)
    batches = list(order(data, stage(group_by="length"), 1, 0, 100))
    assert sorted(chain(*batches)) == list(range(400))
    spread = [max(s) - min(s) for s in ([data.size(i)[1] for i in batch] for batch in batches)]
    assert sum(spread) / len(spread) < 1
    assert [max(data.size(i)[1] for i in b) for b in batches[:50]] != sorted(
        (max(data.size(i)[1] for i in b) for b in batches[:50]), reverse=True
    )


def test_with_modality_no_batch_but_one_of_fifty_mixes_pictures_and_words_alone() -> None:
    data = Numbers(400)
    batches = list(order(data, stage(group_by="modality_length"), 1, 0, 100))
    assert sorted(chain(*batches)) == list(range(400))
    assert sum(len({data.size(i)[0] for i in batch}) > 1 for batch in batches) <= 2


def test_data_that_cannot_tell_lengths_is_not_grouped_by_them() -> None:
    with pytest.raises(UsageError, match=r"stage s: .*leave group_by out"):
        next(order(["a", "b"], stage(group_by="length"), 1, 0, 1))


def test_the_processes_share_a_step_without_overlap() -> None:
    data, plan = Numbers(12), stage(batch=8)
    alone = told(list(shares(data, Plain(), order(data, plan, 1, 0, 5), 0, World())))
    parts = [
        told(list(shares(data, Plain(), order(data, plan, 1, 0, 5), 0, World(rank, 3)))) for rank in range(3)
    ]
    for step, (whole, _, _) in enumerate(alone):
        assert sorted(chain(*(part[step][0] for part in parts))) == sorted(whole)
        assert parts[0][step][0] == whole[::3]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    data, plan = Numbers(40, bad=[3]), stage()
    here, there = (
        list(shares(data, Plain(), order(data, plan, 1, 0, 9), count, World())) for count in (0, workers)
    )
    assert told(here) == told(there)
    assert any(share.skipped for share in here)


def test_what_cannot_be_used_is_left_out_and_named() -> None:
    data = Numbers(40, bad=[3, 30])
    found = list(shares(data, Plain(), [[1, 3, 5], [13, 7], [30]], 0, World()))
    assert [numbers(share) for share in found] == [[1, 5], [7], []]
    assert [share.skipped for share in found] == [
        [Skip("rows.json", 4, "id3", "has no answer", "turns out of order, or no answer")],
        [Skip("example 14", 14, "", "it is thirteen", "it is thirteen")],
        [Skip("rows.json", 31, "id30", "has no answer", "turns out of order, or no answer")],
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_no_examples_fault_is_told_in_words(workers: int) -> None:
    (found,) = shares(Numbers(100), Plain(), [[99, 1]], workers, World())
    assert found.error == "ninety-nine cannot be batched"


def test_a_stage_of_epochs_counts_its_steps_and_empty_data_is_named() -> None:
    assert steps_of(stage(steps=None, epochs=2.5), 10) == 7
    with pytest.raises(LlavaError, match="stage s: its data 'd' is empty"):
        steps_of(stage(), 0)


class Murderous(Numbers):
    """The memory runs out at the ninth example, and the system kills the worker."""

    def __getitem__(self, index: int) -> int:
        if index == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_worker_that_is_killed_is_an_error_that_names_the_setting() -> None:
    found = shares(Murderous(12), Plain(), [[i] for i in range(12)], 2, World())
    with (
        pytest.raises(LlavaError, match=r"stage s: .*lower hardware.workers \(now 2\).*it resumes"),
        explained(stage(), Hardware(workers=2), World()),
    ):
        list(found)
