from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.errors import ScheduleFault
from jobs.core.schedules.cron import CronFields
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.recurrence import Fire, Occurrence, Recurrence
from jobs.core.schedules.schedule import Every, Recurring
from tests.sizes import examples

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ANY = Random(1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def recur(expression: str, zone: str = "UTC", **policy: object) -> Recurrence:
    return Recurrence(parse_schedule(expression, zone), ANCHOR, **policy)  # type: ignore[arg-type]


def on_time(at: datetime) -> Occurrence:
    return Occurrence(at, at)


# --- first


def test_a_one_time_job_begins_now_at_its_instant_or_after_its_delay():
    now = utc("2026-06-01T12:00Z")
    assert recur("@once").first(now, ANY) == on_time(now)
    assert recur("2026-06-02T00:00:00Z").first(now, ANY) == on_time(utc("2026-06-02T00:00Z"))
    assert recur("2026-05-02T00:00:00Z").first(now, ANY) == on_time(now)
    assert recur("PT30S").first(now, ANY) == on_time(now + 30 * SECOND)


def test_a_one_time_job_waits_for_its_start():
    now, start = utc("2026-06-01T12:00Z"), utc("2026-06-05T00:00Z")
    assert recur("@once", start_at=start).first(now, ANY) == on_time(start)
    assert recur("P7D", start_at=start).first(now, ANY) == on_time(now + 7 * DAY)


def test_a_recurring_job_begins_strictly_after_now():
    assert recur("0 * * * *").first(utc("2026-06-01T12:00Z"), ANY) == on_time(utc("2026-06-01T13:00Z"))
    assert recur("@every 7s").first(ANCHOR, ANY) == on_time(ANCHOR + 7 * SECOND)


def test_start_and_end_are_inclusive():
    hourly = recur("0 * * * *", start_at=utc("2026-06-02T00:00Z"), end_at=utc("2026-06-02T01:00Z"))
    first = hourly.first(utc("2026-06-01T12:00Z"), ANY)
    assert first == on_time(utc("2026-06-02T00:00Z"))
    second = hourly.following(first.scheduled_for, first.scheduled_for, 1, ANY)
    assert second == on_time(utc("2026-06-02T01:00Z"))
    assert hourly.following(second.scheduled_for, second.scheduled_for, 2, ANY) is None


def test_there_is_nothing_to_run_when_the_end_comes_before_the_first_run():
    assert recur("0 0 1 1 *", end_at=utc("2026-12-31T00:00Z")).first(ANCHOR, ANY) is None
    assert recur("PT1H", end_at=ANCHOR).first(ANCHOR, ANY) is None


def test_instants_are_given_in_utc_whatever_zone_they_came_in():
    now = datetime.fromisoformat("2026-06-01T12:00:00+05:00")
    late = now + 10 * DAY
    hourly = recur("0 * * * *", "Europe/Berlin", start_at=now, end_at=late)
    for occurrence in (
        recur("@once").first(now, ANY),
        recur("@once", start_at=late).first(now, ANY),
        hourly.first(now, ANY),
        hourly.following(now, now, 1, ANY),
        hourly.following(now, late, 1, ANY),
        hourly.resolve_misfire(now, now, ANY),
        hourly.resolve_misfire(now, late, ANY),
    ):
        assert occurrence is not None
        assert occurrence.scheduled_for.tzinfo is UTC
        assert occurrence.due_at.tzinfo is UTC


# --- jitter


@given(st.randoms(use_true_random=False), st.timedeltas(SECOND, DAY))
@settings(database=None)
def test_jitter_delays_the_start_but_not_the_instant_that_a_run_stands_for(random, jitter):
    hourly = recur("0 * * * *", jitter=jitter)
    first = hourly.first(ANCHOR, random)
    following = hourly.following(ANCHOR, ANCHOR, 1, random)
    for occurrence in (first, following):
        assert occurrence is not None
        assert occurrence.scheduled_for == ANCHOR + HOUR
        assert timedelta() <= occurrence.due_at - occurrence.scheduled_for <= jitter


def test_jitter_spreads_over_its_whole_width():
    hourly, random = recur("0 * * * *", jitter=10 * MINUTE), Random(7)
    delays = [hourly.first(ANCHOR, random).due_at - (ANCHOR + HOUR) for _ in range(1000)]
    assert min(delays) < MINUTE < 9 * MINUTE < max(delays)
    assert abs(sum(delays, timedelta()) / 1000 - 5 * MINUTE) < 20 * SECOND


def test_jitter_stops_at_the_end_of_the_calendar():
    last = recur("9999-12-31T23:59:59Z", jitter=DAY).first(ANCHOR, ANY)
    assert last is not None
    assert last.due_at >= last.scheduled_for


@pytest.mark.parametrize("misfire", ["run_once", "skip", "catch_up"])
def test_a_run_that_waits_for_its_jitter_is_not_late(misfire):
    daily = recur("0 0 * * *", jitter=30 * MINUTE, misfire=misfire)
    due = ANCHOR + 30 * MINUTE
    assert daily.resolve_misfire(ANCHOR, due + 59 * SECOND, ANY) == on_time(ANCHOR)
    assert daily.resolve_misfire(ANCHOR, due + 61 * SECOND, ANY) != on_time(ANCHOR)


# --- following


def test_after_a_run_that_was_quick_comes_the_next_instant():
    assert recur("0 * * * *").following(ANCHOR, ANCHOR + SECOND, 1, ANY) == on_time(ANCHOR + HOUR)


def test_a_one_time_job_has_nothing_following():
    for expression in ("@once", "PT1H", "2026-06-01T00:00:00Z"):
        assert recur(expression).following(ANCHOR, ANCHOR + HOUR, 1, ANY) is None


def test_runs_end_when_as_many_as_wanted_are_done():
    hourly = recur("0 * * * *", max_runs=3)
    assert hourly.following(ANCHOR, ANCHOR, 2, ANY) is not None
    assert hourly.following(ANCHOR, ANCHOR, 3, ANY) is None


def test_a_next_run_that_is_overdue_within_the_grace_is_run_as_usual():
    for misfire in ("run_once", "skip", "catch_up"):
        minutely = recur("* * * * *", misfire=misfire)
        assert minutely.following(ANCHOR, ANCHOR + 2 * MINUTE, 1, ANY) == on_time(ANCHOR + MINUTE)


def test_run_once_makes_up_for_an_outage_with_one_run_and_goes_on():
    hourly = recur("0 * * * *", misfire="run_once")
    back = ANCHOR + 3 * DAY + 10 * MINUTE
    made_up = hourly.following(ANCHOR, back, 1, ANY)
    assert made_up == Occurrence(ANCHOR + 3 * DAY, back)
    assert hourly.following(made_up.scheduled_for, back + MINUTE, 2, ANY) == on_time(ANCHOR + 3 * DAY + HOUR)


def test_run_once_counts_a_run_that_is_just_due_as_the_one():
    minutely = recur("* * * * *", misfire="run_once")
    back = ANCHOR + DAY + 5 * SECOND
    made_up = minutely.following(ANCHOR, back, 1, ANY)
    assert made_up == Occurrence(ANCHOR + DAY, back)
    assert minutely.following(made_up.scheduled_for, back, 2, ANY) == on_time(ANCHOR + DAY + MINUTE)


def test_skip_goes_straight_to_the_first_run_that_is_not_late():
    hourly = recur("0 * * * *", misfire="skip")
    assert hourly.following(ANCHOR, ANCHOR + DAY + 10 * MINUTE, 1, ANY) == on_time(ANCHOR + DAY + HOUR)
    assert hourly.following(ANCHOR, ANCHOR + DAY + 60 * SECOND, 1, ANY) == on_time(ANCHOR + DAY)
    assert hourly.following(ANCHOR, ANCHOR + DAY + 61 * SECOND, 1, ANY) == on_time(ANCHOR + DAY + HOUR)


def test_catch_up_runs_each_one_in_order_at_once():
    hourly = recur("0 * * * *", misfire="catch_up")
    back = ANCHOR + 3 * HOUR + 30 * MINUTE
    done, scheduled_for = [], ANCHOR
    while (occurrence := hourly.following(scheduled_for, back, len(done), ANY)).due_at <= back:
        done.append(occurrence)
        scheduled_for = occurrence.scheduled_for
    assert done == [Occurrence(ANCHOR + n * HOUR, back) for n in (1, 2, 3)]
    assert occurrence == on_time(ANCHOR + 4 * HOUR)


def test_catch_up_gives_up_the_oldest_beyond_its_maximum():
    hourly = recur("0 * * * *", misfire="catch_up", misfire_max=2)
    back = ANCHOR + 30 * DAY + 30 * MINUTE
    first = hourly.following(ANCHOR, back, 1, ANY)
    assert first == Occurrence(ANCHOR + 30 * DAY - HOUR, back)
    second = hourly.following(first.scheduled_for, back, 2, ANY)
    assert second == Occurrence(ANCHOR + 30 * DAY, back)
    assert hourly.following(second.scheduled_for, back, 3, ANY) == on_time(ANCHOR + 30 * DAY + HOUR)


def test_what_fell_due_before_the_end_is_made_up_for_after_it():
    hourly = recur("0 * * * *", end_at=ANCHOR + 5 * HOUR)
    back = ANCHOR + 3 * DAY
    assert hourly.following(ANCHOR, back, 1, ANY) == Occurrence(ANCHOR + 5 * HOUR, back)
    assert hourly.following(ANCHOR + 5 * HOUR, back, 2, ANY) is None
    assert replace(hourly, misfire="skip").following(ANCHOR, back, 1, ANY) is None


# --- settle


def test_a_pending_run_that_is_not_late_stays_as_it_is():
    for misfire in ("run_once", "skip", "catch_up"):
        hourly = recur("0 * * * *", misfire=misfire)
        for late in (-DAY, timedelta(), 60 * SECOND):
            assert hourly.resolve_misfire(ANCHOR, ANCHOR + late, ANY) == on_time(ANCHOR)


def test_a_one_time_job_runs_however_late_it_is():
    for misfire in ("run_once", "skip", "catch_up"):
        assert recur("@once", misfire=misfire).resolve_misfire(ANCHOR, ANCHOR + 900 * DAY, ANY) == on_time(ANCHOR)


def test_a_late_pending_run_is_settled_by_the_policy():
    back = ANCHOR + DAY + 30 * MINUTE
    assert recur("0 * * * *").resolve_misfire(ANCHOR, back, ANY) == Occurrence(ANCHOR + DAY, back)
    assert recur("0 * * * *", misfire="skip").resolve_misfire(ANCHOR, back, ANY) == on_time(ANCHOR + DAY + HOUR)
    assert recur("0 * * * *", misfire="catch_up").resolve_misfire(ANCHOR, back, ANY) == Occurrence(ANCHOR, back)
    limited = recur("0 * * * *", misfire="catch_up", misfire_max=3)
    assert limited.resolve_misfire(ANCHOR, back, ANY) == Occurrence(ANCHOR + DAY - 2 * HOUR, back)


def test_a_late_pending_run_is_the_only_one_missed():
    back = ANCHOR + 10 * MINUTE
    assert recur("0 * * * *").resolve_misfire(ANCHOR, back, ANY) == Occurrence(ANCHOR, back)
    assert recur("0 * * * *", misfire="skip").resolve_misfire(ANCHOR, back, ANY) == on_time(ANCHOR + HOUR)
    assert recur("0 * * * *", misfire="skip", end_at=ANCHOR).resolve_misfire(ANCHOR, back, ANY) is None


def test_a_run_asked_for_out_of_turn_is_not_lost_for_being_late():
    asked, back = ANCHOR + 7 * MINUTE, ANCHOR + 20 * MINUTE
    for misfire in ("run_once", "catch_up"):
        assert recur("0 * * * *", misfire=misfire).resolve_misfire(asked, back, ANY) == Occurrence(asked, back)


# --- against a model that lists every run


@st.composite
def situations(draw: st.DrawFn) -> tuple[Recurrence, datetime, datetime]:
    expression = draw(st.sampled_from(["*/7 * * * *", "13 */5 * * *", "@every 11m", "30 2 * * *", "*/20 1-3 * * 0,3"]))
    policy = {
        "misfire": draw(st.sampled_from(["run_once", "skip", "catch_up"])),
        "misfire_max": draw(st.none() | st.integers(1, 30)),
        "misfire_grace": draw(st.timedeltas(timedelta(), HOUR)),
        "start_at": draw(
            st.none() | st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 30), timezones=st.just(UTC))
        ),
        "end_at": draw(st.none() | st.datetimes(datetime(2026, 3, 29), datetime(2026, 4, 2), timezones=st.just(UTC))),
        "jitter": draw(st.none() | st.timedeltas(timedelta(), HOUR)),
    }
    base = utc("2026-03-28T00:00Z") + draw(st.timedeltas(timedelta(), DAY))
    return recur(expression, "Europe/Berlin", **policy), base, base + draw(st.timedeltas(timedelta(), 3 * DAY))


