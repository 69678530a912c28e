"""What questions about absent things ask for."""

from llavakit.synth.absent import Absent
from llavakit.synth.scene import Scene, Thing
from llavakit.synth.task import Task

BOX = (0.1, 0.1, 0.2, 0.2)


def scene(number: int, *categories: str, **others: object) -> Scene:
    things = tuple(Thing(category, BOX) for category in categories)
    return Scene(str(number), f"{number}.jpg", things=things, **others)  # type: ignore[arg-type]


KITCHENS = [scene(i, "oven", "sink", "cup") for i in range(9)]
STREETS = [scene(10 + i, "car", "bus") for i in range(9)]
VOCABULARY = ("bus", "car", "cup", "oven", "sink", "zebra")


def test_the_likeliest_are_what_stands_beside_such_things_elsewhere() -> None:
    absent = Absent(VOCABULARY, [*KITCHENS, *STREETS])
    assert absent.of(Task(scene(99, "oven", "cup"), "absent"))[0] == "sink"
    assert absent.of(Task(scene(99, "car"), "absent"))[0] == "bus"


def test_nothing_that_is_there_or_spoken_of_is_called_absent() -> None:
    absent = Absent(VOCABULARY, KITCHENS, lambda scene: ("sink",) if scene.captions else ())
    found = absent.of(Task(scene(99, "oven", captions=("A sink.",), crowds=frozenset({"car"})), "absent"))
    assert found[0] == "cup" and set(found) <= {"cup", "bus", "zebra"}


def test_of_a_scene_that_is_not_complete_nothing_is_known_to_be_absent() -> None:
    assert Absent(VOCABULARY, KITCHENS).of(Task(scene(99, "oven", complete=False), "absent")) == ()


def test_categories_outside_the_vocabulary_are_passed_over() -> None:
    absent = Absent(VOCABULARY, [scene(1, "oven", "griddle")])
    assert "griddle" not in absent.of(Task(scene(99, "griddle"), "absent"))
