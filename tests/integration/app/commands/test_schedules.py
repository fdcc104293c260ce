"""Schedules that fall due while nothing can run them, are paused, or are changed: lived through on a real database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.commands import UpdateJob
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.queries import JobQuery
from tests.support import Anything, handle_alarm, job, until

HALF_AN_HOUR, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)
AHEAD = 3 * DAY
SLOWLY = RetryPolicy(max_retries=3, base=timedelta(minutes=10), jitter=False)
CATCH_UP_ALL = {"policy": "catch_up", "max": 1000}
CATCH_UP_FIVE = {"policy": "catch_up", "max": 5}


class Recorder:
    """A handler that notes what its runs stood for, and does on top what a test wants."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.stood_for: list[datetime] = []
        self.attempts: list[tuple[int, int]] = []
        self.payloads: list[Any] = []
        self.then: Callable[[JobContext], None] = lambda _: None

    def __call__(self, args: Anything, ctx: JobContext) -> None:
        self.stood_for.append(ctx.scheduled_for)
        self.attempts.append((ctx.run, ctx.attempt))
        self.payloads.append(args.model_dump())
        self.then(ctx)


@pytest.fixture
def recorder(runtime: Runtime, registry: HandlerRegistry) -> Recorder:
    recorder = Recorder(runtime)

    def handle(args: Anything, ctx: JobContext) -> None:
        recorder(args, ctx)

    registry.add_handler("Record", handle, retry=SLOWLY)
    return recorder


@pytest.fixture
def advance(sql) -> Callable[[timedelta], None]:
    """Move the clock ahead, that is, every instant in the rows back by as much."""

    def advance(time: timedelta) -> None:
        sql(
            "update jobs.jobs set next_run_at = next_run_at - make_interval(secs => :s),"
            " scheduled_for = scheduled_for - make_interval(secs => :s), anchor = anchor - make_interval(secs => :s)",
            s=time.total_seconds(),
        )

    return advance


def hourly(runtime: Runtime) -> str:
    """Give an hourly cron expression that fires next in half an hour or so, so that none falls due meanwhile."""
    return f"{(runtime.clock.now() + HALF_AN_HOUR).minute} * * * *"


def run_all_that_is_due(runtime: Runtime) -> None:
    runtime.worker.drain(60)


def run_all_that_rings(runtime: Runtime, job_id: Any) -> None:
    """Ring the job's alarms, one after the other, for as long as they find something due."""
    while (after := runtime.service.get(job_id)).next_run_at and after.next_run_at <= runtime.clock.now():
        assert handle_alarm(runtime, AlarmName(job_id, after.generation)) is AlarmOutcome.RAN


# --- the clock is moved three days ahead

PROMISED = {
    "run_once": ("run_once", [1]),
    "skip": ("skip", []),
    "catch_up within its maximum": (CATCH_UP_ALL, list(range(72, 0, -1))),
    "catch_up beyond its maximum": (CATCH_UP_FIVE, [5, 4, 3, 2, 1]),
}
"""The policy, and how many hours before the next occurrence the runs stand for, in order."""


@pytest.mark.parametrize("by", ["the poll", "alarms"])
@pytest.mark.parametrize("form", ["cron", "@every"])
@pytest.mark.parametrize("promised", PROMISED)
def test_after_three_days_exactly_the_runs_of_the_policy_take_place(runtime, recorder, advance, form, promised, by):
    misfire, hours = PROMISED[promised]
    schedule = hourly(runtime) if form == "cron" else "@every 1h"
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=schedule, misfire=misfire))
    if form == "@every":
        advance(HALF_AN_HOUR)  # or the latest that is missed would be on time
    upcoming = runtime.service.get(enqueued.id).next_run_at
    advance(AHEAD)
    run_all_that_is_due(runtime) if by == "the poll" else run_all_that_rings(runtime, enqueued.id)
    assert recorder.stood_for == [upcoming - n * HOUR for n in hours]
    after = runtime.service.get(enqueued.id)
    assert (after.status, after.scheduled_for, after.next_run_at) == (JobStatus.SCHEDULED, upcoming, upcoming)
    assert after.run_count == len(hours)
    recorded = [str(attempt.outcome) for attempt in runtime.service.attempts(enqueued.id)]
    assert recorded == ["Succeeded"] * len(hours) or (promised == "skip" and recorded == ["Skipped"])


