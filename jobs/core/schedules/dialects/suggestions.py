"""Suggestions for schedules in another system's form: what to write here instead.

Used only after an expression has been refused.
"""

from __future__ import annotations

import calendar
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.cron import CronFields
from jobs.core.schedules.dialects.hangfire import from_hangfire, is_hangfire
from jobs.core.schedules.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON, _WITH_SECONDS, _WITH_YEAR = 5, 6, 7
_HOUR_OR_DAY, _MONTH_OR_WEEKDAY = 2, 4
_A_DAY_OF_HOURS = 24
_YEAR = re.compile(r"[\d,*/-]+", re.ASCII)
_QUOTED = re.compile(r"""(["'`])(?P<inner>.*)\1""")
_KEY = re.compile(r"-? ?(?:cron|schedule|expression) ?[:=] ?(?P<inner>.+)", re.IGNORECASE)
_COMMENT = re.compile(r"(?P<inner>.*?) ?(?<!\S)#.*")
_ZONE_BEFORE = re.compile(r"(?:CRON_)?TZ ?= ?(?P<zone>\S+) (?P<inner>.+)", re.IGNORECASE)
_ZONE_BEHIND = re.compile(r"(?P<inner>\S+(?: \S+){4,5}) (?P<zone>[A-Za-z]+(?:/[A-Za-z][\w+-]*)+|UTC|GMT|Z)", re.ASCII)
_AWS_CRON = re.compile(r"cron ?\( ?(?P<inner>[^()]*?) ?\)", re.IGNORECASE)
_AWS_RATE = re.compile(r"rate ?\( ?(?P<count>\d{1,6}) (?P<unit>minute|hour|day)s? ?\)", re.IGNORECASE | re.ASCII)
_AWS_AT = re.compile(r"at ?\( ?(?P<inner>\d{4}-[\w:-]+) ?\)", re.IGNORECASE | re.ASCII)
_EVERY_N_UNITS = re.compile(
    r"(?:@?every|@every) (?P<count>\d{1,6}) ?(?P<unit>second|minute|min|hour|day|week)s?", re.IGNORECASE | re.ASCII
)
_REPEATING = re.compile(r"R\d*/(?:[^/]+/)?(?P<inner>P[\w.,]+)", re.ASCII)
_TIME_SPAN = re.compile(r"(?:(?P<days>\d{1,5})\.)?(?P<hours>\d\d?):(?P<minutes>\d\d):(?P<seconds>\d\d)", re.ASCII)
_TIME_OF_DAY = re.compile(r"(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]\d)", re.ASCII)
_EVERY_UNIT = re.compile(r"@?every (?P<unit>second|minute|hour|day|week|month|year)", re.IGNORECASE | re.ASCII)
_COMPACT = re.compile(r"(?P<every>@?every )?(?P<parts>(?:\d{1,6}[wWdDhHms])+)", re.IGNORECASE | re.ASCII)
_LAST_WEEKDAY = re.compile(r"(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)L", re.IGNORECASE | re.ASCII)
_UNIT = {"second": "S", "minute": "M", "min": "M", "hour": "H", "day": "D", "week": "W"}
_EVERY = {
    "second": "@every 1s", "minute": "* * * * *", "hour": "@hourly", "day": "@daily", "week": "@weekly",
    "month": "@monthly", "year": "@yearly",
}  # fmt: skip
_FOUR_DIGITS = re.compile(r"(?:19|20)\d\d", re.ASCII)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def suggestion_for(text: str) -> str | None:
    """Return a sentence that names the system ``text`` comes from and what to write here; None for an unknown form.

    ``text`` has single spaces only. An expression that the sentence says to write is one that is accepted.
    """
    return next((suggestion for rule in _RULES if (suggestion := rule(text)) is not None), None)


def _write(expression: str) -> str:
    """Return ``write`` and the expression; for one that is still invalid, say that it needs another change."""
    if expression.startswith("@"):
        return f"write such as {expression!r}"
    return f"write {expression!r}" if is_cron(expression) else f"take {expression!r} and mend it as well"


def is_cron(text: str) -> bool:
    """Whether ``text`` is a cron expression that would be accepted."""
    try:
        CronFields(text, "all")
    except InvalidSchedule:
        return False
    return True


