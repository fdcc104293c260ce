"""Cron expressions, and how the local times they name become instants where clocks change.

The cron library computes local times without a zone only. This module handles local times that are skipped or repeated,
because the library runs some of them twice and drops others.
"""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from jobs.core.errors import InvalidSchedule, Problem, ScheduleFault
from jobs.core.schedules.local_time import AS_TIME_PASSES, Dst, Note, clock_change_at, clock_change_between, instants_of

if TYPE_CHECKING:
    from datetime import tzinfo

DayMatch = Literal["any", "all"]
"""How day of month and weekday combine where both are restricted: a day that matches either, or only both."""

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
_FULL_MINUTE: list[list[int | str]] = [[0]]
"""The seconds of an expression that has no seconds field."""
_WEEKDAYS = 7
_HORIZON_YEARS = 40
"""The longest wait that the calendar has: from a 29 February on some weekday to the next, over a year such as 2100.
An expression that has not matched by then never matches."""

PROBE = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the check whether an expression ever matches starts: fixed, so that the answer never changes."""

_RANDOM = re.compile(r"(?:^|,)[hr](?![a-z])", re.IGNORECASE)
_RANGE = re.compile(r"(?:^|,)(\w+)-(\w+)(?=[/,#]|$)(/?)", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERS = {
    **{name: number for number, name in enumerate(_MONTHS, start=1)},
    **{name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
    "l": 31,
}
_SUNDAY_TO_SUNDAY = (7, 0)
_COUNTED_FROM_ONE = ("day of month", "month")


class CronFields:
    """A cron expression of five fields, or of six with the seconds first. Safe to share between threads.

    ``both_days`` is true if day of month and weekday are both restricted; only then does ``day_match`` count.
    ``elapsed`` is true if the hour is a wildcard or a step. Raises ``InvalidSchedule`` naming the field.
    """

    def __init__(self, text: str, day_match: DayMatch = "any") -> None:
        fields = text.split()
        _check_shape(fields)
        self._cron = _load(fields, day_match)
        self.texts = tuple(fields)
        self.day_match = day_match
        self.expanded: list[list[int | str]] = self._cron.expanded
        self.nth_weekday: dict[int, set[int | str]] = self._cron.nth_weekday_of_month
        self.nearest_weekday: set[int] = self._cron.nearest_weekday
        self.both_days = "*" not in self.expanded[2] and "*" not in self.expanded[4]
        _check_days(self, fields[-1])
        hour = fields[-4]
        self.elapsed = "*" in hour or "/" in hour or self.expanded[1] == ["*"]

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal for two expressions that name the same local times, however they are written."""
        return (
            *(frozenset(values) for values in (*self.expanded, *_FULL_MINUTE)[:_MAX_FIELDS]),
            frozenset((weekday, frozenset(nths)) for weekday, nths in self.nth_weekday.items()),
            frozenset(self.nearest_weekday),
            self.elapsed,
            self.day_match if self.both_days else None,
        )

    def first_from(self, local: datetime) -> datetime | None:
        """Return the first matching local time not before ``local``, both without a zone; None if there is none.

        Raises ``ScheduleFault`` if the library returns an earlier one: a caller that accepted it would loop forever.
        """
        # The library keeps its position in the object, so each call works on a copy.
        try:
            found: datetime = copy.copy(self._cron).get_next(datetime, start_time=local - _SECOND)
        except (ValueError, OverflowError):  # nothing within the horizon, or past the year 9999
            return None
        if found < local:
            raise ScheduleFault(f"the cron library gave {found} as the first match from {local} on")
        return found

    def next_after(self, moment: datetime, zone: tzinfo, dst: Dst) -> datetime | None:
        """Return the first instant (UTC) strictly after ``moment``, None if there is none.

        ``dst`` counts for fixed hours only; ``elapsed`` ones run whenever the local clock matches.
        """
        rule = AS_TIME_PASSES if self.elapsed else dst
        local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
        found = self._first_instant(local + _SECOND, moment, zone, rule)
        change = clock_change_between(moment, moment + _DAY, zone) if rule.overlap == "twice" else None
        if change is None or change.kind == "gap" or change.start > local:
            return found
        # The clock is about to go back to before ``local``: a match in the repeated hour may come first.
        again = self._first_instant(change.start, change.at - timedelta.resolution, zone, rule)
        return min((instant for instant in (found, again) if instant), default=None)

    def note(self, at: datetime, zone: tzinfo, dst: Dst) -> Note | None:
        """Return ``gap`` if the run at ``at`` was moved out of a gap, ``overlap`` if its local time comes twice."""
        if clock_change_at(at.astimezone(zone).replace(tzinfo=None), zone):
            return "overlap"
        change = clock_change_between(at - _SECOND, at, zone)
        if change is None or change.kind != "gap" or self.elapsed or dst.gap == "skip":
            return None
        skipped = self.first_from(change.start)
        return "gap" if skipped and skipped < change.end else None

    def _first_instant(self, start: datetime, moment: datetime, zone: tzinfo, dst: Dst) -> datetime | None:
        """Return the first run after ``moment`` whose local time is ``start`` or later."""
        last_year = start.year + _HORIZON_YEARS
        while (local := self.first_from(start)) and local.year <= last_year:
            for instant in instants_of(local, zone, dst):
                if instant > moment:
                    return instant
            # The policy skips this gap, or the first pass of this overlap is over: continue after it.
            change = clock_change_at(local, zone)
            start = change.end if change else local + _SECOND
        return None


