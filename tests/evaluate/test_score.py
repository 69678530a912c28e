"""Scores carry honest intervals and the chance level of their own questions."""

import random

import pytest

from llavakit.evaluate import accuracy, f1, ratio


def test_an_accuracy_knows_its_n_its_interval_and_its_chance() -> None:
    score = accuracy("colour", [True] * 80 + [False] * 20, ["red"] * 30 + ["blue"] * 70)
    assert (score.value, score.n, score.chance) == (0.8, 100, 0.7)
    # Wilson's interval of 80 in 100, from Newcombe (1998), table I's formula
    assert (score.low, score.high) == (pytest.approx(0.7112, abs=1e-4), pytest.approx(0.8666, abs=1e-4))


def test_an_interval_never_leaves_the_scale() -> None:
    assert accuracy("all", [True] * 10).high == 1.0
    assert accuracy("none", [False] * 10).low == 0.0
    assert 0.6 < accuracy("all", [True] * 10).low < 1.0


def test_f1_counts_a_silence_as_wrong() -> None:
    truths = [True, True, False, False]
    assert f1("", truths, [True, True, False, False]).value == 1.0
    assert f1("", truths, [True, None, False, False]).value == pytest.approx(2 / 3)
    assert f1("", truths, [None, None, True, False]).value == 0.0
    assert f1("", truths, [False] * 4).value == 0.0


def test_the_chance_of_f1_is_always_saying_yes() -> None:
    assert f1("", [True, False] * 50, [True] * 100).chance == pytest.approx(2 / 3)


def test_the_bootstrap_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(0)
    held = 0
    for trial in range(100):
        truths = [rng.random() < 0.5 for _ in range(200)]
        answers = [truth if rng.random() < 0.8 else not truth for truth in truths]
        score = f1("", truths, answers, seed=trial)
        held += score.low <= 0.8 <= score.high  # precision and recall are both 0.8 in the long run
    assert held >= 85  # 95 in the long run; fewer than 85 would be a fault, not bad luck


def test_a_ratio_sums_over_questions_before_it_divides() -> None:
    score = ratio("recall", [(1, 1), (0, 3)] * 50)
    assert (score.value, score.n, score.chance) == (0.25, 100, None)
    assert 0.15 < score.low < 0.25 < score.high < 0.4
    assert ratio("precision", [(0, 0)] * 5).value == 0.0
