"""Where a waiting job's next run belongs once the database's clock, having been ahead, was set back.

While the clock was ahead, runs took place for instants that had not come, and what followed was reckoned from there. By
the clock as it is now such a job would stand still until that time is reached. Pure functions of what is passed in.
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
"""How much a clock may be set back without a second thought: nothing that took place within it is done once more."""


class WaitingJob(NamedTuple):
    """A Scheduled job that is not due yet. ``options`` is JSON text; ``written_at`` is when it was changed last."""

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
    """Some waiting jobs in the order in which they fall due, at the store's present time; the last is the cursor."""

    now: datetime
    jobs: list[WaitingJob]


class LatestRecord(NamedTuple):
    """The store's present time, and the latest instant at which anything says that it was written."""

    now: datetime
    written_at: datetime | None


class SetBack(NamedTuple):
    """What a waiting job's times are to become, unless its generation is another by then."""

    id: UUID
    generation: int
    due_at: datetime
    scheduled_for: datetime
    anchor: datetime
    attempt: int


def set_back(job: WaitingJob, now: datetime, random: Random) -> SetBack | None:
    """Return where ``job`` belongs by the clock that says ``now``; None where it is right, or cannot be read.

    A recurring job whose pending run lies beyond the schedule's own next is given that one. Waits that began when the
    clock was ahead (for a retry, a snooze, a lost worker, a delay) last as long as they were to last. Jitter and waits
    that began in time are left alone: only instants that runs stand for, and when rows were written, are looked at.
    """
    try:
        timing = timing_of(job.schedule, job.timezone, job.options)
        asked_for_now = job.scheduled_for == job.written_at
        moved = _to_own_next(job, timing, now, random) if job.recurring and not asked_for_now else None
        return moved or _shortened(job, timing, now)
    except (InvalidSchedule, ValidationError, ScheduleFault, OverflowError):
        return None  # it is told, and the job failed, once it is claimed


def _to_own_next(job: WaitingJob, timing: Timing, now: datetime, random: Random) -> SetBack | None:
    recurrence = timing.recurrence(job.anchor).counted_by(now)
    occurrence = recurrence.occurrence_after(now + CLOCK_TOLERANCE, random)
    if occurrence is None or job.scheduled_for <= occurrence.scheduled_for:
        return None
    return SetBack(job.id, job.generation, occurrence.due_at, occurrence.scheduled_for, recurrence.anchor, 0)


def _shortened(job: WaitingJob, timing: Timing, now: datetime) -> SetBack | None:
    jitter = timing.jitter or timedelta()
    if job.due_at - job.scheduled_for > jitter or job.scheduled_for == job.written_at:
        ahead = job.written_at - now  # it waits for something else than its instant, from when that was written on
    elif isinstance(timing.parsed, OneTime) and timing.parsed.counts_from_now and job.scheduled_for != timing.start_at:
        ahead = job.anchor - now
    else:
        return None
    if ahead <= CLOCK_TOLERANCE or job.due_at - ahead < now:
        return None
    scheduled_for = min(job.scheduled_for, max(job.scheduled_for - ahead, now))
    return SetBack(job.id, job.generation, job.due_at - ahead, scheduled_for, min(job.anchor, now), job.attempt)
