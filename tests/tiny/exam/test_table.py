"""How the examination's scores are shown."""

from llavakit.tiny.exam.table import markdown


def test_scores_are_shown_in_per_cent_and_a_missed_bar_has_a_cross() -> None:
    row = {
        "name": "colour",
        "value": 0.9,
        "low": 0.871,
        "high": 0.923,
        "chance": 0.14,
        "blind": 0.2,
        "n": 500,
    }
    missed = row | {"bar": 0.97, "at_most": False, "met": False}
    met = row | {
        "name": "false alarms",
        "chance": None,
        "blind": None,
        "bar": 0.95,
        "at_most": True,
        "met": True,
    }
    assert markdown([missed, met]).splitlines() == [
        "|  | score | 95 % | chance | blind | n | bar |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| colour | 90.0 | 87.1–92.3 | 14.0 | 20.0 | 500 | ≥ 97 ✗ |",
        "| false alarms | 90.0 | 87.1–92.3 |  |  | 500 | ≤ 95 ✓ |",
    ]
