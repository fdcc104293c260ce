"""Where a waiting job belongs once a clock that was ahead was set back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.lifecycle.clock_setback import WaitingJob, set_back
from jobs.core.schedules.timing import Timing

NOW = datetime(2026, 6, 1, 12, 20, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AHEAD = 5 * HOUR


def waiting(schedule: str, scheduled_for: datetime, due_at: datetime | None = None, **fields: object) -> WaitingJob:
    options = fields.pop("options", {})
    timing = Timing(schedule=schedule, **options)
    text = json.dumps(timing.model_dump(mode="json", include=set(options))) if options else None
    known = {"anchor": NOW - 30 * DAY, "attempt": 0, "written_at": NOW - MINUTE} | fields
    return WaitingJob(
        UUID(int=7), 3, schedule, "UTC", text, timing.parsed.recurring, known["anchor"], scheduled_for,
        due_at or scheduled_for, known["attempt"], known["written_at"],
    )  # fmt: skip


def moved(job: WaitingJob, now: datetime = NOW) -> tuple[datetime, datetime] | None:
    move = set_back(job, now, Random(1))
    return None if move is None else (move.due_at, move.scheduled_for)


def test_a_run_beyond_the_schedules_own_next_is_pulled_back_to_it():
    at = NOW.replace(hour=13, minute=0)
    assert moved(waiting("@hourly", NOW.replace(hour=18, minute=0))) == (at, at)
    assert moved(waiting("@hourly", at)) is None


def test_an_interval_keeps_its_beat_and_one_whose_anchor_has_not_come_is_counted_on_from_before():
    anchor = NOW - 30 * DAY + 7 * MINUTE
    assert moved(waiting("@every 1h", NOW + 5 * HOUR + 7 * MINUTE, anchor=anchor))[1] == NOW + 7 * MINUTE
    ahead = waiting("@every 1h", NOW + AHEAD + 90 * MINUTE, anchor=NOW + AHEAD + 30 * MINUTE)
    move = set_back(ahead, NOW, Random(1))
    assert (move.scheduled_for, move.anchor) == (NOW + 30 * MINUTE, NOW - 30 * MINUTE)


def test_the_bounds_of_a_schedule_hold():
    start = NOW + 3 * HOUR + 40 * MINUTE
    assert moved(waiting("@hourly", NOW + 4 * HOUR - 20 * MINUTE, options={"start_at": start})) is None
    assert moved(waiting("@every 1h", start + 2 * HOUR, options={"start_at": start})) == (start, start)


def test_jitter_is_not_taken_for_a_clock_that_was_ahead_and_is_drawn_for_a_run_that_is_pulled_back():
    at = NOW.replace(hour=13, minute=0)
    assert moved(waiting("@hourly", at, at + 3 * HOUR, options={"jitter": "PT4H"})) is None
    due_at, stands_for = moved(waiting("@hourly", at + 5 * HOUR, at + 6 * HOUR, options={"jitter": "PT4H"}))
    assert stands_for == at < due_at <= at + 4 * HOUR


@pytest.mark.parametrize("attempt", [0, 1, 4], ids=["a snooze or a lost worker", "a first retry", "a later one"])
def test_a_wait_that_began_in_time_is_left_alone_however_long_it_is(attempt):
    job = waiting("@hourly", NOW - 20 * MINUTE, NOW + 10 * DAY, attempt=attempt)
    assert moved(job) is None


@pytest.mark.parametrize("schedule", ["@hourly", "@every 1h", "@once", "2026-06-01T12:00:00Z"])
def test_a_wait_that_began_when_the_clock_was_ahead_lasts_as_long_as_it_was_to_last(schedule):
    stands_for = NOW - 20 * MINUTE
    job = waiting(schedule, stands_for, NOW + AHEAD + 10 * MINUTE, attempt=2, written_at=NOW + AHEAD)
    move = set_back(job, NOW, Random(1))
    assert (move.due_at, move.scheduled_for, move.attempt) == (NOW + 10 * MINUTE, stands_for, 2)


def test_a_retry_of_a_run_whose_instant_has_not_come_gives_way_to_the_schedules_own_next():
    job = waiting("@hourly", NOW + 5 * HOUR - 20 * MINUTE, NOW + AHEAD, attempt=1, written_at=NOW + AHEAD - MINUTE)
    move = set_back(job, NOW, Random(1))
    assert (move.scheduled_for, move.attempt) == (NOW.replace(hour=13, minute=0), 0)


@pytest.mark.parametrize("schedule", ["@once", "@hourly", "2026-06-02T00:00:00Z"])
def test_what_was_asked_for_now_by_a_clock_that_was_ahead_is_due_now(schedule):
    then = NOW + AHEAD
    assert moved(waiting(schedule, then, then, written_at=then, anchor=NOW - DAY)) == (NOW, NOW)


def test_a_delay_that_began_when_the_clock_was_ahead_is_counted_from_now_and_an_instant_is_an_instant():
    then = NOW + AHEAD
    delay = waiting("PT30M", then + 30 * MINUTE, anchor=then, written_at=then)
    assert moved(delay) == (NOW + 30 * MINUTE, NOW + 30 * MINUTE)
    assert moved(waiting("PT10H", NOW + 9 * HOUR, written_at=then, anchor=NOW - HOUR)) is None, "only changed then"
    assert moved(waiting("2026-06-02T00:00:00Z", NOW.replace(day=2, hour=0), written_at=then, anchor=then)) is None


def test_a_clock_that_goes_back_a_little_does_nothing_once_more():
    """A run took place at 13:00, and the clock then goes back to before it: it is not to take place again."""
    after = waiting("@hourly", NOW.replace(hour=14, minute=0))
    assert moved(after, NOW.replace(hour=12, minute=59, second=1)) is None
    assert moved(after, NOW.replace(hour=12, minute=58, second=59)) is not None
    assert moved(waiting("@every 1s", NOW + 50 * SECOND)) is None


def test_a_row_that_cannot_be_read_is_left_to_its_claim():
    job = waiting("@hourly", NOW + AHEAD)
    assert set_back(job._replace(schedule="no longer known"), NOW, Random(1)) is None
    assert set_back(job._replace(options='{"unknown": 1}'), NOW, Random(1)) is None
    assert set_back(job._replace(timezone="Gone/Away"), NOW, Random(1)) is None


@given(
    schedule=st.sampled_from(["@hourly", "*/7 * * * *", "30 2 * * 1-5", "@every 11m", "@every 26h", "@monthly"]),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    anchored=st.timedeltas(timedelta(), 90 * DAY),
    jitter=st.none() | st.timedeltas(SECOND, DAY),
    waits=st.none() | st.timedeltas(SECOND, 400 * DAY),
    random=st.randoms(use_true_random=False),
)
@settings(database=None, deadline=None)
def test_whatever_was_reckoned_by_the_right_clock_stays_as_it_is(schedule, now, anchored, jitter, waits, random):
    options = {"jitter": jitter} if jitter else {}
    anchor = now - anchored
    recurrence = Timing(schedule=schedule, **options).recurrence(anchor)
    pending = recurrence.first(now, random)
    job = waiting(schedule, pending.scheduled_for, pending.due_at, anchor=anchor, written_at=now, options=options)
    assert set_back(job, now, random) is None
    if waits is not None:
        behind = job._replace(scheduled_for=now - MINUTE, due_at=now + waits, attempt=1)
        assert set_back(behind, now, random) is None


@given(
    schedule=st.sampled_from(["@hourly", "*/7 * * * *", "30 2 * * 1-5", "@every 11m", "@every 26h", "@monthly"]),
    ahead=st.timedeltas(2 * MINUTE, 400 * DAY),
    random=st.randoms(use_true_random=False),
)
@settings(database=None, deadline=None)
def test_whatever_was_reckoned_by_a_clock_that_was_ahead_is_the_schedules_own_next_afterwards(schedule, ahead, random):
    recurrence = Timing(schedule=schedule).recurrence(NOW - DAY)
    pending = recurrence.first(NOW + ahead, random)
    job = waiting(schedule, pending.scheduled_for, anchor=NOW - DAY, written_at=NOW + ahead)
    own = recurrence.first(NOW + MINUTE, random)
    move = set_back(job, NOW, random)
    assert (move.scheduled_for if move else job.scheduled_for) == own.scheduled_for
    if move:
        again = job._replace(scheduled_for=move.scheduled_for, due_at=move.due_at, anchor=move.anchor)
        assert set_back(again, NOW, random) is None, "once is enough"
