"""Schedule expressions: the forms that are accepted, and when each runs.

=============================================  =========  ==========================================================
``@once``                                      one-time   now
``2026-12-01T09:00:00+03:00``                  one-time   at that instant; now, if it is past
``PT30S``                                      one-time   that long from now (ISO 8601)
``@hourly @daily @midnight @weekly @monthly``
``@yearly @annually``                          recurring  as in cron
``@every 1h30m``, ``@every PT90M``             recurring  at anchor + n * interval, without drift
5 fields                                       recurring  cron: minute, hour, day of month, month, weekday
6 fields                                       recurring  the same with the second first, as in NCRONTAB
=============================================  =========  ==========================================================

White space of any kind separates the parts, and may surround them.
Instants passed in must be aware; returned instants are in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import timezone as fixed_offset
from functools import lru_cache

from jobs.core.errors import InvalidSchedule, Problem
from jobs.core.schedules.cron import PROBE, CronFields, DayMatch
from jobs.core.schedules.dialects.suggestions import suggestion_for
from jobs.core.schedules.durations import describe_duration, parse_duration
from jobs.core.schedules.local_time import Dst, Note, clock_change_at, instants_of
from jobs.core.schedules.schedule import After, At, Cron, Every, Once, Schedule
from jobs.core.schedules.zones.database import load_zone

MAX_EXPRESSION = 128
MAX_INTERVAL = timedelta(days=36_525)
"""A hundred years: the longest delay or interval."""

_MIN_INTERVAL = timedelta(seconds=1)
_DEFAULT_DST = Dst()
_WHITE_SPACE = re.compile(r"[^\S\x1c-\x1f]+")
"""White space between words, without the data separators (U+001C to U+001F) that Python's ``\\s`` includes."""

_NO_ZONE = fixed_offset(timedelta(), "unknown")
"""Replaces a time zone that was refused, so that the faults of the expression are reported as well."""

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d+)?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FORMS = (
    "@once, an instant such as 2026-12-01T09:00:00Z, a delay such as PT30S, @hourly, @daily, @weekly, @monthly, "
    "@yearly, @every 1h30m, or a cron expression of 5 fields (6 with the second first)"
)


def parse_schedule(
    expression: str, timezone: str = "UTC", dst: Dst = _DEFAULT_DST, day_match: DayMatch = "any"
) -> Schedule:
    """Read a schedule expression. The result is immutable, cached, and safe to share between threads.

    Raises ``InvalidSchedule`` with every fault, at ``/schedule``, ``/timezone``, ``/dst`` or ``/day_match``, and what
    to write instead.
    """
    if len(expression) > MAX_EXPRESSION:  # before it is cached
        raise InvalidSchedule.at("/schedule", f"the expression is longer than {MAX_EXPRESSION} characters; shorten it")
    return _parse(expression, timezone, dst, day_match)


@lru_cache(maxsize=1024)
def _parse(expression: str, timezone: str, dst: Dst, day_match: DayMatch) -> Schedule:
    problems: list[Problem] = []
    zone: tzinfo = _NO_ZONE
    schedule: Schedule | None = None
    try:
        zone = load_zone(timezone)
    except InvalidSchedule as error:
        problems += error.problems
    if dst.gap not in {"shift", "skip"} or dst.overlap not in {"once", "twice"}:
        problems.append(Problem("/dst", "gap must be shift or skip, and overlap must be once or twice"))
        dst = _DEFAULT_DST
    if day_match not in {"any", "all"}:
        problems.append(Problem("/day_match", "must be any or all"))
        day_match = "any"
    try:
        schedule = _read(expression, timezone, zone, dst, day_match)
    except InvalidSchedule as error:
        problems = [*error.problems, *problems]
    if problems or schedule is None:
        raise InvalidSchedule(problems)
    return schedule


def _read(expression: str, timezone: str, zone: tzinfo, dst: Dst, day_match: DayMatch) -> Schedule:
    text = _WHITE_SPACE.sub(" ", expression).strip(" ")
    if not text.isascii() or not text.isprintable():
        raise InvalidSchedule.at("/schedule", "the expression may have printable ASCII characters only")
    try:
        return _read_form(text, expression, timezone, zone, dst, day_match)
    except InvalidSchedule:
        # Only after a refusal, so that a valid expression is never mistaken for another system's.
        suggestion = suggestion_for(text)
        if suggestion is None:
            raise
        raise InvalidSchedule.at("/schedule", suggestion) from None


def _read_form(text: str, expression: str, timezone: str, zone: tzinfo, dst: Dst, day_match: DayMatch) -> Schedule:
    word, _, rest = text.partition(" ")
    if text.lower() == "@once":
        return Once(expression, timezone, zone)
    if word.lower() == "@every":
        return Every(expression, timezone, zone, _read_duration(rest, at_least=_MIN_INTERVAL))
    if text.startswith("P"):
        return After(expression, timezone, zone, _read_duration(text, at_least=timedelta()))
    if _DATE.match(text):
        return At(expression, timezone, zone, *_read_instant(text, zone, dst))
    text = _NICKNAMES.get(text.lower(), text)
    if text.startswith("@") or " " not in text:
        raise InvalidSchedule.at("/schedule", f"{text!r} is not a schedule; accepted are {_FORMS}")
    cron = Cron(expression, timezone, zone, dst, CronFields(text, day_match))
    if cron.next_after(PROBE, PROBE) is None:
        raise InvalidSchedule.at(
            "/schedule", "never matches: the months named have no such day, or clocks always skip that time of that day"
        )
    return cron


def _read_duration(text: str, at_least: timedelta) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise InvalidSchedule.at("/schedule", str(error)) from None
    if not at_least <= duration <= MAX_INTERVAL:
        raise InvalidSchedule.at(
            "/schedule", f"{text} is too short or too long; from {describe_duration(at_least)} to 100 years is accepted"
        )
    return duration


def _read_instant(text: str, zone: tzinfo, dst: Dst) -> tuple[datetime, Note | None]:
    shape = _INSTANT.fullmatch(text)
    try:
        moment = datetime.fromisoformat(text.upper())
        if shape and shape["offset"]:
            return moment.astimezone(UTC), None
    except (ValueError, OverflowError):
        shape = None
    if shape is None:
        raise InvalidSchedule.at("/schedule", "not an instant; write date, time and offset: 2026-12-01T09:00:00+03:00")
    if zone is UTC:
        raise InvalidSchedule.at("/schedule", "the instant needs an offset such as Z or +03:00, or give a timezone")
    try:
        change = clock_change_at(moment, zone)
        instants = instants_of(moment, zone, dst)
    except OverflowError:
        raise InvalidSchedule.at("/schedule", "lies at the end of the calendar; give another instant") from None
    if not instants:
        raise InvalidSchedule.at("/schedule", "clocks skip this local time; give another, or dst gap shift")
    return instants[0], change.kind if change else None
