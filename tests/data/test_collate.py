"""Examples become batches: lengths, padding, labels, and the patches that a region covers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llavakit.config import ImageConfig, Tiling
from llavakit.data.collate import Box, CaptionedImage, ContrastiveCollator, TokenCollator, patch_weights
from llavakit.errors import LlavaError, PromptError
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

RED, BLUE = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
SHORT = (user(RED, "What?"), assistant("A cat."))
LONG = (
    user(BLUE, "What is in the picture?"),
    assistant("A cat sits on a mat."),
    user("Sure?"),
    assistant("Yes."),
)
WORDS = (user("Is it night?"), assistant("No."))


@pytest.fixture
def encoder() -> PromptEncoder:
    return PromptEncoder(small("llama3-bytes"), TEMPLATES["vicuna_v1"], 3, ImageConfig(size=8))


def test_a_batch_holds_its_conversations_whole_in_a_length_of_few_kinds(encoder: PromptEncoder) -> None:
    batch = TokenCollator(encoder, max_length=10_000)([SHORT, LONG, WORDS])
    encoded = [encoder.encode(messages, reply=False) for messages in (SHORT, LONG, WORDS)]
    lengths = [len(e.ids) for e in encoded]
    length = batch.ids.shape[1]
    assert batch.ids.shape == batch.labels.shape == (3, length)
    assert max(lengths) <= length < max(lengths) + 16
    assert length % 16 == 0
    for i, e in enumerate(encoded):
        assert batch.ids[i, : lengths[i]].tolist() == e.ids
        assert batch.labels[i, : lengths[i]].tolist() == e.labels


def test_padding_is_on_the_right_and_never_learned(encoder: PromptEncoder) -> None:
    batch = TokenCollator(encoder, max_length=10_000)([SHORT, LONG])
    n = len(encoder.encode(SHORT, reply=False).ids)
    assert n < batch.ids.shape[1]
    assert (batch.ids[0, n:] == encoder.tokenizer.pad_id).all()
    assert (batch.labels[0, n:] == IGNORE).all()


def test_pictures_of_a_batch_follow_their_conversations(encoder: PromptEncoder) -> None:
    batch = TokenCollator(encoder, max_length=10_000)([LONG, WORDS, SHORT])
    assert batch.pixels is not None
    assert batch.pixels.dtype == torch.float32
    assert torch.equal(batch.pixels, torch.from_numpy(encoder.pixels([BLUE, RED])))
    assert TokenCollator(encoder, max_length=10_000)([WORDS]).pixels is None


TILING = Tiling(grids=((8, 16), (16, 8), (16, 16)), tile=8, patches=2, max_tiles=2)
WIDE, TALL = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 60), "blue")


@pytest.mark.parametrize("single", [True, False])
def test_views_of_a_batch_are_those_of_each_conversation_by_itself(single: bool) -> None:
    """A picture alone in its conversation may have tiles while those of its neighbours have none."""
    tiling = TILING.model_copy(update={"single": single})
    encoder = PromptEncoder(
        small("llama3-bytes"), TEMPLATES["vicuna_v1"], 4, ImageConfig(size=8), tiling=tiling
    )
    rows = [(user(WIDE, "?"), assistant("A.")), WORDS, (user(TALL, WIDE, "?"), assistant("B."))]
    batch = TokenCollator(encoder, max_length=10_000)(rows)
    alone = [encoder.encode(row, reply=False) for row in rows]
    assert batch.layouts == tuple(layout for each in alone for layout in each.layouts or ())
    assert [layout.views for layout in batch.layouts or ()] == ([3, 1, 1] if single else [3, 3, 3])
    expected = [encoder.pixels(each.images) for each in alone if each.images]
    assert batch.pixels is not None
    assert torch.equal(batch.pixels, torch.from_numpy(np.concatenate(expected)))
    counted = sum(layout.tokens for layout in batch.layouts or ())
    assert (batch.ids == encoder.tokenizer.image_token_id).sum() == counted
    assert TokenCollator(encoder, max_length=10_000)([WORDS]).layouts is None
    moved = batch.to("meta")
    assert moved.pixels is not None
    assert (moved.pixels.device.type, moved.layouts) == ("meta", batch.layouts)


def test_pictures_of_many_features_count_as_longer() -> None:
    encoder = PromptEncoder(
        small("llama3-bytes"), TEMPLATES["vicuna_v1"], 4, ImageConfig(size=8), tiling=TILING
    )
    size = TokenCollator(encoder, max_length=10_000).size
    small_, large = Image.new("RGB", (9, 3)), Image.new("RGB", (90, 30))
    rows = [(user(image, "?"), assistant("A.")) for image in (small_, large, TALL)]
    assert size(rows[0]) == size(rows[1])  # the shape counts, not the size
    assert size(rows[2]) > size(rows[1])


def test_a_conversation_is_cut_at_the_greatest_length(encoder: PromptEncoder) -> None:
    whole = encoder.encode(LONG, reply=False)
    length = len(whole.ids) - 4
    batch = TokenCollator(encoder, max_length=length)([LONG])
    assert batch.ids.tolist() == [whole.ids[:length]]
    assert batch.labels.tolist() == [whole.labels[:length]]


def test_a_cut_through_a_picture_is_an_error_not_half_a_picture(encoder: PromptEncoder) -> None:
    _, end = encoder.encode(LONG, reply=False).image_spans[0]
    with pytest.raises(PromptError, match=f"a picture ends at token {end} .* {end - 1}"):
        TokenCollator(encoder, max_length=end - 1)([LONG])


def test_rounding_a_length_up_never_passes_the_greatest(encoder: PromptEncoder) -> None:
    length = len(encoder.encode(LONG, reply=False).ids) + 1
    assert TokenCollator(encoder, max_length=length)([LONG]).ids.shape == (1, length)


def test_longer_conversations_and_pictures_count_as_more(encoder: PromptEncoder) -> None:
    size = TokenCollator(encoder, max_length=10_000).size
    assert size(LONG) > size(SHORT) > size((user("What?"), assistant("A cat.")))


def test_moving_a_batch_keeps_what_it_holds(encoder: PromptEncoder) -> None:
    batch = TokenCollator(encoder, max_length=10_000)([WORDS])
    moved = batch.to("meta")
    assert (moved.ids.device.type, moved.ids.shape, moved.pixels) == ("meta", batch.ids.shape, None)


LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
PAIRS = [
    CaptionedImage(RED, "A cat sits on a mat.", ((LEFT, ("a cat", "left")), (RIGHT, ("a mat", "right")))),
    CaptionedImage(BLUE, "Two cars.", ((RIGHT, ("a cat", "right")),)),
]


@pytest.fixture
def contrast() -> ContrastiveCollator:
    return ContrastiveCollator(small("llama3-bytes"), ImageConfig(size=8), grid=4, max_length=12)


def test_regions_name_their_picture_and_their_phrase(contrast: ContrastiveCollator) -> None:
    batch = contrast(PAIRS)
    assert batch.pixels.shape == (2, 3, 8, 8)
    assert batch.region_image.tolist() == [0, 0, 1]
    assert batch.aspects == (2, 2)  # a cat, a mat; left, right
    assert batch.phrases.shape[0] == 4
    assert batch.region_phrase.tolist() == [[0, 0], [1, 1], [0, 1]]
    assert batch.region_patches.shape == (3, 16)
    assert torch.equal(batch.region_patches[1], torch.from_numpy(patch_weights(RIGHT, 4)))


def test_texts_end_with_the_end_token_and_are_filled_with_it(contrast: ContrastiveCollator) -> None:
    tokenizer = contrast.tokenizer
    batch = contrast(PAIRS)
    for row, example in zip(batch.captions.tolist(), PAIRS, strict=True):
        ids = tokenizer.encode(example.caption)[: contrast.max_length - 1]
        assert row == ids + [tokenizer.eos_id] * (batch.captions.shape[1] - len(ids))
    assert batch.captions.shape[1] <= contrast.max_length
    assert (batch.captions[:, -1] == tokenizer.eos_id).all()
    assert batch.phrases.shape[1] < batch.captions.shape[1]


def test_pictures_without_regions_make_a_batch_without_them(contrast: ContrastiveCollator) -> None:
    batch = contrast([CaptionedImage(RED, "A cat.")])
    assert batch.region_patches.shape == (0, 16)
    assert batch.region_image.shape == (0,) and batch.region_phrase.shape == (0, 0)
    assert batch.aspects == ()
    assert batch.region_image.dtype == torch.long
    assert batch.phrases.shape[0] == 0


def test_regions_that_differ_in_their_aspects_are_refused(contrast: ContrastiveCollator) -> None:
    with pytest.raises(LlavaError, match=r"\[1, 2\] phrases"):
        contrast([*PAIRS, CaptionedImage(RED, "A cat.", ((LEFT, ("a cat",)),))])


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
