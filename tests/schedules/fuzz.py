"""Any text is a schedule or is refused by a typed error, and soon."""

from __future__ import annotations

import gc
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.description import describe
from jobs.core.schedules.dialects.warnings import warnings_of
from jobs.core.schedules.expression import MAX_EXPRESSION, parse_schedule
from jobs.core.schedules.local_time import Dst
from jobs.core.schedules.schedule import OneTime, Recurring
from tests.schedules.expressions import CHOSEN, drawn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_SECONDS = 0.25
DESCRIBED = 20
"""Of every so many that are accepted one is put into words as well, which takes longer than all else."""

ZONES = ("UTC", "UTC", "Europe/Berlin", "Pacific/Apia", "America/New_York")
WRAPPED = (
    *(("cron(", ")"), ("cron(", " *)"), ("", " 2030"), ("", " *"), ("CRON_TZ=UTC ", ""), ("", " Europe/Berlin")),
    *(
        ("'", "'"),
        ("- cron: '", "'"),
        ("", " # why"),
        ("rate(", ")"),
        ("every ", " minutes"),
        ("R/", ""),
        ("Cron.", ""),
    ),
)
ODD = "\x00\n\t\u00a0\u0663\u2028\ud800\U0001f600éRrHhLlWw#?"
FIELD_PARTS = (
    *("*", "0", "1", "2", "5", "7", "12", "23", "29", "30", "31", "59", "60", "99", "00", "L", "W", "#", "?", "R", "H"),
    *(
        ",",
        "-",
        "/",
        "*/",
        "MON",
        "sun",
        "FEB",
        "dec",
        "L5",
        "15W",
        "1#1",
        "R(0-5)",
        "2,4,6",
        "1-5",
        "50-10",
        "4294967296",
    ),
)
STARTS = ("@every ", "@once", "@daily", "P", "PT", "P1D", "2026-", "2026-12-01T09:00:00", "@", "")


@dataclass
class Outcome:
    """What came of the texts; times are of this thread's CPU, since others share the machine."""

    texts: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    slowest_text: str = ""

    def time(self, text: str, seconds: float) -> None:
        self.texts += 1
        self.seconds += seconds
        if seconds > self.slowest:
            self.slowest, self.slowest_text = seconds, text


def any_text(random: Random) -> str:
    return "".join(random.choices(string.printable + ODD, k=random.randrange(MAX_EXPRESSION + 1)))


def fields(random: Random) -> str:
    def field() -> str:
        return "".join(random.choices(FIELD_PARTS, k=random.choice((1, 1, 1, 2, 3, 5))))

    return " ".join(field() for _ in range(random.choice((4, 5, 5, 5, 6, 6, 7))))


def changed(random: Random) -> str:
    """Change a few characters of what is right."""
    text = list(random.choice(CHOSEN) if random.random() < 0.5 else drawn(random))
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(text) + 1)
        text[place : place + random.randint(0, 1)] = random.choice("0123456789*/,-#LW? ARHF")
    return "".join(text)


def rare(random: Random) -> str:
    """Name days that come seldom or never: the longest searches."""
    days = ",".join(random.sample(["29", "30", "31"], random.randint(1, 3)))
    months = ",".join(random.sample(["2", "4", "6", "9", "11"], random.randint(1, 3)))
    weekday = random.choice(["*", "*", "*", f"{random.randrange(7)}#5", f"L{random.randrange(7)}", "0"])
    day = random.choice([days, days, "*", "31W", "30W", "L"])
    return f"{random.choice(['0', '*', '59'])} {random.choice(['0', '*', '2', '*/2'])} {day} {months} {weekday}"


def other_form(random: Random) -> str:
    return random.choice(STARTS) + "".join(random.choices("0123456789.:-+TZPDHMSWhmsun ", k=random.randrange(60)))


def pasted(random: Random) -> str:
    """Put what other systems write around or behind an expression."""
    text = random.choice(CHOSEN) if random.random() < 0.5 else fields(random)
    before, behind = random.choice(WRAPPED)
    return before + text + behind


def long_one(random: Random) -> str:
    """Fill the whole length with one field's list."""
    values = ",".join(str(random.randrange(60)) for _ in range(50))
    return f"{values[: MAX_EXPRESSION - 8].rstrip(',')} * * * *"[:MAX_EXPRESSION]


KINDS: tuple[Callable[[Random], str], ...] = (
    *(any_text, fields, fields, changed, changed, rare, rare, other_form, pasted, long_one),
)


def fuzz(count: int, seed: int) -> Outcome:
    """Try ``count`` texts; anything raised other than ``InvalidSchedule`` comes through."""
    gc.disable()  # a collection of what other tests have left would be counted as the text's time
    try:
        return _fuzz(count, seed)
    finally:
        gc.enable()


def _fuzz(count: int, seed: int) -> Outcome:
    random, outcome = Random(seed), Outcome()
    for _ in range(count):
        text = random.choice(KINDS)(random)[:MAX_EXPRESSION]
        day_match = random.choice(("any", "all"))
        zone, dst = random.choice(ZONES), Dst(random.choice(("shift", "skip")), random.choice(("once", "twice")))
        before = time.thread_time()
        try:
            schedule = parse_schedule(text, zone, dst, day_match)
            warnings_of(schedule)
            first = schedule.first(NOW) if isinstance(schedule, OneTime) else None
            if isinstance(schedule, Recurring):
                first = schedule.next_after(NOW, NOW)
        except InvalidSchedule:
            outcome.time(text, time.thread_time() - before)
            outcome.refused += 1
        else:
            outcome.time(text, time.thread_time() - before)
            outcome.accepted += 1
            assert first is None or first.tzinfo is UTC, text
            assert outcome.accepted % DESCRIBED or describe(schedule), text
            assert not isinstance(schedule, Recurring) or (first is not None and first > NOW), text
    return outcome
