"""What the reconciler asks of any store: take back, list, prune, count."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.core.errors import IdempotencyKeyReused
from jobs.core.identifiers import AlarmName
from jobs.core.job import RunResult
from jobs.core.ports import NOW, Alarm, Change
from jobs.core.status import AttemptOutcome, JobStatus
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores

PAUSE = Change("pause", {"paused": True})
AFTER_LEASE = LEASE + SECOND


def reaped(stores: Stores, limit: int = 10, max_lost: int = 5) -> list[tuple[AlarmName, Alarm | None]]:
    return stores.housekeeping.reap(limit, max_lost=max_lost)


# --- lost runs


def test_a_run_is_taken_back_once_its_lease_has_expired_and_not_before(stores: Stores):
    run = stores.running()
    stores.pass_time(LEASE)
    assert reaped(stores) == []
    stores.pass_time(SECOND)
    name = AlarmName(run.job_id, 2)
    assert reaped(stores) == [(name, Alarm(name, NOON + AFTER_LEASE))]
    assert reaped(stores) == []


def test_a_lost_worker_counts_no_attempt_and_is_in_the_history(stores: Stores):
    job = stores.add(max_retries=0)
    stores.pass_time(timedelta(microseconds=120))
    run = stores.claim(job, worker="lost worker")
    began_at = stores.clock.now()
    now = stores.pass_time(AFTER_LEASE)
    reaped(stores)
    error = "the worker lost worker was lost: its lease expired at 2026-06-01 12:01:00.00012+00"
    after = stores.read(job.id)
    assert (after.status, after.attempt, after.run_count, after.generation) == (JobStatus.SCHEDULED, 0, 0, 2)
    assert (after.last_error, after.last_run_at, after.lease_expires_at) == (error, began_at, None)
    assert (after.armed_at, after.revision, after.updated_at) == (None, 3, now)
    [line] = stores.jobs.attempts(job.id)
    assert (line.run, line.attempt, line.outcome, line.error) == (1, 1, AttemptOutcome.LOST, error)
    assert (line.started_at, line.finished_at, line.worker) == (began_at, now, "lost worker")
    assert stores.runs.recorded(run) is None


def test_a_run_that_goes_on_losing_its_workers_is_due_ever_later(stores: Stores):
    stores.add(recurring=True)
    waits = []
    for _ in range(10):
        [run] = stores.claim_due()
        now = stores.pass_time(AFTER_LEASE)
        [(_, alarm)] = reaped(stores)
        waits.append((alarm.due_at - now).total_seconds())
        stores.move(alarm.due_at)
    assert waits == [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    stores.claim_due()
    stores.pass_time(AFTER_LEASE)
    reaped(stores)
    stores.pass_time(10 * MINUTE)
    [run] = stores.claim_due()
    stores.finish(run, status=JobStatus.SCHEDULED, due_at=NOON, scheduled_for=NOON, attempt=0)
    stores.claim_due()
    now = stores.pass_time(AFTER_LEASE)
    [(_, alarm)] = reaped(stores)
    assert alarm.due_at == now, "an outcome ends the row of losses"


def test_a_one_time_job_that_has_lost_too_many_workers_is_failed(stores: Stores):
    job = stores.add()
    for lost in range(3):
        stores.claim_due()
        stores.pass_time(AFTER_LEASE)
        [(name, alarm)] = reaped(stores, max_lost=3)
        assert (alarm is None) is (lost == 2)
        stores.pass_time(MINUTE)
    after = stores.read(job.id)
    assert (after.status, after.next_run_at, after.generation) == (JobStatus.FAILED, None, name.generation)
    assert after.handled_at == stores.clock.now() - MINUTE
    assert "was lost" in after.last_error


def test_a_lost_run_whose_cancellation_was_requested_is_cancelled(stores: Stores):
    run = stores.running()
    stores.jobs.change(stores.read(run.job_id), Change("request-cancel", {"cancel_requested_at": NOW}))
    stores.pass_time(AFTER_LEASE)
    assert reaped(stores) == [(AlarmName(run.job_id, 2), None)]
    assert stores.read(run.job_id).status is JobStatus.CANCELLED


def test_runs_are_taken_back_a_page_at_a_time_the_longest_silent_first(stores: Stores):
    runs = []
    for number in range(3):
        runs.append(stores.running(f"job-{number}"))
        stores.pass_time(SECOND)
    stores.pass_time(AFTER_LEASE)
    pages = [[name.job_id for name, _ in reaped(stores, limit=2)] for _ in range(3)]
    assert [set(page) for page in pages] == [{run.job_id for run in runs[:2]}, {runs[2].job_id}, set()]


# --- alarms


def test_alarms_that_nobody_has_accepted_are_listed_the_earliest_first(stores: Stores):
    jobs = [stores.add(f"job-{hours}", due_at=NOON + timedelta(hours=hours)) for hours in (3, 1, 2)]
    armed, paused = stores.add("armed"), stores.add("paused")
    stores.jobs.mark_armed([AlarmName(armed.id, 1)])
    stores.jobs.change(paused, PAUSE)
    stores.running("running")
    expected = [Alarm(AlarmName(job.id, 1), job.next_run_at) for job in (jobs[1], jobs[2], jobs[0])]
    assert stores.housekeeping.unarmed(10, DAY) == expected
    assert stores.housekeeping.unarmed(2, DAY) == expected[:2]
    assert stores.housekeeping.unarmed(10, timedelta(hours=2)) == expected[:2]


def test_alarms_that_should_have_rung_are_listed_the_longest_overdue_first(stores: Stores):
    jobs = [stores.add(f"job-{minutes}", due_at=NOON - minutes * MINUTE) for minutes in (1, 3, 2)]
    stores.jobs.change(stores.add("paused", due_at=NOON - DAY), PAUSE)
    stores.running("running", due_at=NOON - DAY)
    expected = [Alarm(AlarmName(job.id, 1), job.next_run_at) for job in (jobs[1], jobs[2], jobs[0])]
    assert stores.housekeeping.overdue(10, MINUTE) == expected
    assert stores.housekeeping.overdue(1, MINUTE) == expected[:1]
    assert stores.housekeeping.overdue(10, 2 * MINUTE) == expected[:2]


# --- prune


def test_a_job_is_deleted_once_it_ended_long_ago_with_all_that_was_kept_of_it(stores: Stores):
    old = stores.running("old")
    active = stores.add("active")
    stores.pass_time(SECOND)
    stores.finish(old)
    stores.pass_time(DAY)
    recent = stores.running("recent")
    stores.finish(recent)
    assert stores.housekeeping.prune(10, DAY) == 0, "not yet longer ago than that"
    stores.pass_time(SECOND)
    assert stores.housekeeping.prune(10, DAY) == 1
    assert stores.names() == ["active", "recent"]
    assert stores.jobs.attempts(old.job_id) == []
    assert len(stores.jobs.attempts(recent.job_id)) == 1
    assert stores.read(active.id) == active


def test_an_old_job_that_ended_just_now_is_kept(stores: Stores):
    job = stores.add()
    stores.pass_time(10 * DAY)
    stores.finish(stores.claim(job))
    stores.pass_time(MINUTE)
    assert stores.housekeeping.prune(10, DAY) == 0


def test_a_page_is_pruned_at_a_time_the_oldest_first(stores: Stores):
    for number in range(3):
        stores.finish(stores.running(f"job-{number}"))
        stores.pass_time(SECOND)
    stores.pass_time(DAY)
    assert stores.housekeeping.prune(2, DAY) == 2
    assert stores.names() == ["job-2"]
    assert stores.housekeeping.prune(2, DAY) == 1


def test_an_idempotency_key_is_forgotten_once_it_is_old(stores: Stores):
    with stores.jobs.once("key", "body") as entry:
        entry.keep("answer")
    stores.pass_time(DAY)
    stores.housekeeping.prune_keys(10, DAY)
    with pytest.raises(IdempotencyKeyReused), stores.jobs.once("key", "another body"):
        pass
    stores.pass_time(SECOND)
    stores.housekeeping.prune_keys(10, DAY)
    with stores.jobs.once("key", "another body") as entry:
        assert entry.answer is None


# --- counts


def test_an_empty_store_has_nothing_to_count(stores: Stores):
    assert stores.housekeeping.stats() == {
        "jobs": {},
        "paused": 0,
        "handlers": {},
        "due": {"count": 0, "unarmed": 0, "waiting_for_turn": 0, "latest_by_seconds": 0.0},
        "recent": {"window": "PT5M", "attempts": {}},
    }
    stores.housekeeping.ping()


def test_jobs_are_counted_by_status_and_handler_with_what_is_late_and_how_attempts_fared(stores: Stores):
    stores.add("waiting", due_at=NOON + DAY)
    late = stores.add("late", handler_name="Mail", due_at=NOON - timedelta(seconds=90.5))
    stores.jobs.mark_armed([AlarmName(late.id, 1)])
    stores.add("later", due_at=NOON - SECOND)
    stores.jobs.change(stores.add("paused", due_at=NOON - DAY), PAUSE)
    for name in ("forgotten", "just forgotten"):
        stores.finish(stores.running(name))
        stores.pass_time(5 * MINUTE)
    for number, seconds in enumerate((1.0, 2.5)):
        run = stores.running(f"done-{number}", due_at=NOON, scheduled_for=NOON)
        outcome = stores.ended(run)
        began_at = stores.clock.now()
        stores.runs.record([outcome._replace(started_at=began_at, finished_at=began_at + timedelta(seconds=seconds))])
    failed = stores.running("failed", handler_name="Mail")
    stores.finish(failed, result=RunResult(AttemptOutcome.FAILED, "it failed"), status=JobStatus.FAILED)
    stores.running("running", handler_name="Mail")
    assert stores.housekeeping.stats() == {
        "jobs": {"Scheduled": 4, "Completed": 4, "Failed": 1, "Running": 1},
        "paused": 1,
        "handlers": {
            "Mail": {"Failed": 1, "Running": 1, "Scheduled": 1},
            "Noop": {"Completed": 4, "Scheduled": 3},
        },
        "due": {"count": 2, "unarmed": 1, "waiting_for_turn": 0, "latest_by_seconds": 690.5},
        "recent": {
            "window": "PT5M",
            "attempts": {
                "Failed": {
                    "count": 1,
                    "per_second": 0.003,
                    "mean_duration_seconds": 0.0,
                    "mean_wait_seconds": 0.0,
                },
                "Succeeded": {
                    "count": 2,
                    "per_second": 0.007,
                    "mean_duration_seconds": 1.75,
                    "mean_wait_seconds": 600.0,
                },
            },
        },
    }
