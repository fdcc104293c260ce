"""Cron expressions, and how the local times they name become instants where clocks change.

The cron library is asked only about local times without a zone. What becomes of a local time that is skipped or
repeated is decided here, because the library runs some of them twice and drops others.
"""

from __future__ import annotations

import calendar
import copy
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.core.errors import InvalidSchedule
from jobs.core.local_time import AS_TIME_PASSES, Dst, Note, instants_of, turn_at, turn_between

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_FIELDS = ("minute", "hour", "day of month", "month", "weekday")
_LIST = "lists (1,3), ranges (1-5) and steps (*/5)"
_ACCEPTED = {
    "second": f"0-59, {_LIST}",
    "minute": f"0-59, {_LIST}",
    "hour": f"0-23, {_LIST}",
    "day of month": f"1-31, L for the last day, 15W for the weekday nearest the 15th, {_LIST}",
    "month": f"1-12 or JAN-DEC, {_LIST}",
    "weekday": "0-7 or SUN-SAT, 5#2 for the second Friday, L5 for the last Friday (no plain days beside these), "
    f"{_LIST}",
}
_MAX_FIELDS = 6
_MAX_WORDS = 6
_HORIZON_YEARS = 40
"""The longest wait that the calendar has: from a 29 February on some weekday to the next, over a year such as 2100.
What has not matched by then never does."""

