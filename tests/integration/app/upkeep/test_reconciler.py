"""What went wrong is put right: lost runs, missing alarms, silent schedulers and old rows."""

import itertools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from jobs.app.runtime import Runtime
from jobs.app.upkeep.reconciler import Report
from jobs.core.errors import SchedulerUnavailable, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.housekeeping import HistoryLimit
from jobs.core.ports.scheduler import Backlog
from jobs.testing import MemoryScheduler
from tests.support import Anything, handle_alarm, job, until

HOUR = timedelta(hours=1)
LONG_AGO = timedelta(days=31)
_numbers = itertools.count()


@pytest.fixture
def let_pass(sql) -> Callable[[timedelta], None]:
    """Let time pass for every row, by putting all that it holds back; a second more, for clocks told by round trips."""

    def let_pass(time: timedelta) -> None:
        moments = {
            "jobs": "next_run_at scheduled_for anchor lease_expires_at started_at handled_at created_at updated_at",
            "job_attempts": "started_at finished_at",
            "idempotency_keys": "created_at",
        }
        for table, columns in moments.items():
            sets = ", ".join(f"{column} = {column} - make_interval(secs => :s)" for column in columns.split())
            # In the order of their ids, as the framework locks rows: its threads may be noting alarms as set meanwhile.
            held = "with held as materialized (select id from jobs.jobs order by id for update) " * (table == "jobs")
            rows = "where id in (select id from held)" * (table == "jobs")
            sql(f"{held}update jobs.{table} set {sets} {rows}", s=time.total_seconds() + 1)

    return let_pass


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    """The scheduler of every runtime that is made after this one."""
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


def outcomes(runtime: Runtime, job_id) -> list[str]:
    """The outcomes in a job's history, oldest first."""
    return [str(attempt.outcome) for attempt in reversed(runtime.service.attempts(job_id))]


def enqueue(runtime: Runtime, times: int, handler_name: str = "Noop", **fields) -> list:
    numbers = (next(_numbers) for _ in range(times))
    commands = [job(f"{handler_name} {number}", handler_name, **fields) for number in numbers]
    return [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]


def lose(runtime: Runtime, times: int = 1) -> list:
    """Claim due jobs for a worker that dies at once, suspects too, and give their ids."""
    runs = runtime.runs.claim_due(times, worker="dead/1", lease=timedelta())
    for name in runtime.pipeline.claims.due_suspects(times - len(runs)):
        runs.append(runtime.runs.claim(name, worker="dead/1", lease=timedelta(), alone=True))
    assert len(runs) == times
    return [run.job_id for run in runs]


def limit(runtime: Runtime, **limits: Any) -> None:
    runtime.reconciler._limits = replace(runtime.reconciler._limits, **limits)
    runtime.reconciler._pruning._limits = runtime.reconciler._limits
    runtime.reconciler._reaper.page = runtime.reconciler._limits.page


def come_back_unnoticed(scheduler: MemoryScheduler) -> None:
    """Let the scheduler take alarms again, as one does that was away for other instances only."""
    scheduler.on_return = lambda: None
    scheduler.available = True


def ring(runtime: Runtime, scheduler: MemoryScheduler) -> list[AlarmName]:
    """Let the scheduler ring all that is due, as it would by itself."""
    return scheduler.ring_due(runtime.clock.now() + timedelta(seconds=1), partial(handle_alarm, runtime))


def acknowledged(sql: Any) -> None:
    """Wait until every alarm is noted as set: meanwhile these rows are locked, and a claim passes over them."""
    until(lambda: sql("select 1 from jobs.jobs where armed_at is null and status = 'Scheduled'") == [])


# --- lost runs


def test_a_lost_run_is_taken_back_and_runs_again_without_counting_the_attempt(runtime):
    [job_id] = enqueue(runtime, 1, max_retries=0)
    lose(runtime)
    assert runtime.reconciler.run() == Report(reaped=1)
    after = runtime.service.get(job_id)
    assert (after.status, after.attempt, after.run_count) == (JobStatus.SCHEDULED, 0, 0)
    assert after.next_run_at <= runtime.clock.now() + timedelta(seconds=0.1), "it is due again at once"
    [lost] = runtime.service.attempts(job_id)
    assert (lost.outcome, lost.run, lost.attempt, lost.worker) == ("Lost", 1, 1, "dead/1")
    assert "dead/1" in lost.error
    assert after.last_error == lost.error
    assert runtime.reconciler.run() == Report()
    assert runtime.worker.drain(60).executed == 1
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
    assert outcomes(runtime, job_id) == ["Lost", "Succeeded"]