def _refused(detail: str) -> Exception:
    return InvalidSchedule.at("/schedule", detail)


def _invalid_field(name: str, field: str) -> str:
    return f"the {name} field {field!r} cannot be read; accepted are {_ACCEPTED[name]}"


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
        _check_ranges(name, field)


def _check_ranges(name: str, field: str) -> None:
    for *ends, step in _RANGE.findall(field):
        low, high = (int(end) if end.isdigit() else _NUMBERS.get(end.lower(), -1) for end in ends)
        if -1 in {low, high}:
            continue  # the library refuses it
        if low == high or (name == "weekday" and (low, high) == _SUNDAY_TO_SUNDAY):
            # The library reads 9-9, mon-1 or 31-L as every value, which no author intends.
            raise _refused(f"the {name} field {field!r} is a range from a value to itself; write that value, or *")
        if name in _COUNTED_FROM_ONE and 0 in {low, high}:
            raise _refused(_invalid_field(name, field))
        if step and low > high:
            # The library loses count where the range starts over: it reads the hours 22-4/3 as 22 and 2.
            raise _refused(f"the {name} field {field!r} has steps in a range that starts over; list its values instead")


def _load(fields: list[str], day_match: DayMatch) -> Any:
    # Imported here: it takes some 60 ms, which a cold start without cron jobs need not pay.
    from croniter import croniter  # noqa: PLC0415

    def load(texts: list[str]) -> Any:
        return croniter(
            " ".join(texts),
            PROBE.replace(tzinfo=None),
            ret_type=datetime,
            max_years_between_matches=_HORIZON_YEARS,
            day_or=day_match == "any",
            second_at_beginning=True,
        )

    try:
        return load(fields)
    except Exception:  # noqa: BLE001 - on odd text the library also fails with KeyError, TypeError and others
        culprits = [i for i in range(len(fields)) if not _is_valid_alone(load, fields, i)]
    if not culprits:
        raise _refused("the fields cannot be used together; simplify the days")
    raise InvalidSchedule([Problem("/schedule", _invalid_field(_names(fields)[i], fields[i])) for i in culprits])


def _is_valid_alone(load: Any, fields: list[str], place: int) -> bool:
    """Whether the field at ``place`` is valid when all others are ``*``."""
    try:
        load([field if i == place else "*" for i, field in enumerate(fields)])
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _check_days(fields: CronFields, weekday: str) -> None:
    weekdays = fields.expanded[4]
    special = fields.nth_weekday or fields.nearest_weekday
    if special and fields.both_days and fields.day_match == "any":
        # The library would leave one of the two out, or find no match.
        raise _refused(
            "a day of month and a weekday cannot be combined when one has #, W or L5; make one of them *, or set "
            "day_match to all, if both are to match"
        )
    if fields.nth_weekday and "*" in weekdays and len(fields.nth_weekday) < _WEEKDAYS:
        # Of 0-6,5#2 the library would leave out the plain days.
        raise _refused(_invalid_field("weekday", weekday))