@cache
def calendar_of(expression: str, start: datetime) -> list[datetime]:
    """List the runs there are; those of ``@every`` are counted from ``start``, which is one of them."""
    schedule, found = parse_schedule(expression, "Europe/Berlin"), [utc("2026-03-27T00:00Z")]
    while found[-1] < utc("2026-04-06T00:00Z"):
        found.append(schedule.next_after(found[-1], start))
    return [*([start] if isinstance(schedule, Every) and start > ANCHOR else []), *found[1:]]


def all_runs(recurrence: Recurrence, since: datetime) -> list[datetime]:
    start, end = recurrence.start_at or ANCHOR, recurrence.end_at or utc("2030-01-01T00:00Z")
    return [at for at in calendar_of(recurrence.schedule.expression, start) if at > since and start <= at <= end]


def chosen(recurrence: Recurrence, late: list[datetime], rest: list[datetime], now: datetime) -> datetime | None:
    """Apply the policies by their words to the runs that are ``late`` and to the ``rest``."""
    if late and recurrence.misfire == "run_once":
        return max(late + [at for at in rest if at <= now])
    if late and recurrence.misfire == "catch_up":
        return late[-min(recurrence.misfire_max or len(late), len(late))]
    return rest[0] if rest else None


@given(situations(), st.randoms(use_true_random=False))
@settings(database=None, deadline=None, max_examples=examples(60))
def test_what_follows_and_what_is_settled_is_what_the_policies_say(situation, random):
    recurrence, base, now = situation
    runs = all_runs(recurrence, base)
    tolerance = recurrence.misfire_grace + (recurrence.jitter or timedelta())
    late, rest = [at for at in runs if now - at > tolerance], [at for at in runs if now - at <= tolerance]

    following = recurrence.following(base, now, 1, random)
    expected = chosen(recurrence, late, rest, now)
    assert (following and following.scheduled_for) == expected
    if following:
        assert following.scheduled_for > base
        made_up = late and recurrence.misfire != "skip"
        width = timedelta() if made_up else recurrence.jitter or timedelta()
        assert timedelta() <= following.due_at - (now if made_up else following.scheduled_for) <= width

    settled = recurrence.resolve_misfire(base, now, random)
    if now - base <= tolerance:
        assert settled == on_time(base)
    else:
        assert (settled and settled.scheduled_for) == chosen(recurrence, [base, *late], rest, now)