def _packaging(text: str) -> str | None:
    if found := _QUOTED.fullmatch(text):
        return f"the quotes do not belong to the expression; write {found['inner'].strip()!r}"
    if found := _KEY.fullmatch(text):
        inner = _QUOTED.fullmatch(found["inner"])
        return f"only the expression itself stands here; {_write(inner['inner'].strip() if inner else found['inner'])}"
    if found := _COMMENT.fullmatch(text):
        return f"no comments here; {_write(found['inner'].strip() or '@daily')}"
    return None


def _zone(text: str) -> str | None:
    found = _ZONE_BEFORE.fullmatch(text) or _ZONE_BEHIND.fullmatch(text)
    if found is None:
        return None
    zone = "UTC" if found["zone"].upper() == "Z" else found["zone"]
    return f"the time zone is a field of its own: give timezone {zone!r}, and {_write(found['inner'])} as the schedule"


def _aws(text: str) -> str | None:
    if found := _AWS_RATE.fullmatch(text):
        return f"rate(…) is AWS's form; {_every(_counted(found))}"
    if found := _AWS_AT.fullmatch(text):
        return (
            f"at(…) is AWS's form; write {found['inner']!r} with its offset, such as Z, or give the timezone beside it"
        )
    wrapped = _AWS_CRON.fullmatch(text)
    fields = (wrapped["inner"] if wrapped else text).split()
    with_year = len(fields) == _WITH_SECONDS and (
        wrapped is not None or "?" in {fields[_HOUR_OR_DAY], fields[_MONTH_OR_WEEKDAY]}
    )
    if not wrapped and not with_year:
        return None
    drop = " and ".join([*(["cron(…)"] if wrapped else []), *(["the year at its end"] if with_year else [])])
    plain = " ".join(_named_weekday(fields[:_CRON])) if with_year else " ".join(fields)
    return f"this is AWS's form; drop {drop}: {_write(plain)}{_years(fields[-1] if with_year else '*')}"


def _quartz(text: str) -> str | None:
    fields = text.split()
    if len(fields) != _WITH_YEAR or not _YEAR.fullmatch(fields[-1]):
        return None
    plain = fields[:-1]
    known = " ".join(_named_weekday(plain) if "?" in plain else plain)
    return (
        "a cron expression has 5 fields (minute, hour, day of month, month, weekday) or 6 with the second first, not "
        f"7: there is no field for the year, as Quartz has it; {_write(known)}, and bound the runs with start_at and "
        "end_at"
    )


def _last_weekday(text: str) -> str | None:
    fields = text.split()
    if len(fields) not in {_CRON, _WITH_SECONDS} or not _LAST_WEEKDAY.fullmatch(fields[-1]):
        return None
    from_quartz = "?" in fields
    first = 1 if from_quartz else 0
    last = weekday_in_names(fields[-1], first)
    if last == fields[-1] or not (last[0] == "L" and last[1:].isdigit()):
        return None
    day = calendar.day_name[(int(last[1]) - 1) % len(_WEEKDAYS)]
    why = ""
    if fields[-1][0].isdigit():
        why = f", counted from {first} = SUN {'as in Quartz' if from_quartz else 'as here'},"
    others = ["*" if field == "?" else field for field in fields[:-1]]
    return (
        f"the weekday field {fields[-1]!r}{why} is the last {day} of a month, which is {last} here; "
        f"{_write(' '.join([*others, last]))}"
    )


def _years(year: str) -> str:
    return "" if year == "*" else ", and bound the runs to the year with start_at and end_at"


def _named_weekday(fields: list[str]) -> list[str]:
    """Write the weekday, which counts 1 = SUN in Quartz and AWS, with names; ``?`` as ``*``."""
    *others, weekday = ["*" if field == "?" else field for field in fields]
    return [*others, weekday_in_names(weekday, first=1)]


