"""What becomes of a job after an attempt: a pure function of the run, how it ended, the time and a random source."""

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
"""How long a job waits whose handler this app does not have: during a deployment the next version may."""

_UNCOUNTED = frozenset({AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED, AttemptOutcome.UNKNOWN_HANDLER})
_TRIED_AGAIN = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT})


@lru_cache(maxsize=1024)
def timing_of(schedule: str, timezone: str, options: str | None) -> Timing:
    """Read a job's timing as the store keeps it."""
    return Timing.model_validate({**json.loads(options or "{}"), "schedule": schedule, "timezone": timezone})


def unknown_options(error: Exception) -> str | None:
    """Name the options that only a newer release knows, if nothing else keeps a job's timing from being read."""
    if not isinstance(error, ValidationError):
        return None
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    if any(fault["type"] != "extra_forbidden" for fault in faults):
        return None
    return ", ".join(".".join(str(part) for part in fault["loc"]) for fault in faults)


def recurrence_of(run: ClaimedRun) -> Recurrence:
    """Return the recurrence that a claimed run belongs to."""
    return timing_of(run.schedule, run.timezone, run.options).recurrence(run.anchor)


def is_rescheduled(run: ClaimedRun, fresh: ClaimedRun, now: datetime) -> bool:
    """Whether the job of ``run``, read again as ``fresh``, has a schedule of another meaning since it was claimed."""
    try:
        before, after = (timing_of(each.schedule, each.timezone, each.options) for each in (run, fresh))
        kept = before.runs_as(after, scheduled_for=run.scheduled_for, now=now)
    except (InvalidSchedule, ValidationError):  # one of them was written by hand
        return True
    counted_anew = isinstance(after.parsed, Every) and after.start_at is None and run.anchor != fresh.anchor
    return not kept or counted_anew


def resolve_misfire(run: ClaimedRun, random: Random) -> Occurrence | None:
    """Return which occurrence a freshly claimed run stands for, by the misfire policy; None when none is left to run.

    Judged at the instant of the claim, by the clock that found the run due: by another one that is behind, the run
    would not be due yet and be put off to the same instant, over and over.

    Only a run that was late in being claimed is looked at: a retry or a snooze is later than its instant by right.
    Raises ``InvalidSchedule`` or pydantic's error for a schedule that cannot be read any more; better here than once
    the handler has run, when no next run could be recorded and so this one would be taken up again and again.
    """
    occurrence = Occurrence(run.scheduled_for, run.due_at)
    if not run.recurring:
        return occurrence
    recurrence, now = recurrence_of(run), run.claimed_at
    if run.attempt > 1 or now - run.due_at <= recurrence.misfire_grace:
        return occurrence
    return recurrence.resolve_misfire(run.scheduled_for, now, random)


def skip(run: ClaimedRun, instead: Occurrence | None) -> RecordedOutcome:
    """Return what to record for a run that is skipped: the next occurrence, or the end of the schedule."""
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
    """Return what to record for an attempt that ended with ``result``.

    ``rescheduled``: the schedule means something else since the run began, so the next run is the new schedule's first.
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
        # Without an outcome the run would be taken up again, over and over. So the job ends, visibly.
        why = f"no next run can be computed: {fault}; retry the job once that is mended, or enqueue it anew"
        tally = Tally.RESET if succeeded else Tally.INCREMENT  # a replay must not take a run that succeeded once more
        return written(JobStatus.FAILED, attempt=run.attempt, last_error=why, tally=tally)
    if result.outcome in _TRIED_AGAIN and result.retry and run.attempt <= run.max_retries:
        due_at = finished_at + _wait(run, result, policy, random)
        if following is None or due_at < following.due_at:
            again = Occurrence(run.scheduled_for, due_at)  # not what the row has: the run may stand for later ones too
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
