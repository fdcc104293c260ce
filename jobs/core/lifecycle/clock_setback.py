"""Correct a waiting job's times after the database's clock ran ahead and was set back. All functions are pure.

While the clock was ahead, runs took place for future instants, and their next runs were computed from there. By the
corrected clock such a job would not run until that time is reached.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from pydantic import ValidationError

from jobs.core.errors import InvalidSchedule, ScheduleFault
from jobs.core.lifecycle.transitions import timing_of
from jobs.core.schedules.schedule import OneTime

if TYPE_CHECKING:
    from random import Random

    from jobs.core.schedules.timing import Timing

CLOCK_TOLERANCE = timedelta(minutes=1)
"""Smaller setbacks are ignored, so that runs within this period do not take place twice."""


class WaitingJob(NamedTuple):
    """A Scheduled job that is not due yet. ``options`` is JSON text; ``written_at`` is when it was last changed."""

    id: UUID
    generation: int
    schedule: str
    timezone: str
    options: str | None
    recurring: bool
    anchor: datetime
    scheduled_for: datetime
    due_at: datetime
    attempt: int
    written_at: datetime


class WaitingPage(NamedTuple):
    """A page of waiting jobs by due time, and the store's current time; the last job is the cursor."""

    now: datetime
    jobs: list[WaitingJob]


class LatestRecord(NamedTuple):
    """The store's current time, and the latest time at which any row was written."""

    now: datetime
    written_at: datetime | None


class SetBack(NamedTuple):
    """The corrected times of a waiting job; they apply only while it has this generation."""

    id: UUID
    generation: int
    due_at: datetime
    scheduled_for: datetime
    anchor: datetime
    attempt: int


def set_back(job: WaitingJob, now: datetime, random: Random) -> SetBack | None:
    """Return the corrected times of ``job`` at ``now``; None if its times are right, or its schedule is unreadable.

    A recurring job whose pending run is later than the schedule's next run gets that next run. A wait that began while
    the clock was ahead (for a retry, a snooze, a lost worker, a delay) keeps its length. Jitter and waits that began at
    the right time are not changed: only the scheduled instants and the times of writing are examined.
    """
    try:
        timing = timing_of(job.schedule, job.timezone, job.options)
        asked_for_now = job.scheduled_for == job.written_at
        moved = _to_own_next(job, timing, now, random) if job.recurring and not asked_for_now else None
        return moved or _shortened(job, timing, now)
    except (InvalidSchedule, ValidationError, ScheduleFault, OverflowError):
        return None  # the claim of the job will report it and fail the job


def _to_own_next(job: WaitingJob, timing: Timing, now: datetime, random: Random) -> SetBack | None:
    recurrence = timing.recurrence(job.anchor).counted_by(now)
    occurrence = recurrence.occurrence_after(now + CLOCK_TOLERANCE, random)
    if occurrence is None or job.scheduled_for <= occurrence.scheduled_for:
        return None
    return SetBack(job.id, job.generation, occurrence.due_at, occurrence.scheduled_for, recurrence.anchor, 0)


def _shortened(job: WaitingJob, timing: Timing, now: datetime) -> SetBack | None:
    jitter = timing.jitter or timedelta()
    if job.due_at - job.scheduled_for > jitter or job.scheduled_for == job.written_at:
        ahead = job.written_at - now  # a wait (retry, snooze, …) that began when the row was written
    elif isinstance(timing.parsed, OneTime) and timing.parsed.counts_from_now and job.scheduled_for != timing.start_at:
        ahead = job.anchor - now
    else:
        return None
    if ahead <= CLOCK_TOLERANCE or job.due_at - ahead < now:
        return None
    scheduled_for = min(job.scheduled_for, max(job.scheduled_for - ahead, now))
    return SetBack(job.id, job.generation, job.due_at - ahead, scheduled_for, min(job.anchor, now), job.attempt)
