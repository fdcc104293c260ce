"""What the reconciler asks of any store: take back, list, prune, count."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.core.errors import IdempotencyKeyReused
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job, RunResult, Tally
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.suspects import losses_after
from jobs.core.ports.housekeeping import HistoryLimit
from jobs.core.ports.jobs import NOW, Change
from jobs.core.ports.scheduler import Alarm
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores, lease_of

HOUR = timedelta(hours=1)
CANCEL = Change("cancel", {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}, new_generation=True)
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


def lose(stores: Stores, job: Job, *, alone: bool = True, max_lost: int = 3) -> Job:
    """Have a due job's worker die; gives the job as it stands after its run was taken back, if it was."""
    stores.move(max(stores.read(job.id).next_run_at, stores.clock.now()))
    name = AlarmName(job.id, stores.read(job.id).generation)
    assert stores.runs.claim(name, worker="dying", lease=LEASE, alone=alone) is not None
    stores.pass_time(AFTER_LEASE)
    reaped(stores, max_lost=max_lost)
    return stores.read(job.id)


def test_a_run_that_goes_on_losing_its_workers_is_due_ever_later_once_it_is_a_suspect(stores: Stores):
    job = stores.add()
    waits = []
    for _ in range(10):
        after = lose(stores, job, max_lost=20)
        waits.append((after.next_run_at - stores.clock.now()).total_seconds())
    assert waits == [0, 0, 10, 20, 40, 80, 160, 320, 600, 600]


def test_runs_that_were_lost_together_start_again_one_after_the_other(stores: Stores):
    jobs = [stores.add(f"job-{number}") for number in range(4)]
    for job in jobs:
        stores.claim(job, worker="one")
    stores.claim(stores.add("by itself"), worker="another")
    now = stores.pass_time(AFTER_LEASE)
    waits = {name.job_id: (alarm.due_at - now).total_seconds() for name, alarm in reaped(stores)}
    assert sorted(waits.values()) == [0, 0, 2.5, 5, 7.5]
    assert sorted(waits[job.id] for job in jobs) == [0, 2.5, 5, 7.5]


def test_a_suspect_is_claimed_alone_and_by_no_other_claim(stores: Stores):
    job, other = stores.add("suspect"), stores.add("other", due_at=NOON + DAY)
    for _ in range(2):
        after = lose(stores, job, alone=False)
    assert after.lost_count == 2
    name = AlarmName(job.id, after.generation)
    stores.move(NOON + DAY)
    assert stores.runs.claim(name, worker="worker", lease=LEASE) is None
    assert [run.job_id for run in stores.claim_due()] == [other.id]
    assert stores.runs.due_suspects(10) == [name]
    run = stores.runs.claim(name, worker="worker", lease=LEASE, alone=True)
    assert (run.job_id, run.lost_count) == (job.id, 2)
    assert stores.runs.due_suspects(10) == []


def test_suspects_that_are_paused_or_not_due_yet_are_not_listed(stores: Stores):
    paused, later, early = (stores.add(f"suspect-{number}") for number in range(3))
    for _ in range(2):
        for job in (paused, later, early):
            lose(stores, job)
    lose(stores, later)
    stores.jobs.change(stores.read(paused.id), PAUSE)
    early = stores.read(early.id)
    assert stores.runs.due_suspects(10) == [AlarmName(early.id, early.generation)]
    assert stores.runs.due_suspects(0) == []


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (RunResult(AttemptOutcome.SUCCEEDED), 0),
        (RunResult(AttemptOutcome.FAILED, "it failed", retry=True), 1),
        (RunResult(AttemptOutcome.RELEASED, "the host went down"), 2),
    ],
)
def test_what_is_recorded_says_how_suspicious_a_job_still_is(stores: Stores, end: RunResult, left: int):
    job = stores.add(recurring=True)
    for _ in range(2):
        after = lose(stores, job)
    name = AlarmName(job.id, after.generation)
    run = stores.runs.claim(name, worker="worker", lease=LEASE, alone=True)
    times = {"due_at": NOON + DAY, "scheduled_for": NOON + DAY}
    stores.finish(run, result=end, status=JobStatus.SCHEDULED, lost_count=losses_after(run, end), **times)
    assert stores.read(job.id).lost_count == left


