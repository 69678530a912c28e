"""Ratios and shares are computed right from given figures."""

import pytest

from llavakit.bench.rows import Ceilings, Row, ceilings, line, rows

CEILING = Ceilings(read=100.0, products={"float32": 10.0, "int8": 40.0})
OPERATIONS = {"prefill": {80: 60}, "vision": {0: 12}}


def of(measure: str, key: str, *values: float, **others: float) -> list[dict[str, dict[str, float]]]:
    return [{measure: {key: value, **others}} for value in values]


def test_a_median_is_not_moved_by_one_slow_round() -> None:
    found = line(
        Row("turn", "turn", "seconds", "s"), {"ours": of("turn", "seconds", 1, 90, 2)}, {}, CEILING, {}
    )
    assert (found.medians, found.shares, found.ratios) == ({"ours": 2.0}, {}, {})


def test_of_times_and_sizes_less_is_better_and_of_rates_more() -> None:
    for unit, ratio in {"s": 4.0, "B": 4.0, "1/s": 0.25}.items():
        rounds = {"ours": of("x", "y", 2), "peer": of("x", "y", 8)}
        assert line(Row("x", "x", "y", unit), rounds, {}, CEILING, {}).ratios == {"peer": ratio}


def test_what_decoding_reads_is_held_against_the_memory() -> None:
    row = Row("decode", "answer", "per_token", "s", "read")
    rounds = {"ours": of("answer", "per_token", 0.5), "peer": of("answer", "per_token", 0.5)}
    found = line(row, rounds, {"ours": {"read_bytes": 25}, "peer": {}}, CEILING, {})
    assert found.shares == {"ours": 25 / 0.5 / 100}


def test_products_are_held_against_those_of_the_same_type_and_else_against_the_fastest() -> None:
    row = Row("prefill", "prefill", "seconds", "s", "prefill")
    names = ("float32", "int8", "float16", None)
    rounds = {str(name): of("prefill", "seconds", 3, tokens=80) for name in names}
    loads = {str(name): {"products": {"prefill": name}} for name in names}
    shares = line(row, rounds, loads, CEILING, OPERATIONS).shares
    assert shares == {"float32": 2.0, "int8": 0.5, "float16": 0.5, "None": 0.5}


def test_who_has_no_figures_has_no_ratio() -> None:
    row = Row("turn", "turn", "seconds", "s")
    assert line(row, {"ours": of("turn", "seconds", 1), "peer": [{}]}, {}, CEILING, {}).ratios == {}
    assert line(row, {"ours": [{}], "peer": of("turn", "seconds", 1)}, {}, CEILING, {}).ratios == {}


def test_a_ceiling_is_the_best_of_all_rounds() -> None:
    measured = [
        {"read": 5.0, "products": {"float32": 1.0, "int8": 7.0}},
        {"read": 4.0, "products": {"float32": 2.0, "int8": 6.0}},
    ]
    assert ceilings(measured) == Ceilings(5.0, {"float32": 2.0, "int8": 7.0})


def test_rows_say_how_many_tokens_they_are_about() -> None:
    names = [row.name for row in rows(576, 64, 64, 30, (4, 16))]
    assert "prefill, 640 tokens" in names
    assert "second turn, 30 tokens on 704 cached" in names
    assert len(set(names)) == len(names) == 10


@pytest.mark.parametrize("product", ["float32", "int8"])
def test_a_known_product_has_its_own_ceiling(product: str) -> None:
    assert CEILING.of(product) == CEILING.products[product]
