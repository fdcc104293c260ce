"""Warnings for expressions that are accepted here but mean something else in the systems people copy them from."""

from __future__ import annotations

import calendar
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.core.schedules.dialects.suggestions import weekday_in_names
from jobs.core.schedules.schedule import At, Cron

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.core.schedules.cron import CronFields
    from jobs.core.schedules.schedule import Schedule

_FULL_MONTH = 31
_ALL_WEEK = 7
_NOT_A_LEAP_YEAR = 2026
_CLOCKS_DIFFER = timedelta(minutes=1)
"""An instant in the past by less than this is not warned of: the caller's clock may be a little behind."""

_STEP = re.compile(r"(?P<start>\*|\?|\d+)/(?P<step>\d+)", re.ASCII)
# Each field's name, the period it counts within, how many values it has, the first of them, and the ``@every`` interval
# of n of them, if there is one.
_COUNTED = (
    ("second", "minute", 60, 0, "{}s"),
    ("minute", "hour", 60, 0, "{}m"),
    ("hour", "day", 24, 0, "{}h"),
    ("day of month", "month", 31, 1, "P{}D"),
    ("month", "year", 12, 1, None),
    ("weekday", "week", 7, 0, "P{}D"),
)


def warnings_of(schedule: Schedule) -> list[str]:
    """Return a sentence for each way in which ``schedule`` may differ from what its author intends."""
    if not isinstance(schedule, Cron):
        return []
    fields = schedule.fields
    found = [_either_day(fields), _quartz_weekday(fields), _short_months(fields), *_long_steps(fields)]
    return [warning for warning in found if warning is not None]


def past_instant(schedule: Schedule, start_at: datetime | None, now: datetime) -> list[str]:
    """Return a warning if the only run is at an instant before ``now``, and so is due at once."""
    if not isinstance(schedule, At) or max(schedule.instant, start_at or schedule.instant) > now - _CLOCKS_DIFFER:
        return []
    return [f"the instant {schedule.expression!r} is past, so that the job is due at once; check the date and offset"]


def _long_steps(fields: CronFields) -> Iterator[str]:
    for text, (name, within, size, first, interval) in zip(reversed(fields.texts), reversed(_COUNTED), strict=False):
        for part in text.split(","):
            found = _STEP.fullmatch(part)
            if found is None or int(found["step"]) <= size:
                continue
            start = first if found["start"] in "*?" else int(found["start"])
            step = int(found["step"])
            wanted = f"for one run every {step} {name.removesuffix(' of month').replace('weekday', 'day')}s, write "
            suggestion = (
                "list the values, or let a handler decide"
                if interval is None
                else (f"{wanted}'@every {interval.format(step)}'")
            )
            yield (
                f"{name} {part!r}: a step is counted anew within each {within}, so that this one means the {name} "
                f"{start} alone; {suggestion}"
            )


def _either_day(fields: CronFields) -> str | None:
    if not fields.both_days or fields.day_match == "all":
        return None
    day, _, weekday = fields.texts[-3:]
    meaning = f"day of month {day!r} and weekday {weekday!r}: it runs on days that match either"
    starred = [field for field in (day, weekday) if field.startswith("*")]
    if starred:
        return (
            f"{meaning}. Vixie cron, that of most Linux systems, takes only days that match both where a field begins "
            f"with *, as {starred[0]!r} does; NCRONTAB and Spring take both, too. Set day_match to all for that"
        )
    return f"{meaning}, as in cron. NCRONTAB and Spring take only days that match both; set day_match to all for that"


def _quartz_weekday(fields: CronFields) -> str | None:
    """Warn of weekday digits beside a ``?``: Quartz and AWS require it, so the expression probably comes from there."""
    day, _, weekday = fields.texts[-3:]
    digits = {int(digit) for digit in re.findall(r"(?<![\d#/L])\d(?!\d)", weekday)}
    if "?" not in {day, weekday} or not digits or 0 in digits or len(set(fields.expanded[4])) == _ALL_WEEK:
        return None
    if fields.expanded[4] == ["*"] and not fields.nth_weekday:
        return None
    here, there = (weekday_in_names(weekday, first) for first in (0, 1))
    return (
        f"weekday {weekday!r} beside ?: here 0 and 7 are Sunday, so that it means {here}; Quartz and AWS count from "
        f"1 = SUN, and mean {there}. Write the names"
    )


def _short_months(fields: CronFields) -> str | None:
    months = range(1, 13) if "*" in fields.expanded[3] else [int(month) for month in fields.expanded[3]]
    shortest = min(calendar.monthrange(_NOT_A_LEAP_YEAR, month)[1] for month in months)
    missing = [day for day in sorted(fields.nearest_weekday) if shortest < day <= _FULL_MONTH]
    if not missing:
        return None
    return (
        f"day of month {fields.texts[-3]!r}: a month without a day {missing[0]} is not left out; short months run on "
        "their last weekday, Monday to Friday"
    )