@given(situations(), st.lists(st.timedeltas(timedelta(), DAY), max_size=30))
@settings(database=None, deadline=None, max_examples=examples(40))
def test_instants_strictly_increase_whatever_the_delays(situation, delays):
    recurrence, now, _ = situation
    occurrence = recurrence.first(now, ANY)
    for done, delay in enumerate(delays, start=1):
        if occurrence is None:
            return
        now = max(now, occurrence.due_at) + delay
        following = recurrence.following(occurrence.scheduled_for, now, done, ANY)
        assert following is None or following.scheduled_for > occurrence.scheduled_for
        occurrence = following


@pytest.mark.parametrize("answer", [timedelta(), -SECOND, -DAY], ids=str)
def test_a_schedule_that_would_stand_still_or_go_back_is_a_fault_and_not_an_endless_run(answer):
    class Stuck(Every):
        def next_after(self, moment: datetime, anchor: datetime) -> datetime:
            return moment + answer

    stuck = Recurrence(Stuck("@every 1h", "UTC", UTC, HOUR), ANCHOR)
    for ask in (
        lambda: stuck.first(ANCHOR, ANY),
        lambda: stuck.following(ANCHOR, ANCHOR, 1, ANY),
        lambda: stuck.resolve_misfire(ANCHOR, ANCHOR + DAY, ANY),
        lambda: stuck.preview(ANCHOR, 3),
    ):
        with pytest.raises(ScheduleFault, match="'@every 1h' gave"):
            ask()


