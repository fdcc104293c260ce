from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.errors import InvalidSchedule
from jobs.core.lifecycle.handler_outcomes import Retry, Snooze
from jobs.core.lifecycle.ids import new_id
from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import TRANSITIONS, AttemptOutcome, JobStatus
from jobs.core.lifecycle.transitions import UNKNOWN_HANDLER_DELAY, next_state, resolve_misfire, skip
from jobs.core.schedules.recurrence import Occurrence

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DUE = datetime(2026, 6, 1, 10, tzinfo=UTC)
BEGAN = DUE + SECOND
ENDED = DUE + 30 * SECOND
NEXT = DUE + HOUR
ANY = Random(1)
POLICY = RetryPolicy(max_retries=2, base=10 * SECOND, factor=2, jitter=False)
FUZZ = settings(database=None, print_blob=True)

Outcome, Status = AttemptOutcome, JobStatus
SCHEDULED, COMPLETED, FAILED, CANCELLED = Status.SCHEDULED, Status.COMPLETED, Status.FAILED, Status.CANCELLED


def run_of(schedule: str = "@once", *, attempt: int = 1, number: int = 1, **fields: Any) -> ClaimedRun:
    options = fields.pop("options", None)
    given = {
        "job_id": UUID(int=7),
        "token": str(new_id()),
        "generation": 1,
        "handler_name": "X",
        "job_name": "job",
        "payload": "{}",
        "metadata": "{}",
        "attempt": attempt,
        "max_retries": 2,
        "run": number,
        "scheduled_for": DUE,
        "due_at": DUE,
        "claimed_at": DUE,
        "anchor": DUE,
        "timeout_seconds": None,
        "recurring": not schedule.startswith(("@once", "P", "2")),
        "schedule": schedule,
        "timezone": "UTC",
        "options": None if options is None else json.dumps(options),
        "trace_parent": None,
    } | fields
    return ClaimedRun(**{name: given[name] for name in ClaimedRun._fields if name in given})


def decided(run: ClaimedRun, result: RunResult, policy: RetryPolicy = POLICY, **options: Any) -> RecordedOutcome:
    return next_state(run, result, policy, ANY, started_at=BEGAN, finished_at=ENDED, **options)


def essence(outcome: RecordedOutcome) -> tuple[Any, ...]:
    return (
        outcome.status,
        outcome.due_at,
        outcome.scheduled_for,
        outcome.attempt,
        outcome.tally,
        outcome.run_ended,
    )


def failing(outcome: AttemptOutcome = Outcome.FAILED, **fields: Any) -> RunResult:
    return RunResult(outcome, "why", **({"retry": True} | fields))


# What becomes of the job: status, due_at, scheduled_for, attempt, tally, whether the run has ended.


def ends(status: JobStatus, attempt: int, tally: Tally = Tally.INCREMENT) -> tuple[Any, ...]:
    return (status, None, None, attempt, tally, True)


def again(wait: timedelta, attempt: int) -> tuple[Any, ...]:
    return (SCHEDULED, ENDED + wait, DUE, attempt, Tally.KEEP, False)


def next_run(tally: Tally = Tally.INCREMENT) -> tuple[Any, ...]:
    return (SCHEDULED, NEXT, NEXT, 0, tally, True)


