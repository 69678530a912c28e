import random

import numpy as np
import pytest
from PIL import Image

from llavakit.tiny.world.clocks import (
    FACES,
    digital,
    figures,
    hands,
    make_clock,
    paint_clock,
    spoken,
    spoken_zh,
)
from llavakit.tiny.world.scene import Clock

BOX = (0.1, 0.1, 0.9, 0.9)


@pytest.mark.parametrize(
    ("hour", "minute", "words", "zh"),
    [
        (3, 0, "three o'clock", "三点"),
        (4, 30, "half past four", "四点半"),
        (5, 45, "quarter to six", "五点四十五分"),
        (2, 10, "ten past two", "两点十分"),
        (12, 40, "twenty to one", "十二点四十分"),
        (9, 25, "twenty-five past nine", "九点二十五分"),
        (11, 5, "five past eleven", "十一点零五分"),
        (7, 42, "7:42", "七点四十二分"),
    ],
)
def test_the_time_in_words(hour: int, minute: int, words: str, zh: str) -> None:
    clock = Clock(hour, minute, BOX)
    assert spoken(clock) == words
    assert spoken_zh(clock) == zh


def test_the_time_in_figures() -> None:
    assert figures(Clock(7, 5, BOX)) == "7:05"
    assert figures(Clock(7, 5, BOX), padded=True) == "07:05"


def test_hands_point_at_fives_of_minutes() -> None:
    clocks = [make_clock(random.Random(i), BOX, 1.0) for i in range(300)]
    assert all(clock.minute % 5 == 0 for clock in clocks if not digital(clock))
    assert any(map(digital, clocks)) and {clock.hour for clock in clocks} == set(range(1, 13))


@pytest.mark.parametrize("aspect", [1.0, 16 / 9, 2 / 3])
def test_a_clock_is_large_enough_and_inside_the_picture(aspect: float) -> None:
    for i in range(100):
        clock = make_clock(random.Random(i), (0.0, 0.0, 0.2, 0.2), aspect)
        x0, y0, x1, y1 = clock.box
        assert min(clock.box) >= 0 and max(clock.box) <= 1
        assert (x1 - x0) * min(1.0, aspect) >= 0.26
        if not digital(clock):
            assert (x1 - x0) * aspect == pytest.approx(y1 - y0)


@pytest.mark.parametrize("face", range(len(FACES)))
def test_every_face_shows_another_time_otherwise(face: int) -> None:
    drawn = set()
    for hour, minute in ((3, 0), (3, 30), (9, 0), (12, 15), (3, 5)):
        picture = Image.new("RGB", (224, 224), "white")
        paint_clock(picture, Clock(hour, minute, BOX, face))
        drawn.add(picture.tobytes())
    assert len(drawn) == 5


def test_the_minute_hand_is_where_it_is_said_to_be() -> None:
    clock = Clock(3, 0, BOX, 4)
    picture = Image.new("RGB", (224, 224), "white")
    paint_clock(picture, clock)
    (_, hour_box), (_, minute_box) = hands(clock)
    dark = np.asarray(picture.convert("L")) < 100
    for x0, y0, x1, y1 in (hour_box, minute_box):
        part = dark[round(y0 * 224) : round(y1 * 224), round(x0 * 224) : round(x1 * 224)]
        assert part.mean() > 0.3
    assert minute_box[1] < hour_box[1] and minute_box[2] < hour_box[2]
