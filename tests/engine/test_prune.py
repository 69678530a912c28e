"""What is kept of a picture is its variety, in order, and the same each time."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assemble import random_llava
from llavakit.config import LlavaConfig, Tiling
from llavakit.engine.prune import image_tokens, merge, prune
from llavakit.errors import UsageError

Choice = Callable[[Tensor, int], Tensor]
both = pytest.mark.parametrize("choose", [prune, merge])


def noise(tokens: int, hidden: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(tokens, hidden, generator=torch.Generator().manual_seed(seed))


def places(features: Tensor, kept: Tensor) -> list[int]:
    """Where the kept ones stood; each must be one of the features."""
    return [int((features == each).all(dim=1).nonzero()[0, 0]) for each in kept]


def spread(features: Tensor) -> float:
    """The smallest cosine distance between two of them."""
    unit = F.normalize(features, dim=-1)
    distance = 1 - unit @ unit.T
    return float(distance[~torch.eye(len(features), dtype=torch.bool)].min())


@pytest.mark.parametrize("count", [1, 2, 7, 39, 40])
def test_so_many_are_kept_in_the_order_they_had(count: int):
    features = noise(40)
    kept = prune(features, count)
    where = places(features, kept)
    assert kept.shape == (count, 16)
    assert where == sorted(set(where))


@both
def test_all_of_them_are_the_features_themselves(choose: Choice):
    features = noise(9)
    assert choose(features, 9) is features


def test_one_of_each_kind_is_kept_before_a_second_of_any():
    """Five directions, eight features along each, of other lengths and with a little noise."""
    kinds = torch.eye(5, 16).repeat(8, 1)
    features = kinds * torch.arange(1, 41)[:, None] + 1e-3 * noise(40)
    kept = prune(features, 5)
    assert sorted(kept.argmax(dim=1).tolist()) == [0, 1, 2, 3, 4]


def test_lengths_do_not_count_only_directions():
    features = noise(40)
    scales = torch.linspace(0.1, 10, 40)[:, None]
    assert places(features, prune(features, 11)) == places(features * scales, prune(features * scales, 11))


@pytest.mark.parametrize("seed", range(5))
def test_the_spread_is_at_least_half_of_the_best_there_is(seed: int):
    """The greedy choice's guarantee (Ravi et al. 1994) where distances are a metric. That of cosines is the
    square of one, halved: a quarter. In practice it is far better; half holds for each of these seeds."""
    features = noise(12, hidden=3, seed=seed)
    best = max(spread(features[list(some)]) for some in itertools.combinations(range(12), 4))
    assert spread(prune(features, 4)) >= 0.5 * best


def test_the_spread_is_greater_than_by_chance():
    features = noise(144, hidden=6)
    by_chance = [
        spread(features[torch.randperm(144, generator=torch.Generator().manual_seed(seed))[:16]])
        for seed in range(50)
    ]
    assert spread(prune(features, 16)) > max(by_chance)


def test_what_is_left_out_is_merged_into_what_it_is_most_like():
    """Five kinds of eight features each: five means, the order that of the ones kept."""
    kinds = torch.eye(5, 16).repeat(8, 1)
    features = kinds * torch.arange(1, 41)[:, None] + 1e-3 * noise(40)
    merged, kept = merge(features, 5), prune(features, 5)
    assert merged.argmax(dim=1).tolist() == kept.argmax(dim=1).tolist()
    for each in merged:
        kind = int(each.argmax())
        assert torch.allclose(each, features[kind::5].mean(dim=0), atol=1e-6)


def test_merging_loses_nothing_of_the_sum():
    features = noise(40)
    assert torch.allclose(merge(features, 1)[0], features.mean(dim=0), atol=1e-6)


@both
@pytest.mark.parametrize("features", [torch.ones(6, 4), torch.zeros(6, 4)], ids=["alike", "zero"])
def test_features_that_are_all_alike_are_kept_once_each(features: Tensor, choose: Choice):
    assert torch.equal(choose(features, 4), features[:4])


@both
def test_half_precision_keeps_its_type(choose: Choice):
    features = noise(40).bfloat16()
    kept = choose(features, 8)
    assert kept.dtype == torch.bfloat16
    assert torch.equal(kept, choose(features.float(), 8).bfloat16())


@both
@pytest.mark.parametrize("count", [0, -1, 10])
def test_more_than_there_are_cannot_be_kept(count: int, choose: Choice):
    with pytest.raises(UsageError, match=f"image_tokens is {count}: a picture has 9"):
        choose(noise(9), count)


def config(tiling: Tiling | None = None) -> LlavaConfig:
    return random_llava().config.model_copy(update={"tiling": tiling})


def test_a_picture_takes_as_many_tokens_as_are_wanted():
    assert image_tokens(config(), None) == 16
    assert image_tokens(config(), 5) == 5
    assert image_tokens(config(), 16) == 16


@pytest.mark.parametrize("wanted", [0, -3, 17, 2.5, "8", True])
def test_a_number_of_tokens_that_makes_no_sense_is_refused(wanted):
    with pytest.raises(UsageError, match=r"^image_tokens is .*, 1 to this model's 16$"):
        image_tokens(config(), wanted)


def test_a_model_that_sees_tiles_refuses_it():
    tiling = Tiling(grids=((32, 64),), tile=32, patches=4)
    assert image_tokens(config(tiling), None) == 16
    with pytest.raises(UsageError, match="in tiles"):
        image_tokens(config(tiling), 8)
