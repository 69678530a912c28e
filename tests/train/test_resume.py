"""A run loses nothing: killed at any moment it goes on to the same losses, and bad luck with the disk leaves
the last good checkpoint."""

import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from llavakit.checkpoint import load
from llavakit.errors import LlavaError
from llavakit.train.loop import Step
from train import small


class EnoughError(Exception):
    """The power fails."""


def nothing(_: Step) -> None: ...


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, with its losses in `log.jsonl`."""
    out = tmp_path_factory.mktemp("whole")
    assert small.start(out, out / "log.jsonl", "LORA").wait(200) == 0
    return out


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_with_the_same_losses_and_weights(
    tmp_path: Path, finished: Path
) -> None:
    rng = random.Random(5)
    log, out = tmp_path / "log.jsonl", tmp_path / "run"
    # In each of the three stages, the last of which draws dropout.
    for least in (rng.randint(1, 3), rng.randint(5, 8), rng.randint(9, 13)):
        process = small.start(out, log, "LORA", "hardware.save_every=2", pause=0.1)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(steps(log)) < least:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))  # between two steps, in one, while saving
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "model").exists()
    assert small.start(out, log, "LORA", "hardware.save_every=2").wait(120) == 0

    expected, seen = small.lines(finished / "log.jsonl"), small.lines(log)
    assert len(expected) == 14
    # Steps after the last checkpoint are run twice; every one must come out as in the whole run.
    assert {json.dumps(line) for line in seen} == {json.dumps(line) for line in expected}
    a, b = (load(run / "model").model.state_dict() for run in (finished, out))
    assert all(torch.equal(a[name], b[name]) for name in a)


def steps(log: Path) -> set[tuple[object, object]]:
    return {(line["stage"], line["step"]) for line in small.lines(log)}


def test_a_finished_run_is_not_run_again(finished: Path) -> None:
    again: list[Step] = []
    small.run(finished, again.append, text=small.LORA)
    assert again == []


def test_a_run_of_another_recipe_is_refused_but_hardware_may_change(finished: Path) -> None:
    with pytest.raises(LlavaError, match="another recipe"):
        small.run(finished, nothing, overrides={"stages.0.lr": "1e-5"}, text=small.LORA)
    small.run(finished, nothing, overrides={"hardware.workers": "0"}, text=small.LORA)


def test_a_run_goes_on_where_a_cpu_has_no_bfloat16_and_its_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(step: Step) -> None:
        if (step.stage, step.step) == ("instruct", 3):
            raise EnoughError

    changes = {"hardware.save_every": "2"}
    monkeypatch.setattr("llavakit.train.recipe.multiplies_bf16", lambda _: True)
    with pytest.raises(EnoughError):
        small.run(tmp_path, stop, overrides=changes)
    monkeypatch.setattr("llavakit.train.recipe.multiplies_bf16", lambda _: False)
    seen: list[Step] = []
    small.run(tmp_path, seen.append, overrides=changes)
    assert [step.step for step in seen] == [3, 4, 5, 6]
    stages = load(tmp_path / "model").provenance["recipe"]["stages"]
    assert {stage["precision"] for stage in stages} == {"float32"}


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped in its second stage, with checkpoints of every step kept."""
    out = tmp_path_factory.mktemp("half")

    def stop(step: Step) -> None:
        if (step.stage, step.step) == ("align", 3):
            raise EnoughError

    with pytest.raises(EnoughError):
        small.run(out, stop, save_every=1, overrides={"hardware.keep": "3"})
    return out


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_as_many_checkpoints_stay_as_are_asked_for(half: Path) -> None:
    assert checkpoints(half) == ["align-000001", "align-000002", "clip-000004"]


def test_stages_that_have_not_begun_may_change(tmp_path: Path, half: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    for stage in (0, 1):  # done; begun
        with pytest.raises(LlavaError, match="another recipe"):
            small.run(out, nothing, overrides={f"stages.{stage}.lr": "1e-5"})
    told: list[Step] = []
    small.run(out, told.append, overrides={"stages.2.lr": "1e-5"})
    assert next(step.step for step in told if step.stage == "align") == 3
    assert max(step.lr for step in told if step.stage == "instruct") <= 1e-5


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("file", "harm"), [("__0_0.distcp", cut), ("__0_0.distcp", flip), ("run.json", cut),
                                            (".metadata", Path.unlink)])  # fmt: skip
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, half: Path, file: str, harm: object
) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    harm(out / "checkpoints" / "align-000002" / file)  # type: ignore[operator]
    told: list[Step] = []
    with pytest.warns(UserWarning, match="align-000002 is damaged: the checkpoint before it is taken"):
        small.run(out, told.append)
    assert (told[0].stage, told[0].step) == ("align", 2)


def test_data_that_grew_or_shrank_is_not_gone_on_with(tmp_path: Path, half: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    with pytest.raises(LlavaError, match=r"stage align: its data had 64 examples .* and has 63 now"):
        small.run(out, nothing, open_data=lambda sources: small.Plates(sources[0].path, 63))


def test_the_last_checkpoint_is_never_forgotten_for_a_damaged_later_one(tmp_path: Path, half: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    (out / "checkpoints" / "align-000002").rename(out / "checkpoints" / "instruct-000002")
    cut(out / "checkpoints" / "instruct-000002" / "run.json")

    def stop(step: Step) -> None:
        if step.step == 4:
            raise EnoughError

    with pytest.warns(UserWarning, match="instruct-000002 is damaged"), pytest.raises(EnoughError):
        small.run(out, stop, save_every=3, overrides={"hardware.keep": "1"})
    assert checkpoints(out) == ["align-000003"]


def test_what_a_kill_left_half_written_is_not_taken_and_goes_away(tmp_path: Path, half: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    (out / "checkpoints" / "align-000002").rename(out / "checkpoints" / ".partial-align-000002")
    told: list[Step] = []
    small.run(out, told.append)
    assert (told[0].stage, told[0].step) == ("align", 2)
    assert not [name for name in checkpoints(out) if name.startswith(".")]


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(tmp_path: Path, half: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(half, out)
    largest = max(path.stat().st_size for path in out.rglob("*.distcp"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing on is an error then, not the end
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 4, limits[1]))
    try:
        with pytest.raises(
            LlavaError, match=r"align-000003 could not be written \(.+\); .*align-000002 is whole"
        ):
            small.run(out, nothing, save_every=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not [name for name in checkpoints(out) if "align-000003" in name]
    told: list[Step] = []
    small.run(out, told.append)
    assert (told[0].stage, told[0].step) == ("align", 3)
