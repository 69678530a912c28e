"""A run tells what it is, keeps what happened, and leaves a picture of it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llavakit.errors import UsageError
from llavakit.train import Recipe, train
from llavakit.train.features import Encoding
from llavakit.train.loop import Hook, Step
from llavakit.train.monitor import Monitor
from llavakit.train.report import read_log
from train import small


def run(out: Path, say: Callable[[str], None], *hooks: Hook) -> None:
    recipe = Recipe.parse_toml(small.RECIPE, "small", {"hardware.save_every": "2"})
    with Monitor(recipe, out, say) as monitor:
        train(recipe, out, small.opened, small.words, hooks=[monitor, *hooks], on_stage=monitor.begin)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that is killed, so to speak, in its last stage, and then resumed; and what both said."""
    out = tmp_path_factory.mktemp("run")
    said: list[str] = []

    def stop(step: Step) -> None:
        if (step.stage, step.step) == ("instruct", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, said.append, stop)
    said.append("again")
    run(out, said.append)
    return out, said


def test_a_stage_opens_with_its_data_and_what_learns_by_organ(watched: tuple[Path, list[str]]) -> None:
    _, said = watched
    begin = said.index("stage align (2 of 3): 64 examples, 4 steps of 4")
    title, tower, text, connector, language, whole = [line.split() for line in said[begin + 1 : begin + 7]]
    assert title == ["parameters", "trainable", "frozen"]
    assert (tower[:2], tower[3], text[:2], language[:2]) == (
        ["vision", "tower"], "0", ["text", "tower"], ["language", "model"],
    )  # fmt: skip
    assert connector[1] == connector[2] == whole[3]
    assert whole[:2] == ["in", "all"]


def test_a_resumed_run_says_where_it_goes_on(watched: tuple[Path, list[str]]) -> None:
    _, said = watched
    again = said[said.index("again") + 1 :]
    assert again[0] == "stage instruct (3 of 3): 64 examples, 6 steps of 4; resumes after step 2"


def test_every_step_is_in_the_log_once(watched: tuple[Path, list[str]]) -> None:
    out, _ = watched
    steps = {stage: [line["step"] for line in lines] for stage, lines in read_log(out / "log.jsonl").items()}
    assert steps == {"clip": [1, 2, 3, 4], "align": [1, 2, 3, 4], "instruct": [1, 2, 3, 4, 5, 6]}
    assert len((out / "log.jsonl").read_text().splitlines()) == 15  # step 3 of the last was run twice


def test_the_log_knows_rates_and_utilisation(watched: tuple[Path, list[str]]) -> None:
    out, _ = watched
    for line in read_log(out / "log.jsonl")["instruct"]:
        assert 0 < line["mfu"] < 1
        assert 0 < line["supervised_share"] < 1
        assert line["tokens_per_second"] > 0
        assert line["stage_left"] >= 0


def test_a_plot_and_tensorboards_files_are_left(watched: tuple[Path, list[str]]) -> None:
    out, said = watched
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert said[-1] == f"the loss is drawn in {out / 'loss.png'}"
    assert {folder.name for folder in (out / "tensorboard").iterdir()} == {"clip", "align", "instruct"}


def test_without_matplotlib_a_finished_run_says_how_to_get_the_plot(
    watched: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    run(watched[0], said.append)
    assert "pip install 'llavakit[train]'" in said[-1]


def test_a_run_that_fails_before_its_first_step_leaves_no_plot(tmp_path: Path) -> None:
    recipe = Recipe.parse_toml(small.RECIPE, "small", {"stages.0.data": "'nothing'"})

    def missing(_: object) -> small.Plates:
        raise UsageError("there is no such data")

    with pytest.raises(UsageError, match="no such data"), Monitor(recipe, tmp_path, print) as monitor:
        train(recipe, tmp_path, missing, small.words, hooks=[monitor], on_stage=monitor.begin)
    assert not (tmp_path / "loss.png").exists()


def test_pictures_that_are_encoded_beforehand_are_told_of(tmp_path: Path) -> None:
    said: list[str] = []
    monitor = Monitor(Recipe.parse_toml(small.RECIPE, "small"), tmp_path, said.append)
    for done in (0, 32, 64, 1500):
        monitor.encoding(Encoding(done, 1500, 2_000_000_000, tmp_path))
    assert said == [
        f"encoding 1,500 pictures, 2.0 GB in {tmp_path}",
        "encoded 32 of 1,500 pictures",
        "encoded 1,500 of 1,500 pictures",
    ]