def test_a_lost_retry_is_still_that_retry(runtime, registry, sql):
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError

    registry.add_handler("Work", handle)
    [job_id] = enqueue(runtime, 1, "Work", max_retries=1)
    runtime.worker.drain(60)
    sql("update jobs.jobs set next_run_at = now()")
    lose(runtime)
    runtime.reconciler.run()
    runtime.worker.drain(60)
    assert seen == [1, 2]
    assert outcomes(runtime, job_id) == ["Failed", "Lost", "Succeeded"]


def test_reaping_goes_on_past_a_full_page(runtime):
    limit(runtime, page=10)
    ids = enqueue(runtime, 25)
    lose(runtime, 25)
    assert runtime.reconciler.run().reaped == 25
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.SCHEDULED}


def test_runs_whose_lease_holds_are_left_alone(runtime):
    enqueue(runtime, 2)
    runtime.runs.claim_due(1, worker="alive", lease=timedelta(minutes=1))
    lose(runtime)
    assert runtime.reconciler.run().reaped == 1
    assert runtime.reconciler.run().reaped == 0


def lose_repeatedly(runtime: Runtime, sql, job_id, times: int) -> list[Job]:
    """Lose a job's worker again and again; gives the job as it stands after each time."""
    stands = []
    for _ in range(times):
        sql("update jobs.jobs set next_run_at = now()")
        lose(runtime)
        runtime.reconciler.run()
        stands.append(runtime.service.get(job_id))
    return stands


def test_a_one_time_job_that_loses_its_worker_too_often_is_failed_as_the_cause(make_runtime, sql):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, 1)
    first, second, third = lose_repeatedly(runtime, sql, job_id, 3)
    assert [stood.status for stood in (first, second, third)] == ["Scheduled", "Scheduled", "Failed"]
    assert (third.next_run_at, "was lost" in third.last_error) == (None, True)
    assert outcomes(runtime, job_id) == ["Lost"] * 3
    runtime.service.retry(job_id)
    [replayed] = lose_repeatedly(runtime, sql, job_id, 1)
    assert (replayed.status, replayed.lost_count) == ("Failed", 3), "it is not given three workers more"
    runtime.service.retry(job_id)
    assert runtime.worker.drain(60).executed == 1
    after = runtime.service.get(job_id)
    assert (after.status, after.lost_count) == (JobStatus.COMPLETED, 0)


def test_a_recurring_job_that_ends_its_workers_fails_its_run_and_waits_for_its_next_occurrence(runtime, sql, let_pass):
    [job_id] = enqueue(runtime, 1, schedule="@every 1h", max_retries=3)
    let_pass(HOUR)
    first, second, third = lose_repeatedly(runtime, sql, job_id, 3)
    now = runtime.clock.now()
    assert (first.next_run_at <= now, second.next_run_at <= now, third.next_run_at > now) == (True, True, True)
    assert {stood.status for stood in (first, second, third)} == {JobStatus.SCHEDULED}
    assert [stood.run_count for stood in (first, second, third)] == [0, 0, 1]
    assert (third.attempt, third.consecutive_failures) == (0, 1)
    assert "3 times in a row" in third.last_error
    assert outcomes(runtime, job_id) == ["Lost"] * 3


def test_the_next_occurrence_of_a_job_that_ended_its_workers_costs_one_worker_more_until_it_succeeds(
    runtime, sql, let_pass
):
    [job_id] = enqueue(runtime, 1, schedule="@every 1h")
    let_pass(HOUR)
    *_, third = lose_repeatedly(runtime, sql, job_id, 3)
    [fourth] = lose_repeatedly(runtime, sql, job_id, 1)
    assert (fourth.run_count, fourth.consecutive_failures) == (2, 2)
    assert fourth.scheduled_for > third.scheduled_for
    sql("update jobs.jobs set next_run_at = now()")
    assert runtime.worker.drain(60).executed == 1
    after = runtime.service.get(job_id)
    assert (after.run_count, after.consecutive_failures, after.lost_count) == (3, 0, 0)
    assert [stood.lost_count for stood in lose_repeatedly(runtime, sql, job_id, 2)] == [1, 2]


