"""SIGTERM where it arrives: runs are given back, and then it does what it would have done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PATIENCE_SECONDS, Anything, job, until

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("terminated_app.py")
ROOT = SCRIPT.parents[2]


@pytest.fixture
def runtime(make_runtime, registry):
    def handle(args: Anything) -> None:
        pass

    registry.add_handler("Work", handle)
    return make_runtime()


@pytest.fixture
def start(database_url, tmp_path):
    started: list[subprocess.Popen] = []

    def start(way: str) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), database_url, str(tmp_path), way],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def given_back(runtime, job_id) -> bool:
    return [str(each.outcome) for each in runtime.service.attempts(job_id)] == ["Released"]


@pytest.mark.parametrize(("way", "status"), [("default", -signal.SIGTERM), ("exits", 3)])
def test_a_process_that_is_told_to_end_gives_its_runs_back_and_ends_as_it_would_have(
    runtime, start, tmp_path, way, status
):
    job_id = runtime.service.enqueue(job("long", "Work")).id
    process = start(way)
    until(lambda: list(tmp_path.glob("*.began")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == status
    assert given_back(runtime, job_id)
    after = runtime.service.get(job_id)
    assert (after.status, after.attempt, after.lost_count) == ("Scheduled", 0, 0)
    assert runtime.worker.drain(60).executed == 1
    assert (tmp_path / "called").exists() is (way == "exits")


def test_a_handler_of_the_hosts_that_goes_on_is_called_and_the_runs_are_given_back_all_the_same(
    runtime, start, tmp_path
):
    job_id = runtime.service.enqueue(job("long", "Work")).id
    process = start("notes")
    until(lambda: list(tmp_path.glob("*.began")))
    process.send_signal(signal.SIGTERM)
    until(lambda: given_back(runtime, job_id))
    assert (tmp_path / "called").read_text() == str(int(signal.SIGTERM))
    assert process.poll() is None
