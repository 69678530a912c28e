import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from llavakit.tiny.world.charts import bars, letters, make_chart, paint_chart
from llavakit.tiny.world.scene import Chart, distance
from llavakit.tiny.world.things import COLOURS

BOX = (0.03, 0.03, 0.97, 0.97)


def some(n: int) -> list[Chart]:
    return [make_chart(random.Random(f"chart {i}")) for i in range(n)]


def test_a_chart_has_a_value_and_a_colour_for_each_label() -> None:
    for chart in some(300):
        assert len(chart.labels) == len(chart.values) == len(set(chart.labels))
        assert 2 <= len(chart.labels) <= 6
        assert len(chart.colours) == (len(chart.labels) if chart.form == "bar" else 1)


def test_one_value_is_highest_and_one_lowest() -> None:
    assert all(len(set(chart.values)) == len(chart.values) for chart in some(300))


def test_months_stay_in_their_order() -> None:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"]
    found = [chart.labels for chart in some(600) if set(chart.labels) <= set(months)]
    assert found and all(list(labels) == sorted(labels, key=months.index) for labels in found)


@pytest.mark.parametrize("form", ["bar", "line"])
def test_form_and_number_can_be_asked_for(form: str) -> None:
    for count in range(3, 7):
        chart = make_chart(random.Random(count), form=form, count=count)  # type: ignore[arg-type]
        assert chart.form == form and len(chart.labels) == count


def test_a_bar_is_as_high_as_its_value() -> None:
    chart = Chart("bar", ("A", "B", "C"), (5, 10, 2), ("red", "blue", "green"), BOX)
    picture = Image.new("RGB", (224, 224))
    paint_chart(picture, chart)
    pixels = np.asarray(picture).astype(int)
    heights = []
    for colour in chart.colours:
        near = (abs(pixels - np.array(COLOURS[colour])).sum(-1) < 12).any(1)
        heights.append(int(near.sum()))
    assert heights[1] == pytest.approx(2 * heights[0], abs=3)
    assert heights[0] == pytest.approx(2.5 * heights[2], abs=4)


def test_regions_hold_their_bar_and_stay_in_the_picture() -> None:
    for chart in some(200):
        picture = Image.new("RGB", (224, 168))
        paint_chart(picture, chart)
        for i, (label, value, (x0, y0, x1, y1)) in enumerate(bars(chart, picture.size)):
            assert (label, value) == (chart.labels[i], chart.values[i])
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            colour = COLOURS[chart.colours[i if chart.form == "bar" else 0]]
            cut = picture.crop((round(x0 * 224), round(y0 * 168), round(x1 * 224), round(y1 * 168) + 1))
            assert min(distance(colour, pixel) for _, pixel in cut.getcolors(100_000)) < 40  # type: ignore[arg-type, union-attr]


def test_every_letter_of_a_chart_is_told_and_stands_in_it() -> None:
    spoken = Chart("bar", ("Tea", "Milk"), (7, 13), ("red", "blue"), BOX, title="Drinks")
    told = "".join(letter for letter, _ in letters(spoken, (224, 224)))
    assert all(word in told for word in ("Drinks", "Tea", "Milk"))
    for chart in some(100):
        found = letters(chart, (224, 168))
        assert Counter("".join(chart.labels).replace(" ", "")) <= Counter(letter for letter, _ in found)
        assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for _, (x0, y0, x1, y1) in found)


def test_bars_differ_from_the_ground_behind_them() -> None:
    chart = Chart("bar", ("A", "B"), (5, 10), ("black", "black"), BOX)
    picture = Image.new("RGB", (224, 224))
    paint_chart(picture, chart)
    assert distance(picture.getpixel((12, 100)), COLOURS["black"]) > 90  # type: ignore[arg-type]


def test_a_chart_looks_the_same_whenever_it_is_painted() -> None:
    chart = some(1)[0]
    first, second = Image.new("RGB", (224, 224)), Image.new("RGB", (224, 224))
    paint_chart(first, chart)
    paint_chart(second, chart)
    assert first.tobytes() == second.tobytes()