def test_a_recurring_job_whose_last_run_ends_its_workers_ends_as_failed(runtime, sql, let_pass):
    [job_id] = enqueue(runtime, 1, schedule="@every 1h", max_runs=1)
    let_pass(HOUR)
    *_, third = lose_repeatedly(runtime, sql, job_id, 3)
    assert (third.status, third.next_run_at, third.run_count) == (JobStatus.FAILED, None, 1)


def test_losses_that_a_success_lies_between_do_not_add_up(runtime, sql, let_pass):
    [job_id] = enqueue(runtime, 1, schedule="@every 1h")
    for _ in range(4):
        lose_repeatedly(runtime, sql, job_id, 2)
        sql("update jobs.jobs set next_run_at = now()")
        assert runtime.worker.drain(30).executed == 1
    after = runtime.service.get(job_id)
    assert (after.run_count, after.consecutive_failures, after.lost_count) == (4, 0, 0)


@pytest.mark.parametrize("schedule", ["@once", "@every 1h"])
def test_a_job_that_was_deleted_before_its_worker_was_lost_is_cancelled(runtime, let_pass, schedule):
    [job_id] = enqueue(runtime, 1, schedule=schedule)
    let_pass(HOUR)
    lose(runtime)
    runtime.service.cancel(job_id)
    assert runtime.reconciler.run().reaped == 1
    after = runtime.service.get(job_id)
    assert (after.status, after.next_run_at) == (JobStatus.CANCELLED, None)
    assert outcomes(runtime, job_id) == ["Lost"]


def test_a_job_that_was_paused_before_its_worker_was_lost_waits_until_it_is_resumed(runtime):
    [job_id] = enqueue(runtime, 1)
    lose(runtime)
    runtime.service.pause(job_id)
    assert runtime.reconciler.run().reaped == 1
    assert runtime.worker.drain(1).executed == 0
    runtime.service.resume(job_id)
    assert runtime.worker.drain(60).executed == 1


def test_a_run_that_was_taken_back_is_armed_under_a_new_generation(make_runtime, scheduler):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, 1)
    lose(runtime)
    runtime.reconciler.run()
    assert AlarmName(job_id, 2) in scheduler.alarms
    assert runtime.service.get(job_id).armed_at is not None
    ring(runtime, scheduler)
    assert outcomes(runtime, job_id) == ["Lost", "Succeeded"]


# --- alarms


def test_rows_that_no_scheduler_holds_are_armed(make_runtime, scheduler, database):
    """Enqueued in a caller's transaction, or while the scheduler was away."""
    runtime = make_runtime()
    with database.engine.begin() as connection:
        joined = runtime.service.enqueue(job("joined", schedule="PT1H"), connection=connection).id
    scheduler.available = False
    missed = runtime.service.enqueue(job("missed", schedule="PT2H")).id
    assert scheduler.alarms == {}
    come_back_unnoticed(scheduler)
    assert runtime.reconciler.run() == Report(armed=2)
    assert {name.job_id: due_at for name, due_at in scheduler.alarms.items()} == {
        job_id: runtime.service.get(job_id).next_run_at for job_id in (joined, missed)
    }
    assert all(runtime.service.get(job_id).armed_at for job_id in (joined, missed))
    assert runtime.reconciler.run() == Report()


def test_what_was_missed_is_armed_as_soon_as_the_scheduler_takes_alarms_again(make_runtime, scheduler):
    runtime = make_runtime()
    limit(runtime, page=10)
    scheduler.available = False
    ids = enqueue(runtime, 25, schedule="PT1H")
    [deleted] = enqueue(runtime, 1, schedule="PT1H")
    assert scheduler.alarms == {}
    scheduler.available = True  # and nobody reconciles
    assert {name.job_id for name in scheduler.alarms} == {*ids, deleted}
    assert all(runtime.service.get(job_id).armed_at for job_id in ids)
    scheduler.available = False
    runtime.service.cancel(deleted)
    scheduler.available = True
    until(lambda: {name.job_id for name in scheduler.alarms} == set(ids))


