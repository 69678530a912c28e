"""Counts in bounded memory."""

from llavakit.synth.report.counting import EDGES, Distinct, Lengths, Sample, Tally, hashed


def test_quantiles_are_lengths_that_occur() -> None:
    lengths = Lengths()
    for length in range(1, 101):
        lengths.add(length)
    spread = lengths.spread()
    assert (spread.low, spread.median, spread.high, spread.longest) == (5, 50, 95, 100)
    assert spread.mean == 50.5
    assert spread.bins[EDGES.index(96)] == 5
    assert Lengths().spread().median == 0


def test_a_length_of_a_million_is_counted_and_named_but_not_binned_apart() -> None:
    lengths = Lengths()
    lengths.add(1_000_000)
    spread = lengths.spread()
    assert (spread.longest, spread.total, spread.bins[-1]) == (1_000_000, 1_000_000, 1)


def test_two_files_lengths_are_counted_together() -> None:
    first, second = Lengths(), Lengths()
    first.add(1)
    second.add(3)
    first.merge(second)
    assert (first.spread().n, first.spread().total, first.spread().longest) == (2, 4, 3)


def test_different_texts_are_counted_exactly_and_beyond_that_nearly() -> None:
    few, many = Distinct(1000), Distinct(1000)
    for place in range(900):
        few.add((hashed(str(place % 450)),))
    assert (few.count, few.exact) == (450, True)
    many.add(hashed(str(place)) for place in range(50_000))
    assert not many.exact
    assert abs(many.count - 50_000) < 4 * 50_000 / 500**0.5  # 500 or more are held: four deviations


def test_what_is_frequent_is_kept_and_what_is_rare_forgotten() -> None:
    tally = Tally[str](100)
    for place in range(5000):
        tally.add(f"rare {place}")
        tally.add("common")
        tally.add("usual" if place % 2 else "common")
    (first, often), (second, half), *_ = tally.most_common(3)
    assert (first, often, second) == ("common", 7500, "usual")
    assert half >= 2500 - tally.lost
    assert tally.total == 15_000
    assert len(tally.most_common()) <= 100


def test_equally_frequent_ones_are_in_the_order_of_the_alphabet() -> None:
    tally = Tally[str]()
    tally.update(["b", "a", "c", "c"])
    assert tally.most_common() == [("c", 2), ("a", 1), ("b", 1)]


def test_each_of_a_stream_is_as_likely_to_be_in_the_sample() -> None:
    seen = [0] * 20
    for seed in range(600):
        sample = Sample[int](5, seed)
        for item in range(20):
            place = sample.wanted()
            if place is not None:
                sample.put(place, item)
        assert len(sample.items()) == 5
        for item in sample.items():
            seen[item] += 1
    assert all(100 < times < 200 for times in seen)  # 150 is meant; five deviations are 53
