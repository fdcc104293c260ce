"""An application that enqueues in its own transaction, and is killed on the way: the job is there if its data is."""

import signal
from pathlib import Path

import pytest

from jobs.core.lifecycle.status import JobStatus
from jobs.testing import MemoryScheduler
from tests.support import handle_alarm
from tests.warm import warm_run

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("enqueue_and_die.py")


def enqueue_and_die(database_url: str, when: str) -> None:
    done = warm_run([str(SCRIPT), database_url, when])
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


@pytest.mark.parametrize("when", ["amid the transaction", "as it commits"])
def test_an_application_that_dies_before_its_commit_leaves_no_job_and_no_alarm(
    make_runtime, scheduler, database_url, notes, sql, when
):
    enqueue_and_die(database_url, when)
    runtime = make_runtime()
    runtime.reconciler.run()
    assert (notes(), sql("select id from jobs.jobs"), scheduler.alarms) == ([], [], {})


def test_a_job_whose_application_dies_between_its_commit_and_the_alarm_still_runs(
    make_runtime, scheduler, database_url, notes, sql
):
    enqueue_and_die(database_url, "before arming")
    assert notes() == ["before arming"]
    [(job_id, armed_at)] = sql("select id, armed_at from jobs.jobs")
    assert armed_at is None
    runtime = make_runtime()
    assert runtime.reconciler.run().armed == 1
    [alarm] = scheduler.alarms
    assert alarm.job_id == job_id
    handle_alarm(runtime, alarm)
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