def test_a_one_time_job_that_is_lost_alone_once_too_often_is_failed(stores: Stores):
    job = stores.add()
    statuses = [lose(stores, job).status for _ in range(3)]
    assert statuses == [JobStatus.SCHEDULED, JobStatus.SCHEDULED, JobStatus.FAILED]
    after = stores.read(job.id)
    assert (after.next_run_at, after.handled_at, after.generation) == (None, stores.clock.now(), 4)
    assert (after.run_count, after.consecutive_failures, after.attempt) == (1, 1, 0)
    assert "was lost" in after.last_error
    assert "3 times in a row, at last while nothing else started beside it" in after.last_error
    assert after.last_error == stores.jobs.attempts(job.id)[0].error


def test_a_suspect_that_others_started_beside_is_not_convicted_by_its_loss(stores: Stores):
    job = stores.add()
    for _ in range(2):
        after = lose(stores, job)
    run = stores.runs.claim(AlarmName(job.id, after.generation), worker="worker", lease=LEASE, alone=True)
    assert stores.runs.end_alone(lease_of(run))
    stores.pass_time(AFTER_LEASE)
    assert [alarm is None for _, alarm in reaped(stores, max_lost=3)] == [False]
    assert not stores.runs.end_alone(lease_of(run)), "the lease is nobody's any more"
    assert stores.read(job.id).lost_count == 3
    assert lose(stores, job).status is JobStatus.FAILED


def test_with_so_few_losses_allowed_that_there_are_no_suspects_every_lost_run_is_failed(stores: Stores):
    stores.running()
    stores.pass_time(AFTER_LEASE)
    assert [alarm for _, alarm in reaped(stores, max_lost=1)] == [None]


def test_a_recurring_job_that_is_the_cause_is_taken_over_to_be_recorded_as_failed(stores: Stores):
    job = stores.add(recurring=True)
    for _ in range(2):
        after = lose(stores, job)
    lost = stores.runs.claim(AlarmName(job.id, after.generation), worker="dying", lease=LEASE, alone=True)
    stores.pass_time(AFTER_LEASE)
    assert reaped(stores, max_lost=3) == []
    [(run, error)] = stores.runs.claim_convicted(10, max_lost=3, lease=LEASE)
    assert run == lost._replace(token=run.token)
    assert run.token != lost.token
    assert "the worker dying was lost" in error
    assert "3 times in a row" in error
    assert stores.runs.claim_convicted(10, max_lost=3, lease=LEASE) == []
    stores.pass_time(AFTER_LEASE)
    [(run, *_)] = stores.runs.claim_convicted(10, max_lost=3, lease=LEASE)
    assert stores.runs.extend([lease_of(lost)], LEASE).held == frozenset()
    result, times = RunResult(AttemptOutcome.LOST, error), {"due_at": NOON + DAY, "scheduled_for": NOON + DAY}
    fields = {"attempt": 0, "tally": Tally.INCREMENT, "last_error": error, "lost_count": losses_after(run, result)}
    stores.finish(run, result=result, status=JobStatus.SCHEDULED, **times, **fields)
    after = stores.read(job.id)
    assert (after.status, after.next_run_at, after.run_count) == (JobStatus.SCHEDULED, NOON + DAY, 1)
    assert (after.consecutive_failures, after.last_error) == (1, error)
    assert after.lost_count == 2, "its next occurrence is a suspect from the beginning"
    line = stores.jobs.attempts(job.id)[0]
    assert (line.outcome, line.worker, line.run) == (AttemptOutcome.LOST, "dying", 1)


def test_a_recurring_job_that_is_the_cause_and_was_deleted_is_cancelled(stores: Stores):
    job = stores.add(recurring=True)
    for _ in range(2):
        after = lose(stores, job)
    stores.runs.claim(AlarmName(job.id, after.generation), worker="dying", lease=LEASE, alone=True)
    stores.jobs.change(stores.read(job.id), Change("request-cancel", {"cancel_requested_at": NOW}))
    stores.pass_time(AFTER_LEASE)
    assert stores.runs.claim_convicted(10, max_lost=3, lease=LEASE) == []
    reaped(stores, max_lost=3)
    assert stores.read(job.id).status is JobStatus.CANCELLED


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


