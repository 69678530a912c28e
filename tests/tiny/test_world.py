from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from llavakit.tiny import draw, world
from llavakit.tiny.things import COLOURS, KINDS
from llavakit.tiny.world import Background, Scene, Thing, make_scene, place, render

pytestmark = pytest.mark.skipif(
    not draw.font_path().exists(), reason="fonts-noto-color-emoji is not installed"
)

SEEDS = range(1500)
WHITE = Background("plain", ((255, 255, 255), (255, 255, 255)))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def at(x: float, y: float) -> Thing:
    return Thing("star", "red", (x - 0.1, y - 0.1, x + 0.1, y + 0.1))


def test_a_seed_always_gives_the_same_scene_and_picture() -> None:
    for seed in range(40):
        assert make_scene(seed) == make_scene(seed)
        assert render(make_scene(seed)).tobytes() == render(make_scene(seed)).tobytes()
    assert make_scene(1) != make_scene(2)


def test_a_scene_looks_the_same_at_any_size() -> None:
    for seed in range(40):
        small, large = render(make_scene(seed)), render(make_scene(seed), 448)
        assert small.size == (128, 128) and large.size == (448, 448)
        # Half-size sprites, grain and edges differ; layout and colours must not.
        blurred = [pixels(image.resize((16, 16), Image.Resampling.BOX)) for image in (small, large)]
        assert np.abs(blurred[0] - blurred[1]).mean() < 3, seed


def test_a_things_box_is_where_its_pixels_are() -> None:
    for seed in range(150):
        for thing in make_scene(seed).things:
            clean = next(s for s in range(seed, seed + 99) if world._photograph(_BLANK, s) is _BLANK)
            drawn = pixels(render(Scene((thing,), replace(WHITE, tones=(_AWAY, _AWAY)), clean)))
            rows, columns = np.nonzero(np.abs(drawn - np.array(_AWAY)).sum(-1) > 24)
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            # 1.6: half a pixel from rounding the place, half from the size, and faint edges.
            assert np.abs(np.array(found) - 128 * np.array(thing.box)).max() <= 1.6, (seed, thing)


_AWAY = (0, 255, 128)  # a tone that nothing in the world has
_BLANK = Image.new("RGB", (8, 8))


def test_nothing_is_invisible() -> None:
    for seed in range(300):
        scene = make_scene(seed)
        everything = pixels(render(scene))
        for i, thing in enumerate(scene.things):
            without = pixels(render(replace(scene, things=scene.things[:i] + scene.things[i + 1 :])))
            changed = np.abs(everything - without).max(-1)
            x0, y0, x1, y1 = (round(128 * edge) for edge in thing.box)
            inside = changed[y0:y1, x0:x1]
            assert (inside > 40).mean() > 0.08, (seed, thing)  # a thin pencil fills little of its box


def test_things_stay_inside_and_hardly_overlap() -> None:
    for seed in SEEDS:
        things = make_scene(seed).things
        for i, thing in enumerate(things):
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert 0.2 <= max(x1 - x0, y1 - y0) <= 0.54
            assert all(world._overlap(thing.box, other.box) <= 0.101 for other in things[:i]), seed


def test_no_centre_is_near_a_thirds_edge() -> None:
    centres = np.array([thing.centre for seed in SEEDS for thing in make_scene(seed).things])
    # 0.004: half a step of the grid on which boxes begin.
    assert min(np.abs(centres - edge).min() for edge in (1 / 3, 2 / 3)) >= 0.03 - 0.004


def test_painted_kinds_have_a_colour_and_natural_ones_have_none() -> None:
    for seed in SEEDS:
        for thing in make_scene(seed).things:
            assert (thing.colour in COLOURS) if KINDS[thing.kind].tintable else thing.colour is None


def test_groups_of_one_to_four_are_equally_common() -> None:
    largest = Counter()
    for seed in range(4000):
        kinds = Counter(thing.kind for thing in make_scene(seed).things)
        assert sum(kinds.values()) <= 6 and max(kinds.values(), default=0) <= 4
        largest.update([max(kinds.values(), default=0)])
    assert 0.025 < largest[0] / 4000 < 0.055
    assert all(0.2 < largest[count] / 4000 < 0.28 for count in (1, 2, 3, 4)), largest


def test_all_kinds_colours_places_and_backgrounds_appear_evenly() -> None:
    scenes = [make_scene(seed) for seed in SEEDS]
    things = [thing for scene in scenes for thing in scene.things]
    places = Counter(map(place, things))
    assert set(places) == set(world.PLACES.values())
    assert max(places.values()) < 1.4 * min(places.values())
    assert {thing.kind for thing in things} == set(KINDS)
    colours = Counter(thing.colour for thing in things if thing.colour)
    assert max(colours.values()) < 1.4 * min(colours.values())
    assert {scene.background.style for scene in scenes} == set(world._STYLES)


def test_things_come_in_reading_order() -> None:
    order = list(world.PLACES.values())
    for seed in range(200):
        spots = [order.index(place(thing)) for thing in make_scene(seed).things]
        assert spots == sorted(spots)


def test_a_place_is_the_ninth_that_holds_the_centre() -> None:
    spots = [[place(at(x, y)) for x in (0.2, 0.5, 0.8)] for y in (0.2, 0.5, 0.8)]
    assert spots == [
        ["top left", "top", "top right"],
        ["left", "middle", "right"],
        ["bottom left", "bottom", "bottom right"],
    ]


@pytest.mark.parametrize("style", ["plain", "gradient", "noise", "stripes", "checks", "ground"])
def test_a_background_has_only_its_two_tones_and_what_lies_between(style: world.Style) -> None:
    tones = ((240, 230, 220), (200, 190, 180))
    picture = pixels(world._paint(Background(style, tones, angle=2.0, pitch=5), 128, seed=3))
    assert picture.min() >= 180 and picture.max() <= 240
    assert (picture == tones[0]).all() if style == "plain" else len(np.unique(picture[..., 0])) > 1
    if style in ("stripes", "checks", "ground"):
        assert 0.15 < (picture[..., 0] == 240).mean() < 0.85


def test_a_third_of_the_pictures_are_grainy_or_compressed() -> None:
    touched = sum(world._photograph(_BLANK, seed) is not _BLANK for seed in SEEDS)
    assert 0.25 < touched / len(SEEDS) < 0.35
