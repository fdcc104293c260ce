"""A database's clock that was ahead for a while stops no job once it is set back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs import RetryPolicy, handler
from jobs.app.upkeep.clock_setback import ClockSetback
from jobs.core.lifecycle.handler_outcomes import Snooze
from jobs.core.lifecycle.ids import AlarmName
from jobs.testing import JobsHarness, MemoryScheduler
from tests.support import Anything, job

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AHEAD = 5 * HOUR


class Outcome:
    """What the handler's next attempts come to."""

    raises: Exception | None = None
    meanwhile: Callable[[], object] | None = None


@handler("Record", retry=RetryPolicy(max_retries=3, base=10 * MINUTE, jitter=False))
def record(args: Anything) -> None:
    if Outcome.meanwhile is not None:
        Outcome.meanwhile()
        Outcome.meanwhile = None
    if Outcome.raises is not None:
        raise Outcome.raises


@pytest.fixture
def harness() -> Iterator[JobsHarness]:
    Outcome.raises = Outcome.meanwhile = None
    with JobsHarness([record], at=NOON) as harness:
        yield harness


def put_ahead(harness: JobsHarness) -> None:
    """Let the clock be ahead from now on; what is then due runs."""
    harness.clock.advance(AHEAD)
    harness.drain()


def live_on(harness: JobsHarness, span: timedelta) -> list[datetime]:
    """Set the clock back, and let time pass with a reconciliation each minute; give when attempts began meanwhile."""
    harness.clock.advance(-AHEAD)
    before, end = attempts(harness), harness.clock.now() + span
    while harness.clock.now() < end:
        harness.runtime.reconciler.run()
        harness.advance(MINUTE)
    return sorted(attempts(harness) - before)


def attempts(harness: JobsHarness) -> set[datetime]:
    return {line.started_at for each in harness.jobs for line in harness.runtime.service.attempts(each.id)}


