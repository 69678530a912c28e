"""Pictures with captions and regions become batches, and regions find their patches."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from llavakit.config import ImageConfig
from llavakit.data.contrast import (
    UNASKED,
    Box,
    CaptionedImage,
    ContrastiveBatch,
    ContrastiveCollator,
    Label,
    Region,
    patch_weights,
)
from llavakit.errors import LlavaError
from prompt.backends import small

RED, BLUE = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
LABELS = {
    "what": Label(("a cat", "a mat", "floor")),
    "where": Label(("left", "right")),
    "thing": Label(("nothing", "a thing"), cells=1),
    "letter": Label(("nothing", "A", "B"), cells=2),
}
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
    return ContrastiveCollator(small("llama3-bytes"), ImageConfig(size=8), 4, 12, LABELS)


def paired(contrast: ContrastiveCollator, examples: list[CaptionedImage]) -> ContrastiveBatch:
    [batch] = contrast(examples)
    assert isinstance(batch, ContrastiveBatch)
    return batch


def rows(answers: Tensor) -> list[list[int]]:
    """A picture's patches as they lie, for a label that has one answer a patch."""
    told: list[list[int]] = answers.view(4, 4).tolist()
    return told


def test_a_regions_answers_are_those_of_its_patches(contrast: ContrastiveCollator) -> None:
    batch = paired(contrast, PAIRS)
    assert batch.pixels.shape == (2, 3, 8, 8)
    assert rows(batch.answers["what"][0]) == [[0, 0, 1, 1]] * 4
    assert rows(batch.answers["what"][1]) == [[UNASKED, UNASKED, 0, 0]] * 4
    assert rows(batch.answers["where"][0]) == [[0, 0, 1, 1]] * 4


def test_of_regions_over_one_another_the_later_is_seen(contrast: ContrastiveCollator) -> None:
    on_top = Region((0.25, 0.25, 0.75, 0.75), {"what": "a mat"})
    batch = paired(contrast, [CaptionedImage(RED, "A mat on a cat.", (CAT, on_top))])
    no = UNASKED
    assert rows(batch.answers["what"][0]) == [[0, 0, no, no], [0, 1, 1, no], [0, 1, 1, no], [0, 0, no, no]]
    assert rows(batch.answers["where"][0]) == [[0, 0, no, no]] * 4  # the mat has none of its own


def test_a_patch_that_a_region_hardly_touches_is_not_asked(contrast: ContrastiveCollator) -> None:
    small_one = Region((0.0, 0.0, 0.35, 0.25), {"what": "a cat"})  # 1 patch and 4 tenths of the next
    batch = paired(contrast, [CaptionedImage(RED, "A cat.", (small_one,))])
    assert rows(batch.answers["what"][0])[0] == [0, UNASKED, UNASKED, UNASKED]


def test_where_a_regions_centre_is_one_cell_has_the_answer_and_all_others_nothing(
    contrast: ContrastiveCollator,
) -> None:
    cat = Region((0.0, 0.0, 0.6, 0.6), {"thing": "a thing"})  # its centre in the second patch of both ways
    a = Region((0.26, 0.0, 0.36, 0.1), {"letter": "A"})  # the second patch's upper left quarter
    b = Region((0.4, 0.15, 0.5, 0.25), {"letter": "B"})  # … its lower right one
    batch = paired(contrast, [CaptionedImage(RED, "A cat.", (cat, a, b))])
    assert rows(batch.answers["thing"][0]) == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert batch.answers["letter"][0, 1].tolist() == [1, 0, 0, 2]
    assert batch.answers["letter"].sum() == 3


def test_cells_of_a_picture_that_is_not_all_labelled_are_not_asked(contrast: ContrastiveCollator) -> None:
    page = CaptionedImage(RED, "A page.", (Region(LEFT, {"thing": "a thing"}),), complete=False)
    answers = paired(contrast, [page]).answers
    assert (answers["letter"] == UNASKED).all()
    assert answers["thing"].flatten().sort().values.tolist() == [UNASKED] * 15 + [1]


def test_a_region_without_a_box_is_all_that_the_others_leave(contrast: ContrastiveCollator) -> None:
    rest = Region(None, {"what": "floor"})
    batch = paired(contrast, [CaptionedImage(RED, "A cat.", (rest, CAT))])
    assert rows(batch.answers["what"][0]) == [[0, 0, 2, 2]] * 4
    full = paired(contrast, [CaptionedImage(RED, "A cat on a mat.", (rest, CAT, MAT))])
    assert rows(full.answers["what"][0]) == [[0, 0, 1, 1]] * 4


def test_a_padded_pictures_regions_move_with_it(contrast: ContrastiveCollator) -> None:
    padding = replace(contrast, image_config=ImageConfig(size=8, pad=True))
    batch = paired(padding, [CaptionedImage(RED.resize((16, 8)), "A cat.", (CAT,))])
    no = UNASKED
    assert rows(batch.answers["what"][0]) == [[no] * 4, [0, 0, no, no], [0, 0, no, no], [no] * 4]


def test_a_region_that_is_cropped_away_is_left_out(contrast: ContrastiveCollator) -> None:
    edge = Region((0.0, 0.0, 0.2, 1.0), {"what": "a mat", "thing": "a thing"})
    batch = paired(contrast, [CaptionedImage(RED.resize((16, 8)), "An edge.", (edge,))])
    assert (batch.answers["what"] == UNASKED).all() and (batch.answers["thing"] == 0).all()


@pytest.mark.parametrize("told", [{"what": "a dog"}, {"colour": "red"}])
def test_an_answer_that_no_label_knows_is_named(contrast: ContrastiveCollator, told: dict[str, str]) -> None:
    (name, answer) = next(iter(told.items()))
    with pytest.raises(LlavaError, match=f"{name} = '{answer}'"):
        contrast.encode(replace(PAIRS[0], regions=(Region(LEFT, told),)))


def test_texts_end_with_the_end_token_and_are_filled_with_it(contrast: ContrastiveCollator) -> None:
    tokenizer = contrast.tokenizer
    batch = paired(contrast, PAIRS)
    for row, example in zip(batch.captions.tolist(), PAIRS, strict=True):
        ids = tokenizer.encode(example.caption)[: contrast.max_length - 1]
        assert row == ids + [tokenizer.eos_id] * (batch.captions.shape[1] - len(ids))
    assert batch.captions.shape[1] <= contrast.max_length
    assert (batch.captions[:, -1] == tokenizer.eos_id).all()


def test_a_picture_without_regions_is_asked_only_where_nothing_is(contrast: ContrastiveCollator) -> None:
    answers = paired(contrast, [CaptionedImage(RED, "A cat.")]).answers
    assert (answers["what"] == UNASKED).all() and (answers["letter"] == 0).all()
    assert answers["letter"].shape == (1, 16, 4)


def test_answers_travel_with_their_batch(contrast: ContrastiveCollator) -> None:
    moved = paired(contrast, PAIRS).to("meta")
    assert all(answer.device.type == "meta" for answer in (moved.pixels, *moved.answers.values()))


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
