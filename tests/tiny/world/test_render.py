"""A scene's picture shows what the scene says, where it says it."""

from dataclasses import replace

import numpy as np
import pytest

from llavakit.tiny.world import bays, compose, places, themes
from llavakit.tiny.world.render import render
from llavakit.tiny.world.scene import Backdrop, Scene, Theme, Thing

NOTO = ("noto", "noto-2")
WHITE = Backdrop()
CLEAN = 4  # a seed whose picture is left as it was painted


def pixels(scene: Scene, size: int = 224) -> np.ndarray:
    return np.asarray(render(scene, size)).astype(int)


@pytest.mark.parametrize(("aspect", "size"), [(1.0, (224, 224)), (16 / 9, (224, 126)), (3 / 4, (168, 224))])
def test_the_longer_side_is_the_size_asked_for(aspect: float, size: tuple[int, int]) -> None:
    assert render(Scene(aspect=aspect)).size == size
    assert render(Scene(aspect=aspect), 448).size == (2 * size[0], 2 * size[1])


def test_a_scene_is_a_picture() -> None:
    for seed in range(30):
        scene = compose.make_scene(seed, NOTO)
        assert (pixels(scene) == pixels(scene)).all()


@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.75])
def test_a_thing_is_in_its_box(aspect: float) -> None:
    width, height = 0.3 / max(aspect, 1), 0.3 * min(aspect, 1)
    thing = Thing("circle", "red", (0.5, 0.2, 0.5 + width, 0.2 + height))
    picture = pixels(Scene((thing,), WHITE, aspect=aspect, seed=CLEAN))
    high, wide = picture.shape[:2]
    rows, columns = np.nonzero(picture[..., 1] < 150)
    found = columns.min() / wide, rows.min() / high, (columns.max() + 1) / wide, (rows.max() + 1) / high
    assert found == pytest.approx(thing.box, abs=0.02)


def test_a_later_thing_hides_an_earlier_one() -> None:
    box = (0.3, 0.3, 0.6, 0.6)
    red, blue = Thing("square", "red", box), Thing("square", "blue", box)
    middle = pixels(Scene((red, blue), WHITE, seed=CLEAN))[100, 100]
    assert middle[2] > middle[0]


def test_a_thing_reaches_over_the_edge() -> None:
    thing = Thing("circle", "red", (-0.1, 0.4, 0.2, 0.7))
    picture = pixels(Scene((thing,), WHITE, seed=CLEAN))
    assert picture[123, 0, 1] < 100


def test_everything_named_can_be_seen() -> None:
    for seed in range(120):
        scene = compose.make_scene(seed, NOTO)
        whole = pixels(scene)
        for i, thing in enumerate(scene.things):
            without = pixels(replace(scene, things=scene.things[:i] + scene.things[i + 1 :]))
            high, wide = whole.shape[:2]
            x0, y0, x1, y1 = (max(0, round(e * s)) for e, s in zip(thing.box, (wide, high) * 2, strict=True))
            change = np.abs(whole - without).max(-1)[y0:y1, x0:x1]
            assert (change > 40).mean() > 0.05, (seed, thing)


@pytest.mark.parametrize("theme", places.OUTDOORS)
def test_night_is_darker_than_day(theme: Theme) -> None:
    day, night = (pixels(Scene(theme=theme, night=dark, seed=CLEAN)).mean() for dark in (False, True))
    assert night < 0.6 * day


def test_themes_look_different() -> None:
    painted = [
        pixels(Scene(theme=theme, night=None, seed=CLEAN)) for theme in themes.TAGS if theme != "car park"
    ]
    differences = [np.abs(a - b).mean() for i, a in enumerate(painted) for b in painted[:i]]
    assert min(differences) > 15


def test_the_number_of_a_bay_is_painted_in_it() -> None:
    scene = next(
        scene for scene in (themes.themed(s, NOTO, theme="car park") for s in range(9)) if scene.aspect == 1
    )
    scene = replace(scene, things=(), seed=CLEAN)
    other = replace(scene, bays=tuple(replace(bay, number=bay.number + 100) for bay in scene.bays))
    rows, columns = np.nonzero(np.abs(pixels(scene) - pixels(other)).max(-1) > 40)
    for bay in scene.bays:
        x0, y0, x1, y1 = (edge * 224 for edge in bay.box)
        assert ((columns > x0) & (columns < x1) & (rows > y0) & (rows < y1)).sum() > 30
    # … and each digit where it is said to be
    said = bays.digits(scene.bays, (224, 224), scene.seed)
    assert "".join(digit for digit, _ in said) == "".join(str(bay.number) for bay in scene.bays)
    for _, box in said:
        x0, y0, x1, y1 = (edge * 224 for edge in box)
        assert ((columns >= x0 - 1) & (columns <= x1) & (rows >= y0 - 1) & (rows <= y1)).any()


def test_patterns_are_painted() -> None:
    for pattern in ("gradient", "noise", "stripes", "checks", "dots", "ground"):
        backdrop = Backdrop(pattern, ((250, 250, 250), (40, 60, 80)), 0.7, 5)  # type: ignore[arg-type]
        assert pixels(Scene(backdrop=backdrop, seed=CLEAN)).std() > 20, pattern
