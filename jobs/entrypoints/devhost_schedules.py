"""Timer schedules as the Functions host reads them: NCRONTAB or an interval, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from croniter import croniter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# fmt: off
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)
# fmt: on
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_FIELDS: tuple[tuple[str, range, Sequence[str]], ...] = (
    ("second", range(60), ()),
    ("minute", range(60), ()),
    ("hour", range(24), ()),
    ("day", range(1, 32), ()),
    ("month", range(1, 13), _MONTHS),
    ("day of week", range(7), _DAYS),
)
_ITEM = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?P<step>/0*[1-9][0-9]{0,3})?", re.ASCII)
_INTERVAL = re.compile(r"(?:(\d{1,7})\.)?([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_SETTING = re.compile("%([^%]+)%")


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
    """Parse ``{second} {minute} {hour} {day} {month} {day of week}``, the same without seconds, or ``[d.]hh:mm[:ss]``.

    ``%NAME%`` is replaced from ``settings`` first. Raises ``ValueError`` for what the Functions host would not accept.
    """
    expression = _SETTING.sub(lambda found: _setting(found[1], settings), text).strip()
    values = expression.split()
    if len(values) == len(_FIELDS) - 1:
        values = ["0", *values]
    try:
        if len(values) != len(_FIELDS):
            return IntervalSchedule(_interval(expression))
        schedule = CronSchedule(" ".join(map(_field, values, *zip(*_FIELDS, strict=True))))
        schedule.after(datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError as error:
        raise ValueError(f"schedule {expression!r}: {error}") from error
    return schedule


def _setting(name: str, settings: Mapping[str, str]) -> str:
    if not (value := settings.get(name)):
        raise ValueError(f"its schedule is %{name}%, but the setting {name} is missing; set it")
    return value


def _interval(expression: str) -> timedelta:
    # .NET reads 24:00 as 24 days, so an hour above 23 is never what was meant.
    found = _INTERVAL.fullmatch(expression)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not interval:
        raise ValueError("neither six (or five) cron fields nor a time span such as 00:05:00")
    return interval


def _field(value: str, name: str, allowed: range, words: Sequence[str]) -> str:
    """Return the field in numbers, which mean the same to croniter as to NCRONTAB."""
    items = []
    for item in value.split(","):
        found = _ITEM.fullmatch(item)
        ends = [_number(found[end], allowed, words) for end in ("low", "high") if found[end]] if found else [-1]
        # NCRONTAB swaps the ends of a falling range where croniter wraps around; nobody means the former.
        if found is None or ends != sorted(ends) or not all(end in allowed for end in ends):
            raise ValueError(f"{value!r} is no {name} from {allowed[0]} to {allowed[-1]}, nor a list, range or step")
        items.append(("-".join(map(str, ends)) or "*") + (found["step"] or ""))
    return ",".join(items)


def _number(text: str, allowed: range, words: Sequence[str]) -> int:
    if text.isdecimal():
        return int(text[-9:])
    named = (position for position, word in enumerate(words) if word.startswith(text.casefold()))
    return next(named, -1 - allowed.start) + allowed.start
