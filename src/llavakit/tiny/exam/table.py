"""The rows that `llava eval tiny --json` writes, as text. As the Markdown table of model cards and documents:
`python -m llavakit.tiny.exam.table scores.json`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = ("", "score", "95 %", "chance", "blind", "n", "bar")


def cells(row: Mapping[str, Any]) -> list[str]:
    """One for each of `COLUMNS`; shares in per cent."""
    bar = "" if row["bar"] is None else f"{'≤' if row['at_most'] else '≥'} {100 * row['bar']:.0f}"
    return [
        row["name"],
        _percent(row["value"]),
        f"{_percent(row['low'])}–{_percent(row['high'])}",
        _percent(row["chance"]),
        _percent(row["blind"]),
        str(row["n"]),
        bar,
    ]


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A bar that is missed has a cross."""
    marks = {True: " ✓", False: " ✗", None: ""}
    lines = [" | ".join(cells(row)) + marks[row["met"]] for row in rows]
    return "\n".join(
        f"| {line} |" for line in (" | ".join(COLUMNS), " | ".join(["---"] * len(COLUMNS)), *lines)
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(markdown(told["scores"]) + "\n")