def test_an_alarm_that_cannot_be_set_holds_up_none_behind_it(make_runtime, scheduler, monkeypatch):
    runtime = make_runtime()
    limit(runtime, page=5)
    scheduler.available = False
    ids = enqueue(runtime, 20, schedule="PT1H")
    come_back_unnoticed(scheduler)
    arm_many = scheduler.arm_many

    def refusing(alarms):
        return arm_many([alarm for alarm in alarms if alarm.name.job_id not in ids[:7]])

    monkeypatch.setattr(scheduler, "arm_many", refusing)
    assert runtime.reconciler.run().armed == 13
    assert {name.job_id for name in scheduler.alarms} == set(ids[7:])


def test_every_overdue_job_is_rung_again_in_one_sweep_and_each_instance_takes_its_part(
    make_runtime, scheduler, let_pass, sql
):
    runtimes = [make_runtime() for _ in range(3)]
    limit(runtimes[0], page=50)
    enqueue(runtimes[0], 400)
    scheduler._alarms.clear()
    let_pass(timedelta(minutes=2))
    assert runtimes[0].reconciler.run().swept == 400
    assert len(scheduler.alarms) == 400
    now = runtimes[0].clock.now() + timedelta(seconds=1)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda runtime: scheduler.ring_due(now, partial(handle_alarm, runtime)), runtimes))
    until(lambda: scheduler.ring_due(now, partial(handle_alarm, runtimes[0])) == [])
    assert sql("select status, count(*) from jobs.jobs group by 1") == [("Completed", 400)]


def test_what_runs_without_its_alarm_has_it_withdrawn_so_that_it_does_not_ring_for_ever(
    make_runtime, scheduler, sql, let_pass
):
    """As where callbacks are refused for a wrong token: the scheduler would repeat them without end."""
    runtime = make_runtime()
    ids = enqueue(runtime, 30)
    [later] = enqueue(runtime, 1, schedule="PT4H")
    assert len(scheduler.alarms) == 31
    acknowledged(sql)
    for _ in range(2):
        let_pass(timedelta(minutes=2))
        runtime.reconciler.run()
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.COMPLETED}
    until(lambda: {name.job_id for name in scheduler.alarms} == {later})


def test_alarms_that_cannot_be_withdrawn_are_once_the_scheduler_is_back(make_runtime, scheduler, sql, let_pass):
    runtime = make_runtime()
    enqueue(runtime, 30)
    acknowledged(sql)
    let_pass(timedelta(minutes=2))
    scheduler.available = False
    assert runtime.reconciler.run().swept == 30
    assert len(scheduler.alarms) == 30
    scheduler.available = True
    until(lambda: scheduler.alarms == {})


def test_a_scheduler_that_is_away_is_told_of_once_and_not_at_every_enqueue(make_runtime, scheduler, caplog):
    runtime = make_runtime()
    scheduler.available = False
    with caplog.at_level(logging.INFO, "jobs"):
        for _ in range(20):
            enqueue(runtime, 1)
    assert [record.getMessage() for record in caplog.records if record.name == "jobs.alarms"] == []


def test_arming_goes_on_past_a_full_page_and_stops_at_a_month_from_now(make_runtime, scheduler):
    runtime = make_runtime()
    limit(runtime, page=10)
    scheduler.available = False
    enqueue(runtime, 25, schedule="P29D")
    runtime.service.enqueue(job("next year", schedule="P200D"))
    come_back_unnoticed(scheduler)
    assert runtime.reconciler.run().armed == 25
    assert len(scheduler.alarms) == 25


def test_paused_and_ended_jobs_are_not_armed(make_runtime, scheduler, sql):
    runtime = make_runtime()
    paused, ended, waiting = enqueue(runtime, 3, schedule="PT1H")
    runtime.service.pause(paused)
    runtime.service.cancel(ended)
    until(lambda: sql("select armed_at is not null from jobs.jobs where id = :id", id=str(waiting)) == [(True,)])
    sql("update jobs.jobs set armed_at = null")
    scheduler._alarms.clear()
    assert runtime.reconciler.run().armed == 1
    assert list(scheduler.alarms) == [AlarmName(waiting, 1)]


