"""Blocks: who begins alike shares them, nothing in use is given away, nothing is lost."""

import random

import pytest

from llavakit.engine.pages import NoRoom, Pages

SIZE = 4


class Store:
    """Stands for the tensors: which token is in which place of which block."""

    def __init__(self, blocks: int) -> None:
        self.held: list[list[object]] = [[None] * SIZE for _ in range(blocks)]

    def copy(self, source: int, target: int) -> None:
        self.held[target] = list(self.held[source])

    def write(self, sequence, tokens, start: int) -> None:
        for at in range(start, len(tokens)):
            self.held[sequence.blocks[at // SIZE]][at % SIZE] = tokens[at]

    def read(self, sequence) -> list[object]:
        return [self.held[sequence.blocks[at // SIZE]][at % SIZE] for at in range(sequence.length)]


def pool(blocks: int) -> tuple[Pages, Store]:
    store = Store(blocks)
    return Pages(blocks, SIZE, store.copy), store


def run(pages: Pages, store: Store, tokens: list, keep: bool = False):
    """A sequence that reads all of `tokens`; how many of them it had to."""
    sequence = pages.begin(tokens)
    assert store.read(sequence) == tokens[: sequence.length]
    new = len(tokens) - sequence.length
    sequence.reserve(len(tokens))
    store.write(sequence, tokens, sequence.length)
    sequence.wrote(tokens)
    assert store.read(sequence) == tokens
    if not keep:
        sequence.end(tokens)
    return (sequence, new) if keep else new


def test_what_was_read_is_not_read_again_to_the_token():
    pages, store = pool(16)
    assert run(pages, store, list(range(11))) == 11
    assert run(pages, store, [*range(11), 50, 51]) == 2  # from within a block
    assert run(pages, store, [*range(6), 60]) == 1
    assert run(pages, store, list(range(11))) == 1  # the last is read for its logits
    assert run(pages, store, [7, *range(11)]) == 12


def test_sequences_at_once_share_whole_blocks():
    pages, store = pool(8)
    first, _ = run(pages, store, list(range(12)), keep=True)
    second, new = run(pages, store, [*range(12), 20], keep=True)
    assert new == 1
    assert second.blocks[:3] == first.blocks[:3]
    assert pages.free == 4


def test_two_that_read_the_same_at_once_end_with_one_copy():
    pages, store = pool(8)
    tokens = list(range(8))
    first, second = pages.begin(tokens), pages.begin(tokens)
    for sequence in (first, second):
        sequence.reserve(8)
        store.write(sequence, tokens, 0)
    first.wrote(tokens)
    second.wrote(tokens)
    assert second.blocks == first.blocks
    assert pages.free == 6


def test_a_copy_never_changes_what_it_was_made_from():
    pages, store = pool(16)
    run(pages, store, list(range(6)))
    first, _ = run(pages, store, [*range(6), 70, 71], keep=True)
    second, _ = run(pages, store, [*range(6), 80, 81], keep=True)
    assert store.read(first) == [*range(6), 70, 71]
    assert store.read(second) == [*range(6), 80, 81]


def test_what_was_used_longest_ago_is_forgotten_first():
    pages, store = pool(4)
    run(pages, store, [1] * 4 + [9])
    run(pages, store, [2] * 4 + [9])
    assert run(pages, store, [1] * 4 + [9]) == 1
    assert run(pages, store, [3] * 8) == 8  # takes two blocks: those of the twos
    assert run(pages, store, [1] * 4 + [8]) == 1
    assert run(pages, store, [2] * 4 + [8]) == 5


def test_nothing_in_use_is_given_away():
    pages, store = pool(4)
    sequence, _ = run(pages, store, list(range(16)), keep=True)
    other = pages.begin([1, 2, 3])
    with pytest.raises(NoRoom):
        other.reserve(3)
    other.end([])
    assert store.read(sequence) == list(range(16))
    sequence.end(list(range(16)))
    assert run(pages, store, [5, 6, 7]) == 3


def test_without_reuse_everything_is_read():
    pages, store = pool(8)
    run(pages, store, list(range(11)))
    assert pages.begin(list(range(11)), reuse=False).length == 0


def test_whatever_comes_no_block_is_lost_and_none_lies():
    """Each sequence reads what it should, whatever others do meanwhile; at the end all blocks are free."""
    chance = random.Random(0)
    pages, store = pool(12)
    alive: list[tuple] = []
    for _ in range(2000):
        if alive and (chance.random() < 0.5 or len(alive) == 3):
            sequence, tokens = alive.pop(chance.randrange(len(alive)))
            assert store.read(sequence) == tokens[: sequence.length]
            sequence.end(tokens)
            continue
        tokens = [chance.randrange(2) for _ in range(chance.randrange(1, 16))]
        sequence = pages.begin(tokens)
        assert store.read(sequence) == tokens[: sequence.length]
        try:
            sequence.reserve(len(tokens))
        except NoRoom:
            sequence.end(tokens)
            continue
        read = chance.randrange(sequence.length, len(tokens) + 1)  # it may be broken off
        store.write(sequence, tokens[:read], sequence.length)
        sequence.wrote(tokens[:read])
        alive.append((sequence, tokens))
    for sequence, tokens in alive:
        sequence.end(tokens)
    pages.forget()
    assert pages.free == 12 and pages.remembered == 0
