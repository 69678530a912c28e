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
    code = 0
    try:
        main()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    said = capsys.readouterr()
    return Said(code, said.out, said.err)