def test_a_scheduler_that_lost_all_its_alarms_costs_lateness_and_no_run(make_runtime, scheduler, let_pass):
    runtime = make_runtime()
    ids = enqueue(runtime, 3, schedule="PT1H")
    scheduler._alarms.clear()
    assert runtime.reconciler.run().swept == 0, "not overdue yet"
    let_pass(HOUR + timedelta(minutes=2))
    assert runtime.reconciler.run().swept == 3
    assert {name.job_id for name in ring(runtime, scheduler)} == set(ids)
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.COMPLETED}


def test_a_scheduler_that_takes_every_alarm_and_rings_none_costs_lateness_and_no_run(
    make_runtime, scheduler, sql, let_pass
):
    runtime = make_runtime()
    ids = enqueue(runtime, 3)
    acknowledged(sql)
    for _ in range(3):
        let_pass(timedelta(minutes=2))
        runtime.reconciler.run()
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.COMPLETED}
    assert [outcomes(runtime, job_id) for job_id in ids] == [["Succeeded"]] * 3


def test_an_overdue_job_that_was_rung_again_and_has_run_is_not_run_by_the_next_sweep(make_runtime, scheduler, let_pass):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, 1, schedule="@every 1h")
    for _ in range(3):
        let_pass(HOUR + timedelta(minutes=2))
        runtime.reconciler.run()
        ring(runtime, scheduler)
    assert len(outcomes(runtime, job_id)) == runtime.service.get(job_id).run_count == 3


def test_while_the_scheduler_is_away_what_is_overdue_runs_here(make_runtime, scheduler, sql, let_pass):
    runtime = make_runtime()
    ids = enqueue(runtime, 5)
    acknowledged(sql)
    let_pass(timedelta(minutes=2))
    scheduler.available = False
    report = runtime.reconciler.run()
    assert (report.swept, report.failures) == (5, {})
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.COMPLETED}


def test_paused_jobs_are_never_overdue(make_runtime, scheduler, let_pass):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, 1)
    runtime.service.pause(job_id)
    let_pass(HOUR)
    assert runtime.reconciler.run() == Report()


def test_where_due_rows_are_polled_for_there_is_nothing_to_arm_or_to_sweep(runtime, let_pass):
    enqueue(runtime, 3)
    let_pass(HOUR)
    assert runtime.reconciler.run() == Report()
    assert runtime.worker.drain(60).executed == 3


# --- old rows


def test_only_jobs_that_ended_long_ago_are_pruned_with_all_that_belongs_to_them(runtime, registry, sql, let_pass):
    def fail(args: Anything) -> None:
        raise ValueError

    registry.add_handler("Fail", fail)
    completed, late = enqueue(runtime, 2)
    [failed] = enqueue(runtime, 1, "Fail", max_retries=0)
    [waiting] = enqueue(runtime, 1, "Fail", schedule="P90D")
    runtime.service.pause(waiting)
    sql("update jobs.jobs set next_run_at = now() + interval '1 day' where id = :id", id=late)
    runtime.worker.drain(60)
    cancelled = runtime.service.enqueue(job("cancelled")).id
    runtime.service.cancel(cancelled)
    running = runtime.service.enqueue(job("running")).id
    runtime.runs.claim_due(1, worker="w", lease=LONG_AGO + HOUR)
    let_pass(LONG_AGO)
    runtime.worker.drain(60)
    recent = runtime.service.enqueue(job("recent")).id
    runtime.worker.drain(60)
    assert runtime.reconciler.run() == Report(pruned=3)
    left = {row[0] for row in sql("select id from jobs.jobs")}
    assert left == {waiting, running, late, recent}, "late was enqueued long ago and has ended just now"
    gone = {completed, failed, cancelled}
    assert not gone & {row[0] for row in sql("select job_id from jobs.job_attempts")}
    assert not gone & {row[0] for row in sql("select job_id from jobs.job_audit")}
    assert outcomes(runtime, recent) == ["Succeeded"]
    assert sql("select count(*) from jobs.job_audit") == [(1,)], "the audit of those that stay, stays"
    assert runtime.reconciler.run() == Report()


