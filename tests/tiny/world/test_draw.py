import numpy as np
import pytest
from PIL import Image

from llavakit.errors import LlavaError, UsageError
from llavakit.tiny.world import draw, styles
from llavakit.tiny.world.styles import font_path
from llavakit.tiny.world.things import COLOURS, KINDS

HERE = [name for name in styles.STYLES if name in styles.available()]
needs_font = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")
every_style = pytest.mark.parametrize("style", HERE)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def drawn(style: str, painted: bool = False) -> list[str]:
    return [k for k in KINDS if styles.has(style, k) and (KINDS[k].tintable or not painted)]


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of sRGB, in which distances are as one sees them."""
    c = np.asarray(rgb, float) / 255
    c = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    to_xyz = np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    x, y, z = np.moveaxis(np.cbrt(c @ to_xyz / [0.95047, 1, 1.08883] + 1e-4), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@needs_font
def test_every_kinds_emoji_is_in_the_font() -> None:
    assert [kind for kind in KINDS if not styles.has("noto", kind)] == []


@every_style
@pytest.mark.parametrize("size", [22, 80, 150])
def test_a_sprite_is_cut_tight_with_its_longest_side_as_asked(style: str, size: int) -> None:
    for kind in drawn(style)[:: 3 if size < 100 else 30]:
        sprite = draw.sprite(kind, "red" if KINDS[kind].tintable else None, size, 10, style=style)
        assert sprite.mode == "RGBA" and max(sprite.size) == size
        alpha = pixels(sprite)[..., 3] > 8
        assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])), kind


@every_style
def test_proportions_hold_at_every_size(style: str) -> None:
    for kind in drawn(style)[::5]:
        width, height = draw.proportions(kind, -20, style)
        assert max(width, height) == 1
        size = max(1, round(40 * width)), max(1, round(40 * height))
        assert draw.sprite(kind, None, 40, -20, style=style).size == size


@needs_font
def test_a_flipped_sprite_is_the_mirror_image() -> None:
    plain, flipped = (draw.sprite("car", "blue", 40, 20, flip) for flip in (False, True))
    assert np.array_equal(pixels(plain)[:, ::-1], pixels(flipped))


@every_style
def test_a_painted_thing_reads_as_its_colour(style: str) -> None:
    names = [*COLOURS, "grey"]
    known = lab(np.array([*COLOURS.values(), (128, 128, 128)]))
    for kind in drawn(style, painted=True):
        for colour in COLOURS:
            shown = pixels(draw.sprite(kind, colour, 40, style=style)).reshape(-1, 4)
            near = ((lab(shown[shown[:, 3] > 128, :3])[:, None] - known) ** 2).sum(-1).argmin(1)
            share = np.bincount(near, minlength=len(names)) / len(near)
            # Outlines, wheels and windows are in no colour; orange beside ink is brown.
            plain = {"black", "white", "grey", "brown"} - {colour}
            read = max((n for n in names if n not in plain), key=lambda n: share[names.index(n)])
            assert read == colour and share[names.index(colour)] > 0.15, (kind, colour)


@needs_font
def test_paint_keeps_what_is_of_another_hue() -> None:
    shown = pixels(draw.sprite("apple", "red", 80))
    leaf = (shown[..., 3] > 200) & (shown[..., 1] > shown[..., 0] + 20) & (shown[..., 1] > shown[..., 2] + 20)
    assert leaf.mean() > 0.01


@needs_font
@pytest.mark.parametrize("colour", ["red", "black", "white"])
def test_paint_keeps_a_glyphs_details(colour: str) -> None:
    for kind in drawn("noto", painted=True):
        if KINDS[kind].glyph and kind not in ("umbrella", "leaf", "shirt"):  # of one tone as they come
            shown = pixels(draw.sprite(kind, colour, 48))
            assert shown[..., :3].sum(-1)[shown[..., 3] > 200].std() > 9, kind


@every_style
def test_unpainted_things_of_a_natural_colour_agree_between_emoji(style: str) -> None:
    if style.endswith("-2") and styles.has(style, "book"):
        red, green, blue = draw.mean_colour("book", None, style)
        assert red > 1.4 * green and red > 1.4 * blue  # though the second book is a green one


@pytest.mark.parametrize("style", [name for name in styles.TRAINED if name in HERE])
def test_kinds_stay_distinct_at_28_pixels(style: str) -> None:
    # On grey, painted alike: the closest pair must differ over a fair part of the square.
    def stamp(kind: str) -> np.ndarray:
        canvas = Image.new("RGB", (28, 28), (200, 200, 200))
        sprite = draw.sprite(kind, "red" if KINDS[kind].tintable else None, 28, style=style)
        canvas.paste(sprite, ((28 - sprite.width) // 2, (28 - sprite.height) // 2), sprite)
        return pixels(canvas).ravel()

    kinds = drawn(style)
    stamps = np.stack([stamp(kind) for kind in kinds])
    for i, kind in enumerate(kinds[1:], 1):
        apart = np.abs(stamps[:i] - stamps[i]).mean(1)
        assert apart.min() > 8, (kind, kinds[int(apart.argmin())])


def test_shapes_need_neither_font_nor_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVAKIT_EMOJI_FONT", "/nowhere.ttf")
    assert draw.sprite("star", "green", 31).size[0] == 31
    assert draw.sprite("star", "green", 31, style="twemoji").size[0] == 31


def test_a_style_that_inks_outlines_inks_those_of_shapes() -> None:
    plain, inked = (pixels(draw.sprite("square", "yellow", 60, style=s)) for s in ("noto", "openmoji"))
    assert plain[2, 30, :3].sum() > 300 > 100 > inked[0, 30, :3].sum()
    assert np.abs(plain[30, 30] - inked[30, 30]).max() == 0


def test_a_missing_font_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVAKIT_EMOJI_FONT", "/nowhere.ttf")
    styles._font.cache_clear()
    with pytest.raises(LlavaError, match=r"/nowhere\.ttf.*fonts-noto-color-emoji"):
        styles._font()


def test_an_unknown_kind_or_colour_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no 'sqare'.*'square'"):
        draw.sprite("sqare", "red", 30)
    with pytest.raises(UsageError, match=r"no colour 'gren'.*'green'"):
        draw.sprite("square", "gren", 30)
