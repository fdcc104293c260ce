"""Alarms of no use any more are withdrawn: where callbacks are refused, Dapr would ring them for ever."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from jobs.core.commands import UpdateJob
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import Limits
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import MemoryScheduler
from tests.support import Anything, handle_alarm, job, until

LATER = datetime(2100, 1, 1, tzinfo=UTC)


class CountingScheduler(MemoryScheduler):
    """Notes which alarms it was asked to withdraw."""

    def __init__(self) -> None:
        super().__init__()
        self.withdrawn: list[AlarmName] = []

    def disarm_many(self, names) -> None:
        names = list(names)
        self.withdrawn += names
        super().disarm_many(names)


@pytest.fixture
def scheduler(monkeypatch) -> CountingScheduler:
    """The scheduler of every runtime that is made after this one."""
    scheduler = CountingScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


def do_nothing(args: Anything) -> None:
    """Handle ``Import``."""


@pytest.fixture
def limited(registry) -> None:
    """A handler of which one may run at once."""
    registry.add_handler("Import", do_nothing, limits=Limits(concurrency=1))


def enqueue(runtime, count: int, handler_name: str = "Import", **fields) -> list:
    return [runtime.service.enqueue(job(f"{handler_name} {n}", handler_name, **fields)).id for n in range(count)]


def completed(runtime, ids) -> bool:
    """Have slots offered to what is due, which may be a moment after it was enqueued by the app's clock; has it run?"""
    runtime.reconciler.run()
    return {runtime.service.get(each).status for each in ids} == {JobStatus.COMPLETED}


@pytest.mark.usefixtures("limited")
def test_jobs_that_ran_by_a_slot_have_their_alarms_withdrawn(make_runtime, scheduler):
    runtime = make_runtime()
    ids = enqueue(runtime, 8)
    assert len(scheduler.alarms) == 8
    until(lambda: completed(runtime, ids))
    until(lambda: scheduler.alarms == {})


@pytest.mark.usefixtures("limited")
def test_a_recurring_job_that_ran_by_a_slot_keeps_the_alarm_of_its_next_run_alone(make_runtime, scheduler):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, schedule="@hourly")
    runtime.service.run_now(one)
    until(lambda: runtime.reconciler.run() and runtime.service.get(one).run_count == 1)
    until(lambda: set(scheduler.alarms) == {AlarmName(one, runtime.service.get(one).generation)})


@pytest.mark.usefixtures("limited")
def test_an_alarm_that_rang_before_its_job_got_a_slot_costs_no_call(make_runtime, scheduler):
    runtime = make_runtime()
    ids = enqueue(runtime, 8)
    holder = runtime.pipeline.claims.throttled("Import")  # uses up the limit, so that the others are throttled
    until(lambda: scheduler.withdrawn == [AlarmName(holder.job_id, holder.generation)])
    scheduler.ring_due(LATER, partial(handle_alarm, runtime))
    runtime.pipeline.give_back([holder], "the test goes on")
    until(lambda: completed(runtime, ids))
    last = enqueue(runtime, 1, schedule="PT4H", handler_name="Noop")[0]
    runtime.alarms.withdraw_soon([AlarmName(last, 1)])  # behind all the others
    until(lambda: AlarmName(last, 1) in scheduler.withdrawn)
    assert {name.job_id for name in scheduler.withdrawn} <= {holder.job_id, last}


def test_an_alarm_that_is_set_anew_after_it_rang_is_withdrawn_again(make_runtime, scheduler):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, handler_name="Noop", schedule="PT4H")
    [alarm] = [name for name in scheduler.alarms if name.job_id == one]
    runtime.alarms.rang(alarm)
    runtime.alarms.arm(scheduler.due(LATER))
    runtime.alarms.withdraw_soon([alarm])
    until(lambda: scheduler.alarms == {})


def test_a_suspect_that_a_poll_ran_has_its_alarm_withdrawn(make_runtime, scheduler, sql):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, handler_name="Noop")
    sql("update jobs.jobs set lost_count = 2")
    until(lambda: completed(runtime, [one]))
    until(lambda: scheduler.alarms == {})


def test_the_alarm_of_a_run_whose_worker_was_lost_is_withdrawn_when_it_is_taken_back(make_runtime, scheduler):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, handler_name="Noop")
    runtime.runs.claim_due(1, worker="dead/1", lease=timedelta())
    runtime.reconciler.run()
    until(lambda: AlarmName(one, 1) not in scheduler.alarms)


def test_a_paused_job_has_no_alarm_until_it_is_resumed(make_runtime, scheduler):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, handler_name="Noop", schedule="PT4H")
    runtime.service.pause(one)
    assert scheduler.alarms == {}
    runtime.service.resume(one)
    assert {name.job_id for name in scheduler.alarms} == {one}


def test_a_change_within_a_callers_transaction_withdraws_the_old_alarms_once_it_has_committed(make_runtime, scheduler):
    runtime = make_runtime()
    moved, ended, paused = [
        runtime.service.enqueue(job(name, "Noop", schedule="PT4H")).id for name in ("moved", "ended", "paused")
    ]
    with runtime.units.begin() as unit:
        runtime.service.update(moved, UpdateJob(schedule="PT5H"), connection=unit.connection)
        runtime.service.cancel(ended, connection=unit.connection)
        runtime.service.pause(paused, connection=unit.connection)
        assert len(scheduler.alarms) == 3
        unit.commit()
    until(lambda: set(scheduler.alarms) == {AlarmName(moved, runtime.service.get(moved).generation)})


def test_a_change_that_is_rolled_back_leaves_the_alarm_as_it_is(make_runtime, scheduler):
    runtime = make_runtime()
    [one] = enqueue(runtime, 1, handler_name="Noop", schedule="PT4H")
    with runtime.units.begin() as unit:
        runtime.service.cancel(one, connection=unit.connection)
        unit.rollback()
    assert set(scheduler.alarms) == {AlarmName(one, 1)}
    assert scheduler.withdrawn == []
