"""Which runs of a schedule take place: start and end, jitter, and the policy for missed runs.

All functions are pure. Every instant must be aware; returned instants are in UTC. Runs of a schedule strictly increase:
one that would not raises ``ScheduleFault``.

A run is *late* when more than ``misfire_grace`` plus ``jitter`` (a deliberate delay) has passed since its scheduled
instant. Late runs are *missed*, and ``misfire`` is the policy for them:

============  ==========================================================================================
``run_once``  one run at once, for the latest instant that has passed; then the next future one
``skip``      none of them; the next run is the first that is not late
``catch_up``  each of them at once, oldest first; of more than ``misfire_max`` the oldest are dropped
============  ==========================================================================================

However long the outage, no policy computes every missed run: ``run_once`` and ``skip`` compute some dozens,
``catch_up`` a small multiple of ``misfire_max``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal

from jobs.core.errors import ScheduleFault
from jobs.core.schedules.local_time import Note
from jobs.core.schedules.schedule import Every, OneTime, Recurring, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_MOMENT = timedelta.resolution
_LAST = datetime.max.replace(tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_FIRST_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A future run. ``scheduled_for`` is the schedule's own instant; ``due_at``, never earlier, is when to start it."""

    scheduled_for: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Fire:
    """One line of a preview: the instant in UTC and in the schedule's zone, and a note if a clock change affects it."""

    at: datetime
    local: datetime
    note: Note | None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A schedule with its policies.

    ``@every`` counts from ``start_at``, which is then its first run, or else from ``anchor``. ``start_at`` and
    ``end_at`` (both inclusive) bound the scheduled instants of runs, not the time at which a missed run is made up.
    ``max_runs`` counts runs that have ended. ``jitter`` delays each run by a random time from zero to ``jitter``,
    evenly distributed; made-up runs are not delayed. ``misfire_max`` None is no limit.
    """

    schedule: Schedule
    anchor: datetime
    misfire: Literal["run_once", "skip", "catch_up"] = "run_once"
    misfire_max: int | None = None
    misfire_grace: timedelta = timedelta(seconds=60)
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    jitter: timedelta | None = None

    def first(self, now: datetime, random: Random) -> Occurrence | None:
        """Return the first run of a job whose schedule is set at ``now``; None if there is nothing to run.

        The first run of a recurring schedule is strictly after ``now``. A one-time schedule may run at ``now`` itself.
        """
        now = now.astimezone(UTC)
        at = self._once(self.schedule, now) if isinstance(self.schedule, OneTime) else self._next(now)
        return self._with_jitter(at, random)

    def following(self, scheduled_for: datetime, now: datetime, runs_done: int, random: Random) -> Occurrence | None:
        """Return the run after the one scheduled for ``scheduled_for``, which ended or was dropped at ``now``.

        None if no run is left: a one-time schedule, ``end_at`` passed, or ``runs_done`` at ``max_runs``. The returned
        run is scheduled strictly later than ``scheduled_for``. Missed runs are due at ``now``.
        """
        if self.max_runs is not None and runs_done >= self.max_runs:
            return None
        scheduled_for, now = scheduled_for.astimezone(UTC), now.astimezone(UTC)
        upcoming = self._next(scheduled_for)
        if upcoming is None or upcoming >= self._late_before(now):
            return self._with_jitter(upcoming, random)
        return self._make_up(scheduled_for, upcoming, now, random)

    def counted_by(self, now: datetime) -> Recurrence:
        """Return the recurrence with its anchor at ``now`` or earlier: a later one is from a clock that was ahead."""
        if not isinstance(self.schedule, Every) or self.start_at or self.anchor <= now:
            return self
        intervals = -((now - self.anchor) // self.schedule.interval)
        return replace(self, anchor=self.anchor - intervals * self.schedule.interval)

    def occurrence_after(self, moment: datetime, random: Random) -> Occurrence | None:
        """Return the schedule's next run strictly after ``moment``, with no misfire policy; None if there is none."""
        return self._with_jitter(self._next(moment.astimezone(UTC)), random)

    def resolve_misfire(self, scheduled_for: datetime, now: datetime, random: Random) -> Occurrence | None:
        """Return the run that replaces the pending one for ``scheduled_for`` by the misfire policy at ``now``.

        Call it before a pending run is claimed or when its job is resumed, and only before its first attempt: a retry
        is rightly later than its scheduled instant. A run that is not late, and any run of a one-time schedule, stays
        as it is, with ``due_at`` equal to ``scheduled_for``. A late one becomes:

        - ``run_once``: the latest instant that has passed, due at ``now``;
        - ``skip``: the first run that is not late; None if there is none;
        - ``catch_up``: itself, due at ``now``; if more than ``misfire_max`` are missed, the oldest of the last
          ``misfire_max``.
        """
        pending, now = scheduled_for.astimezone(UTC), now.astimezone(UTC)
        if not self.schedule.recurring or pending >= self._late_before(now):
            return Occurrence(pending, pending)
        return self._make_up(pending, pending, now, random)

    def preview(self, after: datetime, count: int) -> list[Fire]:
        """Return up to ``count`` runs strictly after ``after``, in order and without jitter.

        A one-time schedule has one, computed as if the schedule were set at ``after``.
        """
        after = after.astimezone(UTC)
        if isinstance(self.schedule, OneTime):
            at = self._once(self.schedule, after)
            instants = iter([at] if at else [])
        else:
            instants = self._fires(after)
        most = count if self.max_runs is None else min(count, self.max_runs)
        return [
            Fire(at, at.astimezone(self.schedule.zone), self.schedule.note(at)) for at in islice(instants, max(most, 0))
        ]

    def _make_up(self, after: datetime, oldest: datetime, now: datetime, random: Random) -> Occurrence | None:
        """Choose a missed run by the policy, from ``oldest`` and the schedule's runs after ``after``.

        ``oldest`` may be an instant that is not on the schedule, such as one set by hand.
        """
        late_before = self._late_before(now)
        if self.misfire == "skip":
            return self._with_jitter(self._next(late_before - _MOMENT), random)
        if self.misfire == "run_once":
            return Occurrence(self._latest(after, now, 1) or oldest, now)
        limit = self.misfire_max
        latest = self._latest(after, late_before - _MOMENT, limit) if limit is not None else None
        return Occurrence(latest or oldest, now)

    def _late_before(self, now: datetime) -> datetime:
        return now - self.misfire_grace - (self.jitter or timedelta())

    def _with_jitter(self, at: datetime | None, random: Random) -> Occurrence | None:
        if at is None:
            return None
        delay = self.jitter * random.random() if self.jitter else timedelta()
        return Occurrence(at, at + min(delay, _LAST - at))

    def _once(self, schedule: OneTime, now: datetime) -> datetime | None:
        instant = schedule.first(now) or now
        at = max(instant, self.start_at.astimezone(UTC)) if self.start_at else instant
        return None if self.end_at and at > self.end_at else at

    def _next(self, after: datetime) -> datetime | None:
        if not isinstance(self.schedule, Recurring):
            return None
        anchor = self.anchor
        if self.start_at:
            anchor = max(self.start_at.astimezone(UTC), _FIRST)
            after = max(after, anchor - _MOMENT)
        if self.start_at and after < anchor and isinstance(self.schedule, Every):
            at: datetime | None = anchor
        else:
            at = self.schedule.next_after(after, anchor)
        if at is not None and at <= after:
            raise ScheduleFault(f"{self.schedule.expression!r} gave {at} as its next run after {after}")
        return None if at is None or (self.end_at and at > self.end_at) else at

    def _fires(self, after: datetime, until: datetime = _LAST) -> Iterator[datetime]:
        at = self._next(after)
        while at is not None and at <= until:
            yield at
            at = self._next(at)

    def _latest(self, after: datetime, until: datetime, count: int) -> datetime | None:
        """Find the ``count``-th latest run after ``after`` and not after ``until``; None if there are fewer.

        A schedule computes runs only forwards. So count the runs in intervals that end at ``until``, each twice as long
        as the one before, and move ``until`` back past the counted ones. Once an interval holds too many runs, halve
        it.
        """
        step, enough = _FIRST_STEP, False
        while after < until:
            width = (until - after) / 2 if enough else min(step, until - after)
            start = until - width
            found = list(islice(self._fires(start, until), count + 1))
            if len(found) == count:
                return found[0]
            if len(found) > count:
                after, enough = start, True
            elif start == after:
                return None
            else:
                count, until, step = count - len(found), start, step * 2
        return None
