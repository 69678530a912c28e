"""Pairs of scenes that differ in one thing, and frames in which one thing moves."""

from collections import Counter
from itertools import pairwise

import pytest

from llavakit.tiny.world.changes import MOTIONS, WHATS, Motion, What, make_frames, make_pair
from llavakit.tiny.world.scene import overlap, place
from llavakit.tiny.world.things import colour_of, held_out

STYLES = ("noto",)


def test_the_same_seed_gives_the_same_pair_and_frames() -> None:
    assert make_pair(3, STYLES) == make_pair(3, STYLES)
    assert make_frames(3, STYLES) == make_frames(3, STYLES)


def test_the_changes_are_all_that_differs() -> None:
    for seed in range(80):
        pair = make_pair(seed, STYLES)
        gone = set(pair.first.things) - set(pair.second.things)
        new = set(pair.second.things) - set(pair.first.things)
        assert gone == {change.before for change in pair.changes if change.before}
        assert new == {change.after for change in pair.changes if change.after}
        assert pair.first.backdrop == pair.second.backdrop and pair.first.aspect == pair.second.aspect


def test_most_pairs_have_one_change_some_none_some_two() -> None:
    counts = Counter(len(make_pair(seed, STYLES).changes) for seed in range(300))
    assert counts[1] > 200 and counts[0] > 15 and counts[2] > 5


@pytest.mark.parametrize("what", WHATS)
def test_each_sort_of_change_happens_as_it_says(what: What) -> None:
    changes = [change for seed in range(60) for change in make_pair(seed, STYLES, what=what).changes]
    assert changes and all(change.what == what for change in changes)
    for change in changes:
        before, after = change.before, change.after
        assert (before is None) == (what == "added") and (after is None) == (what == "removed")
        if not before or not after:
            continue
        assert (before.kind != after.kind) == (what == "replaced")
        if what == "moved":
            assert place(before) != place(after) and colour_of(before) == colour_of(after)
        if what == "recoloured":
            assert colour_of(before) != colour_of(after) and before.box == after.box
            assert after.colour and not held_out(after.kind, after.colour)


def test_only_a_thing_that_is_one_of_its_kind_changes_otherwise_than_by_coming() -> None:
    for seed in range(80):
        pair = make_pair(seed, STYLES)
        kinds = Counter(thing.kind for thing in pair.first.things)
        assert all(kinds[change.before.kind] == 1 for change in pair.changes if change.before)


def test_what_comes_covers_nothing() -> None:
    for seed in range(60):
        for change in make_pair(seed, STYLES, what="added").changes:
            assert change.after
            others = make_pair(seed, STYLES, what="added").first.things
            assert all(overlap(change.after.box, other.box) == 0 for other in others)


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_mover_moves_steadily_inside_the_picture_and_nothing_else_does(motion: Motion) -> None:
    for seed in range(12):
        frames = make_frames(seed, STYLES, motion=motion)
        assert len(frames.scenes) in (3, 4)
        movers = [next(t for t in s.things if t.kind == frames.mover.kind) for s in frames.scenes]
        rest = {tuple(t for t in s.things if t.kind != frames.mover.kind) for s in frames.scenes}
        assert len(rest) == 1
        assert all(min(m.box) >= 0 and max(m.box) <= 1 for m in movers)
        xs, ys = zip(*(m.centre for m in movers), strict=True)
        widths = [m.box[2] - m.box[0] for m in movers]
        steps = [b - a for line in (xs, ys, widths) for a, b in pairwise(line)]
        across, down, wider = steps[: len(xs) - 1], steps[len(xs) - 1 : -(len(xs) - 1)], steps[1 - len(xs) :]
        expected = {"left": (-1, 0, 0), "right": (1, 0, 0), "up": (0, -1, 0), "down": (0, 1, 0),
                    "still": (0, 0, 0), "grows": (0, 0, 1), "shrinks": (0, 0, -1)}[motion]  # fmt: skip
        for sign, values in zip(expected, (across, down, wider), strict=True):
            assert all(sign * value > 0.02 if sign else abs(value) < 1e-9 for value in values)