# --- the cost of a long outage


@pytest.mark.parametrize(
    ("expression", "policy", "most"),
    [
        ("* * * * *", {"misfire": "run_once"}, 150),
        ("* * * * * *", {"misfire": "run_once"}, 150),
        ("* * * * *", {"misfire": "skip"}, 5),
        ("* * * * *", {"misfire": "catch_up"}, 5),
        ("* * * * *", {"misfire": "catch_up", "misfire_max": 100}, 1500),
        ("* * * 1 *", {"misfire": "catch_up", "misfire_max": 100}, 3000),
        ("0 0 29 2 *", {"misfire": "catch_up", "misfire_max": 2}, 150),
    ],
)
def test_years_of_missed_runs_cost_a_bounded_number_of_questions(monkeypatch, expression, policy, most):
    recurrence, asked, ask = recur(expression, **policy), [], CronFields.next_after
    monkeypatch.setattr(CronFields, "next_after", lambda *args: asked.append(args) or ask(*args))
    now = ANCHOR + 7300 * DAY + 200 * DAY
    assert recurrence.following(ANCHOR, now, 1, ANY) is not None
    assert recurrence.resolve_misfire(ANCHOR, now, ANY) is not None
    assert len(asked) <= 2 * most


# --- preview


def test_a_preview_lists_runs_with_local_time_and_what_is_odd_about_them():
    fires = recur("30 2 * * *", "Europe/Berlin").preview(utc("2026-03-28T12:00Z"), 2)
    assert [(fire.at.isoformat(), fire.local.isoformat(), fire.note) for fire in fires] == [
        ("2026-03-29T01:00:00+00:00", "2026-03-29T03:00:00+02:00", "gap"),
        ("2026-03-30T00:30:00+00:00", "2026-03-30T02:30:00+02:00", None),
    ]


