"""Themed scenes show their place, what belongs there, and what does not."""

import pytest

from llavakit.tiny.world import bays, places, themes
from llavakit.tiny.world.scene import Scene, Theme, Thing
from llavakit.tiny.world.things import KINDS

NOTO = ("noto", "noto-2")
SCENES = {name: [themes.themed(seed, NOTO, theme=name) for seed in range(50)] for name in themes.TAGS}
ALL = [scene for scenes in SCENES.values() for scene in scenes]


def others(scene: Scene) -> list[Thing]:
    return [thing for i, thing in enumerate(scene.things) if i != scene.odd]


@pytest.mark.parametrize("theme", themes.TAGS)
def test_everything_but_the_odd_thing_belongs(theme: Theme) -> None:
    sky = {"sun", "moon", "plane", "helicopter", "bird", "cloud"} if theme in places.OUTDOORS else set()
    for thing in (thing for scene in SCENES[theme] for thing in others(scene)):
        assert themes.TAGS[theme] in KINDS[thing.kind].tags or thing.kind in sky


@pytest.mark.parametrize("theme", themes.TAGS)
def test_the_odd_thing_does_not(theme: Theme) -> None:
    odd = [scene.things[scene.odd] for scene in SCENES[theme] if scene.odd is not None]
    assert 4 <= len(odd) <= 25
    assert not [thing for thing in odd if themes.TAGS[theme] in KINDS[thing.kind].tags]


def test_the_odd_thing_is_alone_of_its_kind() -> None:
    for scene in ALL:
        if scene.odd is not None:
            assert scene.things[scene.odd].kind not in {thing.kind for thing in others(scene)}


def test_there_are_things_and_no_more_than_can_be_counted() -> None:
    counts = [len(scene.things) for scene in ALL if scene.theme != "car park"]
    assert max(counts) <= 10
    assert sum(count >= 2 for count in counts) >= 0.97 * len(counts)


def test_only_outdoors_is_it_day_or_night() -> None:
    for scene in ALL:
        assert (scene.night is not None) == (scene.theme in places.OUTDOORS)
    assert {scene.night for scene in SCENES["street"]} == {True, False}


def test_the_sun_shines_by_day_and_the_moon_by_night() -> None:
    for scene in ALL:
        kinds = {thing.kind for thing in scene.things}
        assert not (scene.night and "sun" in kinds)
        assert scene.night or "moon" not in kinds
    assert any("sun" in {thing.kind for thing in scene.things} for scene in SCENES["beach"])


def test_a_bay_is_taken_when_a_vehicle_stands_in_it() -> None:
    for scene in SCENES["car park"]:
        assert 4 <= len(scene.bays) <= 10
        numbers = [bay.number for bay in scene.bays]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for bay in scene.bays:
            x0, y0, x1, y1 = bays.room(bay, scene.aspect, bays.look(scene.seed))
            inside = [
                thing for thing in scene.things if x0 <= thing.centre[0] <= x1 and y0 <= thing.centre[1] <= y1
            ]
            assert len(inside) == bay.taken, scene.seed
            assert all(thing.box[0] >= x0 - 1e-6 and thing.box[2] <= x1 + 1e-6 for thing in inside)


def test_some_bays_are_taken_and_some_free() -> None:
    taken = [bay.taken for scene in SCENES["car park"] for bay in scene.bays]
    assert 0.3 <= sum(taken) / len(taken) <= 0.8


def test_signs_and_clocks_are_in_some() -> None:
    assert 4 <= sum(bool(scene.writings) for scene in SCENES["café"]) <= 40
    assert 4 <= sum(bool(scene.clocks) for scene in SCENES["classroom"]) <= 40
    assert not [scene for scene in ALL if {"clock", "watch", "stop sign"} & {t.kind for t in scene.things}]
