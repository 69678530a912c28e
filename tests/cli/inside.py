"""`llava` in the tests' own process: importing everything anew takes seconds."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from llavakit.cli import main


class Said(NamedTuple):
    """Its exit code, what it printed, and its complaints."""

    code: int
    out: str
    err: str


def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path) -> Said:
    monkeypatch.setattr(sys, "argv", ["llava", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    return Said(int(stopped.value.code or 0), said.out, said.err)