def test_pruning_goes_on_past_a_full_page(runtime, sql, let_pass):
    limit(runtime, page=10)
    enqueue(runtime, 25)
    runtime.worker.drain(60)
    let_pass(LONG_AGO)
    assert runtime.reconciler.run().pruned == 25
    assert sql("select count(*) from jobs.jobs") == [(0,)]
    assert sql("select count(*) from jobs.job_attempts") == [(0,)]


def test_without_a_retention_everything_is_kept(make_runtime, let_pass, sql):
    runtime = make_runtime(retention_days=0)
    enqueue(runtime, 3)
    runtime.worker.drain(60)
    let_pass(timedelta(days=3_000))
    assert runtime.reconciler.run() == Report()
    assert sql("select count(*) from jobs.jobs") == [(3,)]


@pytest.fixture
def add_history(sql) -> Callable[..., None]:
    """Add attempts of a job that goes on, one each ``every``, and as many lines of audit, the newest some time ago."""

    def add(job_id, lines: int, newest: timedelta = timedelta(), every: timedelta = timedelta(seconds=1)) -> None:
        sql("update jobs.jobs set created_at = now() - interval '400 days' where id = :id", id=job_id)
        sql(
            "insert into jobs.job_attempts (job_id, token, run, attempt, started_at, finished_at, outcome) "
            "select :id, gen_random_uuid(), cast(:lines as integer) + 1 - n, 1, at, at, 'Succeeded' "
            "from generate_series(1, cast(:lines as integer)) n, "
            "lateral (select now() - make_interval(secs => cast(:ago as float8) + n * cast(:every as float8)))"
            " as t(at)",
            id=job_id,
            lines=lines,
            ago=newest.total_seconds(),
            every=every.total_seconds(),
        )
        sql(
            "insert into jobs.job_audit (job_id, at, action, revision) select job_id, started_at, 'update', run "
            "from jobs.job_attempts where job_id = :id",
            id=job_id,
        )

    return add


@pytest.fixture
def history(sql) -> Callable[[], dict]:
    """Count the attempts that are kept, by job."""
    return lambda: dict(sql("select job_id, count(*) from jobs.job_attempts group by 1"))


def test_a_job_that_goes_on_for_ever_keeps_what_is_recent_of_its_history_and_its_newest_attempts(
    make_runtime, sql, add_history, history
):
    runtime = make_runtime(keep_attempts=7)
    quiet, busy, short = enqueue(runtime, 3, schedule="@yearly")
    add_history(quiet, 50, newest=LONG_AGO)
    add_history(busy, 100, newest=timedelta(days=30) - 60.5 * HOUR, every=HOUR)
    add_history(short, 5, newest=LONG_AGO)
    runtime.reconciler.run()
    assert history() == {quiet: 7, busy: 60, short: 5}
    assert sql("select min(run) from jobs.job_attempts where job_id = :id", id=quiet) == [(44,)]
    assert {job_id for (job_id,) in sql("select job_id from jobs.job_audit")} == {busy}
    assert sql("select count(*) from jobs.jobs") == [(3,)]


def test_much_old_history_is_deleted_in_pages_over_several_reconciliations(make_runtime, sql, add_history, history):
    """What it may take of one is bounded, so that much of it holds up nothing; the next goes on where it stopped."""
    runtime = make_runtime()
    ids = enqueue(runtime, 6, schedule="@yearly")
    for job_id in ids:
        add_history(job_id, 100, newest=LONG_AGO)
    limit(runtime, history=HistoryLimit(jobs=2, rows=50), prune_seconds=0)
    total, reports = 0, 0
    while set(history().values()) != {20}:
        pruned = runtime.reconciler.run().history_pruned
        assert 0 <= pruned <= 100, "one page, of attempts and of audit"
        total += pruned
        reports += 1
        assert reports < 40
    while pruned:
        pruned = runtime.reconciler.run().history_pruned
        total += pruned
    assert total == 6 * (80 + 100)