@pytest.mark.parametrize("schedule", ["@hourly", "@every 1h", "*/20 * * * *"])
def test_a_recurring_job_goes_on_by_the_clock_as_it_is_and_not_hours_later(harness, schedule):
    harness.enqueue("Record", schedule=schedule, job_name="a")
    put_ahead(harness)
    every = timedelta(minutes=20 if schedule.startswith("*/20") else 60)
    assert live_on(harness, 3 * HOUR) == [NOON + n * every for n in range(1, 3 * HOUR // every + 1)]


@pytest.mark.parametrize("schedule", ["@hourly", "@every 1h", "@once", "PT30M"])
def test_a_job_that_was_enqueued_while_the_clock_was_ahead_does_not_wait_for_that_time(harness, schedule):
    put_ahead(harness)
    harness.enqueue("Record", schedule=schedule, job_name="a")
    wait = {"@once": timedelta(), "PT30M": 30 * MINUTE}.get(schedule, HOUR)
    assert live_on(harness, HOUR + MINUTE)[0] == NOON + wait


def test_a_retry_and_a_snooze_that_began_while_the_clock_was_ahead_last_as_long_as_they_were_to_last(harness):
    for name, raises in (("retried", ValueError("not yet")), ("snoozed", Snooze(25 * MINUTE))):
        Outcome.raises = raises
        harness.enqueue("Record", job_name=name)
        harness.clock.advance(AHEAD)
        harness.drain()
        harness.clock.advance(-AHEAD)
    Outcome.raises = None
    harness.clock.advance(AHEAD)
    live_on(harness, 30 * MINUTE)
    told = {each.job_name: (each.status, each.last_run_at - NOON) for each in harness.jobs}
    assert told == {"retried": ("Completed", 10 * MINUTE), "snoozed": ("Completed", 25 * MINUTE)}


def test_what_waits_by_right_is_left_as_it_is(harness):
    harness.enqueue("Record", schedule="@hourly", jitter=6 * HOUR, job_name="jittered")
    Outcome.raises = Snooze(8 * HOUR)
    harness.enqueue("Record", job_name="snoozed")
    harness.drain()
    Outcome.raises = ValueError("not yet")
    harness.enqueue("Record", schedule="@monthly", job_name="retried")
    harness.runtime.service.run_now(harness.job("retried").id)
    harness.drain()
    harness.enqueue("Record", schedule="P30D", job_name="delayed")
    paused = harness.enqueue("Record", schedule="@hourly", job_name="paused")
    harness.runtime.service.pause(paused.id)
    harness.clock.advance(MINUTE)
    before = [harness.job(each.id) for each in harness.jobs]
    for _ in range(3):
        assert harness.runtime.reconciler.run().set_back == 0
        harness.clock.advance(-MINUTE / 4)
    assert [harness.job(each.id) for each in harness.jobs] == before


def test_a_job_whose_worker_died_while_the_clock_was_ahead_is_taken_back_soon(harness):
    harness.clock.advance(AHEAD)
    harness.enqueue("Record", job_name="a")
    assert len(harness.runtime.pipeline.claims.due(1)) == 1
    harness.clock.advance(-AHEAD)
    harness.runtime.reconciler.run()
    harness.clock.advance(2 * MINUTE)
    harness.runtime.reconciler.run()
    assert harness.job("a").status == "Scheduled"


def test_all_waiting_jobs_are_looked_through_only_after_the_clock_was_set_back(harness, monkeypatch):
    asked: list[Any] = []
    step: ClockSetback = harness.runtime.reconciler._setback
    step.page = 4
    waiting = step._setbacks.waiting
    monkeypatch.setattr(step._setbacks, "waiting", lambda limit, after: asked.append(after) or waiting(limit, after))
    for n in range(10):
        harness.enqueue("Record", schedule="@hourly", job_name=f"job {n}")
    pages = []
    for _ in range(4):
        asked.clear()
        harness.runtime.reconciler.run()
        pages.append((len(asked), asked[0] and asked[0].id))
    assert [count for count, _ in pages] == [1, 1, 1, 1], "one page a time, and on from there"
    assert [place is None for _, place in pages] == [True, False, False, True]
    put_ahead(harness)
    harness.clock.advance(-AHEAD)
    asked.clear()
    assert (harness.runtime.reconciler.run().set_back, len(asked)) == (10, 3)
    assert harness.runtime.reconciler.run().set_back == 0


def test_where_the_time_is_over_it_goes_on_from_there_with_the_next_reconciliation(harness):
    step: ClockSetback = harness.runtime.reconciler._setback
    step.page = 4
    for n in range(10):
        harness.enqueue("Record", schedule="@hourly", job_name=f"job {n}")
    put_ahead(harness)
    harness.clock.advance(-AHEAD)
    assert [step.run(until=0.0) for _ in range(4)] == [4, 4, 2, 0]


@pytest.mark.parametrize("schedule", ["@hourly", "@every 1h"])
def test_a_run_that_ends_after_the_clock_was_set_back_is_followed_by_the_schedules_own_next(harness, schedule):
    harness.enqueue("Record", schedule=schedule, job_name="a")
    harness.clock.advance(AHEAD)
    Outcome.meanwhile = lambda: harness.clock.advance(-AHEAD)
    harness.drain()
    harness.clock.move_to(NOON)
    harness.runtime.reconciler.run()
    after = harness.job("a")
    assert (after.run_count, after.next_run_at) == (1, NOON + HOUR)


# --- on the real database


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> MemoryScheduler:
    """The scheduler of every runtime that is made after this one."""
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


@pytest.fixture
def was_ahead(sql) -> Any:
    """Leave the rows as they are once the database's clock, having been ahead, was set back."""

    def was_ahead(by: timedelta = AHEAD) -> None:
        columns = ("next_run_at", "scheduled_for", "anchor", "created_at", "updated_at", "lease_expires_at")
        shifts = ", ".join(f"{name} = {name} + make_interval(secs => :s)" for name in columns)
        sql(f"update jobs.jobs set {shifts}", s=by.total_seconds())

    return was_ahead


def test_on_postgres_too_and_the_alarms_are_set_anew(make_runtime, scheduler, was_ahead, sql):
    runtime = make_runtime()
    first = runtime.service.enqueue(job("hourly", schedule="@hourly")).job
    second = runtime.service.enqueue(job("every", schedule="@every 10m", jitter="PT1S")).job
    third = runtime.service.enqueue(job("once", schedule="PT20M")).job
    was_ahead()
    report = runtime.reconciler.run()
    assert (report.set_back, report.failures) == (3, {})
    now = runtime.clock.now()
    found = {each.job_name: each for each in map(runtime.service.get, (first.id, second.id, third.id))}
    assert {each.generation for each in found.values()} == {2}
    assert found["hourly"].next_run_at - now <= HOUR + 2 * MINUTE
    assert found["every"].next_run_at - now <= 12 * MINUTE
    assert found["every"].anchor <= now
    assert found["once"].next_run_at - now <= 21 * MINUTE
    for each in found.values():
        assert scheduler.alarms[AlarmName(each.id, 2)] == each.next_run_at
    assert runtime.reconciler.run().set_back == 0
    sql("update jobs.jobs set updated_at = now()")
    assert runtime.reconciler.run().set_back == 0


def test_many_reconcilers_at_once_set_each_job_back_once(make_runtime, was_ahead, sql):
    runtimes = [make_runtime() for _ in range(3)]
    runtimes[0].service.enqueue_many([job(f"job {n}", schedule="@hourly") for n in range(600)])
    was_ahead()
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda runtime: runtime.reconciler.run(), runtimes))
    assert sum(report.set_back for report in reports) == 600
    assert sql("select distinct generation from jobs.jobs") == [(2,)]
