"""Prices are known with their source; a table of one's own goes before them, and its faults are named."""

import datetime
from pathlib import Path

import pytest

from llavakit.errors import UsageError
from llavakit.synth.prices import FREE, Price, known_prices, price_of


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_price_tells_its_source_and_the_day_it_was_looked_up() -> None:
    table = known_prices()
    assert {"gpt-4-0314", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5-mini"} <= set(table)
    for price in table.values():
        assert 0 < price.input <= price.output
        assert price.source.startswith("https://")
        assert price.date is not None and price.date >= datetime.date(2026, 1, 1)


def test_tokens_are_counted_in_millions_and_a_batch_is_cheaper() -> None:
    price = Price(input=2, output=8, batch=0.5)
    assert price.of(1_000_000, 500_000) == 6.0
    assert price.of(1_000_000, 500_000, batch=True) == 3.0
    assert FREE.of(10**9, 10**9) == 0


def test_a_name_with_a_date_costs_what_the_name_costs() -> None:
    assert price_of("gpt-4o-2024-08-06") == price_of("gpt-4o")
    assert price_of("gpt-4o-2024-05-13") != price_of("gpt-4o")
    assert price_of("claude-haiku-4-5-20251001") == price_of("claude-haiku-4-5")


@pytest.mark.parametrize("model", ["llama3.1:8b", "gpt-4o-audio", "GPT-4o", "", "2024-08-06"])
def test_what_no_table_tells_is_not_guessed(model: str) -> None:
    assert price_of(model) is None


def test_a_table_of_ones_own_goes_before_ours(tmp_path: Path) -> None:
    file = write(
        tmp_path / "prices.toml", "[models.gpt-4o]\ninput = 1\noutput = 2.5\n[models.mine]\ninput=0\noutput=0"
    )
    assert price_of("gpt-4o", file) == Price(input=1, output=2.5)
    assert price_of("gpt-4o-2024-05-13", file) == Price(input=1, output=2.5)
    assert price_of("mine", file) == FREE
    assert price_of("gpt-4o-mini", file) == price_of("gpt-4o-mini")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.m]\ninput = 1", "models.m.output: Field required"),
        ("[models.m]\ninput = 1\noutput = -2", "models.m.output: .*greater than or equal to 0"),
        ("[models.m]\ninput = 1\noutput = inf", "models.m.output: .*finite"),
        ('[models.m]\ninput = 1\noutput = "much"', "models.m.output: "),
        ("[models.m]\ninput = 1\noutput = 2\nbatch = 1.5", "models.m.batch: .*less than or equal to 1"),
        ("[model.m]\ninput = 1\noutput = 2", r"unknown field 'model' \(did you mean 'models'\?\)"),
        ("[models.m", "not valid TOML"),
    ],
)
def test_a_fault_in_a_table_is_named(text: str, told: str, tmp_path: Path) -> None:
    file = write(tmp_path / "own.toml", text)
    with pytest.raises(UsageError, match=rf"own\.toml: .*{told}"):
        price_of("m", file)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        price_of("m", tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        price_of("m", tmp_path / "odd.toml")