def weekday_in_names(field: str, first: int) -> str:
    """Write the digits of a weekday field as names; ``first`` is the number of Sunday. Other text stays as it is."""

    def named(digit: str) -> str:
        place = int(digit) - first
        return _WEEKDAYS[place % len(_WEEKDAYS)] if 0 <= place <= len(_WEEKDAYS) - first else digit

    if found := re.fullmatch(r"(\d|[A-Za-z]{3})L", field, re.ASCII):
        name = named(found[1]) if found[1].isdigit() else found[1].upper()
        return f"L{_WEEKDAYS.index(name)}" if name in _WEEKDAYS else field
    return re.sub(r"(?<![\d#/A-Za-z])\d(?!\d)", lambda digit: named(digit[0]), field)


def _intervals(text: str) -> str | None:
    if found := _TIME_SPAN.fullmatch(text):
        days, hours = int(found["days"] or 0), int(found["hours"])
        if found["days"] is None and hours >= _A_DAY_OF_HOURS:  # as .NET reads 24:00:00: days, hours and minutes
            span = f"P{hours}DT{int(found['minutes'])}H{int(found['seconds'])}M"
        else:
            span = f"P{days}DT{hours}H{int(found['minutes'])}M{int(found['seconds'])}S"
        return f"a time span is .NET's form; {_every(span)}"
    if found := _TIME_OF_DAY.fullmatch(text):
        daily = f"{int(found['minutes'])} {int(found['hours'])} * * *"
        return f"a time of day alone is no schedule; for every day, {_write(daily)}"
    if found := _EVERY_N_UNITS.fullmatch(text):
        return _every(_counted(found))
    if found := _REPEATING.fullmatch(text):
        return f"an ISO 8601 repetition is written '@every {found['inner']}' here, with start_at and max_runs beside it"
    return None


def _units(text: str) -> str | None:
    if found := _COMPACT.fullmatch(text):
        parts = re.findall(r"(\d+)(\w)", found["parts"].lower())
        iso = f"PT{sum(int(count) * _SECONDS[unit] for count, unit in parts)}S"
        return _every(iso) if found["every"] else f"{_every(iso)}, or {_once(iso)} for one run after that time"
    found = _EVERY_UNIT.fullmatch(text)
    return f"write '{_EVERY[found['unit'].lower()]}'" if found else None


def _counted(found: re.Match[str]) -> str:
    unit = _UNIT[found["unit"].lower()]
    return f"P{'' if unit in 'DW' else 'T'}{int(found['count'])}{unit}"


def _once(iso: str) -> str:
    return f"'{format_duration(parse_duration(iso))}'"


def _every(iso: str) -> str:
    """Return ``write`` and the interval, as ``1h30m`` if it is less than a day, else in ISO 8601."""
    interval = parse_duration(iso)
    if not timedelta(seconds=1) <= interval <= timedelta(days=36_525):
        return "an interval of 1 second to 100 years is needed, such as '@every 5m'"
    text = format_duration(interval)
    return f"write '@every {text.removeprefix('PT').lower() if text.startswith('PT') else text}'"


def _words(text: str) -> str | None:
    if text.lower() == "@reboot":
        return "there is no such moment in a service of many instances; enqueue an '@once' job where your app starts"
    if text.lower() in {"@minutely", "@every_minute"}:
        return "write '* * * * *' for every minute"
    if is_hangfire(text):
        known = from_hangfire(text)
        return f"this is Hangfire's C#; {_write(known) if known else 'write the expression that it makes'}"
    if "~" in text and len(text.split()) in {_CRON, _WITH_SECONDS}:
        return "~ draws a random value, as in OpenBSD; give fixed values and spread the runs with jitter, such as PT59M"
    return None


def _command(text: str) -> str | None:
    fields = text.split(" ")
    known = " ".join(fields[:_CRON])
    if len(fields) == _WITH_SECONDS and _FOUR_DIGITS.fullmatch(fields[-1]) and is_cron(known):
        return f"there is no field for the year; write {known!r}{_years(fields[-1])}"
    if len(fields) > _CRON and not is_cron(" ".join(fields[:_WITH_SECONDS])) and re.search(r"[/.]\w|\w{4}", text):
        reason = "a crontab line's command has no place here, handler_name says what runs"
        return f"{reason}; {_write(known)}" if is_cron(known) else None
    return None


_RULES: tuple[Callable[[str], str | None], ...] = (
    _packaging,
    _zone,
    _aws,
    _quartz,
    _last_weekday,
    _intervals,
    _units,
    _words,
    _command,
)
