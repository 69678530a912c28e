import colorsys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from llavakit.errors import LlavaError, UsageError
from llavakit.tiny import draw
from llavakit.tiny.things import COLOURS, KINDS

needs_font = pytest.mark.skipif(
    not draw.font_path().exists(), reason="fonts-noto-color-emoji is not installed"
)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@needs_font
def test_every_glyph_is_in_the_font() -> None:
    def drawn(text: str) -> bytes:
        image = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(image).text((8, 8), text, font=draw._font(), embedded_color=True)
        return image.tobytes()

    missing = drawn("\U0010fffd")  # a private character: what the font shows for what it lacks
    glyphs = [drawn(kind.glyph) for kind in KINDS.values() if kind.glyph]
    assert missing not in glyphs
    assert len(set(glyphs)) == len(glyphs)


@needs_font
@pytest.mark.parametrize("size", [22, 54, 190])
def test_a_sprite_is_cut_tight_with_its_longest_side_as_asked(size: int) -> None:
    for kind in KINDS.values():
        sprite = draw.sprite(kind.name, "red" if kind.tintable else None, size, 10)
        assert sprite.mode == "RGBA" and max(sprite.size) == size
        alpha = pixels(sprite)[..., 3] > 8
        assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])), kind.name


@needs_font
def test_proportions_hold_at_every_size() -> None:
    for kind in KINDS:
        width, height = draw.proportions(kind, -20)
        assert max(width, height) == 1
        assert draw.sprite(kind, None, 40, -20).size == (
            max(1, round(40 * width)),
            max(1, round(40 * height)),
        )


@needs_font
def test_a_flipped_sprite_is_the_mirror_image() -> None:
    plain, flipped = (draw.sprite("car", "blue", 40, 20, flip) for flip in (False, True))
    assert np.array_equal(pixels(plain)[:, ::-1], pixels(flipped))


@needs_font
def test_a_painted_thing_reads_as_its_colour_and_as_no_other() -> None:
    for kind in (k.name for k in KINDS.values() if k.tintable):
        for colour in COLOURS:
            mean = np.array(draw.mean_colour(kind, colour))
            hue, _, value = colorsys.rgb_to_hsv(*mean / 255)
            if colour == "black":
                assert value < 0.36, kind
                continue
            apart = {
                other: min(d := abs(hue - colorsys.rgb_to_hsv(*np.array(rgb) / 255)[0]), 1 - d)
                for other, rgb in COLOURS.items()
                if other != "black"
            }
            assert min(apart, key=apart.__getitem__) == colour, (kind, colour)


@needs_font
def test_paint_keeps_a_glyphs_details() -> None:
    for kind in (k.name for k in KINDS.values() if k.tintable and k.glyph and k.name != "umbrella"):
        for colour in ("red", "black"):
            shown = pixels(draw.sprite(kind, colour, 48))
            assert shown[..., :3].sum(-1)[shown[..., 3] > 200].std() > 9, (kind, colour)


@needs_font
def test_kinds_stay_distinct_at_28_pixels() -> None:
    # Side by side on grey, painted alike: the closest pair must differ over a fair part of the square.
    def stamp(kind: str) -> np.ndarray:
        canvas = Image.new("RGB", (28, 28), (200, 200, 200))
        sprite = draw.sprite(kind, "red" if KINDS[kind].tintable else None, 28)
        canvas.paste(sprite, ((28 - sprite.width) // 2, (28 - sprite.height) // 2), sprite)
        return pixels(canvas)

    stamps = {kind: stamp(kind) for kind in KINDS}
    names = list(stamps)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert np.abs(stamps[a] - stamps[b]).mean() > 12, (a, b)


def test_shapes_need_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVAKIT_EMOJI_FONT", "/nowhere.ttf")
    assert draw.sprite("star", "green", 31).size[0] == 31


def test_a_missing_font_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVAKIT_EMOJI_FONT", "/nowhere.ttf")
    draw._font.cache_clear()
    with pytest.raises(LlavaError, match=r"/nowhere\.ttf.*fonts-noto-color-emoji"):
        draw._font()


def test_an_unknown_kind_or_colour_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no 'sqare'.*'square'"):
        draw._upright("sqare", "red")
    with pytest.raises(UsageError, match=r"no colour 'gren'.*'green'"):
        draw._upright("square", "gren")


def test_the_emoji_are_attributed() -> None:
    assert "Noto Color Emoji" in draw.ATTRIBUTION and "Apache-2.0" in draw.ATTRIBUTION
