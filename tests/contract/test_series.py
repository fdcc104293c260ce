"""Time series: what began, succeeded, failed and began late, by minute and by hour."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.lifecycle.durations import bucket_of
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.ports.series import ALL_HANDLERS
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores

GRACE = MINUTE
HOUR = timedelta(hours=1)


def count(stores: Stores) -> None:
    """Count a moment later: what is of this very instant belongs to the next count."""
    stores.pass_time(timedelta(milliseconds=1))
    while stores.series.count(GRACE).more:
        pass


def minutes(stores: Stores, *names: str, step: Step = Step.MINUTE):
    """The buckets in which something happened: minutes since noon, and the figures."""
    found = stores.series.find(step, names or [ALL_HANDLERS])
    return [(round((b.at - NOON) / MINUTE), b.handler_name, *b[2:6]) for b in found if any(b[2:6])]


def finish(stores: Stores, name: str, handler: str = "Noop", outcome: str = "Succeeded", after=SECOND, **fields):
    run = stores.running(name, handler_name=handler, **fields)
    now = stores.pass_time(after)
    status = JobStatus.COMPLETED if outcome == "Succeeded" else JobStatus.FAILED
    ended = stores.ended(run, RunResult(AttemptOutcome(outcome), None), status=status)
    stores.runs.record([ended._replace(started_at=now - after, finished_at=now)])


def test_attempts_are_counted_in_the_minutes_in_which_they_began_and_ended(stores):
    finish(stores, "a")
    finish(stores, "b", after=2 * MINUTE)
    finish(stores, "c", outcome="Failed")
    count(stores)
    assert minutes(stores) == [(0, "", 2, 1, 0, 0), (2, "", 1, 1, 1, 0)]


def test_each_handler_has_a_series_of_its_own_and_all_have_one_together(stores):
    finish(stores, "a", "Mail")
    finish(stores, "b", "Bill", outcome="Failed")
    count(stores)
    assert minutes(stores, "Mail") == [(0, "Mail", 1, 1, 0, 0)]
    assert minutes(stores, "Bill", "Mail") == [(0, "Bill", 1, 0, 1, 0), (0, "Mail", 1, 1, 0, 0)]
    assert minutes(stores) == [(0, "", 2, 1, 1, 0)]
    assert minutes(stores, "Nobody") == []


def test_what_runs_has_begun(stores):
    stores.running("a")
    stores.pass_time(SECOND)
    count(stores)
    assert minutes(stores) == [(0, "", 1, 0, 0, 0)]


def test_late_is_what_begins_for_the_first_time_later_than_the_grace(stores):
    for name, by in (("late", MINUTE + SECOND), ("in time", MINUTE)):
        finish(stores, name, due_at=stores.clock.now() - by, scheduled_for=stores.clock.now() - by)
    count(stores)
    assert minutes(stores) == [(0, "", 2, 2, 0, 1)]


def test_a_retry_is_not_late(stores):
    job = stores.add(due_at=NOON, scheduled_for=NOON)
    stores.again(stores.claim(job), 2 * MINUTE)
    stores.pass_time(2 * MINUTE)
    stores.finish(stores.claim(stores.read(job.id)))
    stores.pass_time(SECOND)
    count(stores)
    assert minutes(stores) == [(0, "", 1, 0, 1, 0), (2, "", 1, 1, 0, 0)]


def test_how_long_attempts_took_is_counted_by_handler_and_minute_and_hour(stores):
    for name, after in (("a", SECOND), ("b", SECOND), ("c", MINUTE)):
        finish(stores, name, "Mail", after=after)
    finish(stores, "failed", "Bill", outcome="Failed", after=2 * SECOND)
    finish(stores, "not timed", "Bill", outcome="InvalidPayload", after=SECOND)
    count(stores)
    one, two, sixty = (bucket_of(seconds) for seconds in (1.0, 2.0, 60.0))

    def spread(step: Step, name: str):
        return [{**bucket.durations} for bucket in stores.series.find(step, [name]) if bucket.durations]

    assert spread(Step.MINUTE, "Mail") == [{one: 2}, {sixty: 1}]
    assert spread(Step.MINUTE, "Bill") == [{two: 1}]
    assert spread(Step.HOUR, "Mail") == [{one: 2, sixty: 1}]
    assert spread(Step.HOUR, ALL_HANDLERS) == [{one: 2, two: 1, sixty: 1}]
    for _ in range(5):
        stores.pass_time(HOUR)
        count(stores)
    assert spread(Step.MINUTE, "Mail") == []
    assert spread(Step.HOUR, "Mail") == [{one: 2, sixty: 1}]


def test_the_hours_of_a_window_are_added_up_by_handler(stores):
    for name, handler in (("a", "Mail"), ("b", "Bill")):
        finish(stores, name, handler)
    count(stores)
    stores.pass_time(HOUR)
    finish(stores, "c", "Mail", outcome="Failed")
    count(stores)
    one = bucket_of(1.0)
    assert stores.series.totals(["Mail", "Bill", "Idle"], DAY) == [
        ("Bill", 1, 1, 0, 0, {one: 1}),
        ("Mail", 2, 1, 1, 0, {one: 2}),
    ]
    assert stores.series.totals(["Mail", "Bill"], HOUR) == [("Mail", 1, 0, 1, 0, {one: 1})]
    assert stores.series.totals([], DAY) == []


def test_what_was_counted_last_is_the_minute_that_is_not_over(stores):
    assert stores.series.last_counted() is None
    stores.pass_time(90 * SECOND)
    count(stores)
    assert stores.series.last_counted() == NOON + MINUTE


def test_a_lost_worker_is_a_failure(stores):
    stores.running("a")
    stores.pass_time(LEASE + SECOND)
    assert stores.housekeeping.reap(10, max_lost=3)
    stores.pass_time(SECOND)
    count(stores)
    assert minutes(stores) == [(0, "", 1, 0, 0, 0), (1, "", 0, 0, 1, 0)]


def test_counting_again_changes_nothing_and_adds_what_has_come_since(stores):
    finish(stores, "a")
    count(stores)
    count(stores)
    assert minutes(stores) == [(0, "", 1, 1, 0, 0)]
    finish(stores, "b")
    count(stores)
    assert minutes(stores) == [(0, "", 2, 2, 0, 0)]


def test_an_outcome_that_is_recorded_a_minute_late_is_counted_where_it_belongs(stores):
    run = stores.running("a")
    ended_at = stores.pass_time(SECOND)
    stores.pass_time(MINUTE)
    count(stores)
    stores.runs.record([stores.ended(run)._replace(started_at=NOON, finished_at=ended_at)])
    stores.pass_time(SECOND)
    count(stores)
    assert minutes(stores) == [(0, "", 1, 1, 0, 0)]


def test_there_is_a_bucket_for_each_minute_of_three_hours_also_where_nothing_happens(stores):
    stores.pass_time(SECOND)
    count(stores)
    buckets = stores.series.find(Step.MINUTE, [ALL_HANDLERS])
    assert [bucket.at for bucket in buckets] == [NOON - number * MINUTE for number in range(180)][::-1]


def test_hours_are_added_up_and_stay_when_their_minutes_are_gone(stores):
    finish(stores, "a", "Mail")
    stores.pass_time(HOUR)
    finish(stores, "b", "Mail", outcome="Failed")
    count(stores)
    assert minutes(stores, "Mail", step=Step.HOUR) == [(0, "Mail", 1, 1, 0, 0), (60, "Mail", 1, 0, 1, 0)]
    for _ in range(5):
        stores.pass_time(HOUR)
        count(stores)
    assert minutes(stores, "Mail") == []
    assert minutes(stores, "Mail", step=Step.HOUR) == [(0, "Mail", 1, 1, 0, 0), (60, "Mail", 1, 0, 1, 0)]


def test_after_a_while_in_which_nobody_counted_three_hours_are_made_up_for_in_parts(stores):
    finish(stores, "old")
    count(stores)
    stores.pass_time(5 * HOUR)
    finish(stores, "new")
    assert stores.series.count(GRACE).more
    count(stores)
    assert minutes(stores) == [(300, "", 1, 1, 0, 0)]
    assert minutes(stores, step=Step.HOUR) == [(0, "", 1, 1, 0, 0), (300, "", 1, 1, 0, 0)]


def test_what_is_older_than_it_can_be_read_is_deleted(stores):
    finish(stores, "a")
    count(stores)
    stores.pass_time(9 * DAY)
    count(stores)
    assert minutes(stores, step=Step.HOUR) == []
