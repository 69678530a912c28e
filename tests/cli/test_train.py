"""`llava train` from the outside: a process, what it prints, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavakit.tiny.world.styles import TRAINED, available
from llavakit.train.report import read_log
from train import small

DRAWN = pytest.mark.skipif(
    not set(TRAINED) <= set(available()),
    reason="the drawing styles are not here: python -m llavakit.tiny.world.styles",
)

NAMES = {
    "words": "tiny/text",
    "pairs": "tiny/pairs",
    "captions": "tiny/captions",
    "questions": "tiny/instruct",
}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "llavakit", "train", *map(str, words)]


def environment(**changed: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"} | changed


def llava(*words: object, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=240, env=environment(**changed)
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The small recipe on drawn data, without the stage that runs in one process only."""
    text = small.RECIPE
    for ours, drawn in NAMES.items():
        text = text.replace(f'data = "{ours}"', f'data = "{drawn}"')
    head, _, align, instruct = text.split("[[stages]]")
    path = tmp_path / "small.toml"
    path.write_text("[[stages]]".join((head, align, instruct)))
    return path


def test_an_unknown_recipe_names_the_nearest_that_comes_along() -> None:
    done = llava("tny")
    assert done.returncode == 2
    assert done.stderr == "llava: unknown recipe 'tny' (did you mean 'tiny'?); or name a TOML file\n"


def test_a_recipe_that_comes_along_is_found_by_its_name() -> None:
    done = llava("llava-v1.5-7b", "--plan", "--gpu", "A100-80", "--gpus", "8")
    assert done.returncode == 0, done.stderr
    assert "8 x A100-80" in done.stdout
    assert "language_model" in done.stdout


def test_a_missing_file_of_a_recipe_is_named() -> None:
    done = llava("mine.toml")
    assert done.returncode == 2
    assert "recipe mine.toml: No such file" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "seed"), "--set seed: write it as path=value"),
        (("--set", "stages.0.trainible=1"), "did you mean 'trainable'"),
        (("--plan", "--gpu", "H10"), "unknown GPU 'H10'"),
        (("--wandb", "project"), "--wandb needs wandb"),
        (("--gpus", "8"), "are for --plan; a run on several GPUs is started by torchrun"),
        (("--num-workers", "8"), "--num-workers and --ray-address are for --ray"),
        (("--device", "gpu"), "device 'gpu' cannot be used here"),
        (("--set", "stages.1.template=vicuna_v2"), "unknown template 'vicuna_v2'"),
        pytest.param(
            ("--set", "stages.1.data=data/none.json"),
            "stage instruct, which comes later: there is no data/none",
            marks=DRAWN,
        ),
    ],
)
def test_a_mistake_is_said_in_one_sentence_before_anything_is_trained(
    recipe: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "wandb.py").write_text("raise ImportError")  # wherever the tests run
    out = tmp_path / "out"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = llava(recipe, "--out", out, *words, PYTHONPATH=path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "model").exists()
    assert not (out / "log.jsonl").exists()


@DRAWN
def test_a_run_that_is_stopped_says_so_and_goes_on_when_it_is_started_again(
    recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (recipe, "--out", out, "--set", "stages.0.steps=40", "--save-every", 1000, "--workers", 0)
    said = stopped(out, *words)
    assert said.splitlines()[-1].startswith("llava: stopped by SIGTERM after step ")
    done = llava(*words)
    assert done.returncode == 0, done.stderr
    assert "resumes after step " in done.stderr
    assert (
        done.stderr.splitlines()[-1] == f"the model is in {out / 'model'}: llava chat --model {out / 'model'}"
    )
    assert (out / "loss.png").exists()
    steps = {stage: len(lines) for stage, lines in read_log(out / "log.jsonl").items()}
    assert steps == {"align": 40, "instruct": 6}


def stopped(out: Path, *words: object, **changed: str) -> str:
    """What a run says that gets SIGTERM after its third step."""
    process = subprocess.Popen(command(*words), env=environment(**changed), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "log.jsonl").exists() and (out / "log.jsonl").read_text().count("\n") >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "Traceback" not in said
    assert not (out / "model").exists()
    return said


@pytest.mark.slow
@DRAWN
def test_a_run_that_was_stopped_on_ray_goes_on_without_it(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    words = (recipe, "--out", out, "--set", "stages.0.steps=200", "--save-every", 2, "--workers", 0)
    said = stopped(out, *words, "--ray", "--num-workers", 2, "--device", "cpu", RAY_ADDRESS="local")
    assert "stage align (1 of 2): 1,000,000 examples, 200 steps of 4, 2 processes" in said
    assert said.splitlines()[-1] == "llava: stopped by SIGTERM: run again to go on from the last checkpoint"
    done = llava(*words)
    assert done.returncode == 0, done.stderr
    assert "resumes after step " in done.stderr


@pytest.mark.slow
@DRAWN
def test_of_several_processes_one_speaks(recipe: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
    words = ["llavakit", "train", str(recipe), "--out", str(tmp_path / "out"), "--workers", "0"]
    done = subprocess.run(
        torchrun + words, capture_output=True, text=True, timeout=240, env=environment(), check=True
    )
    assert done.stderr.count("stage align (1 of 2)") == 1
    assert "2 processes" in done.stderr
    assert done.stderr.count("the model is in") == 1
