"""Pictures with captions and regions become batches, and regions find their patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.data.contrast import (
    Box,
    CaptionedImage,
    ContrastiveBatch,
    ContrastiveCollator,
    Region,
    patch_weights,
)
from llavakit.errors import LlavaError
from prompt.backends import small

RED, BLUE = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
CAT, MAT = (
    Region(LEFT, {"what": "a cat", "where": "left"}),
    Region(RIGHT, {"what": "a mat", "where": "right"}),
)
PAIRS = [
    CaptionedImage(RED, "A cat sits on a mat.", (CAT, MAT)),
    CaptionedImage(BLUE, "Two cars.", (Region(RIGHT, {"what": "a cat", "where": "right"}),)),
]


@pytest.fixture
def contrast() -> ContrastiveCollator:
    return ContrastiveCollator(small("llama3-bytes"), ImageConfig(size=8), grid=4, max_length=12)


def paired(contrast: ContrastiveCollator, examples: list[CaptionedImage]) -> ContrastiveBatch:
    [batch] = contrast(examples)
    assert isinstance(batch, ContrastiveBatch)
    return batch


def weights_of(batch: ContrastiveBatch, region: int) -> dict[int, float]:
    """Patches of a region, counted through all pictures, with what they weigh."""
    own = batch.touch_region == region
    patches = batch.patches[batch.touch_patch[own]]
    return dict(zip(patches.tolist(), batch.touch_weight[own].tolist(), strict=True))


def test_regions_name_their_patches_and_their_phrases(contrast: ContrastiveCollator) -> None:
    batch = paired(contrast, PAIRS)
    assert batch.pixels.shape == (2, 3, 8, 8)
    assert batch.aspects == (2, 2)  # a cat, a mat; left, right
    assert batch.phrases.shape[0] == 4
    assert batch.region_phrase.tolist() == [[0, 0], [1, 1], [0, 1]]
    eighth = pytest.approx(1 / 8)
    assert weights_of(batch, 1) == {row * 4 + column: eighth for row in range(4) for column in (2, 3)}
    assert weights_of(batch, 2) == {16 + row * 4 + column: eighth for row in range(4) for column in (2, 3)}
    assert len(batch.patches) == 24  # the left of the second picture belongs to nobody


def test_a_region_need_not_have_every_aspect(contrast: ContrastiveCollator) -> None:
    plain = CaptionedImage(RED, "A word.", (Region(LEFT, {"letter": "A"}),))
    batch = paired(contrast, [*PAIRS, plain])
    assert batch.aspects == (2, 2, 1)
    assert batch.region_phrase.tolist() == [[0, 0, -1], [1, 1, -1], [0, 1, -1], [-1, -1, 0]]


def test_a_region_without_a_box_is_all_that_the_others_leave(contrast: ContrastiveCollator) -> None:
    rest = Region(None, {"what": "background"})
    batch = paired(contrast, [CaptionedImage(RED, "A cat.", (rest, CAT))])
    [background] = [i for i in range(2) if 2 in weights_of(batch, i)]
    assert weights_of(batch, background).keys() == {r * 4 + c for r in range(4) for c in (2, 3)}
    full = paired(contrast, [CaptionedImage(RED, "A cat on a mat.", (rest, CAT, MAT))])
    assert len(full.region_phrase) == 2


def test_a_padded_pictures_regions_move_with_it() -> None:
    contrast = ContrastiveCollator(
        small("llama3-bytes"), ImageConfig(size=8, pad=True), grid=4, max_length=12
    )
    batch = paired(contrast, [CaptionedImage(RED.resize((16, 8)), "A cat.", (CAT,))])
    assert weights_of(batch, 0).keys() == {4, 5, 8, 9}  # the middle rows' left half


def test_a_region_that_is_cropped_away_is_left_out(contrast: ContrastiveCollator) -> None:
    edge = Region((0.0, 0.0, 0.2, 1.0), {"what": "an edge"})
    batch = paired(contrast, [CaptionedImage(RED.resize((16, 8)), "An edge.", (edge,))])
    assert len(batch.region_phrase) == 0


def test_texts_end_with_the_end_token_and_are_filled_with_it(contrast: ContrastiveCollator) -> None:
    tokenizer = contrast.tokenizer
    batch = paired(contrast, PAIRS)
    for row, example in zip(batch.captions.tolist(), PAIRS, strict=True):
        ids = tokenizer.encode(example.caption)[: contrast.max_length - 1]
        assert row == ids + [tokenizer.eos_id] * (batch.captions.shape[1] - len(ids))
    assert batch.captions.shape[1] <= contrast.max_length
    assert (batch.captions[:, -1] == tokenizer.eos_id).all()
    assert batch.phrases.shape[1] < batch.captions.shape[1]


def test_pictures_without_regions_make_a_batch_without_them(contrast: ContrastiveCollator) -> None:
    batch = paired(contrast, [CaptionedImage(RED, "A cat.")])
    assert batch.touch_patch.shape == (0,) and batch.region_phrase.shape == (0, 0)
    assert batch.aspects == () and batch.phrases.shape[0] == 0
    assert batch.patches.dtype == batch.touch_patch.dtype == batch.touch_region.dtype == torch.long


def test_an_empty_region_is_an_error_by_itself(contrast: ContrastiveCollator) -> None:
    with pytest.raises(LlavaError, match="is empty"):
        contrast.encode(replace(PAIRS[0], regions=(Region((0.5, 0.5, 0.5, 0.5), {"what": "a"}),)))


def test_a_contrastive_batch_is_one_term_however_large(contrast: ContrastiveCollator) -> None:
    assert [batch.weight for batch in contrast(PAIRS)] == [1]
    assert contrast([]) == []


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.0, 0.0, 1.0, 1.0), [[0.25, 0.25], [0.25, 0.25]]),
        ((0.0, 0.0, 0.5, 0.5), [[1, 0], [0, 0]]),
        ((0.5, 0.0, 1.0, 0.5), [[0, 1], [0, 0]]),  # x first: to the right, at the top
        ((0.25, 0.0, 1.0, 0.5), [[1 / 3, 2 / 3], [0, 0]]),
        ((0.4, 0.4, 0.6, 0.6), [[0.25, 0.25], [0.25, 0.25]]),
    ],
)
def test_patches_weigh_as_much_as_they_are_covered(box: Box, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(patch_weights(box, 2).reshape(2, 2), expected, atol=1e-6)  # float32


edges = st.tuples(st.integers(0, 999), st.integers(1, 1000)).filter(lambda pair: pair[0] < pair[1])


@given(x=edges, y=edges, grid=st.integers(1, 12))
def test_weights_sum_to_one_and_lie_exactly_where_the_box_is(
    x: tuple[int, int], y: tuple[int, int], grid: int
) -> None:
    weights = patch_weights((x[0] / 1000, y[0] / 1000, x[1] / 1000, y[1] / 1000), grid).reshape(grid, grid)
    assert weights.sum() == pytest.approx(1, abs=1e-5)  # float32, up to 144 terms
    for row in range(grid):
        for column in range(grid):
            # In thousandths, so that touching without overlapping is decided exactly; a sliver that
            # is smaller than rounding may count either way.
            wide = min(x[1] * grid, (column + 1) * 1000) - max(x[0] * grid, column * 1000)
            high = min(y[1] * grid, (row + 1) * 1000) - max(y[0] * grid, row * 1000)
            area = max(wide, 0) * max(high, 0) / ((x[1] - x[0]) * (y[1] - y[0]) * grid**2)
            assert weights[row, column] == pytest.approx(area, abs=1e-6)


@pytest.mark.parametrize("box", [(0.5, 0.2, 0.5, 0.8), (0.6, 0.2, 0.4, 0.8), (0.1, 0.9, 0.4, 0.3)])
def test_an_empty_region_is_an_error(box: Box) -> None:
    with pytest.raises(LlavaError, match="is empty"):
        patch_weights(box, 4)
