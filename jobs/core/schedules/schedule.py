"""The kinds of schedule, and when each runs. Instants passed in must be aware; returned instants are in UTC."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar

from jobs.core.schedules.cron import CronFields
from jobs.core.schedules.local_time import Dst, Note
from jobs.core.schedules.zones.database import rules_of

_EARLIEST = datetime(1, 1, 3, tzinfo=UTC)  # so that no zone's local time falls before the year 1


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """When a job runs, before any policy. ``expression`` and ``timezone`` are as given; ``zone`` is the loaded zone."""

    recurring: ClassVar[bool]

    expression: str
    timezone: str
    zone: tzinfo = field(repr=False, compare=False)

    @property
    @abstractmethod
    def meaning(self) -> tuple[object, ...]:
        """A value that two schedules share exactly if they run at the same instants, however they are written."""

    def note(self, at: datetime) -> Note | None:  # noqa: ARG002 - a schedule that reads no local time has no notes
        """Return ``gap`` if the run at ``at`` was moved out of a gap, ``overlap`` if its local time comes twice."""
        return None


class OneTime(Schedule):
    """A schedule with a single run."""

    __slots__ = ()
    recurring = False
    counts_from_now: ClassVar[bool] = True

    @abstractmethod
    def first(self, now: datetime) -> datetime | None:
        """Return the instant of the run; None means now, by the database's clock."""


class Recurring(Schedule):
    """A schedule that runs again and again."""

    __slots__ = ()
    recurring = True

    @abstractmethod
    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Return the first run strictly after ``moment``; None if there is none up to the year 9999.

        Only ``@every`` uses ``anchor``.
        """


@dataclass(frozen=True, slots=True)
class Once(OneTime):
    """``@once``: now."""

    @property
    def meaning(self) -> tuple[object, ...]:
        """See ``Schedule.meaning``."""
        return ("once",)

    def first(self, now: datetime) -> None:
        """Return None, which means now."""


@dataclass(frozen=True, slots=True)
class At(OneTime):
    """At ``instant``; now, if that is past. ``moved`` notes that the local time is skipped or comes twice."""

    counts_from_now: ClassVar[bool] = False

    instant: datetime
    moved: Note | None = None

    @property
    def meaning(self) -> tuple[object, ...]:
        """See ``Schedule.meaning``."""
        return ("at", self.instant)

    def first(self, now: datetime) -> datetime | None:
        """Return the instant, or None if it is not after ``now``."""
        return self.instant if self.instant > now else None

    def note(self, at: datetime) -> Note | None:
        """Return the note for the instant itself only; a later run means the instant was past and became now."""
        return self.moved if at == self.instant else None


@dataclass(frozen=True, slots=True)
class After(OneTime):
    """``delay`` from now."""

    delay: timedelta

    @property
    def meaning(self) -> tuple[object, ...]:
        """See ``Schedule.meaning``."""
        return ("after", self.delay)

    def first(self, now: datetime) -> datetime:
        """Return ``now`` plus the delay."""
        return now.astimezone(UTC) + self.delay


@dataclass(frozen=True, slots=True)
class Every(Recurring):
    """The n-th run is at anchor + n * ``interval``, n = 1, 2, …; the anchor is not a run. Ignores clock changes."""

    interval: timedelta

    @property
    def meaning(self) -> tuple[object, ...]:
        """See ``Schedule.meaning``. The anchor is not part of it; callers compare it separately."""
        return ("every", self.interval)

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Return the run by division, in whole microseconds, so that the cost does not grow with the distance."""
        start = anchor.astimezone(UTC)
        past = (moment - start) // self.interval
        try:
            return start + max(past + 1, 1) * self.interval
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Cron(Recurring):
    """A cron expression, read in the local time of ``zone``."""

    dst: Dst
    fields: CronFields = field(repr=False, compare=False)

    @property
    def meaning(self) -> tuple[object, ...]:
        """See ``Schedule.meaning``. ``dst`` is left out where it makes no difference."""
        dst = None if self.fields.elapsed or self.zone is UTC else self.dst
        return ("cron", self.fields.meaning, rules_of(self.timezone), dst)

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:  # noqa: ARG002
        """Return the next match; a cron expression does not depend on ``anchor``.

        ``dst`` is the policy for a fixed local time that is skipped or repeated. If the hour is a wildcard or a step,
        the job runs whenever the local clock matches: not in a gap, and in both passes of an overlap.
        """
        try:
            return self.fields.next_after(max(moment, _EARLIEST).astimezone(UTC), self.zone, self.dst)
        except OverflowError:  # the search has reached the end of the year 9999
            return None

    def note(self, at: datetime) -> Note | None:
        """See ``Schedule.note``."""
        return self.fields.note(at, self.zone, self.dst)
