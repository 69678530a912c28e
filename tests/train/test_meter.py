"""What is shown of a step follows from the facts of the steps before it."""

import pytest
import torch

from llavakit.train import Step
from llavakit.train.flops import Work
from llavakit.train.meter import Meter, Smooth
from llavakit.train.recipe import Stage
from train.steps import step

CPU = torch.device("cpu")


def stage(name: str, **values: object) -> Stage:
    numbers: dict[str, object] = {"steps": 10, "batch": 4, "lr": 1.0, "precision": "float32"}
    return Stage.model_validate({"name": name, "data": "d", "trainable": ["connector"]} | numbers | values)


def meter(flops: object = None, lengths: dict[str, int] | None = None, *stages: Stage) -> Meter:
    return Meter(stages or (stage("align"),), lengths or {"align": 10}, flops, CPU)  # type: ignore[arg-type]


def test_rates_are_means_over_the_last_steps() -> None:
    ours = meter()
    ours.read(step(tokens=100, seconds=1.0))
    reading = ours.read(step(2, tokens=300, examples=4, seconds=3.0))
    assert reading.tokens_per_second == 100
    assert reading.examples_per_second == 2
    for i in range(3, 40):
        reading = ours.read(step(i, tokens=50, seconds=1.0))
    assert reading.tokens_per_second == 50


def test_the_supervised_share_is_of_the_tokens() -> None:
    assert meter().read(step(tokens=200, supervised=50)).supervised_share == 0.25


def test_the_time_left_of_a_stage_is_its_steps_at_the_present_pace() -> None:
    assert meter().read(step(4, steps=10, seconds=2.0)).stage_left == 12


def test_the_time_left_of_the_run_counts_later_stages_by_what_they_ask_for() -> None:
    def flops(stage: Stage, work: Work) -> float:
        return work.examples * (30.0 if stage.name == "instruct" else 10.0)

    both = (stage("align"), stage("instruct", batch=2))
    ours = meter(flops, {"align": 10, "instruct": 100}, *both)
    # 6 steps of 2 s are left; then 100 of half as many conversations, each three times the work
    assert ours.read(step(4, steps=10, examples=4, seconds=2.0)).run_left == 6 * 2 + 100 * 0.5 * 3 * 2


def test_the_time_left_of_the_run_is_not_guessed_where_a_later_stage_is_of_unknown_length() -> None:
    ours = meter(lambda *_: 1.0, {"align": 10}, stage("align"), stage("instruct"))
    assert ours.read(step()).run_left is None


def test_utilisation_is_what_the_model_asks_for_over_what_the_device_could_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llavakit.train.meter.peak_flops", lambda *_: 1000.0)
    one = Meter((stage("align"),), {"align": 10}, lambda *_: 500.0, CPU)
    four = Meter((stage("align"),), {"align": 10}, lambda *_: 500.0, CPU, processes=4)
    assert one.read(step(seconds=2.0)).mfu == 0.25
    assert four.read(step(seconds=2.0)).mfu == 0.0625


def test_utilisation_is_left_out_where_the_peak_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llavakit.train.meter.peak_flops", lambda *_: None)
    reading = meter(lambda *_: 500.0).read(step())
    assert reading.mfu is None
    assert "mfu" not in reading.numbers()


def test_pictures_that_come_from_the_cache_are_not_encoded() -> None:
    seen: list[Work] = []

    def flops(_: Stage, work: Work) -> float:
        seen.append(work)
        return 1.0

    meter(flops, None, stage("align", cache_features=True)).read(step(views=3))
    meter(flops).read(step(views=3))
    assert [(work.views, work.cached) for work in seen] == [(0, 3), (3, 0)]


def test_a_new_stage_starts_its_rates_and_its_average_anew() -> None:
    ours = meter(None, {}, stage("align"), stage("instruct"))
    ours.read(step(loss=9.0, tokens=1000))
    reading = ours.read(step(stage="instruct", loss=1.0, tokens=10, seconds=1.0))
    assert (reading.smooth_loss, reading.tokens_per_second) == (pytest.approx(1.0), 10)


def test_the_smoothed_loss_begins_at_the_first_and_forgets_slowly() -> None:
    smooth = Smooth()
    assert smooth(4.0) == pytest.approx(4.0)
    assert 2.0 < smooth(2.0) < 4.0
    for _ in range(200):
        last = smooth(2.0)
    assert last == pytest.approx(2.0, abs=1e-3)  # 0.95 ** 200 of the 4 is left


def test_memory_is_that_of_the_process() -> None:
    assert 0.05 < meter().read(step()).memory_gb < 100


def test_a_step_takes_what_the_loop_says() -> None:
    assert Step.__dataclass_fields__.keys() <= step().__dict__.keys()
