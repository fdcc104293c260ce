"""What schedules mean, by walking through every minute: written from the rules alone.

It knows neither the cron library nor the code under test: it reads fields by itself, asks a time zone only what its
clock shows at an instant, and finds runs by looking at each minute of local time in turn, the skipped ones too.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

MINUTE = timedelta(minutes=1)
LONGEST_WAIT_DAYS = 41 * 366
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTH_NAMES = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
DAY_NAMES = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}

Matches = Callable[[date], bool]


class Rule(NamedTuple):
    """What becomes of a fixed local time that clocks skip or show twice."""

    gap: str = "shift"
    overlap: str = "once"


@dataclass(frozen=True)
class Meaning:
    """An expression, understood: seconds of a minute, minutes of a day, and which days."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    is_day: Matches
    elapsed: bool
    """The hour is a wildcard or a step: a run whenever the clock on the wall matches."""
    days: dict[date, bool] = field(default_factory=dict, compare=False)

    def runs_on(self, day: date) -> bool:
        known = self.days.get(day)
        if known is None:
            known = self.days[day] = self.is_day(day)
        return known


def understand(expression: str, day_match: str = "any") -> Meaning:
    fields = NICKNAMES.get(expression.lower(), expression).upper().split()
    second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
    minutes, hours, months = numbers(minute, 0, 59), numbers(hour, 0, 23), numbers(month, 1, 12, MONTH_NAMES)
    by_day, by_weekday = day_of_month(day), day_of_week(weekday)

    def is_day(on: date) -> bool:
        if on.month not in months:
            return False
        if day_match == "all" or any_day(day) or any_day(weekday):
            return by_day(on) and by_weekday(on)
        return by_day(on) or by_weekday(on)

    return Meaning(
        seconds=tuple(sorted(numbers(second, 0, 59))),
        minutes=tuple(sorted(h * 60 + m for h in hours for m in minutes)),
        is_day=is_day,
        elapsed="*" in hour or "/" in hour or len(hours) == 24,
    )


def any_day(text: str) -> bool:
    return bool({"*", "?"} & set(text.split(",")))