SUCCESS = RunResult(Outcome.SUCCEEDED)
CASES = [
    # how the attempt ended, its number of three; a one-time job, a recurring one if that is another thing
    ("success", SUCCESS, 1, ends(COMPLETED, 1, Tally.RESET), next_run(Tally.RESET)),
    ("success at the last attempt", SUCCESS, 3, ends(COMPLETED, 3, Tally.RESET), next_run(Tally.RESET)),
    ("a first failure", failing(), 1, again(10 * SECOND, 1), None),
    ("a second failure", failing(), 2, again(20 * SECOND, 2), None),
    ("the last failure", failing(), 3, ends(FAILED, 3), next_run()),
    ("a failure never retried", failing(retry=False), 1, ends(FAILED, 1), next_run()),
    ("Retry(after=90)", failing(after_seconds=90), 1, again(90 * SECOND, 1), None),
    ("Retry(after=0)", failing(after_seconds=0), 1, again(0 * SECOND, 1), None),
    ("Retry beyond the next occurrence", failing(after_seconds=7200), 1, again(2 * HOUR, 1), next_run()),
    ("Retry with none left", failing(after_seconds=90), 3, ends(FAILED, 3), next_run()),
    ("a time-out", failing(Outcome.TIMED_OUT), 1, again(10 * SECOND, 1), None),
    ("the last time-out", failing(Outcome.TIMED_OUT), 3, ends(FAILED, 3), next_run()),
    ("a payload that does not fit", failing(Outcome.INVALID_PAYLOAD), 1, ends(FAILED, 1), next_run()),
    ("Discard", failing(Outcome.DISCARDED), 1, ends(FAILED, 1), next_run()),
    ("Cancel", failing(Outcome.CANCELLED), 1, ends(CANCELLED, 0, Tally.KEEP), None),
    ("Snooze(90)", failing(Outcome.SNOOZED, after_seconds=90), 2, again(90 * SECOND, 1), None),
    ("Snooze beyond the next occurrence", failing(Outcome.SNOOZED, after_seconds=7200), 1, again(2 * HOUR, 0), None),
    ("a shutdown", failing(Outcome.RELEASED), 1, again(0 * SECOND, 0), None),
    ("no such handler", failing(Outcome.UNKNOWN_HANDLER, after_seconds=30), 2, again(UNKNOWN_HANDLER_DELAY, 1), None),
]
NAMES = [case[0] for case in CASES]


@pytest.mark.parametrize(("result", "attempt", "expected"), [case[1:4] for case in CASES], ids=NAMES)
def test_a_one_time_job(result, attempt, expected):
    assert essence(decided(run_of("@once", attempt=attempt), result)) == expected


@pytest.mark.parametrize(
    ("result", "attempt", "expected"), [(*case[1:3], case[4] or case[3]) for case in CASES], ids=NAMES
)
def test_a_recurring_job(result, attempt, expected):
    assert essence(decided(run_of("@hourly", attempt=attempt), result)) == expected


@pytest.mark.parametrize("schedule", ["@once", "@hourly"])
@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in (Outcome.LOST, Outcome.SKIPPED)])
def test_what_is_written_is_a_way_that_leads_out_of_running_and_fits_the_constraints(schedule, outcome):
    written = decided(run_of(schedule), RunResult(outcome, "e", retry=True))
    assert written.status in TRANSITIONS[Status.RUNNING]
    assert (written.due_at is None) is written.status.ended
    assert (written.started_at, written.finished_at) == (BEGAN, ENDED)


@pytest.mark.parametrize("result", [SUCCESS, failing()], ids=["success", "failure"])
def test_a_job_whose_next_run_cannot_be_computed_ends_and_says_so(monkeypatch, result):
    monkeypatch.setattr("jobs.core.schedules.schedule.Cron.next_after", lambda _, moment, __: moment)
    outcome = decided(run_of("@hourly"), result)
    assert essence(outcome)[:2] == ends(FAILED, 1)[:2]
    assert outcome.tally is (Tally.RESET if result is SUCCESS else Tally.INCREMENT), "a replay looks at it"
    assert "no next run can be computed: '@hourly' gave 2026-06-01 10:00:00" in outcome.last_error


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("fields", [{"schedule": "no more"}, {"timezone": "Gone/Away"}], ids=str)
def test_a_schedule_that_cannot_be_read_any_more_is_found_out_before_the_run(fields, attempt):
    with pytest.raises(InvalidSchedule):
        resolve_misfire(run_of(**{"schedule": "@hourly", "recurring": True} | fields, attempt=attempt), ANY)


def test_the_last_error_is_gone_after_a_success_or_a_snooze_and_kept_after_anything_else():
    assert decided(run_of(), SUCCESS).last_error is None
    assert decided(run_of(), RunResult(Outcome.SNOOZED, "why", after_seconds=1)).last_error is None
    for outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.DISCARDED, Outcome.CANCELLED):
        assert decided(run_of(), RunResult(outcome, "why")).last_error == "why"


