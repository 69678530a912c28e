"""Pictures from outside the drawn world."""

import numpy as np
import pytest

from llavakit.errors import UsageError
from llavakit.tiny.outside import KINDS, make_outside


def test_the_same_seed_gives_the_same_picture() -> None:
    assert make_outside(5, 96).tobytes() == make_outside(5, 96).tobytes()
    assert make_outside(5, 96).tobytes() != make_outside(6, 96).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_busy_and_of_the_size_asked_for(kind: str) -> None:
    for seed in range(4):
        picture = make_outside(seed, 112, kind)
        assert picture.mode == "RGB" and max(picture.size) == 112
        # an empty plain picture is of the drawn world: no outside picture may look like one
        assert np.asarray(picture).astype(float).std((0, 1)).max() > 2.0


@pytest.mark.parametrize("size", [24, 65, 700])
def test_any_size_can_be_made(size: int) -> None:
    assert all(max(make_outside(seed, size).size) == size for seed in range(6))


def test_pictures_are_of_many_kinds_and_shapes() -> None:
    pictures = [make_outside(seed, 48) for seed in range(60)]
    assert len({picture.size for picture in pictures}) >= 6
    assert len({np.asarray(picture).mean().round() for picture in pictures}) > 30
    assert len(KINDS) >= 20


def test_an_unknown_kind_is_named_with_its_nearest() -> None:
    with pytest.raises(UsageError, match="landscape"):
        make_outside(0, 64, "landscap")