PROBE = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the search starts that finds out whether an expression ever matches: fixed, so that the answer is, too."""

_RANDOM = re.compile(r"(?:^|,)[hr](?![a-z])", re.IGNORECASE)
_SAME_ENDS = re.compile(r"(?:^|,)0*(\w+)-0*\1(?:/|,|$)", re.IGNORECASE)


class CronFields:
    """A cron expression of five fields, or of six with the seconds first. Safe to share between threads.

    ``elapsed`` says that the hour is a wildcard or a step. Raises ``InvalidSchedule`` naming the field.
    """

    def __init__(self, text: str) -> None:
        fields = text.split()
        _check_shape(fields)
        self._cron = _load(fields)
        self.expanded: list[list[int | str]] = self._cron.expanded
        self.plain = not self._cron.nth_weekday_of_month and not self._cron.nearest_weekday
        _check_days(self)
        hour = fields[-4]
        self.elapsed = "*" in hour or "/" in hour or self.expanded[1] == ["*"]

    def first_from(self, local: datetime) -> datetime | None:
        """Give the first matching local time not before ``local``, both without a zone; None if there is none."""
        # The library keeps where it stands in the object, so each question is put to a copy.
        try:
            found: datetime = copy.copy(self._cron).get_next(datetime, start_time=local - _SECOND)
        except (ValueError, OverflowError):  # nothing within the horizon, or past the year 9999
            return None
        return found

    def next_after(self, moment: datetime, zone: tzinfo, dst: Dst) -> datetime | None:
        """Give the first instant (UTC) strictly after ``moment``, None if there is none.

        ``dst`` counts for fixed hours only; ``elapsed`` ones run whenever the local clock matches.
        """
        rule = AS_TIME_PASSES if self.elapsed else dst
        local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
        found = self._first_instant(local + _SECOND, moment, zone, rule)
        turn = turn_between(moment, moment + _DAY, zone) if rule.overlap == "twice" else None
        if turn is None or turn.kind == "gap" or turn.start > local:
            return found
        # The clock is about to go back to before ``local``: what matches in the repeated stretch may come first.
        again = self._first_instant(turn.start, turn.at - timedelta.resolution, zone, rule)
        return min((instant for instant in (found, again) if instant), default=None)

    def note(self, at: datetime, zone: tzinfo, dst: Dst) -> Note | None:
        """Say whether the run at ``at`` was moved out of a gap, or stands at a local time that comes twice."""
        if turn_at(at.astimezone(zone).replace(tzinfo=None), zone):
            return "overlap"
        turn = turn_between(at - _SECOND, at, zone)
        if turn is None or turn.kind != "gap" or self.elapsed or dst.gap == "skip":
            return None
        skipped = self.first_from(turn.start)
        return "gap" if skipped and skipped < turn.end else None

    def describe(self) -> str | None:
        """Say the fields in words; None for those that take too many."""
        fields: list[list[int | str]] = [*self.expanded, [0]]
        minute, hour, day, month, weekday, second = fields[:6]
        time = _time_words(second, minute, hour)
        if time is None or not self.plain or len(day) > _MAX_WORDS:
            return None
        days = [] if day == ["*"] else ["on " + _join("the last day" if d == "l" else f"day {d}" for d in day)]
        days += [] if weekday == ["*"] else ["on " + _join(calendar.day_name[int(d) - 1] for d in weekday)]
        when = " or ".join(days) or ("every day" if ":" in time else "")
        months = "" if month == ["*"] else " in " + _join(calendar.month_name[int(m)] for m in month)
        return f"{time} {when}".rstrip() + months

    def _first_instant(self, start: datetime, moment: datetime, zone: tzinfo, dst: Dst) -> datetime | None:
        """Give the first run after ``moment`` among the local times not before ``start``."""
        last_year = start.year + _HORIZON_YEARS
        while (local := self.first_from(start)) and local.year <= last_year:
            for instant in instants_of(local, zone, dst):
                if instant > moment:
                    return instant
            # A gap that is passed over, or an overlap whose first pass is gone: go on behind it.
            turn = turn_at(local, zone)
            start = turn.end if turn else local + _SECOND
        return None


def _time_words(second: list[int | str], minute: list[int | str], hour: list[int | str]) -> str | None:
    fixed = all(isinstance(value, int) for value in [*minute, *hour])
    if fixed and len(second) == 1 and len(minute) * len(hour) <= _MAX_WORDS and isinstance(second[0], int):
        end = f":{second[0]:02}" if second[0] else ""
        return "at " + _join(f"{h:02}:{m:02}{end}" for h in hour for m in minute)
    units = [("second", second, 60), ("minute", minute, 60), ("hour", hour, 24)]
    while len(units) > 1 and units[0][1] == [0]:
        units = units[1:]
    if any(values != ["*"] for _, values, _ in units[1:]):
        return None
    (name, values, size), steps = units[0], len(units[0][1])
    if values == ["*"]:
        return f"every {name}"
    if steps > 1 and size % steps == 0 and values == list(range(0, size, size // steps)):
        return f"every {size // steps} {name}s"
    return (
        f"at {name} {_join(map(str, values))} of every {units[1][0]}"
        if len(units) > 1 and steps <= _MAX_WORDS
        else None
    )


def _join(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _refused(detail: str) -> Exception:
    return InvalidSchedule.at("/schedule", detail)


def _names(fields: list[str]) -> list[str]:
    return [*(["second"] if len(fields) == _MAX_FIELDS else []), *_FIELDS]


def _check_shape(fields: list[str]) -> None:
    if not len(_FIELDS) <= len(fields) <= _MAX_FIELDS:
        raise _refused(
            f"a cron expression has 5 fields ({', '.join(_FIELDS)}) or 6 with the second first, not {len(fields)}"
        )
    for name, field in zip(_names(fields), fields, strict=True):
        if _RANDOM.search(field):
            raise _refused(f"the {name} field {field!r} is random (R) or hashed (H); give fixed values and use jitter")
        if _SAME_ENDS.search(field):
            # The library reads 9-9 as every value, which nobody means.
            raise _refused(f"the {name} field {field!r} is a range from a value to itself; write that value, or *")


def _load(fields: list[str]) -> Any:
    # Imported here: it takes some 60 ms, which a cold start without cron jobs need not pay.
    from croniter import croniter  # noqa: PLC0415

    def load(texts: list[str]) -> Any:
        return croniter(
            " ".join(texts),
            PROBE.replace(tzinfo=None),
            ret_type=datetime,
            max_years_between_matches=_HORIZON_YEARS,
            second_at_beginning=True,
        )

    try:
        return load(fields)
    except Exception:  # noqa: BLE001 - on odd text the library also fails with KeyError, TypeError and others
        culprit = next((i for i in range(len(fields)) if not _alone(load, fields, i)), None)
    if culprit is None:
        raise _refused("the fields cannot be used together; simplify the days")
    name = _names(fields)[culprit]
    raise _refused(f"the {name} field {fields[culprit]!r} cannot be read; accepted are {_ACCEPTED[name]}")


def _alone(load: Any, fields: list[str], place: int) -> bool:
    """Whether the field at ``place`` can be read by itself."""
    try:
        load([field if i == place else "*" for i, field in enumerate(fields)])
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _check_days(fields: CronFields) -> None:
    if not fields.plain and "*" not in fields.expanded[2] and "*" not in fields.expanded[4]:
        # The library would leave one of the two out, or find no match.
        raise _refused("a day of month and a weekday cannot be combined when one has #, W or L5; make one of them *")
