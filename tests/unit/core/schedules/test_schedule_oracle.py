"""Schedules against an oracle that walks through every minute; `python -m tests.schedules` does so at full length."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.expression import parse_schedule
from tests.schedules.comparison import DEFAULT, OTHERS, Tally, compare, meaning_of, parsed, runs
from tests.schedules.expressions import CHOSEN, expressions
from tests.schedules.fuzz import LIMIT_SECONDS, fuzz
from tests.schedules.golden import ZONES, answer, disagreement, lines, question
from tests.schedules.oracle import Rule, Walk, understand
from tests.schedules.turns import ClockChange, turns_of, zone_named
from tests.sizes import examples, sized

BERLIN = "Europe/Berlin"
REACH = timedelta(hours=30)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@lru_cache(maxsize=1)
def some_turns() -> list[ClockChange]:
    """Changes of every size that there is, at all times of day; the years have the oddest of each zone."""
    years = {"Pacific/Apia": (2011, 2011), "America/St_Johns": (2006, 2006), "Asia/Tehran": (2021, 2021)}
    return [turn for name in ZONES for turn in turns_of(zone_named(name), *years.get(name, (2025, 2026)))]


@lru_cache(maxsize=256)
def walk_of(turn: ClockChange) -> Walk:
    return Walk(turn.zone.info, turn.at - REACH, turn.at + REACH)


def turn_of(zone: str, year: int, number: int) -> ClockChange:
    return list(turns_of(zone_named(zone), year, year))[number]


# --- the oracle itself


def test_the_oracle_knows_the_rules_of_clock_changes():
    spring, autumn = (walk_of(turn_of(BERLIN, 2026, number)) for number in (0, 1))
    at_half_past_two = understand("30 2 * * *")
    assert utc("2026-03-29T03:00+02:00") in spring.runs(at_half_past_two, Rule("shift"))
    assert [at.day for at in spring.runs(at_half_past_two, Rule("skip"))] == [28, 30]
    assert [at.isoformat()[8:16] for at in autumn.runs(at_half_past_two, DEFAULT)] == [
        "24T00:30",
        "25T00:30",
        "26T01:30",
    ]
    assert len(autumn.runs(at_half_past_two, Rule(overlap="twice"))) == 4
    every_other_hour = understand("0 */2 * * *")
    gaps = {later - at for at, later in zip(*[iter(autumn.runs(every_other_hour, DEFAULT))] * 2, strict=False)}
    assert timedelta(hours=1) in gaps


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 L * *", [31]),
        ("0 0 31W * *", [31]),
        ("0 0 1W * *", [2]),
        ("0 0 28W * *", [27]),
        ("0 0 * * 6#1,0#5", [7, 29]),
        ("0 0 * * L7", [29]),
        ("0 0 13 * 5", [6, 13, 20, 27]),
        ("0 0 30-2 * *", [1, 2, 30, 31]),
        ("0 0 * * 6-7", [1, 7, 8, 14, 15, 21, 22, 28, 29]),
        ("0 0 1-7 2 *", []),
    ],
)
def test_the_oracle_knows_the_days_of_march_2026(expression, days):
    meaning = understand(expression)
    march = [date(2026, 3, day) for day in range(1, 32)]
    assert [day.day for day in march if meaning.runs_on(day)] == days


@pytest.mark.parametrize(
    ("expression", "broken", "missed", "doubled"),
    [
        ("30 2 * * *", lambda instants, turn: [instants[0] - timedelta(minutes=5), *instants], 0, 1),
        ("30 2 * * *", lambda instants, turn: [] if turn.kind == "gap" else instants, 1, 0),
        ("*/15 * * * *", lambda instants, turn: instants[1:], 4, 0),
    ],
)
def test_the_comparison_sees_what_is_missed_and_what_is_doubled(monkeypatch, expression, broken, missed, doubled):
    from jobs.core.schedules import cron
    from jobs.core.schedules.local_time import Dst, clock_change_at

    right, tally = cron.instants_of, Tally()

    def wrong(local: datetime, zone: object, dst: Dst) -> list[datetime]:
        turn = clock_change_at(local, zone)  # type: ignore[arg-type]
        instants = right(local, zone, dst)  # type: ignore[arg-type]
        return broken(instants, turn) if turn else instants

    monkeypatch.setattr(cron, "instants_of", wrong)
    monkeypatch.setattr("tests.schedules.comparison.OTHERS", (DEFAULT,))
    for number in (0, 1):
        compare(turn_of(BERLIN, 2026, number), [expression], Random(1), tally)
    assert (bool(tally.missed), bool(tally.doubled)) == (bool(missed), bool(doubled)), tally.faults


# --- the implementation against it


MINUTES = ["0", "30", "59", "*", "*/10", "*/25", "0,30", "15-45/15", "50-5", "7/20"]
HOURS = ["0", "1", "2", "3", "1,2", "0-4", "23-2", "*", "*/2", "1/3", "0-23"]
DAYS = ["*", "L", "1-7", "*/3", "25-5", "15", "29,31,L", "?"]
MONTHS = ["*", "*", "3-11", "MAR,apr,OCT,nov", "*/3"]
WEEKDAYS = ["*", "*", "0", "7", "SAT-MON", "1-5", "5-7", "0-7/3"]
SECONDS = ["", "", "", "0 ", "59 ", "*/20 "]


@st.composite
def cron(draw: st.DrawFn) -> str:
    day, weekday = draw(
        st.tuples(st.sampled_from(DAYS), st.sampled_from(WEEKDAYS))
        | st.tuples(st.sampled_from(["1W", "15W", "W31"]), st.just("*"))
        | st.tuples(st.just("*"), st.sampled_from(["0#1", "6#5", "L0", "SUN#2,L6", "FRI-SUN#4"]))
    )
    second, minute, hour, month = (draw(st.sampled_from(each)) for each in (SECONDS, MINUTES, HOURS, MONTHS))
    return f"{second}{minute} {hour} {day} {month} {weekday}"


@given(
    turn=st.deferred(lambda: st.sampled_from(some_turns())),
    expression=st.sampled_from(CHOSEN) | cron(),
    rule=st.sampled_from([DEFAULT, *OTHERS]),
    looks=st.lists(st.timedeltas(timedelta(hours=-4), timedelta(hours=4)), max_size=6),
)
@example(turn_of(BERLIN, 2026, 1), "* 2 * * *", DEFAULT, [timedelta()])
@example(turn_of(BERLIN, 2026, 1), "* 2 * * *", Rule("shift", "twice"), [timedelta()])
@settings(database=None, deadline=None, max_examples=examples(30))
def test_runs_around_changes_of_clocks_are_those_of_a_walk_through_the_minutes(turn, expression, rule, looks):
    zone, meaning = turn.zone.names[0], meaning_of(expression)
    expected = walk_of(turn).runs(meaning, rule)
    schedule = parsed(expression, zone, rule)
    for moment in (turn.at + look for look in looks):
        following = schedule.next_after(moment, turn.at)
        assert following is not None
        wanted = next((at for at in expected if at > moment), None)
        assert following == wanted if wanted else following > turn.at + REACH
    # Then one after the other; with very many runs, those close to the change.
    reach = REACH if len(expected) <= 150 else timedelta(minutes=130 if len(expected) < 4000 else 4)
    since, until = turn.at - reach, turn.at + reach
    got = list(runs(expression, zone, rule, since, until))
    assert got == [at for at in expected if since < at <= until]


@pytest.mark.soak
def test_a_sample_of_all_changes_of_clocks_is_as_the_oracle_says():
    tally, random = Tally(), Random(2026)
    texts = expressions(240, random)
    turns = random.sample(some_turns(), sized(8, 100))
    for turn in turns:
        compare(turn, random.sample(texts, 30), random, tally)
    assert tally.cases >= 30 * len(turns)
    assert (tally.missed, tally.doubled) == (0, 0), tally.faults


# --- the golden file


def test_schedules_mean_what_they_meant_when_the_golden_file_was_written():
    known = lines()
    assert sum("runs" in line for line in known) >= 500
    changed = [(line, answer(question(line))) for line in known if line != question(line) | answer(question(line))]
    assert not changed, "a meaning has changed: look at each, then `python -m tests.schedules golden --write`"


def test_a_sample_of_the_golden_file_is_what_the_rules_want():
    for line in Random(7).sample(lines(), 5):
        assert disagreement(question(line)) is None


# --- any text


@pytest.mark.soak
def test_any_text_is_a_schedule_or_is_refused_and_soon():
    count = sized(1_000, 1_000_000)
    outcome = fuzz(count, seed=2026)
    assert outcome.texts == outcome.accepted + outcome.refused == count
    assert min(outcome.accepted, outcome.refused) > count / 10
    assert outcome.slowest < LIMIT_SECONDS, outcome.slowest_text


def test_the_dearest_texts_are_refused_soon_too():
    for text in ("0 0 31 2,4,6,9,11 *", "* * 30 2 *", "59 59 23 31 2 *", "*/5 * 31 2,4,6,9,11 ?"):
        with pytest.raises(InvalidSchedule, match="never matches"):
            parse_schedule(text, BERLIN)
