"""The example that goes all the way round: captions and boxes, a teacher, training, an examination."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "data_loop.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_teacher_wrote_makes_an_untrained_connector_see(tmp_path: Path) -> None:
    """Fifteen points are beyond chance: of 60 questions, an untrained connector's presence F1 was 19 %, and
    training at this size brought 35 %."""
    words = ["--out", tmp_path, "--scenes", 150, "--steps", 120, "--questions", 60]
    done = subprocess.run(
        [sys.executable, EXAMPLE, *map(str, words)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rise = re.search(r"^presence \(F1\) +([\d.]+) % -> +([\d.]+) %$", done.stdout, re.MULTILINE)
    assert rise, done.stdout[-2000:]
    before, after = map(float, rise.groups())
    assert after > before + 15
    kept, aside = (
        (tmp_path / name).read_text().splitlines() for name in ("data.jsonl", "data.rejected.jsonl")
    )
    assert len(kept) + len(aside) == 3 * 150
    assert len(kept) > 0.9 * 3 * 150
