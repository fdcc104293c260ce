"""What any ``RunStore`` must do about claims, leases and outcomes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import ClaimedRun, Job, Lease, Recorded, RunResult, Tally
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.ports.jobs import NOW, Change
from jobs.core.ports.runs import Heartbeat
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores, lease_of

PAUSE = Change("pause", {"paused": True})
REQUEST_CANCEL = Change("request-cancel", {"cancel_requested_at": NOW})
RESCHEDULE = Change("update", {"schedule": "@daily", "recurring": True}, new_generation=True)


def claim(stores: Stores, name: AlarmName) -> ClaimedRun | None:
    return stores.runs.claim(name, worker="worker", lease=LEASE)


# --- claim


def test_a_claimed_run_says_all_that_its_execution_needs(stores: Stores):
    job = stores.add(
        "name",
        schedule="@every 1h",
        timezone="Europe/Berlin",
        options='{"jitter": "PT5S"}',
        recurring=True,
        payload='{"aa":1,"b":[]}',
        metadata='{"k":"v"}',
        due_at=NOON,
        scheduled_for=NOON - SECOND,
        anchor=NOON - DAY,
        max_retries=4,
        timeout_seconds=2.5,
        trace_parent="00-trace",
        payload_version=3,
        retry='{"factor":2.0}',
    )
    run = claim(stores, AlarmName(job.id, 1))
    assert run == ClaimedRun(
        job_id=job.id,
        token=run.token,
        generation=1,
        handler_name="Noop",
        job_name="name",
        payload='{"b": [], "aa": 1}',
        metadata='{"k": "v"}',
        attempt=1,
        max_retries=4,
        run=1,
        scheduled_for=NOON - SECOND,
        due_at=NOON,
        claimed_at=NOON,
        anchor=NOON - DAY,
        timeout_seconds=2.5,
        recurring=True,
        schedule="@every 1h",
        timezone="Europe/Berlin",
        options='{"jitter": "PT5S"}',
        trace_parent="00-trace",
        payload_version=3,
        retry='{"factor": 2.0}',
    )


def test_how_long_an_alarm_is_early_is_told_by_the_clock_that_claims_go_by(stores: Stores):
    job = stores.add(due_at=NOON + MINUTE)
    name = AlarmName(job.id, 1)
    assert stores.runs.due_in(name) == 60
    stores.pass_time(MINUTE + SECOND)
    assert stores.runs.due_in(name) == -1
    assert stores.runs.due_in(AlarmName(job.id, 2)) is None
    stores.claim(job)
    assert stores.runs.due_in(name) is None


def test_a_claim_makes_the_job_running_under_a_lease_and_counts_the_attempt(stores: Stores):
    job = stores.add(due_at=NOON)
    stores.pass_time(SECOND)
    stores.claim(job, worker="me")
    assert stores.read(job.id) == job.model_copy(
        update={
            "status": JobStatus.RUNNING,
            "attempt": 1,
            "started_at": NOON + SECOND,
            "lease_expires_at": NOON + SECOND + LEASE,
            "worker": "me",
            "revision": 2,
            "updated_at": NOON + SECOND,
        }
    )


def test_a_job_is_claimed_once_it_is_due_and_not_before(stores: Stores):
    job = stores.add(due_at=NOON + SECOND)
    assert claim(stores, AlarmName(job.id, 1)) is None
    assert stores.claim_due() == []
    stores.pass_time(SECOND)
    assert claim(stores, AlarmName(job.id, 1)) is not None


def test_an_alarm_of_another_generation_or_of_no_job_claims_nothing(stores: Stores):
    job = stores.add()
    assert claim(stores, AlarmName(job.id, 2)) is None
    assert claim(stores, AlarmName(new_id(), 1)) is None
    assert stores.read(job.id) == job


def test_a_paused_a_running_and_an_ended_job_are_not_claimed(stores: Stores):
    paused = stores.jobs.change(stores.add("paused"), PAUSE)
    running = stores.running("running")
    stores.finish(stores.running("ended"))
    assert claim(stores, AlarmName(paused.id, 1)) is None
    assert claim(stores, AlarmName(running.job_id, 1)) is None
    assert stores.claim_due() == []


def test_the_longest_due_are_claimed_first_and_of_equals_the_smallest_id(stores: Stores):
    later = stores.add("later", due_at=NOON - SECOND)
    for number in (3, 1, 4, 2):
        stores.pass_time(SECOND)
        stores.add(f"equal-{number}", id=UUID(int=number), due_at=NOON - MINUTE)
    first = stores.add("first", due_at=NOON - DAY)
    claimed = [sorted(run.job_id for run in stores.claim_due(limit)) for limit in (1, 3, 1, 10)]
    assert claimed == [[first.id], [UUID(int=number) for number in (1, 2, 3)], [UUID(int=4)], [later.id]]


def test_runs_claimed_at_once_come_in_the_order_in_which_they_fell_due(stores: Stores):
    for minutes in (3, 1, 2):
        stores.add(f"{minutes}", due_at=NOON - minutes * MINUTE)
    assert [run.job_name for run in stores.claim_due()] == ["3", "2", "1"]


def test_every_claim_has_a_token_of_its_own(stores: Stores):
    for number in range(3):
        stores.add(f"job-{number}")
    assert len({run.token for run in stores.claim_due()}) == 3


def test_of_many_claims_at_once_each_job_is_claimed_once(stores: Stores):
    for number in range(20):
        stores.add(f"job-{number}")
    barrier = threading.Barrier(4)

    def work(_: int) -> list[ClaimedRun]:
        barrier.wait()
        return [run for _ in range(10) for run in stores.claim_due(3)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [run.job_id for runs in pool.map(work, range(4)) for run in runs]
    assert len(claimed) == len(set(claimed)) == 20


# --- leases


def test_a_heartbeat_extends_the_leases_that_are_held_and_tells_which_are_to_be_cancelled(stores: Stores):
    kept, cancelled, gone = stores.running("kept"), stores.running("cancelled"), stores.running("gone")
    stores.jobs.change(stores.read(cancelled.job_id), REQUEST_CANCEL)
    stores.finish(gone)
    stores.pass_time(SECOND)
    leases = [lease_of(run) for run in (kept, cancelled, gone)] + [Lease(kept.job_id, str(uuid4()))]
    found = stores.runs.extend(leases, 2 * LEASE)
    assert found == Heartbeat(frozenset({kept.token, cancelled.token}), frozenset({cancelled.token}))
    assert stores.read(kept.job_id).lease_expires_at == NOON + SECOND + 2 * LEASE
    assert stores.read(kept.job_id).revision == 2, "what somebody read to change it still stands"
    assert stores.runs.extend([], LEASE) == Heartbeat(frozenset(), frozenset())


def test_a_lease_that_has_expired_is_held_until_somebody_takes_it_back(stores: Stores):
    run = stores.running()
    stores.pass_time(2 * LEASE)
    assert stores.runs.extend([lease_of(run)], LEASE).held == {run.token}
    stores.pass_time(2 * LEASE)
    stores.housekeeping.reap(10, max_lost=5)
    assert stores.runs.extend([lease_of(run)], LEASE).held == frozenset()


def test_progress_is_noted_under_the_lease_and_a_new_attempt_begins_without(stores: Stores):
    run = stores.running(max_retries=3)
    assert stores.runs.report_progress(lease_of(run), 0.25, "half a \ud800 pair")
    job = stores.read(run.job_id)
    assert (job.progress, job.progress_message, job.revision) == (0.25, "half a ? pair", 2)
    assert not stores.runs.report_progress(Lease(run.job_id, str(uuid4())), 0.5, None)
    assert stores.read(run.job_id).progress == 0.25
    stores.again(run, attempt=1)
    assert stores.read(run.job_id).progress == 0.25, "it tells how far the last attempt came"
    assert not stores.runs.report_progress(lease_of(run), 0.5, None)
    [again] = stores.claim_due()
    assert (stores.read(again.job_id).progress, stores.read(again.job_id).progress_message) == (None, None)


# --- outcomes


def test_a_one_time_job_that_succeeds_is_completed(stores: Stores):
    run = stores.running()
    stores.pass_time(SECOND)
    result = RunResult(AttemptOutcome.SUCCEEDED, result='{"b":1,"a":2}', trace_id="trace")
    assert stores.finish(run, result=result) == [Recorded(run.token, JobStatus.COMPLETED, 1, None)]
    job = stores.read(run.job_id)
    assert (job.status, job.next_run_at, job.handled_at) == (JobStatus.COMPLETED, None, NOON + SECOND)
    assert (job.run_count, job.attempt, job.consecutive_failures, job.last_error) == (1, 1, 0, None)
    assert (job.last_run_at, job.lease_expires_at, job.worker, job.revision) == (NOON, None, "worker", 3)
    assert job.result == {"a": 2, "b": 1}
    [attempt] = stores.jobs.attempts(run.job_id)
    assert attempt.model_dump() == {
        "run": 1,
        "attempt": 1,
        "scheduled_for": NOON,
        "started_at": NOON + SECOND,
        "finished_at": NOON + SECOND,
        "outcome": AttemptOutcome.SUCCEEDED,
        "error": None,
        "worker": "worker",
        "trace_id": "trace",
        "result": {"a": 2, "b": 1},
        "traceback": None,
        "retried": 0,
    }


def test_a_run_that_is_to_be_tried_again_waits_under_a_new_generation(stores: Stores):
    run = stores.running()
    assert stores.again(run, MINUTE) == [Recorded(run.token, JobStatus.SCHEDULED, 2, NOON + MINUTE)]
    job = stores.read(run.job_id)
    assert (job.status, job.next_run_at, job.scheduled_for) == (JobStatus.SCHEDULED, NOON + MINUTE, NOON)
    assert (job.attempt, job.run_count, job.last_error, job.handled_at) == (1, 0, "it failed", None)
    stores.pass_time(MINUTE)
    [again] = stores.claim_due()
    assert (again.run, again.attempt, again.generation, again.scheduled_for) == (1, 2, 2, NOON)
    assert again.token != run.token
    assert [(line.run, line.attempt, line.outcome) for line in stores.jobs.attempts(run.job_id)] == [(1, 1, "Failed")]


def test_a_recurring_job_goes_on_to_its_next_occurrence(stores: Stores):
    run = stores.running(recurring=True, schedule="@daily")
    [recorded] = stores.finish(
        run, status=JobStatus.SCHEDULED, due_at=NOON + DAY + SECOND, scheduled_for=NOON + DAY, attempt=0
    )
    assert recorded == Recorded(run.token, JobStatus.SCHEDULED, 2, NOON + DAY + SECOND)
    job = stores.read(run.job_id)
    assert (job.next_run_at, job.scheduled_for, job.attempt) == (NOON + DAY + SECOND, NOON + DAY, 0)
    assert (job.run_count, stores.jobs.attempts(job.id)[0].scheduled_for) == (1, NOON)
    stores.pass_time(2 * DAY)
    assert stores.claim(job).run == 2


@pytest.mark.parametrize(("tally", "failures"), [(Tally.INCREMENT, 2), (Tally.KEEP, 1), (Tally.RESET, 0)])
def test_failures_in_a_row_are_tallied(stores: Stores, tally: Tally, failures: int):
    run = stores.running(recurring=True)
    stores.again(run, tally=Tally.INCREMENT)
    [run] = stores.claim_due()
    stores.again(run, tally=tally)
    assert stores.read(run.job_id).consecutive_failures == failures


def test_the_result_of_the_last_success_stays_through_failures(stores: Stores):
    run = stores.running(recurring=True)
    success = RunResult(AttemptOutcome.SUCCEEDED, result="[1]")
    stores.finish(run, result=success, status=JobStatus.SCHEDULED, due_at=NOON, scheduled_for=NOON)
    [run] = stores.claim_due()
    stores.again(run)
    assert stores.read(run.job_id).result == [1]
    [run] = stores.claim_due()
    stores.finish(run)
    assert stores.read(run.job_id).result is None


def test_a_job_whose_cancellation_was_requested_does_not_go_on(stores: Stores):
    run = stores.running()
    stores.jobs.change(stores.read(run.job_id), REQUEST_CANCEL)
    assert stores.again(run, MINUTE) == [Recorded(run.token, JobStatus.CANCELLED, 2, None)]
    job = stores.read(run.job_id)
    assert (job.status, job.next_run_at, job.handled_at) == (JobStatus.CANCELLED, None, NOON)
    assert job.cancel_requested_at == NOON


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED])
def test_a_job_that_ended_in_spite_of_a_requested_cancellation_stays_as_it_ended(stores: Stores, status: JobStatus):
    run = stores.running()
    stores.jobs.change(stores.read(run.job_id), REQUEST_CANCEL)
    assert stores.finish(run, status=status) == [Recorded(run.token, status, 1, None)]


def test_the_outcome_of_a_lease_that_is_anothers_now_changes_nothing(stores: Stores):
    run = stores.running()
    stores.pass_time(2 * LEASE)
    stores.housekeeping.reap(10, max_lost=5)
    [successor] = stores.claim_due()
    before = stores.read(run.job_id)
    assert stores.finish(run) == []
    assert stores.runs.reread(run) is None
    assert stores.runs.recorded(run) is None
    assert stores.read(run.job_id) == before
    assert stores.finish(successor) != []


def test_an_outcome_is_recorded_once(stores: Stores):
    run = stores.running()
    assert len(stores.finish(run)) == 1
    assert stores.finish(run) == []
    assert len(stores.jobs.attempts(run.job_id)) == 1


def test_an_outcome_decided_on_another_schedule_is_not_written_and_the_run_reads_the_new_one(stores: Stores):
    run = stores.running()
    stores.jobs.change(stores.read(run.job_id), RESCHEDULE)
    assert stores.finish(run) == []
    fresh = stores.runs.reread(run)
    assert fresh == run._replace(schedule="@daily", recurring=True, generation=2)
    assert stores.finish(fresh) == [Recorded(run.token, JobStatus.COMPLETED, 2, None)]


def test_of_outcomes_recorded_together_those_stand_that_are_not_fenced_off(stores: Stores):
    runs = [stores.running(f"job-{number}") for number in range(4)]
    stores.finish(runs[1])
    recorded = stores.runs.record([stores.ended(run) for run in runs])
    assert {each.token for each in recorded} == {run.token for run in (runs[0], runs[2], runs[3])}
    assert stores.runs.record([]) == []


def test_what_was_recorded_is_told_by_the_token(stores: Stores):
    run = stores.running()
    assert stores.runs.recorded(run) is None
    stores.again(run, MINUTE)
    assert stores.runs.recorded(run) == Recorded(run.token, JobStatus.SCHEDULED, 2, NOON + MINUTE)
    moved = stores.jobs.change(stores.read(run.job_id), Change("run-now", {"next_run_at": NOW}, new_generation=True))
    assert stores.runs.recorded(run) == Recorded(run.token, JobStatus.SCHEDULED, moved.generation, NOON)


def test_an_error_is_kept_cut_and_without_what_cannot_be_stored(stores: Stores):
    run = stores.running()
    error = "a\x00b \ud800 " + "x" * 20_000
    result = RunResult(AttemptOutcome.FAILED, error, traceback=error)
    stores.finish(run, result=result, status=JobStatus.FAILED, last_error=error)
    kept = "a\ufffdb ? " + "x" * 8_994
    assert stores.read(run.job_id).last_error == kept
    attempt = stores.jobs.attempts(run.job_id)[0]
    assert attempt.error == kept
    assert attempt.traceback == "a\ufffdb ? " + "x" * 15_994


def test_a_snooze_counts_no_attempt_and_ends_no_run(stores: Stores):
    run = stores.running()
    stores.again(run, MINUTE, result=RunResult(AttemptOutcome.SNOOZED, "later"), attempt=0, last_error="later")
    stores.pass_time(MINUTE)
    [again] = stores.claim_due()
    assert (again.run, again.attempt) == (1, 1)
    assert [line.outcome for line in stores.jobs.attempts(run.job_id)] == ["Snoozed"]


MISSING = {"result": RunResult(AttemptOutcome.UNKNOWN_HANDLER, "no such handler"), "attempt": 0, "last_error": "none"}


def attempted(stores: Stores, job: Job, in_: timedelta = SECOND, **fields: Any) -> None:
    """Pass the time until the job is due, and end an attempt that is repeated in a while."""
    stores.pass_time(SECOND)
    stores.again(stores.claim(stores.read(job.id)), in_, **fields)


def test_a_missing_handler_has_one_line_in_the_history_of_when_it_was_last_missed(stores: Stores):
    job = stores.add()
    for _ in range(3):
        attempted(stores, job, **MISSING)
    [line] = stores.jobs.attempts(job.id)
    assert (line.outcome, line.attempt, line.started_at) == ("UnknownHandler", 1, NOON + 3 * SECOND)
    attempted(stores, job)
    attempted(stores, job, **MISSING)
    attempted(stores, job, **MISSING | {"result": RunResult(AttemptOutcome.UNKNOWN_HANDLER, "too old")})
    lines = [(line.outcome, line.error) for line in stores.jobs.attempts(job.id)]
    assert lines == [
        ("UnknownHandler", "too old"), ("UnknownHandler", "no such handler"), ("Failed", "it failed"),
        ("UnknownHandler", "no such handler"),
    ]  # fmt: skip


def test_an_attempt_without_a_handler_keeps_the_lines_of_other_jobs_and_of_its_own_batch(stores: Stores):
    jobs = [stores.add(name) for name in ("a", "b", "c")]
    for job in jobs[:2]:
        attempted(stores, job, **MISSING)
    stores.pass_time(SECOND)
    runs = [stores.claim(stores.read(job.id)) for job in jobs]
    outcomes = [stores.ended(run, **MISSING, status=JobStatus.SCHEDULED, due_at=stores.clock.now(), run_ended=False)
                for run in runs[1:2]]  # fmt: skip
    stores.runs.record([*outcomes, stores.ended(runs[2])])
    assert [[line.outcome for line in stores.jobs.attempts(job.id)] for job in jobs] == [
        ["UnknownHandler"], ["UnknownHandler"], ["Succeeded"],
    ]  # fmt: skip


def test_a_due_run_that_is_put_off_for_want_of_its_handler_is_overdue_and_one_that_waits_for_its_retry_is_not(
    stores: Stores,
):
    missed, failed = stores.add("missed"), stores.add("failed")
    attempted(stores, missed, in_=30 * SECOND, **MISSING)
    attempted(stores, failed, in_=30 * SECOND)
    assert (stores.names(overdue=True), stores.names(overdue=False)) == (["missed"], ["failed"])
    stores.jobs.change(stores.read(missed.id), Change("pause", {"paused": True}))
    assert stores.names(overdue=True) == []


def test_a_heartbeat_and_an_outcome_at_the_same_time_do_not_mind_each_other(stores: Stores):
    runs = [stores.running(f"job-{number}") for number in range(12)]

    def beat() -> None:
        for _ in range(10):
            stores.runs.extend([lease_of(run) for run in runs], timedelta(seconds=90))

    beating = threading.Thread(target=beat)
    beating.start()
    recorded = [stores.finish(run) for run in runs]
    beating.join(60)
    assert all(len(each) == 1 for each in recorded)
    assert stores.runs.extend([lease_of(run) for run in runs], LEASE).held == frozenset()
