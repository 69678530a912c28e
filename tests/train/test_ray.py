"""A run on a Ray cluster is the same run; a worker that dies is started again."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import LlavaError, UsageError
from llavakit.train import Recipe, train
from llavakit.train.loop import Hook, Step
from llavakit.train.ray import train_on_ray
from llavakit.train.report import LogFile, read_log
from train import small
from train.test_report import reading


def test_ray_that_is_missing_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--ray needs Ray: pip install 'llavakit\[ray\]'"):
        train_on_ray(run, tmp_path, print, workers=2)


def run(
    device: str, hooks: Sequence[Hook], say: Callable[[str], None], out: Path = Path(), end: str = ""
) -> None:
    """What a worker does: the small recipe, but for the stage that runs in one process only."""
    rank = int(os.environ.get("RANK", "0"))
    log = LogFile(out / f"log-{rank}.jsonl")

    def on_step(step: Step) -> None:
        log.write(reading(step.step, step.stage, loss=step.loss))
        if end == "killed" and rank == 1 and step.step == 3 and not (out / "killed").exists():
            (out / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    changes = {"hardware.save_every": "2", "hardware.workers": "0"}
    recipe = Recipe.parse_toml(small.RECIPE, "small", changes)
    recipe = recipe.model_copy(update={"stages": recipe.stages[1:], "text_tower": None})
    say(f"process {rank} on {device}")
    if end == "failed":
        raise LlavaError("the data is empty")
    train(recipe, out, small.opened, small.words, device=device, hooks=[on_step, *hooks])


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # what the tests are made of, for the workers
    for module in (__name__, small.__name__, reading.__module__):
        found.cloudpickle.register_pickle_by_value(sys.modules[module])
    return found


def losses(path: Path) -> dict[str, list[float]]:
    return {stage: [line["loss"] for line in lines] for stage, lines in read_log(path).items()}


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_ends_with_the_losses_of_one_process(ray: Any, tmp_path: Path) -> None:
    said: list[str] = []
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    train_on_ray(partial(run, out=killed, end="killed"), killed, said.append, workers=2, device="cpu")
    assert (killed / "model" / "model.safetensors").is_file()
    died = "a worker died: Ray starts them all again, and the run resumes from its last checkpoint"
    assert said == ["process 0 on cpu", died, "process 0 on cpu"]
    alone.mkdir()
    run("cpu", [], said.append, out=alone)
    expected = losses(alone / "log-0.jsonl")
    for stage, found in losses(killed / "log-0.jsonl").items():
        assert found == pytest.approx(expected[stage], abs=1e-3)  # sums in another order, in bfloat16


@pytest.mark.slow
def test_what_is_wrong_is_said_as_without_ray(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"^the data is empty$"):
        train_on_ray(partial(run, out=tmp_path, end="failed"), tmp_path, print, workers=2, device="cpu")


@pytest.mark.slow
def test_more_workers_than_there_is_room_for_are_refused(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--num-workers 5000 needs 5000 CPUs and Ray has \d+"):
        train_on_ray(run, tmp_path, print, workers=5000, device="cpu")
