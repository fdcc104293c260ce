"""What alerts go by: one line a minute that tells how late jobs are and how many attempts failed."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest

from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.ports.housekeeping import Failures
from tests.support import Anything, job

LINE = re.compile(r"measured: due=(\d+) late_seconds=(\d+) failed=(\d+) lost=(\d+) window_seconds=300")


@pytest.fixture
def measure(runtime: Runtime, caplog):
    """Reconcile, and give the line's level and its numbers: due, late_seconds, failed, lost."""

    def measure() -> tuple[str, list[int]]:
        caplog.clear()
        with caplog.at_level(logging.INFO, "jobs.measured"):
            runtime.reconciler.run()
        [record] = [record for record in caplog.records if record.name == "jobs.measured"]
        numbers = LINE.fullmatch(record.getMessage())
        assert numbers, record.getMessage()
        assert record.late_seconds == int(numbers[2]), "exporters that take a record's fields get the same numbers"
        return record.levelname, [int(number) for number in numbers.groups()]

    return measure


def enqueue(runtime: Runtime, name: str, handler_name: str = "Noop", **fields) -> object:
    return runtime.service.enqueue(job(name, handler_name, **fields)).id


def test_an_idle_service_is_measured_too_so_that_silence_means_that_nothing_ticks(measure):
    assert measure() == ("INFO", [0, 0, 0, 0])


def test_due_jobs_are_counted_and_the_latest_is_told(runtime, measure, sql):
    for number, seconds in enumerate((5, 40, 20)):
        sql("update jobs.jobs set next_run_at = now() - make_interval(secs => :s) where id = :id",
            s=seconds, id=enqueue(runtime, f"late {number}"))  # fmt: skip
    enqueue(runtime, "in an hour", schedule="PT1H")
    level, [due, late, *_] = measure()
    assert (level, due) == ("INFO", 3)
    assert 40 <= late <= 42


def test_a_job_later_than_the_grace_is_a_warning(runtime, measure, sql):
    enqueue(runtime, "late")
    sql("update jobs.jobs set next_run_at = now() - interval '2 minutes'")
    level, [due, late, *_] = measure()
    assert (level, due) == ("WARNING", 1)
    assert 120 <= late <= 122


@pytest.mark.parametrize("column", ["paused", "limited"])
def test_jobs_that_wait_because_they_are_to_are_not_late(runtime, measure, sql, column):
    enqueue(runtime, "waits")
    sql(f"update jobs.jobs set next_run_at = now() - interval '1 hour', {column} = true")
    assert measure() == ("INFO", [0, 0, 0, 0])


def test_running_and_ended_jobs_are_not_late(runtime, measure, sql):
    enqueue(runtime, "ended")
    runtime.worker.drain(60)
    enqueue(runtime, "running")
    runtime.runs.claim_due(1, worker="alive", lease=timedelta(minutes=1))
    sql("update jobs.jobs set next_run_at = now() - interval '1 hour' where next_run_at is not null")
    assert measure() == ("INFO", [0, 0, 0, 0])


def test_failures_are_those_of_the_last_five_minutes_by_handler_or_by_loss(runtime, registry, measure, sql):
    def handle(args: Anything) -> None:
        raise ValueError

    registry.add_handler("Broken", handle, retry=RetryPolicy(max_retries=0))
    enqueue(runtime, "long ago", "Broken")
    runtime.worker.drain(60)
    sql("update jobs.job_attempts set finished_at = now() - interval '6 minutes'")
    enqueue(runtime, "recent", "Broken")
    enqueue(runtime, "fine")
    runtime.worker.drain(60)
    enqueue(runtime, "lost")
    runtime.runs.claim_due(1, worker="dead", lease=timedelta())
    assert measure() == ("INFO", [0, 0, 1, 0]), "measured first: the lost run is not yet found"
    assert measure()[1][2:] == [1, 1]


def test_a_backlog_is_counted_only_so_far_and_its_latest_is_told_all_the_same(runtime, sql):
    for number in range(5):
        sql("update jobs.jobs set next_run_at = now() - make_interval(mins => :m) where id = :id",
            m=number, id=enqueue(runtime, f"late {number}"))  # fmt: skip
    wait = runtime.housekeeping.longest_wait(3)
    assert wait.due == 3
    assert wait.seconds >= 240, "the latest is four minutes late"
    again = runtime.housekeeping.longest_wait(5)
    assert again.due == 5
    assert again.seconds >= wait.seconds


def test_no_attempt_is_no_failure(runtime):
    assert runtime.housekeeping.recent_failures(timedelta(minutes=5)) == Failures(0, 0)


def test_numbers_that_cannot_be_had_are_a_failed_step_and_no_line(runtime, monkeypatch, caplog):
    def away(_window: timedelta) -> Failures:
        raise StoreUnavailable("the database cannot be reached")

    monkeypatch.setattr(runtime.housekeeping, "recent_failures", away)
    assert list(runtime.reconciler.run().failures) == ["measure"]
    assert not [record for record in caplog.records if record.name == "jobs.measured"]
