"""The implementation against the oracle, around changes of clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from random import Random

import pytest

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.local_time import Dst
from jobs.core.schedules.schedule import Recurring
from tests.schedules.oracle import LONGEST_WAIT_DAYS, NICKNAMES, Meaning, Rule, Walk, any_day, understand
from tests.schedules.turns import ClockChange

DEFAULT = Rule()
OTHERS = (Rule("skip", "once"), Rule("shift", "twice"), Rule("skip", "twice"))
REACH = timedelta(hours=26)
"""How far around a change the sparse expressions are looked at; less for those with very many runs."""

Window = tuple[datetime, datetime]


@dataclass
class Tally:
    """What came out; ``faults`` has the first few in words."""

    cases: int = 0
    runs: int = 0
    missed: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def note(
        self, turn: ClockChange, expression: str, rule: Rule, expected: list[datetime], got: list[datetime]
    ) -> None:
        self.cases += 1
        self.runs += len(got)
        if got == expected:
            return
        wanted, given = Counter(expected), Counter(got)
        missed, doubled = wanted - given, given - wanted
        self.missed += missed.total()
        # Out of order is no better than twice.
        self.doubled += doubled.total() + (not missed and not doubled)
        if len(self.faults) < 20:
            self.faults.append(
                f"{expression!r} in {turn.zone.names[0]}, {rule.gap}/{rule.overlap}, around {turn.at.isoformat()}: "
                f"missed {sorted(map(str, missed))}, too many {sorted(map(str, doubled))}"
            )


@cache
def meaning_of(expression: str, day_match: str = "any") -> Meaning:
    return understand(expression, day_match)


@cache
def day_matches(expression: str) -> tuple[str, ...]:
    """Give the ways in which the days of an expression are to be combined: two only where both are restricted.

    One whose days never match together is to be refused, and left out.
    """
    day, _, weekday = NICKNAMES.get(expression.lower(), expression).split()[-3:]
    if any_day(day) or any_day(weekday):
        return ("any",)
    meaning = meaning_of(expression, "all")
    day = date(2026, 1, 1)
    if any(meaning.runs_on(day + timedelta(days=n)) for n in range(LONGEST_WAIT_DAYS)):
        return ("any", "all")
    with pytest.raises(InvalidSchedule, match="never matches"):
        parse_schedule(expression, day_match="all")
    return ("any",)


def compare(turn: ClockChange, expressions: Sequence[str], random: Random, tally: Tally) -> None:
    """Hold each expression to the oracle around ``turn``, under the default rule and one of the others."""
    walk = Walk(turn.zone.info, turn.at - REACH, turn.at + REACH)
    for expression, day_match in ((each, way) for each in expressions for way in day_matches(each)):
        meaning = meaning_of(expression, day_match)
        for rule in (DEFAULT,) if meaning.elapsed else (DEFAULT, random.choice(OTHERS)):
            for since, until in windows(turn, meaning):
                expected = walk.runs(meaning, rule, since, until)
                got = list(runs(expression, turn.zone.names[0], rule, since, until, day_match))
                tally.note(turn, f"{expression} {day_match}", rule, expected, got)


def runs(
    expression: str, zone: str, rule: Rule, since: datetime, until: datetime, day_match: str = "any"
) -> Iterator[datetime]:
    """Ask the implementation for one run after the other; an endless repetition ends after one."""
    schedule = parsed(expression, zone, rule, day_match)
    at = since
    while (following := schedule.next_after(at, since)) is not None and following <= until:
        yield following
        if following <= at:
            return
        at = following


@lru_cache(maxsize=4096)
def parsed(expression: str, zone: str, rule: Rule, day_match: str = "any") -> Recurring:
    schedule = parse_schedule(expression, zone, Dst(rule.gap, rule.overlap), day_match)  # type: ignore[arg-type]
    assert isinstance(schedule, Recurring)
    return schedule


def windows(turn: ClockChange, meaning: Meaning) -> list[Window]:
    """Give the stretches to look at, shorter ones for the more runs a day has; each ends beyond both passes."""
    a_day = len(meaning.minutes) * len(meaning.seconds)
    if a_day <= 6:
        return [(turn.at - REACH, turn.at + REACH)]
    size = abs(turn.size)
    if a_day <= 1_500:
        reach = size + timedelta(minutes=65)
        return [(turn.at - reach, turn.at + reach)]
    edge = timedelta(seconds=40)
    return [(at - edge, at + edge) for at in (turn.at - size, turn.at, turn.at + size)]