def test_the_jobs_own_number_of_retries_counts_not_the_handlers():
    failure = failing()
    assert decided(run_of(max_retries=0), failure).status is FAILED
    assert decided(run_of(attempt=9, max_retries=9), failure).status is SCHEDULED
    assert decided(run_of(attempt=10, max_retries=9), failure).status is FAILED


@pytest.mark.parametrize(("result", "ends_as"), [
    (SUCCESS, COMPLETED),
    (RunResult(Outcome.FAILED, "e"), FAILED),
    (RunResult(Outcome.DISCARDED, "e"), FAILED),
])  # fmt: skip
@pytest.mark.parametrize("options", [{"max_runs": 5}, {"end_at": "2026-06-01T10:59:59Z"}], ids=str)
def test_a_recurring_job_ends_with_its_last_run_as_that_ended(options, result, ends_as):
    last = run_of("@hourly", number=5, options=options)
    assert essence(decided(last, result))[:3] == (ends_as, None, None)


def test_the_last_run_of_a_recurring_job_is_retried_as_any_other():
    last = run_of("@hourly", number=5, options={"max_runs": 5})
    retried = decided(last, failing(after_seconds=7200))
    assert (retried.status, retried.due_at) == (SCHEDULED, ENDED + 2 * HOUR)


def test_a_retry_comes_before_the_next_occurrence_or_not_at_all():
    late = datetime(2026, 6, 1, 10, 59, 55, tzinfo=UTC)
    outcome = next_state(run_of("@hourly"), failing(), POLICY, ANY,
                     started_at=BEGAN, finished_at=late)  # fmt: skip
    assert essence(outcome) == next_run()


def test_a_run_that_outlasted_occurrences_is_followed_by_what_the_misfire_policy_wants():
    done = DUE + 3 * HOUR + 30 * MINUTE

    def following(**options: Any) -> RecordedOutcome:
        run = run_of("@hourly", options=options or None)
        return next_state(run, SUCCESS, POLICY, ANY, started_at=BEGAN, finished_at=done)

    assert (following().scheduled_for, following().due_at) == (DUE + 3 * HOUR, done)
    assert following(misfire="skip").due_at == DUE + 4 * HOUR
    all_of_them = following(misfire={"policy": "catch_up", "max": 10})
    assert (all_of_them.scheduled_for, all_of_them.due_at) == (DUE + HOUR, done)


def test_after_a_change_of_schedule_the_next_run_is_the_new_schedules_first():
    changed = run_of("30 * * * *", anchor=DUE + 10 * SECOND)
    outcome = decided(changed, SUCCESS, rescheduled=True)
    assert essence(outcome) == (SCHEDULED, DUE + 30 * MINUTE, DUE + 30 * MINUTE, 0, Tally.RESET, True)


@pytest.mark.parametrize(("schedule", "at"), [
    ("2026-06-02T00:00:00Z", datetime(2026, 6, 2, tzinfo=UTC)),
    ("PT2H", ENDED + 2 * HOUR),
    ("@once", ENDED),
])  # fmt: skip
@pytest.mark.parametrize("result", [SUCCESS, RunResult(Outcome.FAILED, "e")], ids=["well", "not"])
def test_a_recurring_job_that_was_made_one_time_while_it_ran_still_runs_then(schedule, at, result):
    outcome = decided(run_of(schedule), result, rescheduled=True)
    assert (outcome.status, outcome.due_at, outcome.run_ended) == (SCHEDULED, at, True)


def test_the_longest_wait_that_a_handler_may_ask_for_is_written_as_it_is():
    century = timedelta(days=36_500)
    for signal in (Snooze(century), Retry(after=century)):
        outcome = Outcome.SNOOZED if isinstance(signal, Snooze) else Outcome.FAILED
        result = RunResult(outcome, "e", retry=True, after_seconds=signal.after_seconds)
        assert decided(run_of(), result).due_at == ENDED + century