def numbers(text: str, first: int, last: int, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        base, _, step = item.partition("/")
        low, dash, high = base.partition("-")
        if low == "*":
            start, end = first, last
        else:
            start = number(low, names)
            end = number(high, names) if dash else last if step else start
        size = last - first + 1
        span = end - start if end >= start else end - start + size
        found |= {first + (value - first) % size for value in range(start, start + span + 1, int(step or 1))}
    return found


def number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def day_of_month(text: str) -> Matches:
    if any_day(text):
        return lambda _: True
    nearest = re.fullmatch(r"W(\d+)|(\d+)W", text)
    if nearest:
        wanted = int(nearest[1] or nearest[2])
        return lambda on: on.day == nearest_weekday(on, wanted)
    plain = [item for item in text.split(",") if item != "L"]
    days = numbers(",".join(plain).replace("-L", "-31"), 1, 31) if plain else set()
    last = "L" in text.split(",")
    return lambda on: on.day in days or (last and on.day == last_day(on))


def nearest_weekday(on: date, wanted: int) -> int:
    """Give the weekday of the month that is nearest to a day: Monday to Friday, and never in another month."""
    target = min(wanted, last_day(on))
    workdays = [day for day in range(1, last_day(on) + 1) if date(on.year, on.month, day).weekday() < 5]
    # A Saturday is nearer to its Friday, a Sunday to its Monday.
    return min(workdays, key=lambda day: abs(day - target))


def last_day(on: date) -> int:
    return calendar.monthrange(on.year, on.month)[1]


def day_of_week(text: str) -> Matches:
    if any_day(text):
        return lambda _: True
    plain: list[str] = []
    special: list[Matches] = []
    for item in text.split(","):
        last, nth = re.fullmatch(r"L(\d)", item), re.fullmatch(r"(.+)#(\d)", item)
        if last:
            special.append(is_last(int(last[1]) % 7))
        elif nth:
            special.extend(is_nth(each % 7, int(nth[2])) for each in numbers(nth[1], 0, 6, DAY_NAMES))
        else:
            plain.append(item)
    # Sunday may be written 7 at the end of a range as well.
    days = set().union(*(weekdays(item) for item in plain))
    return lambda on: sunday_first(on) in days or any(matches(on) for matches in special)


def weekdays(item: str) -> set[int]:
    if re.search(r"-7(/|$)", item) and not item.startswith("7"):
        return {each % 7 for each in numbers(item, 0, 7, DAY_NAMES)}
    return numbers(re.sub(r"^7(?=/|$|-)", "0", item), 0, 6, DAY_NAMES)


def sunday_first(on: date) -> int:
    return on.isoweekday() % 7


def is_nth(weekday: int, nth: int) -> Matches:
    return lambda on: sunday_first(on) == weekday and (on.day - 1) // 7 + 1 == nth


def is_last(weekday: int) -> Matches:
    return lambda on: sunday_first(on) == weekday and on.day + 7 > last_day(on)


class Shown(NamedTuple):
    """One minute of local time: the instants at which clocks show it; of a skipped one, the first after the gap."""

    day: date
    instants: list[datetime]
    after_gap: datetime | None


class Walk:
    """Every minute of local time around a stretch of time in a zone, in order of the time of day."""

    def __init__(self, zone: tzinfo, since: datetime, until: datetime) -> None:
        margin = timedelta(hours=30)  # so that a gap of a day, or an overlap, at an end is seen whole
        shown: dict[datetime, list[datetime]] = {}
        moment = (since - margin).replace(second=0, microsecond=0)
        while moment <= until + margin:
            shown.setdefault(moment.astimezone(zone).replace(tzinfo=None, fold=0), []).append(moment)
            moment += MINUTE
        self.since, self.until = since, until
        self._by_time: list[list[Shown]] = [[] for _ in range(24 * 60)]
        after_gap: datetime | None = None
        local, first = max(shown), min(shown)
        while local >= first:
            instants = shown.get(local, [])
            if instants:
                after_gap = instants[0]
            entry = Shown(local.date(), instants, None if instants else after_gap)
            self._by_time[local.hour * 60 + local.minute].append(entry)
            local -= MINUTE

    def runs(
        self, meaning: Meaning, rule: Rule, since: datetime | None = None, until: datetime | None = None
    ) -> list[datetime]:
        """Give the runs after ``since`` and up to ``until``, in order; both within what was walked through."""
        since, until = since or self.since, until or self.until
        found: set[datetime] = set()
        for minute in meaning.minutes:
            for shown in self._by_time[minute]:
                if not meaning.runs_on(shown.day):
                    continue
                instants = shown.instants
                if len(instants) == 1 and not since - MINUTE < instants[0] <= until:
                    continue
                if not meaning.elapsed:
                    instants = instants[: 2 if rule.overlap == "twice" else 1]
                    if shown.after_gap is not None and rule.gap == "shift":
                        found.add(shown.after_gap)
                found.update(at + timedelta(seconds=second) for at in instants for second in meaning.seconds)
        return sorted(at for at in found if since < at <= until)


def first_runs(meaning: Meaning, zone: tzinfo, rule: Rule, after: datetime, count: int) -> list[datetime]:
    """Give the first runs after an instant, by a walk through the days and through the minutes of those that match."""
    found: set[datetime] = set()
    day, idle = after.date() - timedelta(days=2), 0
    while len(found) < count and idle < LONGEST_WAIT_DAYS:
        idle += 1
        if meaning.runs_on(day):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            # Somewhere in the world this day begins sixteen hours before, and ends sixteen hours after.
            walk = Walk(zone, midnight - timedelta(hours=16), midnight + timedelta(hours=40))
            found.update(at for at in walk.runs(meaning, rule) if at > after)
            idle = 0
        day += timedelta(days=1)
    return sorted(found)[:count]