@pytest.mark.parametrize("misfire", ["run_once", "skip", CATCH_UP_ALL], ids=str)
def test_after_three_days_a_one_time_job_runs_once_whatever_its_policy(runtime, recorder, advance, misfire):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule="PT1H", misfire=misfire))
    advance(AHEAD)
    run_all_that_is_due(runtime)
    assert len(recorder.stood_for) == 1
    assert runtime.service.get(enqueued.id).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    ("misfire", "days", "status"),
    [
        ("run_once", [1], JobStatus.COMPLETED),
        (CATCH_UP_ALL, [3, 2, 1], JobStatus.COMPLETED),
        ("skip", [], JobStatus.COMPLETED),
    ],
    ids=str,
)
def test_runs_missed_before_the_schedules_end_are_made_up_for_after_it_and_then_it_is_over(
    runtime, recorder, advance, sql, misfire, days, status
):
    at = runtime.clock.now() + HALF_AN_HOUR
    schedule = f"{at.minute} {at.hour} * * *"
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=schedule, misfire=misfire, end_at=at + 30 * DAY))
    upcoming = enqueued.job.next_run_at
    advance(AHEAD)
    # The end does not move with the rows' instants, being an option of the schedule.
    ended = (upcoming - HOUR).isoformat()
    sql("update jobs.jobs set options = jsonb_set(options, '{end_at}', to_jsonb(cast(:end as text)))", end=ended)
    run_all_that_is_due(runtime)
    assert recorder.stood_for == [upcoming - n * DAY for n in days]
    after = runtime.service.get(enqueued.id)
    assert (after.status, after.next_run_at) == (status, None)


# --- pause and resume


@pytest.mark.parametrize(
    ("misfire", "hours"),
    [("run_once", [1]), ("skip", []), (CATCH_UP_ALL, [3, 2, 1]), ({"policy": "catch_up", "max": 2}, [2, 1])],
    ids=str,
)
def test_resumed_after_three_missed_occurrences_a_job_runs_what_its_policy_promises(
    runtime, recorder, advance, misfire, hours
):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime), misfire=misfire))
    upcoming = enqueued.job.next_run_at
    runtime.service.pause(enqueued.id)
    advance(3 * HOUR)
    run_all_that_is_due(runtime)
    assert recorder.stood_for == [], "a paused job runs nothing"
    runtime.service.resume(enqueued.id)
    run_all_that_is_due(runtime)
    assert recorder.stood_for == [upcoming - n * HOUR for n in hours]
    assert runtime.service.get(enqueued.id).next_run_at == upcoming


def test_a_job_paused_during_a_run_ends_that_run_and_runs_nothing_until_it_is_resumed(runtime, recorder, advance):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime)))
    upcoming = enqueued.job.next_run_at
    advance(HOUR)
    recorder.then = lambda ctx: runtime.service.pause(ctx.job_id)
    run_all_that_is_due(runtime)
    paused = runtime.service.get(enqueued.id)
    assert (paused.status, paused.paused, paused.run_count) == (JobStatus.SCHEDULED, True, 1)
    assert (recorder.stood_for, paused.next_run_at) == ([upcoming - HOUR], upcoming)
    recorder.then = lambda _: None
    advance(3 * HOUR)
    run_all_that_is_due(runtime)
    assert len(recorder.stood_for) == 1
    runtime.service.resume(enqueued.id)
    run_all_that_is_due(runtime)
    assert recorder.stood_for[1:] == [upcoming - HOUR], "of three that were missed, one"
    assert runtime.service.get(enqueued.id).next_run_at == upcoming


# --- changes during the wait for a retry


