"""Schedule expressions: what may be written, and when it runs.

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

Instants passed in must be aware; instants given back are in UTC.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import ClassVar
from zoneinfo import ZoneInfo

from jobs.core.cron import PROBE, CronFields, Dst, Note, instants_of, turn_at
from jobs.core.durations import describe_duration, parse_duration
from jobs.core.errors import InvalidSchedule

__all__ = ["After", "At", "Cron", "Dst", "Every", "Note", "Once", "OneTime", "Recurring", "Schedule"]
__all__ += ["describe", "occurrence_note", "parse_schedule"]

MAX_EXPRESSION = 128
MAX_INTERVAL = timedelta(days=36_525)
"""A hundred years: the longest delay or interval."""

_MIN_INTERVAL = timedelta(seconds=1)
_EARLIEST = datetime(1, 1, 3, tzinfo=UTC)  # so that no zone's local time falls before the year 1
_DEFAULT_DST = Dst()
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
_ZONE = re.compile(r"(?!right/|posix/|localtime$|posixrules$|Factory$)[A-Za-z0-9_+/-]{1,64}", re.ASCII)
_FORMS = (
    "@once, an instant such as 2026-12-01T09:00:00Z, a delay such as PT30S, @hourly, @daily, @weekly, @monthly, "
    "@yearly, @every 1h30m, or a cron expression of 5 fields (6 with the second first)"
)


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """When a job runs, before any policy. ``expression`` and ``timezone`` are as given; ``zone`` is the loaded zone."""

    recurring: ClassVar[bool]

    expression: str
    timezone: str
    zone: tzinfo = field(repr=False, compare=False)

    def note(self, at: datetime) -> Note | None:  # noqa: ARG002 - a schedule that reads no local time has no notes
        """Say whether the run at ``at`` was moved out of a gap, or stands at a local time that comes twice."""
        return None


class OneTime(Schedule):
    """A schedule with a single run."""

    __slots__ = ()
    recurring = False

    @abstractmethod
    def first(self, now: datetime) -> datetime | None:
        """Give the instant of the run; None means now, by the database's clock."""


class Recurring(Schedule):
    """A schedule with run after run."""

    __slots__ = ()
    recurring = True

    @abstractmethod
    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Give the first run strictly after ``moment``; None if there is none up to the year 9999.

        ``anchor`` counts for ``@every`` alone.
        """


@dataclass(frozen=True, slots=True)
class Once(OneTime):
    """``@once``: now."""

    def first(self, now: datetime) -> None:
        """Give None: now."""


@dataclass(frozen=True, slots=True)
class At(OneTime):
    """At ``instant``; now, if that is past. ``moved`` is the note on a local time that is skipped or comes twice."""

    instant: datetime
    moved: Note | None = None

    def first(self, now: datetime) -> datetime | None:
        """Give the instant, or None if it is not after ``now``."""
        return self.instant if self.instant > now else None

    def note(self, at: datetime) -> Note | None:
        """Tell of the instant itself only; a run later than that is one that was past and so is now."""
        return self.moved if at == self.instant else None


@dataclass(frozen=True, slots=True)
class After(OneTime):
    """``delay`` from now."""

    delay: timedelta

    def first(self, now: datetime) -> datetime:
        """Count from ``now``."""
        return now.astimezone(UTC) + self.delay


@dataclass(frozen=True, slots=True)
class Every(Recurring):
    """The n-th run is at anchor + n * ``interval``, n = 1, 2, …; the anchor is no run. Knows no clock changes."""

    interval: timedelta

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Find the run by division, in whole microseconds, so that it costs the same however far away it is."""
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

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:  # noqa: ARG002
        """Find the next match; a cron expression does not depend on ``anchor``.

        A fixed local time that is skipped or repeated is treated as ``dst`` says. With an hour that is a wildcard or a
        step, runs come whenever the local clock matches: none in a gap, and in both passes of an overlap.
        """
        try:
            return self.fields.next_after(max(moment, _EARLIEST).astimezone(UTC), self.zone, self.dst)
        except OverflowError:  # the search has come to the end of the year 9999
            return None

    def note(self, at: datetime) -> Note | None:
        """See ``Schedule.note``."""
        return self.fields.note(at, self.zone, self.dst)


