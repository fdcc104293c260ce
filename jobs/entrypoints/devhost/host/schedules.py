"""Timer schedules as the Functions host reads them: NCRONTAB or an interval, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from croniter import croniter

from jobs.core.schedules.dialects.ncrontab import read_timer_schedule

if TYPE_CHECKING:
    from collections.abc import Mapping


class Schedule(Protocol):
    """Says when a timer is due."""

    def after(self, moment: datetime) -> datetime:
        """Return the first due instant later than ``moment``; both in UTC."""


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Six fields, seconds first. A day must satisfy both the day and the day of week, as in NCRONTAB."""

    expression: str

    def after(self, moment: datetime) -> datetime:
        """Return the first instant later than ``moment`` that matches the expression."""
        occurrences = croniter(self.expression, moment, second_at_beginning=True, day_or=False)
        due: datetime = occurrences.get_next(datetime)
        return due


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """The same time span again and again, counted from the start of the run before."""

    interval: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return ``moment`` and the interval."""
        return moment + self.interval


def parse_schedule(text: str, settings: Mapping[str, str]) -> Schedule:
    """Parse a timer's schedule; ``%NAME%`` is replaced from ``settings`` first.

    Raises ``ValueError`` for what the Functions host would not accept.
    """
    schedule = read_timer_schedule(text, settings)
    return CronSchedule(schedule) if isinstance(schedule, str) else IntervalSchedule(schedule)