def test_once_all_jobs_were_looked_at_it_rests_before_looking_again(make_runtime, add_history):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, 1, schedule="@yearly")
    add_history(job_id, 30, newest=LONG_AGO)
    assert runtime.reconciler.run().history_pruned == 10 + 30
    add_history(job_id, 30, newest=LONG_AGO - HOUR)
    assert runtime.reconciler.run().history_pruned == 0
    runtime.reconciler._pruning._history_rests_until = time.monotonic()
    assert runtime.reconciler.run().history_pruned > 0


def test_several_that_prune_at_once_delete_the_same_history_once(make_runtime, add_history, history):
    runtimes = [make_runtime(database_pool_size=4) for _ in range(4)]
    ids = enqueue(runtimes[0], 4, schedule="@yearly")
    for job_id in ids:
        add_history(job_id, 200, newest=LONG_AGO)
    for runtime in runtimes:
        limit(runtime, history=HistoryLimit(jobs=1, rows=30), history_rest_seconds=0.0, prune_seconds=0.1)

    def prune(runtime: Runtime) -> int:
        pruned = 0
        while set(history().values()) != {20}:
            report = runtime.reconciler.run()
            assert report.failures == {}
            pruned += report.history_pruned
        return pruned

    with ThreadPoolExecutor(4) as pool:
        pruned = list(pool.map(prune, runtimes))
    assert 4 * 180 <= sum(pruned) <= 4 * (180 + 200)


@pytest.mark.parametrize("retention_days", [0, 30])
def test_idempotency_keys_are_forgotten_after_a_day(make_runtime, let_pass, sql, retention_days):
    runtime = make_runtime(retention_days=retention_days)

    insert = "insert into jobs.idempotency_keys (key, fingerprint) values (:key, 'f')"
    sql(insert, key="old")
    let_pass(timedelta(hours=25))
    sql(insert, key="new")
    runtime.reconciler.run()
    assert sql("select key from jobs.idempotency_keys") == [("new",)]


# --- every step by itself


@pytest.mark.parametrize("broken", ["longest_wait", "reap", "unarmed", "overdue", "prune"])
@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError("a bug")])
def test_a_step_that_fails_is_reported_and_stops_no_other(
    make_runtime, scheduler, monkeypatch, let_pass, sql, broken, error
):
    runtime = make_runtime()
    enqueue(runtime, 1)
    runtime.worker.drain(60)
    let_pass(LONG_AGO)
    lost, unarmed, overdue = enqueue(runtime, 3)
    acknowledged(sql)
    sql("update jobs.jobs set next_run_at = now() - interval '1 hour' where id = :id", id=lost)
    lose(runtime)
    sql("update jobs.jobs set armed_at = null, next_run_at = now() + interval '1 h' where id = :id", id=unarmed)
    sql("update jobs.jobs set armed_at = now(), next_run_at = now() - interval '1 h' where id = :id", id=overdue)

    def fail(*args, **kwargs) -> None:
        raise error

    monkeypatch.setattr(runtime.housekeeping, broken, fail)
    report = runtime.reconciler.run()
    steps = {"longest_wait": "measure", "reap": "reap", "unarmed": "arm", "overdue": "sweep", "prune": "prune"}
    step = steps[broken]
    assert list(report.failures) == [step]
    assert type(error).__name__ in report.failures[step]
    did = {"reap": report.reaped, "arm": report.armed, "sweep": report.swept, "prune": report.pruned}
    assert did == {name: 0 if name == step else 1 for name in did}
    monkeypatch.undo()


def test_a_database_that_is_away_fails_every_step_and_raises_nothing(make_runtime, scheduler, monkeypatch, caplog):
    runtime = make_runtime()

    def away(*_):
        raise StoreUnavailable("the database cannot be reached")

    monkeypatch.setattr(runtime.housekeeping, "_run", away)
    monkeypatch.setattr(runtime.housekeeping, "_run_after", away)
    expected = {"measure", "reap", "limit_flags", "arm", "sweep", "keys", "locks", "prune", "history"}
    assert set(runtime.reconciler.run().failures) == expected