def failing(runtime: Runtime, recorder: Recorder, advance, **fields: Any) -> tuple[Any, AlarmName]:
    """Enqueue a job, fail its first attempt, and give its id and the alarm of its retry."""

    def fail(ctx: JobContext) -> None:
        raise ValueError("not yet")

    recorder.then = fail
    enqueued = runtime.service.enqueue(job("a", "Record", payload={"n": 1}, **fields))
    advance(HOUR)
    run_all_that_is_due(runtime)
    waiting = runtime.service.get(enqueued.id)
    assert (waiting.status, waiting.attempt) == (JobStatus.SCHEDULED, 1)
    assert timedelta(minutes=9) < waiting.next_run_at - runtime.clock.now() <= timedelta(minutes=10)
    recorder.then = lambda _: None
    return enqueued.id, AlarmName(enqueued.id, waiting.generation)


@pytest.mark.parametrize("before", ["PT1H", "@every 1h"])
@pytest.mark.parametrize("now", ["PT2H", "@every 2h"])
def test_a_new_schedule_during_the_wait_for_a_retry_takes_the_place_of_the_retry(
    runtime, recorder, advance, before, now
):
    job_id, alarm = failing(runtime, recorder, advance, schedule=before)
    changed = runtime.service.update(job_id, UpdateJob(schedule=now, payload={"n": 2}))
    assert (changed.attempt, changed.generation) == (0, alarm.generation + 1)
    assert changed.next_run_at == changed.anchor + 2 * HOUR
    advance(timedelta(minutes=10))
    assert handle_alarm(runtime, alarm) is AlarmOutcome.STALE, "the retry's alarm does nothing when it rings"
    run_all_that_is_due(runtime)
    assert len(recorder.attempts) == 1
    advance(2 * HOUR)
    run_all_that_is_due(runtime)
    assert recorder.attempts == [(1, 1), (1, 1)], "the run begins anew, with all its attempts"
    assert recorder.payloads == [{"n": 1}, {"n": 2}]


def test_a_new_payload_alone_during_the_wait_for_a_retry_is_for_that_retry(runtime, recorder, advance):
    job_id, alarm = failing(runtime, recorder, advance, schedule="@every 1h")
    changed = runtime.service.update(job_id, UpdateJob(payload={"n": 2}))
    assert (changed.attempt, changed.generation) == (1, alarm.generation)
    advance(timedelta(minutes=10))
    assert handle_alarm(runtime, alarm) is AlarmOutcome.RAN
    assert recorder.attempts == [(1, 1), (1, 2)]
    assert recorder.payloads == [{"n": 1}, {"n": 2}]


# --- run now, jitter, and schedules that cannot be read any more


@pytest.mark.parametrize("form", ["cron", "@every"])
def test_a_run_asked_for_now_does_not_move_the_schedule(runtime, recorder, form):
    schedule = hourly(runtime) if form == "cron" else "@every 1h"
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=schedule))
    upcoming = enqueued.job.next_run_at
    runtime.service.run_now(enqueued.id)
    run_all_that_is_due(runtime)
    after = runtime.service.get(enqueued.id)
    assert (after.run_count, after.scheduled_for, after.next_run_at) == (1, upcoming, upcoming)


def test_jitter_is_drawn_once_for_each_occurrence_and_kept(runtime, recorder, advance):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime), jitter=timedelta(minutes=20)))
    delays = []
    for _ in range(4):
        stands = runtime.service.get(enqueued.id)
        delays.append(stands.next_run_at - stands.scheduled_for)
        runtime.service.pause(enqueued.id)
        again = runtime.service.resume(enqueued.id)
        assert (again.scheduled_for, again.next_run_at) == (stands.scheduled_for, stands.next_run_at)
        advance(stands.next_run_at - runtime.clock.now() + timedelta(seconds=1))
        run_all_that_is_due(runtime)
    assert all(timedelta() <= delay <= timedelta(minutes=20) for delay in delays)
    assert len(set(delays)) == 4
    assert recorder.attempts == [(1, 1), (2, 1), (3, 1), (4, 1)]


@pytest.mark.parametrize(("column", "value"), [("schedule", "no longer known"), ("timezone", "Gone/Away")])
@pytest.mark.parametrize("attempts", [0, 1], ids=["first attempt", "retry"])
def test_a_job_whose_schedule_cannot_be_read_any_more_fails_without_running(
    runtime, recorder, advance, sql, column, value, attempts
):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime)))
    advance(timedelta(minutes=31))
    sql(f"update jobs.jobs set {column} = :value, attempt = :n, next_run_at = now()", value=value, n=attempts)
    run_all_that_is_due(runtime)
    [(status, error)] = until(
        lambda: sql("select status, last_error from jobs.jobs where id = :id and status <> 'Running'", id=enqueued.id)
    )
    assert (status, recorder.stood_for) == ("Failed", [])
    assert "the job's row cannot be used: InvalidSchedule" in error


