"""What the tower is taught of each part of a picture: the scene's truth, in answers that its labels know."""

import pytest

from llavakit.data.contrast import Region
from llavakit.tiny.labels import LABELS, regions
from llavakit.tiny.world.compose import charted, make_scene, mosaic, primer, written
from llavakit.tiny.world.scene import Bay, Chart, Clock, Scene, Writing
from tiny.scenes import thing

CARS = (thing("car", "red", 0.2, 0.2), thing("car", "red", 0.8, 0.2), thing("car", "blue", 0.2, 0.8))
NIGHT = Scene(
    (*CARS, thing("whale", None, 0.5, 0.5)),
    writings=(Writing("OPEN", (0.4, 0.7, 0.7, 0.9)),),
    theme="street",
    night=True,
    odd=3,
)


def told(scene: Scene, name: str) -> list[str]:
    return [region.labels[name] for region in regions(scene) if name in region.labels]


def test_a_thing_is_told_by_what_where_and_among_how_many_it_is() -> None:
    first = regions(NIGHT)[0]
    assert first.box == CARS[0].box
    assert first.labels == {
        "thing": "a thing", "kind": "car", "colour": "red", "place": "top left", "size": "6", "kin": "3",
        "twins": "2", "odd": "belongs",
    }  # fmt: skip


def test_what_does_not_belong_is_told_where_anything_can_belong() -> None:
    assert told(NIGHT, "odd") == ["belongs"] * 3 + ["is out of place"]
    assert told(Scene(CARS), "odd") == []


def test_letters_are_told_one_by_one_and_never_a_word() -> None:
    assert told(NIGHT, "letter") == [*"OPEN"]
    sign = Scene(writings=(Writing("日 A", (0.1, 0.1, 0.9, 0.9), font="DejaVuSans"),))
    assert told(sign, "letter") == ["A"]  # a letter that is not among the answers is left out


def test_bars_tell_value_rank_and_how_their_label_begins() -> None:
    box = (0.05, 0.05, 0.95, 0.95)
    chart = Chart("bar", ("apples", "pears"), (7, 13), ("red", "blue"), box)
    bars = [region.labels for region in regions(Scene(charts=(chart,))) if "value" in region.labels]
    assert bars == [
        {"value": "7", "rank": "2", "initial": "A", "colour": "red"},
        {"value": "13", "rank": "1", "initial": "P", "colour": "blue"},
    ]
    line = Chart("line", ("apples", "pears"), (7, 13), ("red",), box)
    assert told(Scene(charts=(line,)), "colour") == ["red", "red"]


def test_clocks_tell_the_time_and_bays_their_number() -> None:
    scene = Scene(clocks=(Clock(6, 30, (0, 0, 0.3, 0.3)),), bays=(Bay(17, (0.4, 0.4, 0.6, 0.9), True),))
    assert (told(scene, "hour"), told(scene, "minute")) == (["6"], ["30"])
    assert (told(scene, "bay"), told(scene, "taken")) == (["17"], ["taken"])
    assert told(scene, "letter") == ["1", "7"]  # as it stands on the ground


def test_what_nothing_covers_tells_the_place_and_the_light() -> None:
    *_, rest = regions(NIGHT)
    assert rest == Region(None, {"theme": "street", "light": "night"})
    assert regions(Scene()) == (Region(None, {"theme": "a pattern", "light": "any"}),)


@pytest.mark.parametrize("compose", [make_scene, mosaic, primer, written, charted])
def test_whatever_is_told_of_a_drawn_scene_is_among_a_labels_answers(compose: object) -> None:
    assert callable(compose)
    for seed in range(60):
        for region in regions(compose(seed)):
            assert all(answer in LABELS[name].classes for name, answer in region.labels.items())