def test_a_report_of_what_was_done_is_logged(runtime, caplog):
    enqueue(runtime, 2)
    lose(runtime, 2)
    with caplog.at_level(logging.INFO, "jobs.reconciler"):
        runtime.reconciler.run()
        runtime.reconciler.run()
    first, second = (record for record in caplog.records if record.name == "jobs.reconciler")
    assert (first.levelname, second.levelname) == ("WARNING", "INFO")
    assert "2 runs taken back" in first.getMessage()


# --- several at once


def test_eight_reconcilers_at_once_do_everything_once(make_runtime, scheduler, sql, let_pass):
    runtimes = [make_runtime(database_pool_size=4) for _ in range(8)]
    enqueue(runtimes[0], 40)
    runtimes[0].worker.drain(60)
    let_pass(LONG_AGO)
    scheduler._alarms.clear()
    scheduler.available = False
    lost = enqueue(runtimes[0], 40)
    lose(runtimes[0], 40)
    waiting = enqueue(runtimes[0], 40, schedule="PT1H")
    come_back_unnoticed(scheduler)
    for runtime in runtimes:
        limit(runtime, page=15)
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda runtime: runtime.reconciler.run(), runtimes))
    assert [report.failures for report in reports] == [{}] * 8
    assert sum(report.reaped for report in reports) == 40
    assert sum(report.pruned for report in reports) == 40
    assert sql("select count(*), count(distinct job_id) from jobs.job_attempts where outcome = 'Lost'") == [(40, 40)]
    assert {name.job_id for name in scheduler.alarms} == {*lost, *waiting}
    assert sql("select count(*) from jobs.jobs where armed_at is null") == [(0,)]
    assert scheduler.ring_due(runtimes[0].clock.now() + timedelta(seconds=30), lambda _: None)
    sql("update jobs.jobs set next_run_at = now() where next_run_at < now() + interval '30 seconds'")
    runtimes[0].worker.drain(30)
    assert sql("select status, count(*) from jobs.jobs group by 1 order by 1") == [("Completed", 40), ("Scheduled", 40)]


def test_reconciling_beside_workers_that_are_busy_harms_nothing(make_runtime, registry, sql):
    def handle(args: Anything) -> None:
        time.sleep(0.002)

    registry.add_handler("Work", handle)
    worker, reconciler = make_runtime(), make_runtime()
    enqueue(worker, 300, "Work")
    with ThreadPoolExecutor(4) as pool:
        draining = pool.submit(worker.worker.drain, 20)
        while not draining.done():
            list(pool.map(lambda _: reconciler.reconciler.run(), range(3)))
    assert sql("select outcome, count(*) from jobs.job_attempts group by 1") == [("Succeeded", 300)]


# --- a scheduler that is a queue


def test_an_alarm_beyond_the_schedulers_horizon_is_set_once_it_is_within_it(scheduler, runtime, let_pass):
    scheduler.horizon = timedelta(minutes=10)
    scheduler.available = False  # so that no enqueue sets an alarm
    [soon] = enqueue(runtime, 1, schedule="PT5M")
    [later] = enqueue(runtime, 1, schedule="PT1H")
    come_back_unnoticed(scheduler)
    assert runtime.reconciler.run() == Report(armed=1)
    assert scheduler.alarms.keys() == {AlarmName(soon, 1)}
    assert runtime.service.get(later).armed_at is None
    let_pass(timedelta(minutes=51))
    runtime.reconciler.run()
    assert AlarmName(later, 1) in scheduler.alarms
    assert runtime.service.get(later).armed_at is not None


def test_messages_that_the_host_gave_up_are_warned_of(scheduler, runtime, monkeypatch, caplog):
    monkeypatch.setattr(scheduler, "backlog", lambda: Backlog(waiting=5, poisoned=2, oldest=None))
    assert not runtime.reconciler.run().failures
    [warning] = [record.getMessage() for record in caplog.records if "given up" in record.getMessage()]
    assert warning.startswith("2 messages were given up")


def test_a_queue_that_does_not_answer_is_no_fault_of_the_reconciliation(scheduler, runtime, monkeypatch):
    def backlog():
        raise SchedulerUnavailable("it does not answer")

    monkeypatch.setattr(scheduler, "backlog", backlog)
    assert not runtime.reconciler.run().failures
