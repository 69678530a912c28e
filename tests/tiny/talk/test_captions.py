import random

from llavakit.tiny.talk.captions import brief, caption, detailed, inventory
from llavakit.tiny.world.scene import Bay, Chart, Clock, Scene, Writing
from tiny.scenes import thing

CARS = (thing("car", "red", 0.2, 0.2), thing("car", "red", 0.8, 0.2), thing("car", "blue", 0.2, 0.8))
NIGHT = Scene(
    (*CARS, thing("dog", None, 0.5, 0.5)),
    writings=(Writing("OPEN", (0.4, 0.7, 0.7, 0.9)),),
    theme="street",
    night=True,
)
CHART = Scene(charts=(Chart("bar", ("apples", "pears"), (7, 3), ("red", "blue"), (0.05, 0.05, 0.95, 0.95)),))


def test_a_brief_description_names_place_things_and_writing() -> None:
    assert brief(NIGHT) == (
        "The picture shows a street at night with two red cars, a dog, a blue car and a sign that says OPEN."
    )
    assert brief(NIGHT, "zh") == (
        "这是夜晚的街道，图里有两辆红色的汽车、一只狗、一辆蓝色的汽车和一块写着“OPEN”的牌子。"
    )
    assert brief(Scene()) == "The picture is empty: there is only a background."


def test_a_detailed_description_says_where_everything_is() -> None:
    assert detailed(NIGHT).endswith(
        "The red cars are at the top left and at the top right, the dog is in the middle, the blue car is at "
        "the bottom left, and the sign is at the bottom."
    )


def test_what_can_be_read_is_part_of_a_detailed_description() -> None:
    assert detailed(CHART).endswith("The chart shows apples 7 and pears 3.")
    assert "three o'clock" in detailed(Scene(clocks=(Clock(3, 0, (0.3, 0.3, 0.7, 0.7)),)))
    bays = Scene(bays=(Bay(1, (0, 0, 0.3, 0.5), True), Bay(2, (0.3, 0, 0.6, 0.5), False)), theme="car park")
    assert detailed(bays).endswith("Bay 1 is taken.")


def test_a_caption_names_every_group_in_some_order() -> None:
    for seed in range(30):
        text = caption(NIGHT, random.Random(seed))
        assert text.startswith("a street at night with ")
        assert "dog" in text and "OPEN" in text and "red car" in text
        assert "\n" not in text


def test_an_inventory_holds_all_that_answers_need() -> None:
    text = inventory(NIGHT, random.Random(1))
    assert text.startswith("a street at night: ")
    assert text.count("red car") == 2
    assert "a dog in the middle of size 20" in text
    assert "a sign that says OPEN at the bottom" in text
    assert "apples 7 and pears 3" in inventory(CHART, random.Random(1))