outcomes = st.builds(
    RunResult,
    st.sampled_from([outcome for outcome in Outcome if outcome not in (Outcome.LOST, Outcome.SKIPPED)]),
    st.just("e"),
    st.booleans(),
    st.none() | st.floats(min_value=0, max_value=timedelta(days=36_500).total_seconds()),
)


@given(
    schedule=st.sampled_from(["@once", "@hourly", "*/5 * * * * *", "@every 7s", "0 0 29 2 *"]),
    result=outcomes,
    attempt=st.integers(min_value=1, max_value=1_001),
    max_retries=st.integers(min_value=0, max_value=1_000),
    took=st.timedeltas(min_value=timedelta(), max_value=400 * DAY),
    seed=st.integers(),
)
@FUZZ
def test_whatever_happens_the_job_goes_on_later_or_ends(schedule, result, attempt, max_retries, took, seed):
    run = run_of(schedule, attempt=attempt, max_retries=max_retries)
    finished = BEGAN + took
    written = next_state(run, result, RetryPolicy(), Random(seed), started_at=BEGAN, finished_at=finished)
    assert (written.due_at is None) is written.status.ended
    assert written.status in TRANSITIONS[Status.RUNNING]
    if written.due_at is not None:
        assert written.due_at >= finished or written.run_ended
    if written.status is SCHEDULED:
        assert written.due_at >= written.scheduled_for
        if written.run_ended:
            assert run.recurring
            assert written.scheduled_for > run.scheduled_for
        else:
            assert written.scheduled_for == run.scheduled_for
    if written.status is SCHEDULED and run.recurring and written.run_ended:
        assert written.attempt == 0
    assert 0 <= written.attempt <= attempt


# --- a run that was claimed late


def test_a_run_claimed_in_time_stands_for_its_own_instant():
    assert resolve_misfire(run_of("@hourly", claimed_at=DUE + 59 * SECOND), ANY) == Occurrence(DUE, DUE)


@pytest.mark.parametrize(("misfire", "expected"), [
    ("run_once", Occurrence(DUE + 3 * HOUR, DUE + 3 * HOUR + 5 * MINUTE)),
    ("skip", Occurrence(DUE + 4 * HOUR, DUE + 4 * HOUR)),
    ({"policy": "catch_up", "max": 2}, Occurrence(DUE + 2 * HOUR, DUE + 3 * HOUR + 5 * MINUTE)),
])  # fmt: skip
def test_a_run_claimed_late_stands_for_what_the_misfire_policy_says(misfire, expected):
    late = DUE + 3 * HOUR + 5 * MINUTE
    assert resolve_misfire(run_of("@hourly", claimed_at=late, options={"misfire": misfire}), ANY) == expected


def test_a_late_retry_and_a_late_one_time_job_are_run_as_they_are():
    late = DUE + 3 * DAY
    skipping = {"claimed_at": late, "options": {"misfire": "skip"}}
    assert resolve_misfire(run_of("@hourly", attempt=2, **skipping), ANY) == Occurrence(DUE, DUE)
    assert resolve_misfire(run_of("@once", **skipping), ANY) == Occurrence(DUE, DUE)


def test_a_late_run_of_a_schedule_that_is_over_is_not_made_up_for_when_late_runs_are_skipped():
    ends = {"misfire": "skip", "end_at": "2026-06-01T10:30:00Z"}
    assert resolve_misfire(run_of("@hourly", claimed_at=DUE + DAY, options=ends), ANY) is None


def test_a_skipped_run_is_written_as_skipped_and_counts_neither_as_a_run_nor_as_a_failure():
    run = run_of("@hourly", claimed_at=ENDED, options={"misfire": "skip"})
    written = skip(run, Occurrence(NEXT, NEXT))
    assert essence(written) == (SCHEDULED, NEXT, NEXT, 0, Tally.KEEP, False)
    assert written.result.outcome is Outcome.SKIPPED
    assert essence(skip(run, None)) == (COMPLETED, None, None, 0, Tally.KEEP, False)
