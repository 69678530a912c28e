"""One whole run on the smallest shapes: ours, a peer that dies, a peer that is not there."""

import json
import math
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from llavakit.bench import engine
from llavakit.bench.engine import Peer, Settings, failures, run
from llavakit.bench.job import Plan
from llavakit.bench.report import notes, table

PEERS = {
    "fragile": Peer("fragile_worker", (), "nothing to install"),
    "absent": Peer("absent_worker", ("no_such_module",), "pip install absent"),
}
PLAN = Plan(answer=8, rows=(2,), row_answer=4)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAVAKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.setattr(engine, "PEERS", PEERS)
        found = run(Settings(peers=tuple(PEERS), shapes="tiny-random", rounds=1, plan=PLAN))
    written: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return written


def test_ours_has_a_finite_positive_figure_in_every_row(result: dict[str, Any]) -> None:
    assert len(result["rows"]) == 9
    for line in result["rows"]:
        assert math.isfinite(line["medians"]["ours"])
        assert line["medians"]["ours"] > 0, line["name"]
    held = {line["name"] for line in result["rows"] if line["shares"].get("ours", 0) > 0}
    assert held == {"vision tower and connector", "prefill, 80 tokens", "decode, a token"}


def test_every_round_is_kept_as_it_was_measured(result: dict[str, Any]) -> None:
    (only,) = result["contenders"]["ours"]["rounds"]
    assert set(only) == {"vision", "prefill", "answer", "turn", "fresh", "batch2", "memory"}
    assert only["turn"]["cached"] > only["turn"]["tokens"]  # a second turn reads little …
    assert only["fresh"]["tokens"] > only["turn"]["cached"]  # … and read anew, everything
    assert result["machine"]["threads"] >= 1
    assert result["ceilings"]["read"] > 0
    assert min(result["ceilings"]["products"].values()) > 0


def test_a_worker_that_dies_is_reported_and_keeps_what_it_did(result: dict[str, Any]) -> None:
    fragile = result["contenders"]["fragile"]
    assert [why.split(";")[0] for why in fragile["failed"]] == [
        "fragile could not do 'prefill': ArithmeticError: this cannot be computed",
        "fragile could not do 'answer': no such thing",
        "fragile died with exit code 3 at 'turn'",
    ]
    assert "out of luck" in fragile["failed"][-1]
    assert failures(result) == fragile["failed"]
    load = next(line for line in result["rows"] if line["name"] == "load")
    assert load["ratios"] == {"fragile": pytest.approx(2.0 / load["medians"]["ours"])}


def test_a_peer_that_is_not_installed_is_named_with_how_to_get_it(result: dict[str, Any]) -> None:
    assert result["missing"] == {"absent": "pip install absent"}
    assert "absent is not installed: pip install absent" in notes(result)
    assert [column.header for column in table(result).columns] == [
        "", "ours", "fragile", "x fragile", "x absent",
    ]  # fmt: skip


def test_no_process_is_left(result: dict[str, Any]) -> None:
    assert not psutil.pid_exists(result["contenders"]["fragile"]["load"]["pid"])
    left = [p for p in psutil.Process().children() if "llavakit.bench" in " ".join(p.cmdline())]
    assert left == []


def test_the_plot_shows_ratios(result: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from llavakit.bench.report import plot

    plot(result, tmp_path / "ratios.svg")
    assert "<svg" in (tmp_path / "ratios.svg").read_text()