def describe(schedule: Schedule) -> str:
    """Say in plain words when ``schedule`` runs."""
    match schedule:
        case At():
            return f"once, at {schedule.instant.astimezone(schedule.zone).isoformat()}"
        case After():
            return f"once, {describe_duration(schedule.delay)} from now"
        case Every():
            return f"every {describe_duration(schedule.interval)}, counted from when the schedule was set"
        case Cron():
            words = schedule.fields.describe() or f"on the cron expression {schedule.expression}"
            return f"{words}, in {schedule.timezone}"
        case _:
            return "once, now"


def occurrence_note(schedule: Schedule, at: datetime) -> Note | None:
    """Say what is odd about the run of ``schedule`` at ``at``.

    ``gap``: its local time does not exist, and it runs at the first instant after. ``overlap``: its local time comes
    twice. None: nothing, which is also the answer for delays and ``@every``.
    """
    return schedule.note(at)


def parse_schedule(expression: str, timezone: str = "UTC", dst: Dst = _DEFAULT_DST) -> Schedule:
    """Read a schedule expression. What it gives cannot change, is kept for the next call, and is safe in threads.

    Raises ``InvalidSchedule`` at ``/schedule``, ``/timezone`` or ``/dst``, saying what would be accepted.
    """
    if dst.gap not in {"shift", "skip"} or dst.overlap not in {"once", "twice"}:
        raise InvalidSchedule.at("/dst", "gap must be shift or skip, and overlap must be once or twice")
    if len(expression) > MAX_EXPRESSION:
        raise InvalidSchedule.at("/schedule", f"the expression is longer than {MAX_EXPRESSION} characters; shorten it")
    if not expression.isascii() or not expression.isprintable():
        raise InvalidSchedule.at("/schedule", "the expression may have printable ASCII characters only")
    return _parse(expression, timezone, dst)


@lru_cache(maxsize=1024)
def _parse(expression: str, timezone: str, dst: Dst) -> Schedule:
    text, zone = expression.strip(), _load_zone(timezone)
    word, _, rest = text.partition(" ")
    if text.lower() == "@once":
        return Once(expression, timezone, zone)
    if word.lower() == "@every":
        return Every(expression, timezone, zone, _read_duration(rest.strip(), at_least=_MIN_INTERVAL))
    if text.startswith("P"):
        return After(expression, timezone, zone, _read_duration(text, at_least=timedelta()))
    if _DATE.match(text):
        return At(expression, timezone, zone, *_read_instant(text, zone, dst))
    text = _NICKNAMES.get(text.lower(), text)
    if text.startswith("@") or " " not in text:
        raise InvalidSchedule.at("/schedule", f"{text!r} is not a schedule; accepted are {_FORMS}")
    cron = Cron(expression, timezone, zone, dst, CronFields(text))
    if cron.next_after(PROBE, PROBE) is None:
        raise InvalidSchedule.at(
            "/schedule", "never matches: the months named have no such day, or clocks always skip that time of that day"
        )
    return cron


def _load_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, no zone file, or a directory
            pass
    raise InvalidSchedule.at("/timezone", "no such IANA time zone; use a name such as Europe/Berlin or UTC")


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
        turn = turn_at(moment, zone)
        instants = instants_of(moment, zone, dst)
    except OverflowError:
        raise InvalidSchedule.at("/schedule", "lies at the end of the calendar; give another instant") from None
    if not instants:
        raise InvalidSchedule.at("/schedule", "clocks skip this local time; give another, or dst gap shift")
    return instants[0], turn.kind if turn else None
