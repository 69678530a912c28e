"""Several datasets as one, by weight."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.files import gpt, human, picture, row, rows, write_json
from llavakit.data.mixture import Mixture, open_mixture
from llavakit.errors import LlavaError, UsageError


@dataclass(frozen=True)
class Part:
    path: str
    images: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Numbers:
    """A dataset that nothing but its numbers is known of."""

    first: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        assert 0 <= index < self.length
        return self.first + index


def all_of(mixture: Mixture) -> list[Any]:
    return [mixture[i] for i in range(len(mixture))]


def test_weights_say_how_often_rows_come() -> None:
    mixture = Mixture([(Numbers(0, 10), 1), (Numbers(100, 10), 2.5), (Numbers(200, 10), 0.3)])
    assert len(mixture) == 10 + 25 + 3
    counts = Counter(all_of(mixture))
    assert [counts[i] for i in range(10)] == [1] * 10
    assert Counter(counts[i] for i in range(100, 110)) == {2: 5, 3: 5}
    assert sum(counts[i] for i in range(200, 210)) == len([i for i in counts if i >= 200]) == 3


def test_the_seed_draws_which_rows_a_fraction_takes() -> None:
    drawn = [tuple(all_of(Mixture([(Numbers(0, 100), 0.2)], seed))) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_small_weight_leaves_at_least_one_row() -> None:
    assert len(Mixture([(Numbers(0, 10), 0.01)])) == 1


def test_an_example_beyond_the_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        Mixture([(Numbers(0, 3), 1)])[3]


def test_what_is_asked_of_a_row_its_own_file_answers(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("red"))
    write_json(tmp_path / "words.json", [row(human("Hi"), gpt("Ho"), id="w")])
    write_json(tmp_path / "shown.json", rows(2, image="a.png"))
    parts = [Part(str(tmp_path / "words.json")), Part(str(tmp_path / "shown.json"), str(tmp_path), weight=2)]
    mixture = open_mixture(parts)
    assert len(mixture) == 5
    assert mixture.size(0) == (False, 2)
    assert mixture.size(4) == (True, 133)
    assert mixture.name(4) == f"{tmp_path / 'shown.json'} row 2 (id 1)"
    assert mixture[4][1].text == "A 1."


def test_a_part_that_is_no_file_is_opened_by_whoever_knows_it(tmp_path: Path) -> None:
    mixture = open_mixture([Part("drawn", weight=2)], open_part=lambda part: Numbers(0, 3))
    assert all_of(mixture) == [0, 1, 2, 0, 1, 2]
    assert mixture.name(4) == "example 2"
    with pytest.raises(UsageError, match="group_by needs rows from files"):
        mixture.size(0)


def test_parts_without_data_are_an_error_before_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no parts"):
        open_mixture([])
    with pytest.raises(LlavaError, match="drawn is empty"):
        open_mixture([Part("drawn")], open_part=lambda part: Numbers(0, 0))
    write_json(tmp_path / "a.json", rows(2, image="a.png"))
    with pytest.raises(UsageError, match=r"names the picture 'a\.png'"):
        open_mixture([Part(str(tmp_path / "a.json"), str(tmp_path / "nowhere"))])
