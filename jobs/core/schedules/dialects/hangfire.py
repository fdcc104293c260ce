"""Convert Hangfire's ``Cron.Weekly(DayOfWeek.Monday, 9)`` and similar calls to the cron expression they produce."""

from __future__ import annotations

import re

_CALL = re.compile(r"Cron\.(?P<word>[A-Za-z]+) ?(?:\((?P<arguments>[^()]*)\))?;?", re.IGNORECASE)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY = "dayofweek"

# The expression, and its parameters in Hangfire's order with their defaults. Hangfire's week begins on Monday, while
# @weekly runs on Sunday.
_FORMS: dict[str, tuple[str, dict[str, int]]] = {
    "minutely": ("* * * * *", {}),
    "hourly": ("{minute} * * * *", {"minute": 0}),
    "daily": ("{minute} {hour} * * *", {"hour": 0, "minute": 0}),
    "weekly": ("{minute} {hour} * * {dayofweek}", {_DAY: 1, "hour": 0, "minute": 0}),
    "monthly": ("{minute} {hour} {day} * *", {"day": 1, "hour": 0, "minute": 0}),
    "yearly": ("{minute} {hour} {day} {month} *", {"month": 1, "day": 1, "hour": 0, "minute": 0}),
    "minuteinterval": ("*/{interval} * * * *", {"interval": 1}),
    "hourinterval": ("0 */{interval} * * *", {"interval": 1}),
    "dayinterval": ("0 0 */{interval} * *", {"interval": 1}),
    "monthinterval": ("0 0 1 */{interval} *", {"interval": 1}),
}


def is_hangfire(text: str) -> bool:
    """Whether ``text`` is a call of Hangfire's class Cron, such as ``Cron.Daily`` or ``Cron.Daily(9, 30)``."""
    found = _CALL.fullmatch(text)
    return found is not None and found["word"].lower() in _FORMS


def from_hangfire(text: str) -> str | None:
    """Return the cron expression that Hangfire produces for ``text``; None if an argument is not a literal value."""
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    form, values = _FORMS[found["word"].lower()]
    given = [argument.strip() for argument in (found["arguments"] or "").split(",") if argument.strip()]
    if len(given) > len(values):
        return None
    read = dict(values)
    for place, argument in zip(values, given, strict=False):
        name, colon, value = argument.rpartition(":")
        parameter = name.strip().lower() if colon else place
        number = _number(value.strip())
        if number is None or parameter not in read:
            return None
        read[parameter] = number
    return form.format(**read)


def _number(text: str) -> int | None:
    if re.fullmatch(r"\d{1,4}", text, re.ASCII):
        return int(text)
    weekday = text.lower().rpartition("dayofweek.")[2]
    return _WEEKDAYS.index(weekday) if weekday in _WEEKDAYS else None
