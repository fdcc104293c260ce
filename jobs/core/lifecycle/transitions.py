"""State transitions after an attempt: pure functions of the run, its result, the time and a random source."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import ValidationError

from jobs.core.errors import InvalidSchedule, ScheduleFault
from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.suspects import losses_after
from jobs.core.schedules.recurrence import Occurrence
from jobs.core.schedules.schedule import Every
from jobs.core.schedules.timing import Timing

if TYPE_CHECKING:
    from random import Random

    from jobs.core.schedules.recurrence import Recurrence

UNKNOWN_HANDLER_DELAY = timedelta(seconds=30)
"""The wait of a job whose handler this app does not have; during a deployment the next version may have it."""

_UNCOUNTED = frozenset({AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED, AttemptOutcome.UNKNOWN_HANDLER})
_RETRYABLE = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT})


@lru_cache(maxsize=1024)
def timing_of(schedule: str, timezone: str, options: str | None) -> Timing:
    """Return a job's timing from its columns. Raises pydantic's ``ValidationError`` for unreadable ones."""
    return Timing.model_validate({**json.loads(options or "{}"), "schedule": schedule, "timezone": timezone})


def unknown_options(error: Exception) -> str | None:
    """Return the names of options that only a newer release knows, if these are the only faults; else None."""
    if not isinstance(error, ValidationError):
        return None
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    if any(fault["type"] != "extra_forbidden" for fault in faults):
        return None
    return ", ".join(".".join(str(part) for part in fault["loc"]) for fault in faults)


def recurrence_of(run: ClaimedRun) -> Recurrence:
    """Return the recurrence of a claimed run's job."""
    return timing_of(run.schedule, run.timezone, run.options).recurrence(run.anchor)


def is_rescheduled(run: ClaimedRun, fresh: ClaimedRun, now: datetime) -> bool:
    """Whether the schedule of the job changed in meaning between the claim ``run`` and the later read ``fresh``."""
    try:
        before, after = (timing_of(each.schedule, each.timezone, each.options) for each in (run, fresh))
        same = before.runs_as(after, scheduled_for=run.scheduled_for, now=now)
    except (InvalidSchedule, ValidationError):  # one of them was written by a person
        return True
    new_anchor = isinstance(after.parsed, Every) and after.start_at is None and run.anchor != fresh.anchor
    return not same or new_anchor


def resolve_misfire(run: ClaimedRun, random: Random) -> Occurrence | None:
    """Return the occurrence that a freshly claimed run executes, by the misfire policy; None if none is left.

    Lateness is measured at the time of the claim, by the clock that found the run due. A different clock that is behind
    would find the run not due yet, and postpone it to the same instant over and over.

    Only a run that was claimed late is examined: a retry or a snooze is rightly later than its instant. Raises
    ``InvalidSchedule`` or pydantic's error for a schedule that is no longer readable: after the handler has run, no
    next run could be recorded, and this one would be repeated again and again.
    """
    occurrence = Occurrence(run.scheduled_for, run.due_at)
    if not run.recurring:
        return occurrence
    recurrence, now = recurrence_of(run), run.claimed_at
    if run.attempt > 1 or now - run.due_at <= recurrence.misfire_grace:
        return occurrence
    return recurrence.resolve_misfire(run.scheduled_for, now, random)


def skip(run: ClaimedRun, instead: Occurrence | None) -> RecordedOutcome:
    """Return the outcome of a skipped run: the next occurrence, or the end of the job if ``instead`` is None."""
    now = run.claimed_at
    result = RunResult(
        AttemptOutcome.SKIPPED, f"not run: it was due at {run.due_at.isoformat()}, and late runs are skipped"
    )
    if instead is None:
        return RecordedOutcome(run, result, JobStatus.COMPLETED, now, now, run_ended=False, lost_count=run.lost_count)
    return RecordedOutcome(
        run,
        result,
        JobStatus.SCHEDULED,
        now,
        now,
        due_at=instead.due_at,
        scheduled_for=instead.scheduled_for,
        run_ended=False,
        lost_count=run.lost_count,
    )


def next_state(
    run: ClaimedRun,
    result: RunResult,
    policy: RetryPolicy,
    random: Random,
    *,
    started_at: datetime,
    finished_at: datetime,
    rescheduled: bool = False,
) -> RecordedOutcome:
    """Return the outcome to record for an attempt that ended with ``result``: the job's next state.

    ``rescheduled``: the schedule changed in meaning during the run, so the next run is the new schedule's first.
    """
    if result.outcome is AttemptOutcome.SUCCEEDED and not run.recurring and not rescheduled:
        return RecordedOutcome(
            run, result, JobStatus.COMPLETED, started_at, finished_at, attempt=run.attempt, tally=Tally.RESET
        )

    def written(status: JobStatus, occurrence: Occurrence | None = None, **fields: object) -> RecordedOutcome:
        times = {} if occurrence is None else {"due_at": occurrence.due_at, "scheduled_for": occurrence.scheduled_for}
        counted = {"last_error": result.error, "lost_count": losses_after(run, result)}
        known = counted | {"rescheduled": rescheduled} | times | fields
        return RecordedOutcome(run, result, status, started_at, finished_at, **known)  # type: ignore[arg-type]

    if result.outcome in _UNCOUNTED:
        due_at = finished_at + timedelta(seconds=result.after_seconds or 0)
        error = None if result.outcome is AttemptOutcome.SNOOZED else result.error  # a snooze is no error
        return written(
            JobStatus.SCHEDULED,
            Occurrence(run.scheduled_for, due_at),
            attempt=max(run.attempt - 1, 0),
            run_ended=False,
            last_error=error,
        )
    if result.outcome is AttemptOutcome.CANCELLED:
        return written(JobStatus.CANCELLED)

    succeeded = result.outcome is AttemptOutcome.SUCCEEDED
    try:
        following = (
            _following(run, finished_at, random, rescheduled=rescheduled) if run.recurring or rescheduled else None
        )
    except ScheduleFault as fault:
        # Without an outcome the run would be repeated over and over. So the job ends, visibly.
        why = f"no next run can be computed: {fault}; retry the job once that is mended, or enqueue it anew"
        tally = Tally.RESET if succeeded else Tally.INCREMENT  # a retry of the job must not repeat a run that succeeded
        return written(JobStatus.FAILED, attempt=run.attempt, last_error=why, tally=tally)
    if result.outcome in _RETRYABLE and result.retry and run.attempt <= run.max_retries:
        due_at = finished_at + _wait(run, result, policy, random)
        if following is None or due_at < following.due_at:
            again = Occurrence(
                run.scheduled_for, due_at
            )  # the run's instant; a misfire may have moved it past the row's
            return written(JobStatus.SCHEDULED, again, attempt=run.attempt, run_ended=False)
    tally = Tally.RESET if succeeded else Tally.INCREMENT
    status = JobStatus.SCHEDULED if following else JobStatus.COMPLETED if succeeded else JobStatus.FAILED
    return written(status, following, attempt=0 if following else run.attempt, tally=tally)


def _following(run: ClaimedRun, now: datetime, random: Random, *, rescheduled: bool) -> Occurrence | None:
    recurrence = recurrence_of(run)
    if not rescheduled:
        return recurrence.following(run.scheduled_for, now, run.run, random)
    if recurrence.max_runs is not None and run.run >= recurrence.max_runs:
        return None
    return recurrence.first(now, random)


def _wait(run: ClaimedRun, result: RunResult, policy: RetryPolicy, random: Random) -> timedelta:
    if result.after_seconds is not None:
        return timedelta(seconds=result.after_seconds)
    return policy.wait(run.attempt, random)