@pytest.mark.parametrize("kind", ["unarmed", "overdue"])
def test_alarms_are_listed_page_after_page_those_due_at_once_too(stores: Stores, kind: str):
    jobs = [stores.add(f"job-{n}", due_at=NOON - HOUR - n // 3 * MINUTE) for n in range(10)]
    ask = getattr(stores.housekeeping, kind)
    listed: list[Alarm] = []
    while page := ask(3, MINUTE, after=listed[-1] if listed else None):
        listed += page
    assert listed == ask(100, MINUTE)
    assert {alarm.name.job_id for alarm in listed} == {job.id for job in jobs}


# --- prune


def test_a_job_is_deleted_once_it_ended_long_ago_with_all_that_was_kept_of_it(stores: Stores):
    old = stores.running("old")
    active = stores.add("active")
    stores.pass_time(SECOND)
    stores.finish(old)
    stores.pass_time(DAY)
    recent = stores.running("recent")
    stores.finish(recent)
    assert stores.housekeeping.prune(10, DAY, keep=20) == 0, "not yet longer ago than that"
    stores.pass_time(SECOND)
    assert stores.housekeeping.prune(10, DAY, keep=20) == 1
    assert stores.names() == ["active", "recent"]
    assert stores.jobs.attempts(old.job_id) == []
    assert len(stores.jobs.attempts(recent.job_id)) == 1
    assert stores.read(active.id) == active


def test_an_old_job_that_ended_just_now_is_kept(stores: Stores):
    job = stores.add()
    stores.pass_time(10 * DAY)
    stores.finish(stores.claim(job))
    stores.pass_time(MINUTE)
    assert stores.housekeeping.prune(10, DAY, keep=20) == 0


def test_a_page_is_pruned_at_a_time_the_oldest_first(stores: Stores):
    for number in range(3):
        stores.finish(stores.running(f"job-{number}"))
        stores.pass_time(SECOND)
    stores.pass_time(DAY)
    assert stores.housekeeping.prune(2, DAY, keep=20) == 2
    assert stores.names() == ["job-2"]
    assert stores.housekeeping.prune(2, DAY, keep=20) == 1


def repeat(stores: Stores, job: Job, times: int, every: timedelta = MINUTE) -> Job:
    """Run a job that goes on some times; gives it as it then stands."""
    for _ in range(times):
        run = stores.claim(stores.read(job.id))
        stores.finish(run, status=JobStatus.SCHEDULED, due_at=stores.clock.now(), attempt=0)
        stores.pass_time(every)
    return stores.read(job.id)


def prune_history(stores: Stores, keep: int = 2, jobs: int = 10, rows: int = 10) -> list[tuple[int, int]]:
    """Prune all history older than a day, page by page; gives how many lines each page had, of both kinds."""
    after, pages = None, []
    while True:
        page = stores.housekeeping.prune_history(HistoryLimit(jobs, rows), DAY, keep=keep, after=after)
        pages.append((page.attempts, page.audit))
        if not page.more:
            return pages
        after = page.after


def runs_of(stores: Stores, job: Job) -> list[int]:
    return [line.run for line in stores.jobs.attempts(job.id)]


def test_a_living_jobs_old_history_is_deleted_but_for_its_newest_attempts(stores: Stores):
    job = repeat(stores, stores.add(recurring=True), 5)
    other = repeat(stores, stores.add("other", recurring=True), 1)
    stores.jobs.change(job, PAUSE)
    assert prune_history(stores) == [(0, 0)], "nothing is older than a day"
    stores.pass_time(DAY + SECOND)
    before = stores.read(job.id)
    assert prune_history(stores) == [(3, 1)]
    assert runs_of(stores, job) == [5, 4]
    assert runs_of(stores, other) == [1], "fewer than are kept"
    assert stores.audit() == []
    assert stores.read(job.id) == before, "the job itself is left alone"
    assert prune_history(stores) == [(0, 0)]


def test_what_is_not_yet_old_is_kept_beyond_the_newest_attempts(stores: Stores):
    job = repeat(stores, stores.add(recurring=True), 4, every=DAY / 2)
    assert runs_of(stores, job) == [4, 3, 2, 1]
    assert prune_history(stores, keep=1) == [(2, 0)]
    assert runs_of(stores, job) == [4, 3]


def test_an_attempt_that_began_long_ago_and_ended_just_now_is_not_old(stores: Stores):
    job = stores.add(recurring=True)
    run = stores.claim(job)
    stores.pass_time(2 * DAY)
    outcome = stores.ended(run, status=JobStatus.SCHEDULED, due_at=NOON, attempt=0)
    stores.runs.record([outcome._replace(started_at=NOON)])
    job = repeat(stores, job, 3)
    assert prune_history(stores, keep=1) == [(0, 0)]


def test_history_is_pruned_a_page_at_a_time_and_goes_on_where_it_stopped(stores: Stores):
    jobs = [repeat(stores, stores.add(f"job-{number}", recurring=True), 4) for number in range(5)]
    stores.jobs.change(jobs[4], PAUSE)
    stores.pass_time(DAY + SECOND)
    assert prune_history(stores, jobs=2, rows=3) == [(3, 0), (1, 0), (3, 0), (1, 0), (2, 1)]
    assert [runs_of(stores, job) for job in jobs] == [[4, 3]] * 5


def test_an_ended_jobs_long_history_goes_before_the_job_does(stores: Stores):
    job = repeat(stores, stores.add(recurring=True), 4)
    stores.finish(stores.claim(job))
    stores.pass_time(2 * DAY)
    assert stores.housekeeping.prune(10, DAY, keep=2) == 0
    assert prune_history(stores, keep=2) == [(3, 0)]
    assert stores.housekeeping.prune(10, DAY, keep=2) == 1
    assert stores.jobs.attempts(job.id) == []


def test_an_idempotency_key_is_forgotten_once_it_is_old(stores: Stores):
    with stores.jobs.once("key", "body") as entry:
        entry.keep("answer")
    stores.pass_time(DAY)
    assert stores.housekeeping.prune_keys(10, DAY) == 0
    with pytest.raises(IdempotencyKeyReused), stores.jobs.once("key", "another body"):
        pass
    stores.pass_time(SECOND)
    assert stores.housekeeping.prune_keys(10, DAY) == 1
    with stores.jobs.once("key", "another body") as entry:
        assert entry.response is None


# --- counts


def test_an_empty_store_has_nothing_to_count(stores: Stores):
    assert stores.housekeeping.stats() == {
        "jobs": {},
        "paused": 0,
        "handlers": {},
        "due": {"count": 0, "unarmed": 0, "throttled": 0, "latest_by_seconds": 0.0, "late_by_seconds": 0.0},
        "recent": {"window": "PT5M", "attempts": {}},
        "count_to": 10_000,
        "at_least": [],
        "incomplete": [],
    }
    stores.housekeeping.ping()


def test_jobs_are_counted_by_status_and_handler_with_what_is_late_and_how_attempts_fared(stores: Stores):
    stores.add("waiting", due_at=NOON + DAY)
    late = stores.add("late", handler_name="Mail", due_at=NOON - timedelta(seconds=90.5))
    stores.jobs.mark_armed([AlarmName(late.id, 1)])
    stores.add("later", due_at=NOON - SECOND)
    stores.jobs.change(stores.add("paused", due_at=NOON - DAY), PAUSE)
    cancelled = stores.jobs.change(stores.add("paused, then cancelled"), PAUSE)
    stores.jobs.change(cancelled, CANCEL)
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
        "jobs": {"Scheduled": 4, "Completed": 4, "Failed": 1, "Running": 1, "Cancelled": 1},
        "paused": 1,
        "handlers": {
            "Mail": {"Failed": 1, "Running": 1, "Scheduled": 1},
            "Noop": {"Cancelled": 1, "Completed": 4, "Scheduled": 3},
        },
        "due": {"count": 2, "unarmed": 1, "throttled": 0, "latest_by_seconds": 690.5, "late_by_seconds": 690.5},
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
        "count_to": 10_000,
        "at_least": [],
        "incomplete": [],
    }


def test_counts_are_exact_up_to_a_bound_and_from_there_at_least(stores: Stores):
    for number in range(4):
        stores.add(f"due {number}", handler_name="A/B")
    stores.jobs.change(stores.add("paused", handler_name="Other"), PAUSE)
    for number in range(3):
        stores.finish(stores.running(f"failed {number}"), status=JobStatus.FAILED)
    stores.running("running")
    found = stores.housekeeping.stats(3)
    assert found["jobs"] == {"Failed": 3, "Running": 1, "Scheduled": 3}
    assert found["due"]["count"] == 3
    assert found["count_to"] == 3
    assert {"/jobs/Scheduled", "/handlers/A~1B/Scheduled", "/paused", "/due/count"} <= {*found["at_least"]}
    assert not {"/jobs/Failed", "/jobs/Running", "/handlers/Noop/Failed"} & {*found["at_least"]}
    exact = stores.housekeeping.stats(5)
    assert (exact["jobs"]["Scheduled"], exact["paused"], exact["at_least"]) == (5, 1, [])


def test_completed_jobs_are_counted_among_the_newest_and_said_to_be_more_where_there_are_older_ones(stores: Stores):
    for number in range(2):
        stores.finish(stores.running(f"done {number}"))
        stores.pass_time(SECOND)
    assert stores.housekeeping.stats(3)["at_least"] == []
    for number in range(8):  # twice the bound and two more, so that the completed ones are not among those looked at
        stores.add(f"newer {number}", due_at=NOON + DAY)
    found = stores.housekeeping.stats(3)
    assert "Completed" not in found["jobs"] or "/jobs/Completed" in found["at_least"]
    assert "/jobs/Completed" in found["at_least"] or "Completed" not in found["jobs"]
