"""A run as a whole: scenes in, rows out, and nothing half-written."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llavakit.data.instruct import InstructData
from llavakit.errors import LlavaError
from llavakit.synth.check import Checker
from llavakit.synth.kinds import load_kinds
from llavakit.synth.make import Tally, make, one_by_one
from llavakit.synth.offline import OfflineTeacher
from llavakit.synth.order import Order, Reader
from llavakit.synth.plan import Plan
from llavakit.synth.sources import open_source
from llavakit.synth.task import Reply, Task

CATEGORIES = ("dog", "cat", "bench", "car")


def scene(number: int) -> dict[str, Any]:
    """A dog on the left, as many cars as the number says on the right."""
    cars = [
        {"category": "car", "bbox": [0.6, 0.05 + 0.15 * i, 0.9, 0.15 + 0.15 * i]}
        for i in range(number % 5 + 1)
    ]
    return {
        "id": f"s{number}", "image": f"{number}.jpg",
        "captions": [f"A dog sits in front of {number + 2} houses.", "A dog in the street."],
        "instances": [{"category": "dog", "bbox": [0.05, 0.4, 0.3, 0.8]}, *cars],
    }  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.jsonl"
    rows = [json.dumps(scene(i)) for i in range(40)]
    path.write_text("\n".join([*rows[:5], "{broken", *rows[5:]]))
    return path


def run(source: Path, out: Path, types: str = "all", seed: int = 0) -> Tally:
    found = open_source(source)
    reader = Reader(load_kinds(), Checker(found.vocabulary()))
    order = Order(found, Plan.parse(types), reader, seed=seed)
    tally = Tally()
    rejected = out.with_name("rejected.jsonl")
    make(order.tasks(), one_by_one(OfflineTeacher(), reader.read), "offline", out, rejected, tally)
    return tally


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def test_rows_are_in_the_official_format_and_load(source: Path, tmp_path: Path) -> None:
    tally = run(source, tmp_path / "data.jsonl")
    rows = list(lines(tmp_path / "data.jsonl"))
    assert len(rows) == tally.made.total() > 120
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        sides = [turn["from"] for turn in row["conversations"]]
        assert sides == ["human", "gpt"] * (len(sides) // 2)
        assert [turn["value"].count("<image>") for turn in row["conversations"]] == [1] + [0] * (
            len(sides) - 1
        )
    data = InstructData(tmp_path / "data.jsonl")
    assert len(data) == len(rows) and not data.bad


def test_an_array_holds_the_same_rows_as_lines(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "data.jsonl")
    run(source, tmp_path / "data.json")
    assert json.loads((tmp_path / "data.json").read_text()) == list(lines(tmp_path / "data.jsonl"))


def test_the_same_seed_makes_the_same_file_and_another_does_not(source: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(source, tmp_path / f"{name}.jsonl", seed=seed)
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b != c


def test_the_picture_stands_before_the_question_or_behind_it(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "data.jsonl")
    first = [row["conversations"][0]["value"] for row in lines(tmp_path / "data.jsonl")]
    before = sum(value.startswith("<image>\n") for value in first)
    assert 0.3 < before / len(first) < 0.7
    assert all(value.endswith("\n<image>") or value.startswith("<image>\n") for value in first)


def test_every_task_is_made_rejected_or_left_open(source: Path, tmp_path: Path) -> None:
    tally = run(source, tmp_path / "data.jsonl")
    rejected = list(lines(tmp_path / "rejected.jsonl"))
    assert tally.asked.total() == tally.made.total() + len(rejected)
    assert all({"id", "kind", "reason_kind", "reason", "text", "image"} == set(row) for row in rejected)


def test_replies_that_cannot_be_used_are_put_aside_with_their_reason(source: Path, tmp_path: Path) -> None:
    class Rude:
        """A teacher that talks of captions, says nothing, or was not asked."""

        name = "rude"

        def gather(self, tasks: object) -> None: ...

        def reply(self, task: Task) -> Reply | None:
            number = int(task.scene.id[1:])
            if number == 2:
                return None
            told = f"The caption says that a dog sits in front of {number + 2} houses in the street today."
            return Reply("", "the server was down") if number == 1 else Reply(told)

    found = open_source(source)
    reader = Reader(load_kinds(), Checker(found.vocabulary()))
    order = Order(found, Plan.parse("brief"), reader, limit=3)
    tally, out, aside = Tally(), tmp_path / "data.jsonl", tmp_path / "aside.jsonl"
    make(order.tasks(), one_by_one(Rude(), reader.read), "rude", out, aside, tally)
    assert (tally.made.total(), tally.open) == (0, 1)
    leak, silent = lines(aside)
    assert (leak["reason_kind"], silent["reason_kind"]) == ("leak", "no reply")
    assert silent["reason"] == "the server was down" and leak["text"].startswith("The caption says")
    assert out.read_text() == ""


def test_what_cannot_be_written_is_told_and_what_was_there_stays(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    out.write_text("earlier\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # as a disk that is full
    try:
        with pytest.raises(LlavaError, match=r"data\.jsonl cannot be written"):
            run(source, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert out.read_text() == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "scenes.jsonl"]


def test_a_killed_run_leaves_nothing_half_written_and_is_simply_made_again(tmp_path: Path) -> None:
    source, out = tmp_path / "scenes.jsonl", tmp_path / "data.jsonl"
    source.write_text("\n".join(json.dumps(scene(i)) for i in range(20_000)))
    words = [
        sys.executable,
        "-m",
        "llavakit",
        "data",
        "make",
        str(source),
        "--out",
        str(out),
        "--types",
        "brief",
    ]
    running = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while not (begun := list(tmp_path.glob(".data.jsonl.part"))) and running.poll() is None:
        time.sleep(0.005)
    assert begun
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not out.exists()
    source.write_text("\n".join(json.dumps(scene(i)) for i in range(200)))
    subprocess.run(words, check=True, capture_output=True)
    assert len(list(lines(out))) == 200
    assert not list(tmp_path.glob(".*"))
