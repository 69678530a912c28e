"""`llava bench` as a user meets it."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from llavakit.cli import main


def llava(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code."""
    monkeypatch.setattr(sys, "argv", ["llava", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_help_lists_what_can_be_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert llava(monkeypatch, "bench", "--help") == 0
    assert "engine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peers", "transformer"], "did you mean 'transformers'"),
        (["--shapes", "8b"], "no shapes '8b'"),
        (["--backend", "torhc"], "did you mean 'torch'"),
        (["--layers", "0"], "--layers"),
        (["--rounds", "0"], "--rounds"),
        (["--model", "tiny", "--layers", "2"], "leave it out with --model"),
        (["--model", "no-such-model"], "no model 'no-such-model'"),
        (["--json", "no/such/folder/x.json"], "there is no folder no/such/folder"),
    ],
)
def test_wrong_words_exit_with_2(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert llava(monkeypatch, "bench", "engine", *words) == 2
    assert message in capsys.readouterr().err


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert llava(monkeypatch, "bench", "engine", "--plot", "x.svg") == 2
    assert "pip install 'llavakit[bench]'" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_plot_of_no_known_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert llava(monkeypatch, "bench", "engine", "--plot", "x.txt") == 2
    assert "svg" in capsys.readouterr().err


def test_what_ours_is_asked_for_and_has_not_is_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path))
    words = ["bench", "engine", "--shapes", "tiny-random", "--peers", "none", "--quantize", "int3"]
    assert llava(monkeypatch, *words) == 2
    assert "unknown quantisation 'int3'" in capsys.readouterr().err


def test_ctrl_c_ends_the_workers(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "llavakit", "bench", "engine", "--shapes", "tiny-random", "--peers", "none"],
        env=os.environ | {"LLAVAKIT_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers: list[psutil.Process] = []
    while process.poll() is None and not workers:
        workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (out, "workers are ended" in err) == ("", True)
    assert workers
    # One that was only starting ends when it finds its input closed.
    assert not psutil.wait_procs(workers, timeout=60)[1]
