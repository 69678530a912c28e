"""Which grid a picture gets and how many features it becomes, against transformers' arithmetic."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor

from llavakit.config import LanguageConfig, LlavaConfig, Tiling, VisionConfig
from llavakit.errors import UsageError

# As the published LLaVA-NeXT and LLaVA-OneVision have them.
NEXT = Tiling(grids=((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)), tile=336, patches=24)
SIDES = range(384, 2305, 384)
ONEVISION = Tiling(
    grids=tuple((h, w) for h in SIDES for w in SIDES), tile=384, patches=27, max_tiles=9, single=True
)

sides = st.integers(1, 400) | st.integers(1, 65_535)


@settings(max_examples=500)
@given(width=sides, height=sides)
@example(1, 65_535)
@example(65_535, 1)
@example(336, 336)
@example(1344, 336)
@pytest.mark.parametrize("tiling", [NEXT, ONEVISION], ids=["next", "onevision"])
def test_the_grid_is_the_one_that_transformers_takes(tiling: Tiling, width: int, height: int) -> None:
    grids = [list(grid) for grid in tiling.grids]
    assert tiling.grid(width, height) == select_best_resolution((height, width), grids)
    assert tiling.layout(width, height).views == image_size_to_num_patches(
        (height, width), grids, tiling.tile
    )


class _Processor:
    """As much of a processor as counts tokens."""

    vision_aspect_ratio = "anyres_max_9"
    num_additional_image_tokens = 0

    def __init__(self, tiling: Tiling) -> None:
        self.image_processor = self
        self.image_grid_pinpoints = [list(grid) for grid in tiling.grids]
        self.patch_size, self.num_image_tokens = tiling.tile // tiling.patches, tiling.patches**2


class _Next(_Processor):
    _get_number_of_features = LlavaNextProcessor._get_number_of_features
    _get_unpadded_features = LlavaNextProcessor._get_unpadded_features


class _Onevision(_Processor):
    _get_number_of_features = LlavaOnevisionProcessor._get_number_of_features
    _get_unpadded_features = LlavaOnevisionProcessor._get_unpadded_features


@settings(max_examples=500)
@given(width=sides, height=sides)
@example(1, 65_535)
@example(65_535, 1)
@example(2304, 2304)
@example(1000, 999)
@pytest.mark.parametrize(
    ("tiling", "kind"), [(NEXT, _Next), (ONEVISION, _Onevision)], ids=["next", "onevision"]
)
def test_tokens_are_as_many_as_transformers_counts(
    tiling: Tiling, kind: type[_Processor], width: int, height: int
) -> None:
    expected = kind(tiling)._get_number_of_features(height, width, tiling.tile, tiling.tile)
    assert tiling.layout(width, height).tokens == expected


def test_tokens_of_familiar_pictures() -> None:
    """A square takes the 576 of LLaVA-1.5, four times that for the tiles, and 48 newlines."""
    assert NEXT.layout(1000, 1000).tokens == 576 + 4 * 576 + 48
    assert NEXT.layout(640, 480).tokens == 576 + 36 * (48 + 1)  # 48 x 36 patches show it
    assert NEXT.layout(640, 480).tokens == NEXT.layout(640, 480, pictures=3).tokens
    assert ONEVISION.layout(640, 480, pictures=3).tokens == 729 + 1


def test_a_picture_of_many_tiles_is_shrunk_to_about_nine() -> None:
    layout = ONEVISION.layout(4000, 4000)
    assert (layout.views, layout.shrunk) == (37, (81, 81))
    assert layout.tokens == 729 + 81 * 82
    assert ONEVISION.layout(1152, 1152).shrunk is None
    assert NEXT.layout(4000, 4000).shrunk is None


def test_margins_are_as_wide_on_both_sides() -> None:
    layout = NEXT.layout(100, 40)
    assert (layout.tiles, layout.columns) == ((1, 2), (0, 48))
    assert layout.rows == (2, 22)  # 19 of the 24 rows show it whole; 2 above and below are left out, not 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grids": ()}, "grids"),
        ({"grids": ((336, 500),)}, "336 x 500 is not made of tiles of 336"),
        ({"grids": ((0, 336),)}, "0 x 336"),
        ({"tile": 0}, "tile"),
        ({"max_tiles": 0}, "max_tiles"),
    ],
)
def test_a_tiling_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tiling.parse(NEXT.model_dump() | change, "config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"vision": VisionConfig(image_size=224)},
            "336 pixels and 24 patches .* sees 224 pixels as 16 patches",
        ),
        ({"feature_select": "full"}, "drop the class token and nothing else"),
    ],
)
def test_tiles_that_do_not_fit_the_vision_tower_are_refused(change: dict[str, object], message: str) -> None:
    fits: dict[str, object] = {
        "vision": VisionConfig(), "language": LanguageConfig(), "image_token_id": 32000, "tiling": NEXT
    }  # fmt: skip
    assert LlavaConfig.parse(fits, "").tokens_per_image == 576
    with pytest.raises(UsageError, match=message):
        LlavaConfig.parse(fits | change, "config.json")
