"""Late, early and due are judged by one clock, the database's, however wrong this process's own is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.lifecycle.ids import AlarmName
from tests.support import job

OFF = [timedelta(minutes=-5), timedelta(milliseconds=-300), timedelta(milliseconds=300), timedelta(minutes=5)]


class WrongClock:
    """Tells the time of another clock, off by as much as is said, and lets nobody set it right."""

    def __init__(self, clock: Any, off_by: timedelta) -> None:
        self._clock, self._off_by = clock, off_by

    def now(self) -> Any:
        return self._clock.now() + self._off_by


def set_wrong(runtime: Runtime, off_by: timedelta) -> None:
    """Put a wrong clock into all that asks one for the time, once the database has set the right one."""
    wrong = WrongClock(runtime.clock, off_by)
    runtime.clock.now()
    runtime.pipeline._clock = wrong
    runtime.pipeline._executor._backend._completions.clock = wrong


@pytest.mark.parametrize("misfire", ["skip", "run_once", {"policy": "catch_up", "max": 3}], ids=str)
@pytest.mark.parametrize("off_by", OFF, ids=str)
def test_a_clock_that_is_wrong_makes_no_run_late_and_skips_none(runtime, sql, off_by, misfire):
    set_wrong(runtime, off_by)
    enqueued = runtime.service.enqueue(job(schedule="@every P1D", misfire=misfire))
    for run in range(1, 4):
        sql("update jobs.jobs set next_run_at = now(), scheduled_for = now()")
        runtime.worker.drain(30)
        history = runtime.service.attempts(enqueued.id)
        assert [str(attempt.outcome) for attempt in history] == ["Succeeded"] * run
        assert all(attempt.scheduled_for <= attempt.started_at <= attempt.finished_at for attempt in history)


@pytest.mark.parametrize("off_by", OFF, ids=str)
def test_an_alarm_that_rings_early_is_told_by_how_much_in_the_databases_time(runtime, sql, off_by):
    set_wrong(runtime, off_by)
    enqueued = runtime.service.enqueue(job(schedule="PT1H"))
    name = AlarmName(enqueued.id, 1)
    sql("update jobs.jobs set next_run_at = now() + interval '200 seconds', armed_at = now()")
    early = runtime.pipeline.claims.explain(name)
    assert early.outcome is AlarmOutcome.NOT_DUE
    assert 100 < early.due_in_seconds <= 200
