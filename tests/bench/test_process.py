"""Workers answer, fail, die and end as they should."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from llavakit.bench.job import Job, Plan
from llavakit.bench.process import DeadWorkerError, Worker, WorkerError
from llavakit.errors import UsageError

JOB = Job("nowhere", 1, 56, 16, 2048, 7, Plan(rows=(2,)))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with Worker("fragile", "fragile_worker") as worker:
        yield worker


def test_a_job_travels_as_json() -> None:
    assert Job.parse(JOB.as_json()) == JOB


def test_noise_is_the_same_for_all_and_holds_no_picture_among_the_words() -> None:
    assert (JOB.picture(3) == JOB.picture(3)).all()
    assert JOB.words(500, 1) == JOB.words(500, 1) != JOB.words(500, 2)
    assert JOB.image_token_id not in Job("", 1, 8, 1, 9, 7).words(500, 0)


def test_what_a_library_prints_is_no_answer(worker: Worker) -> None:
    assert worker.ask("load", job=JOB.as_json()) == {"seconds": 2.0, "pid": worker.pid}
    assert worker.ask("vision", seed=1) == {"seconds": 3.0}
    assert worker.ask("memory")["peak"] > 2**20


def test_a_failure_is_told_and_the_worker_goes_on(worker: Worker) -> None:
    with pytest.raises(WorkerError, match="ArithmeticError: this cannot be computed"):
        worker.ask("prefill", seed=1)
    with pytest.raises(UsageError, match="no such thing"):
        worker.ask("answer", seed=1)
    assert worker.ask("vision", seed=1) == {"seconds": 3.0}


def test_a_dead_worker_is_reported_with_its_last_words(worker: Worker) -> None:
    with pytest.raises(
        DeadWorkerError, match=r"fragile died with exit code 3 at 'turn'; .*the first line / out of luck"
    ):
        worker.ask("turn", seed=1)
    with pytest.raises(DeadWorkerError, match="at 'vision'"):
        worker.ask("vision", seed=1)


def test_a_signal_has_a_name(worker: Worker) -> None:
    with pytest.raises(DeadWorkerError, match="fragile died of SIGABRT at 'fresh'"):
        worker.ask("fresh", seed=1)


def test_closing_ends_the_process(worker: Worker) -> None:
    worker.ask("memory")
    worker.close()
    assert not psutil.pid_exists(worker.pid)
    worker.close()
