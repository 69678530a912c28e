"""What goes wrong in the middle of a run is told with its remedy, and costs no work."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from llavakit.config import LlavaConfig
from llavakit.data.rows import RowError
from llavakit.errors import LlavaError, UsageError
from llavakit.train import Recipe
from llavakit.train.batches import Skip
from llavakit.train.distributed import World, join
from llavakit.train.faults import explained
from llavakit.train.loop import Step
from llavakit.train.optimiser import Group, Optimiser
from llavakit.train.readings import Readings
from llavakit.train.recipe import Hardware, LoRA, Source, Stage
from llavakit.train.run import _check_model
from llavakit.train.skipped import Skipped
from train import small


def stage(**values: Any) -> Stage:
    return Stage(
        **{"name": "s", "data": "d", "trainable": ["connector"], "steps": 9, "batch": 4, "lr": 1.0} | values
    )


def test_a_loss_that_is_no_number_stops_the_run_names_the_batch_and_saves(tmp_path: Path) -> None:
    steps: list[Step] = []
    changes = {"stages.2.lr": "1e30", "stages.2.precision": '"float32"'}
    with pytest.raises(LlavaError, match=r"stage instruct, step (\d+): the .* (nan|inf).*Lower lr") as caught:
        small.run(tmp_path, steps.append, overrides=changes, save_every=100)
    bad = json.loads((tmp_path / "bad-batch.json").read_text())
    assert bad["stage"] == "instruct" and len(bad["rows"]) == 4
    assert bad["rows"][0] in str(caught.value) and f"step {bad['step']}" in str(caught.value)
    assert steps[-1].step == bad["step"] - 1  # nothing moved in the bad step, and what was before is saved
    assert (tmp_path / "checkpoints" / f"instruct-{bad['step'] - 1:06d}").is_dir()
    again: list[Step] = []
    with pytest.raises(LlavaError, match=f"step {bad['step']}"):
        small.run(tmp_path, again.append, overrides=changes, save_every=100)
    assert again == []


def test_a_device_that_is_told_so_lets_bad_steps_pass_without_moving() -> None:
    # How a GPU keeps the weights until the host has read the loss: the flag stays up once it is.
    parameter = nn.Parameter(torch.ones(3, 2))
    optimiser = Optimiser(stage(), nn.Linear(1, 1), [Group(0.1, [parameter])])
    readings: Readings[int] = Readings(torch.device("cpu"))
    moved = []
    for number, loss in enumerate([2.0, float("nan"), 1.0]):
        parameter.grad = torch.ones(3, 2)
        before = parameter.detach().clone()
        readings.note(number, torch.tensor(loss), torch.tensor(1.0))
        optimiser.step(1.0, readings.bad)
        moved.append(not torch.equal(before, parameter))
    assert optimiser.can_hold_still and moved == [True, False, False]
    assert float(optimiser.state(parameter)["step"]) == 1
    assert [(told.noted, told.finite) for told in readings.told()] == [(0, True), (1, False), (2, True)]


@pytest.mark.parametrize(
    ("hardware", "given", "said"),
    [
        ({}, {}, r"set hardware.micro_tokens .*checkpoint_activations = true.*bfloat16.*LoRA.*several GPUs"),
        ({"micro_tokens": 4096, "checkpoint_activations": True, "frozen": "bfloat16"}, {"lora": LoRA()},
         r"lower hardware.micro_tokens \(now 4096\); set lora.quantize"),
    ],
)  # fmt: skip
def test_a_gpu_without_memory_is_told_with_the_settings_that_are_left(
    hardware: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    with (
        pytest.raises(
            LlavaError, match=rf"stage s: the GPU has no memory left \(CUDA out of memory\).*{said}"
        ),
        explained(stage(**given), Hardware(**hardware), World()),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …")


def test_other_errors_are_nobody_elses_and_pass() -> None:
    with pytest.raises(RuntimeError, match="a bug"), explained(stage(), Hardware(), World()):
        raise RuntimeError("a bug of ours")


class Broken(small.Plates):
    """Every row whose number divides by `every` cannot be used."""

    every = 110

    def __getitem__(self, index: int) -> Any:
        if index % self.every == 0:
            raise RowError("rows.json", index + 1, "", "has no answer to learn from", "order")
        return super().__getitem__(index)


def test_a_bad_row_is_left_out_counted_and_named_once(tmp_path: Path) -> None:
    steps: list[Step] = []

    def opened(sources: tuple[Source, ...]) -> Broken:
        return Broken(sources[0].path, length=450)

    changes = {"stages.2.steps": "25", "stages.2.batch": "16"}
    small.run(tmp_path, steps.append, overrides=changes, open_data=opened, save_every=100)
    last = [step for step in steps if step.stage == "instruct"]
    assert len(last) == 25 and last[-1].skipped == sum(16 - step.examples for step in last) > 2
    named = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert {row["row"] for row in named} <= {1, 111, 221, 331, 441} and len(named) == len(
        {row["row"] for row in named}
    )
    assert named[0] == {"source": "rows.json", "row": named[0]["row"], "id": "",
                        "reason": "has no answer to learn from",
                        "kind": "turns out of order, or no answer"}  # fmt: skip


def test_a_step_of_bad_rows_alone_moves_nothing_and_the_run_goes_on(tmp_path: Path) -> None:
    steps: list[Step] = []
    changes = {"stages.1.batch": "1", "stages.1.steps": "100"}

    class Few(Broken):
        every = 50

    def opened(sources: tuple[Source, ...]) -> small.Plates:
        return (Few if sources[0].path == "captions" else small.Plates)(sources[0].path, length=1000)

    small.run(tmp_path, steps.append, open_data=opened, overrides=changes, save_every=200)
    aligned = [step for step in steps if step.stage == "align"]
    assert 1 <= aligned[-1].skipped == 100 - len(aligned)
    assert steps[-1].stage == "instruct"


def test_a_stage_none_of_whose_rows_can_be_used_is_an_error(tmp_path: Path) -> None:
    class All(Broken):
        every = 1

    def opened(sources: tuple[Source, ...]) -> small.Plates:
        return (All if sources[0].path == "captions" else small.Plates)(sources[0].path, length=500)

    said = "stage align: 8 of 8 rows could not be used, 8 of them because: turns out of order, or no answer"
    with pytest.raises(LlavaError, match=said):
        small.run(tmp_path, lambda _: None, open_data=opened)


def test_more_than_one_row_in_a_hundred_stops_the_run_with_the_reason(tmp_path: Path) -> None:
    skipped = Skipped(tmp_path / "skipped.jsonl")
    skipped.add(99, [Skip("a.json", 7, "", "is blurred", "a bad picture")] * 6, write=True)
    skipped.check("s", rows=1000)  # too few to tell
    skipped.add(1, [Skip("a.json", 8, "", "is dark", "a bad picture")], write=True)
    with pytest.raises(LlavaError, match=r"7 of 100 rows .* 7 of them because: a bad picture.*data check"):
        skipped.check("s", rows=1000)
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 2
    skipped.resume(400, {"a bad picture": 4})
    skipped.check("s", rows=1000)  # one in a hundred is not more
    skipped.resume(200, {"a bad picture": 5})
    skipped.check("s", rows=1000)  # a handful
    with pytest.raises(LlavaError, match="5 of 200"):
        skipped.check("s", rows=200)  # of all there are
    skipped.resume(4, {"a bad picture": 4})
    skipped.check("s", rows=1000)
    with pytest.raises(LlavaError, match="4 of 4"):
        skipped.check("s", rows=1000, ended=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_the_run_ends_its_step_saves_and_goes_on_later(tmp_path: Path, number: int) -> None:
    log = tmp_path / "log.jsonl"
    process = small.start(tmp_path / "run", log, "RECIPE", "hardware.save_every=1000", pause=0.3)
    wait_for(process, log, 6)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    done = small.lines(log)
    said = (
        f"stopped by {signal.Signals(number).name} after step {done[-1]['step']} of stage {done[-1]['stage']}"
    )
    assert process.stderr is not None and said in process.stderr.read()
    more: list[Step] = []
    small.run(tmp_path / "run", more.append, save_every=1000)
    assert len(done) + len(more) == 14


def wait_for(process: subprocess.Popen[str], log: Path, count: int) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and len(small.lines(log)) < count:
        assert process.poll() is None
        time.sleep(0.02)


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    changes = {"stages.1.precision": '"float32"', "hardware.frozen": '"bfloat16"'}
    with pytest.raises(UsageError, match=r"stage align: .*do not go together"):
        small.run(tmp_path, lambda _: None, overrides=changes)


def test_what_a_later_stage_needs_and_is_not_there_is_said_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Step] = []
    with pytest.raises(UsageError, match="unknown template 'plane'"):
        small.run(tmp_path, steps.append, overrides={"stages.2.template": "plane"})
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"llavakit\[train\]"):
        small.run(tmp_path, steps.append, text=small.LORA)
    assert steps == []


def test_a_stage_that_reads_more_than_its_model_can_is_refused() -> None:
    whole = Recipe.parse_toml(small.MIXED, "small", {"stages.1.max_length": "256"})
    assert whole.vision and whole.language
    config = LlavaConfig(vision=whole.vision.numbers, language=whole.language.numbers, image_token_id=3)
    _check_model(whole, config)
    short = config.language.model_copy(update={"max_position_embeddings": 128})
    with pytest.raises(UsageError, match=r"stage instruct: max_length 256 is more than .* context, 128"):
        _check_model(whole, config.model_copy(update={"language": short}))


def test_a_gpu_that_is_named_becomes_the_one_that_is_meant_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Events and page-locked memory belong to the current GPU: another one's would not wait for ours.
    chosen: list[torch.device] = []
    monkeypatch.setattr("llavakit.train.distributed.usable", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    with join("cuda:1") as world:
        assert world.device == torch.device("cuda:1")
    with join("cpu"), join("cuda"):
        assert chosen == [torch.device("cuda:1")]
