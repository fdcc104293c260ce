"""Schedules in plain words.

A cron expression is described from its parsed values, not from its text, so that the description always agrees with
the runs: ``50-59/5`` and ``50,55`` have the same description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.schedules.durations import describe_duration
from jobs.core.schedules.schedule import After, At, Cron, Every

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.core.schedules.cron import CronFields
    from jobs.core.schedules.schedule import Schedule

_LAST_DAY = "l"


def describe(schedule: Schedule, start_at: datetime | None = None) -> str:
    """Return in plain words when ``schedule`` runs; ``@every`` counts from ``start_at``, if there is one."""
    match schedule:
        case At():
            return f"Once, at {schedule.instant.astimezone(schedule.zone).isoformat()}"
        case After():
            return f"Once, {describe_duration(schedule.delay)} from now"
        case Every():
            counted = start_at.isoformat().replace("+00:00", "Z") if start_at else "when the schedule was set"
            return f"Every {describe_duration(schedule.interval)}, counted from {counted}"
        case Cron():
            return f"{_describe_cron(schedule.fields)}, in {schedule.timezone}"
        case _:
            return "Once, now"


def _describe_cron(fields: CronFields) -> str:
    expanded: list[list[int | str]] = [*fields.expanded, [0]]
    minute, hour, day, month, weekday, second = expanded[:6]
    clock = f"{_stepped(second, 60)} {_stepped(minute, 60)} {_stepped(hour, 24)}"
    time = _words("TIMEOFDAY", f"{clock} * * *").replace(", every minute", "").replace(", every hour", "")
    days = [*_days_of_month(fields, day), *_weekdays(fields, day, weekday)]
    months = _words("MONTH", f"0 0 * {_ranged(month, 12)} *")
    every_day = " every day" if not days and time.startswith("At ") and ":" in time else ""
    return time[0].upper() + time[1:] + every_day + "".join(days) + months


def _days_of_month(fields: CronFields, day: list[int | str]) -> list[str]:
    if "*" in day:
        return []
    suffix = "W" if fields.nearest_weekday else ""
    numbers = [value for value in day if value != _LAST_DAY]
    phrases = [_words("DAYOFMONTH", f"0 0 {_ranged(numbers, 31)}{suffix} * *")] if numbers else []
    if _LAST_DAY in day:
        phrases.append(_words("DAYOFMONTH", "0 0 L * *"))
    return _joined(phrases)


def _weekdays(fields: CronFields, day: list[int | str], weekday: list[int | str]) -> list[str]:
    if fields.nth_weekday:
        written = sorted(
            f"{weekday}{'L' if nth == _LAST_DAY else f'#{nth}'}"
            for weekday, ordinals in fields.nth_weekday.items()
            for nth in ordinals
        )
        return _joined([_words("DAYOFWEEK", f"0 0 * * {each}") for each in written])
    if "*" in weekday:
        return []
    if "*" in day or fields.day_match == "all":
        return [_words("DAYOFWEEK", f"0 0 * * {_ranged(weekday, 7)}")]
    return [_words("DAYOFWEEK", f"0 0 1 * {','.join(map(str, weekday))}")]


def _words(part: str, expression: str) -> str:
    """Describe one part of an expression with the library.

    Callers pass special weekdays one at a time: the library phrases only lists of plain values well.
    """
    # Imported here: only previews need it, and a cold start should not pay for it.
    from cron_descriptor import DescriptionTypeEnum, ExpressionDescriptor, Options  # noqa: PLC0415

    options = Options(locale_code="en_US", use_24hour_time_format=True)
    return str(ExpressionDescriptor(expression, options).get_description(DescriptionTypeEnum[part]))


def _joined(phrases: list[str]) -> list[str]:
    return [phrases[0], *(f" and {phrase.removeprefix(', ')}" for phrase in phrases[1:])]


def _stepped(values: Sequence[int | str], size: int) -> str:
    """Write ``values`` as a step if they are exactly those of a step over ``0..size-1``, else as a range or list."""
    step = size // len(values)
    if 1 < step < size and list(values) == list(range(0, size, step)):
        return f"*/{step}"
    return _ranged(values, size)


def _ranged(values: Sequence[int | str], size: int) -> str:
    """Write values as a star, a range or a list."""
    numbers: list[Any] = list(values)
    if "*" in numbers or len(numbers) == size:
        return "*"
    low, high = numbers[0], numbers[-1]
    if len(numbers) > 2 and numbers == list(range(low, high + 1)):  # noqa: PLR2004  two are a list
        return f"{low}-{high}"
    return ",".join(map(str, numbers))