def test_a_job_with_an_option_that_only_a_newer_release_knows_waits_for_it_and_keeps_its_run(
    runtime, recorder, advance, sql
):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime)))
    advance(timedelta(minutes=31))
    sql("""update jobs.jobs set options = '{"moon": "full"}'""")
    run_all_that_is_due(runtime)
    [(status, error, attempt, runs, waits)] = until(
        lambda: sql(
            "select status, last_error, attempt, run_count, next_run_at > now() + interval '20 seconds' "
            "from jobs.jobs where id = :id and status <> 'Running' and last_error is not null",
            id=enqueued.id,
        )
    )
    assert (status, attempt, runs, waits, recorder.stood_for) == ("Scheduled", 0, 0, True, [])
    assert "does not know the job's options: moon" in error
    assert "until a release that can is deployed" in error

    sql("update jobs.jobs set options = null")
    advance(timedelta(minutes=1))
    run_all_that_is_due(runtime)
    assert recorder.attempts == [(1, 1)]


@pytest.mark.parametrize(
    "column",
    ["retry = '{\"moon\": 1}'", 'options = \'{"misfire": {"policy": "moon"}}\'', 'options = \'{"jitter": "moon"}\''],
)
def test_a_row_with_options_that_cannot_be_read_is_listed_changed_and_deleted_as_any_other(
    runtime, recorder, sql, column
):
    jobs = [runtime.service.enqueue(job(name, "Record", schedule=hourly(runtime))).job for name in ("good", "odd")]
    sql(f"update jobs.jobs set {column.replace(':', chr(92) + ':')} where job_name = 'odd'")
    assert [each.job_name for each in runtime.service.find(JobQuery()).jobs] == ["odd", "good"]
    assert runtime.service.get(jobs[1].id).next_run_at == jobs[1].next_run_at
    assert runtime.service.pause(jobs[1].id).paused
    assert runtime.service.cancel(jobs[1].id).status is JobStatus.CANCELLED


def test_an_outcome_whose_jobs_row_was_spoiled_meanwhile_takes_no_other_along(runtime, recorder, sql):
    for name in ("spoiled", "changed"):
        runtime.service.enqueue(job(name, "Record", schedule=hourly(runtime)))
    sql("update jobs.jobs set next_run_at = now()")
    runs = sorted(runtime.pipeline.claims.due(2), key=lambda run: run.job_name, reverse=True)
    assert [run.job_name for run in runs] == ["spoiled", "changed"]
    sql("update jobs.jobs set generation = generation + 1")
    sql("""update jobs.jobs set options = '{"moon": "full"}' where job_name = 'spoiled'""")
    decide = runtime.pipeline.outcomes.decide
    succeeded = RunResult(AttemptOutcome.SUCCEEDED)
    runtime.pipeline.record([decide(run, succeeded, run.claimed_at, run.claimed_at) for run in runs])
    assert sql("select job_name, status, run_count from jobs.jobs order by job_name") == [
        ("changed", "Scheduled", 1),
        ("spoiled", "Running", 0),
    ]


def test_a_library_that_gives_no_later_run_ends_the_job_after_one(runtime, recorder, advance, monkeypatch):
    enqueued = runtime.service.enqueue(job("a", "Record", schedule=hourly(runtime)))
    advance(enqueued.job.next_run_at - runtime.clock.now() + timedelta(seconds=1))
    monkeypatch.setattr("jobs.core.schedules.cron.CronFields.next_after", lambda _, moment, *__: moment.astimezone(UTC))
    run_all_that_is_due(runtime)
    after = runtime.service.get(enqueued.id)
    assert (after.status, len(recorder.stood_for)) == (JobStatus.FAILED, 1)
    assert "no next run can be computed" in after.last_error
