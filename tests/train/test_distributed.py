"""Several processes train as one would, hand their checkpoints on to other numbers of them, and none waits
for ever for one that died. On CPUs, through gloo."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from llavakit.checkpoint import load
from train import small


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process, with its losses in `log.jsonl`."""
    out = tmp_path_factory.mktemp("alone")
    assert small.start(out, out / "log.jsonl", "MIXED").wait(120) == 0
    return out


def finish(processes: list[subprocess.Popen[str]], code: int = 0) -> list[str]:
    """What each said, once all have ended as they should."""
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), said
    return said


def agrees(log: Path, alone: Path) -> None:
    """Every step of `log` has the numbers of the run in one process, and none is missing."""
    expected = {(line["stage"], line["step"]): line for line in small.lines(alone / "log.jsonl")}
    seen = {(line["stage"], line["step"]): line for line in small.lines(log)}
    assert seen.keys() == expected.keys()
    for place, line in seen.items():
        # 1e-4 of losses about 5: sums in another order, in float32, over eight steps
        assert line["loss"] == pytest.approx(expected[place]["loss"], abs=1e-4)
        assert line["grad_norm"] == pytest.approx(expected[place]["grad_norm"], rel=1e-3)
        counts = ("tokens", "supervised", "views", "examples")
        assert [line[name] for name in counts] == [expected[place][name] for name in counts]


def test_two_processes_have_the_losses_and_the_model_of_one(tmp_path: Path, alone: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "run"
    # Rows with and without pictures are mixed: in some micro-batches one process has some, the other none.
    finish(small.together(2, out, log, "MIXED", "hardware.checkpoint_activations=true"))
    agrees(log, alone)
    a, b = (load(run / "model").model.state_dict() for run in (alone, out))
    for name, weight in a.items():
        # Weights are kept in bfloat16, where neighbours of size 1 are 8e-3 apart; steps were of 1e-3 to 1e-2.
        assert (weight.float() - b[name].float()).abs().max() < 1e-2


@pytest.mark.slow
def test_two_hand_over_to_four_on_two_machines_and_these_to_one(tmp_path: Path, alone: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "run"
    two = small.together(2, out, log, "MIXED", "hardware.save_every=1", pause=0.5)
    wait_for(log, 2)
    two[1].send_signal(signal.SIGTERM)  # one is told, all stop
    assert "stopped by SIGTERM" in finish(two, 143)[0]
    four = small.together(
        4, out, log, "MIXED", "hardware.save_every=1", 'hardware.shard="hybrid"', here=2, pause=0.5
    )
    wait_for(log, 5)
    for process in four:
        process.send_signal(signal.SIGTERM)
    finish(four, 143)
    finish([small.start(out, log, "MIXED")])
    agrees(log, alone)


def wait_for(log: Path, count: int) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and len(small.lines(log)) < count:
        time.sleep(0.05)


@pytest.mark.slow
def test_a_process_that_dies_is_named_by_the_others_and_the_run_resumes(tmp_path: Path, alone: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "run"
    processes = small.together(2, out, log, "MIXED", "hardware.save_every=1", pause=0.5)
    wait_for(log, 2)
    os.killpg(processes[1].pid, signal.SIGKILL)
    (said,) = finish(processes[:1], 1)
    assert "process 1 of 2 no longer answers process 0" in said and "Traceback" not in said
    finish([small.start(out, log, "MIXED")])
    agrees(log, alone)


@pytest.mark.slow
def test_a_stage_for_one_process_is_refused_in_several_and_those_after_it_are_not(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "run"
    for said in finish(small.together(2, out, log, "RECIPE"), 2):
        assert "stage clip" in said and "without torchrun" in said and "Traceback" not in said
    assert not out.exists()
    one = small.start(out, log, "RECIPE", "hardware.save_every=1", pause=0.5)
    wait_for(log, 5)  # the first stage has four steps
    one.send_signal(signal.SIGTERM)
    finish([one], 143)
    finish(small.together(2, out, log, "RECIPE"))
    last = small.lines(log)[-1]
    assert (last["stage"], last["step"]) == ("instruct", 6)
    assert load(out / "model").model.config.language.hidden_size == 32
