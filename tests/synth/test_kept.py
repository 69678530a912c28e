"""Replies survive a kill and a full disk; a file of something else does not become one of replies."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from llavakit.errors import LlavaError, UsageError
from llavakit.synth.kept import Held, Kept, Opened, Paid, Usual

SAID = Held("A dog.", "", 100, 10, "gpt-x-0613", "stop")
FAILED = Held("", "the server answered 500")


def opened(key: str, **more: object) -> Opened:
    return replace(Opened(key, f"id-{key}", "brief", "gpt-x", 0, 80, 120, 50), **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "kept.sqlite"


def ask(kept: Kept, key: str, held: Held, **more: object) -> None:
    kept.open([opened(key, **more)])
    kept.settle((opened(key, **more), held))


def test_a_reply_is_kept_with_all_that_is_known_of_it(path: Path) -> None:
    with Kept(path) as kept:
        ask(kept, "a", SAID)
        assert (kept.get("a"), kept.get("b")) == (SAID, None)
    with Kept(path) as kept:
        assert kept.get("a") == SAID
    row = sqlite3.connect(path).execute("SELECT id, kind, text, answered_by, time FROM replies").fetchone()
    assert row[:4] == ("id-a", "brief", "A dog.", "gpt-x-0613")
    assert row[4].endswith("+00:00")


def test_reading_makes_no_file(path: Path) -> None:
    with Kept(path) as kept:
        assert kept.get("a") is None and kept.paid("gpt-x") == [] and kept.usual("gpt-x") == {}
    assert not path.parent.exists()


def test_a_failure_makes_way_for_a_reply_and_not_the_other_way_round(path: Path) -> None:
    with Kept(path) as kept:
        ask(kept, "a", FAILED)
        assert kept.get("a") == FAILED
        ask(kept, "a", SAID)
        ask(kept, "a", FAILED)
        ask(kept, "a", replace(SAID, text="A cat."))
        assert kept.get("a") == SAID


def test_what_was_paid_is_summed_up_by_model_and_way(path: Path) -> None:
    with Kept(path) as kept:
        ask(kept, "a", SAID)
        ask(kept, "b", SAID)
        ask(kept, "c", FAILED)
        ask(kept, "d", SAID, batch=True)
        ask(kept, "e", SAID, model="other")
        kept.settle((opened("a"), SAID))  # nobody waited for it: it was read before
        assert sorted(kept.paid("gpt-x"), key=lambda each: each.batch) == [
            Paid(False, 2, 0, 200, 20),
            Paid(True, 1, 0, 100, 10),
        ]
        assert kept.usual("gpt-x") == {"brief": Usual(3, 10.0, 1.25)}


def test_what_was_sent_and_never_heard_of_counts_as_paid_after_a_kill(path: Path) -> None:
    with Kept(path) as kept:
        kept.open([opened("a"), opened("b"), opened("c", batch=True)])
        kept.settle((opened("a"), SAID))
        kept.lose(opened("a"))
    with Kept(path) as kept:
        assert kept.opened("b") == opened("b")
        kept.claim()
        assert kept.paid("gpt-x") == [Paid(False, 1, 2, 100 + 2 * 120, 10 + 2 * 50)]
        assert kept.opened("b") is None
        assert kept.opened("c") == opened("c", batch=True)  # it waits for its batch
        assert kept.forget_batches() == 1
        assert kept.opened("c") is None


def test_another_run_is_told_that_one_writes_and_may_read(path: Path) -> None:
    with Kept(path) as kept, Kept(path) as other:
        ask(kept, "a", SAID)
        assert other.get("a") == SAID
        with pytest.raises(LlavaError, match=r"kept\.sqlite is being written by another run"):
            other.open([opened("b")])
        kept.close()
        ask(other, "b", SAID)


def test_it_is_read_while_it_is_written(path: Path) -> None:
    faults: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            with Kept(path) as reader:
                while not done.is_set():
                    assert reader.get("0") == SAID
                    reader.usual("gpt-x")
        except BaseException as error:
            faults.append(error)

    with Kept(path) as kept:
        ask(kept, "0", SAID)
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(1, 100):
            ask(kept, str(number), SAID)
        done.set()
        for reader in readers:
            reader.join()
    assert not faults


@pytest.mark.parametrize("data", [b'{"id": 1}\n' * 100, b"SQLite format 2\0" + bytes(200)])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"rows\.jsonl is not a file of kept replies; name one"):
        Kept(path)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE visits (url TEXT)")
    with pytest.raises(UsageError, match="is not a file of kept replies"):
        Kept(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: unable to open"):
        Kept(tmp_path)


def test_a_newer_format_is_refused(path: Path) -> None:
    with Kept(path) as kept:
        ask(kept, "a", SAID)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(UsageError, match=r"in format 2 of kept replies.*update llavakit"):
        Kept(path)


def test_an_empty_file_becomes_one_of_replies(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    path.touch()
    with Kept(path) as kept:
        assert kept.get("a") is None
        ask(kept, "a", SAID)
        assert kept.get("a") == SAID


def test_a_damaged_file_is_named(path: Path) -> None:
    with Kept(path) as kept:
        kept.settle(*((opened(str(number)), SAID) for number in range(300)))
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(LlavaError, match=r"kept\.sqlite cannot be read: .*put a copy of it in its place"):
        Kept(path).get("7")


def test_half_characters_do_not_stop_it(path: Path) -> None:
    with Kept(path) as kept:
        ask(kept, "a", replace(SAID, text="half \ud83d, whole \ud83d\ude00 漢\0字"), id="\ud83d")
        held = kept.get("a")
    assert held is not None
    assert held.text == "half �, whole 😀 漢\0字"


_FILL = """
import resource, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from synth.test_kept import SAID, opened
from llavakit.errors import LlavaError
from llavakit.synth.kept import Kept

kept = Kept(Path(sys.argv[1]))
kept.open([opened(str(number)) for number in range(100)])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(100):
    try:
        kept.settle((opened(str(number)), replace(SAID, text="A dog. " * 1000)))
    except LlavaError as error:
        sys.stdout.write(f"{number} {error}")
        break
"""


def test_a_full_disk_is_told_and_what_was_there_stays(path: Path) -> None:
    """A limit to the size of files stands for the disk: no test can fill one."""
    tests = str(Path(__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", _FILL, path, tests], capture_output=True, text=True)
    number, _, told = run.stdout.partition(" ")
    assert f"{path} cannot be written: " in told and "what it held is still there" in told
    assert int(number) > 2
    with Kept(path) as kept:
        found = [kept.get(str(each)) for each in range(100)]
        assert [each is not None for each in found] == [each < int(number) for each in range(100)]
        ask(kept, "more", SAID)


_WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from synth.test_kept import SAID, opened
from llavakit.synth.kept import Kept

kept = Kept(Path(sys.argv[1]))
for number in range(100_000):
    kept.open([opened(str(number))])
    kept.settle((opened(str(number)), SAID))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_after_a_kill_all_that_was_settled_is_there(path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    run = subprocess.Popen([sys.executable, "-c", _WRITE, path, tests], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if int(line) == 50:
            os.kill(run.pid, signal.SIGKILL)
            break
    told = [50, *map(int, run.stdout.read().split())]
    run.wait()
    with Kept(path) as kept:
        kept.claim()  # the lock fell with its owner
        assert all(kept.get(str(number)) == SAID for number in range(told[-1] + 1))
        assert kept.get(str(told[-1] + 2)) is None
        [paid] = kept.paid("gpt-x")
        assert paid.replies + paid.lost >= told[-1] + 1
