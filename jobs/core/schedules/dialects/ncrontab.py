"""Timer schedules as the Functions host reads them: NCRONTAB or a time span. Jobs do not use this syntax."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

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
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?P<step>/0*[1-9][0-9]{0,3})?", re.ASCII)
_INTERVAL = re.compile(r"(?:(\d{1,7})\.)?([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_SETTING = re.compile("%([^%]+)%")


def read_timer_schedule(text: str, settings: Mapping[str, str]) -> str | timedelta:
    """Read ``{second} {minute} {hour} {day} {month} {day of week}``, the same without seconds, or ``[d.]hh:mm[:ss]``.

    ``%NAME%`` is replaced from ``settings`` first. Returns six numeric fields, of which day and day of week must both
    match, or the interval. Raises ``ValueError`` for a schedule that the Functions host refuses or that never fires.
    """
    expression = _SETTING.sub(lambda found: _setting(found[1], settings), text).strip()
    values = expression.split()
    if len(values) == len(_FIELDS) - 1:
        values = ["0", *values]
    try:
        if len(values) != len(_FIELDS):
            return _time_span(expression)
        fields = [_field(value, *field) for value, field in zip(values, _FIELDS, strict=True)]
        _check_days(fields[3], fields[4])
    except ValueError as error:
        raise ValueError(f"schedule {expression!r}: {error}") from error
    return " ".join(fields)


def read_time_span(text: str) -> timedelta:
    """Read a .NET time span, ``[d.]hh:mm[:ss]``; raises ``ValueError`` for any other text and for a span of zero."""
    # .NET reads 24:00 as 24 days, so an hour above 23 is always a mistake.
    found = _INTERVAL.fullmatch(text)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not interval:
        raise ValueError("no time span such as 00:05:00")
    return interval


def _time_span(expression: str) -> timedelta:
    try:
        return read_time_span(expression)
    except ValueError:
        fields = " ".join(f"{{{name}}}" for name, _, _ in _FIELDS)
        raise ValueError(
            f"neither six fields, {fields}, as in 0 */5 * * * * (every five minutes), nor a time span such as 00:05"
        ) from None


def _setting(name: str, settings: Mapping[str, str]) -> str:
    if not (value := settings.get(name)):
        raise ValueError(f"the schedule is %{name}%, and the setting {name} that it names is missing; set it")
    return value


def _field(value: str, name: str, allowed: range, words: Sequence[str]) -> str:
    """Return the field with names replaced by numbers, which every cron library reads alike."""
    items = []
    for item in value.split(","):
        found = _ITEM.fullmatch(item)
        ends = [_number(found[end], allowed, words) for end in ("low", "high") if found[end]] if found else [-1]
        # For a falling range, NCRONTAB swaps the ends and cron wraps around; no author intends a swap, so refuse it.
        if found is None or ends != sorted(ends) or not all(end in allowed for end in ends):
            raise ValueError(f"{value!r} is no {name} from {allowed[0]} to {allowed[-1]}, nor a list, range or step")
        items.append(("-".join(map(str, ends)) or "*") + (found["step"] or ""))
    return ",".join(items)


def _number(text: str, allowed: range, words: Sequence[str]) -> int:
    if text.isdecimal():
        return int(text[-9:])
    named = (position for position, word in enumerate(words) if word.startswith(text.casefold()))
    return next(named, -1 - allowed.start) + allowed.start


def _check_days(days: str, months: str) -> None:
    """Refuse dates that never occur, such as 30 February. Items of numeric fields begin with their least value."""
    first = min(_least(item, 1) for item in days.split(","))
    longest = max(_DAYS_OF_MONTHS[month - 1] for item in months.split(",") for month in _months(item))
    if first > longest:
        raise ValueError(f"no month that it names has a day {first}, so it would never fire")


def _least(item: str, otherwise: int) -> int:
    start = item.partition("/")[0].partition("-")[0]
    return otherwise if start == "*" else int(start)


def _months(item: str) -> range:
    bounds, _, step = item.partition("/")
    low, _, high = bounds.partition("-")
    first = 1 if low == "*" else int(low)
    last = int(high) if high else 12 if low == "*" or step else first
    return range(first, last + 1, int(step or 1))