def test_a_preview_keeps_to_start_end_and_number_of_runs():
    hourly = recur("0 * * * *", start_at=ANCHOR + 5 * HOUR, end_at=ANCHOR + 7 * HOUR)
    assert [fire.at for fire in hourly.preview(ANCHOR, 100)] == [ANCHOR + n * HOUR for n in (5, 6, 7)]
    assert len(replace(hourly, max_runs=2).preview(ANCHOR, 100)) == 2
    assert hourly.preview(ANCHOR, 0) == []


def test_a_preview_of_a_one_time_schedule_has_one_line():
    assert recur("PT1H").preview(ANCHOR, 5) == [Fire(ANCHOR + HOUR, ANCHOR + HOUR, None)]
    assert [fire.at for fire in recur("@once").preview(ANCHOR, 5)] == [ANCHOR]


def test_a_preview_is_what_the_job_will_do():
    recurrence = recur("*/20 1-3 * * *", "Europe/Berlin")
    assert isinstance(recurrence.schedule, Recurring)
    start = utc("2026-10-24T00:00Z")
    occurrence, lived = recurrence.first(start, ANY), []
    while len(lived) < 30:
        lived.append(occurrence.scheduled_for)
        occurrence = recurrence.following(occurrence.scheduled_for, occurrence.due_at, len(lived), ANY)
    assert [fire.at for fire in recurrence.preview(start, 30)] == lived
