"""Updates keep what they do not change: lived through for days on a clock that is moved, and on a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import RetryPolicy, handler
from jobs.app.as_code.apply import ScheduleChanges
from jobs.app.runtime import Runtime
from jobs.core.as_code.file import RecurringJob, ScheduleFile
from jobs.core.commands import UpdateJob
from jobs.core.errors import InvalidInput
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.handler_outcomes import Snooze
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import JobsHarness
from tests.sizes import examples
from tests.support import Anything, job

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PENDING = ("anchor", "scheduled_for", "next_run_at", "attempt", "generation", "armed_at", "status", "recurring")


class Outcome:
    """What the handler's next attempts come to."""

    fails: bool | Exception = False
    meanwhile: Callable[[], object] | None = None


@handler("Record", retry=RetryPolicy(max_retries=3, base=10 * MINUTE, jitter=False))
def record(args: Anything) -> None:
    if Outcome.meanwhile is not None:
        meanwhile, Outcome.meanwhile = Outcome.meanwhile, None
        meanwhile()
    if Outcome.fails:
        raise Outcome.fails if isinstance(Outcome.fails, Exception) else ValueError("not yet")


@pytest.fixture
def harness() -> Iterator[JobsHarness]:
    Outcome.fails = False
    with JobsHarness([record], at=NOON) as harness:
        yield harness


Change = Callable[..., Job]


@pytest.fixture(params=["PATCH", "apply"])
def change(request: pytest.FixtureRequest, harness: JobsHarness) -> Change:
    """Change the job ``a`` by either way; by ``apply`` what is left out of the file is the default."""

    def patch(**fields: Any) -> Job:
        return harness.runtime.service.update(harness.job("a").id, UpdateJob(**fields))

    def apply(**fields: Any) -> Job:
        parts = harness.runtime
        known = {name: getattr(harness.job("a"), name) for name in ("schedule", "timezone", "misfire", "jitter")}
        entry = RecurringJob(handler_name="Record", job_name="a", **(known | fields))
        changes = ScheduleChanges(parts.service, parts.registry, parts.units, parts.lock, parts.clock)
        changes.apply(ScheduleFile("tests", (entry,)), adopt=True)
        return harness.job("a")

    return patch if request.param == "PATCH" else apply


def pending(job: Job) -> list[Any]:
    return [getattr(job, name) for name in PENDING]


def ran_at(harness: JobsHarness) -> list[datetime]:
    """When the attempts of the job ``a`` began, oldest first."""
    return [each.started_at for each in reversed(harness.runtime.service.attempts(harness.job("a").id))]


# --- the four losses


def test_a_job_of_each_day_that_is_patched_every_twelve_hours_runs_each_day(harness, change):
    harness.enqueue("Record", job_name="a", schedule="@every P1D")
    for half_day in range(14):
        change(schedule=("@every P1D", "@every 24h", "@every PT1440M")[half_day % 3], payload={"n": half_day})
        harness.advance(12 * HOUR)
    assert ran_at(harness) == [NOON + n * DAY for n in range(1, 8)]


@pytest.mark.parametrize("schedule", ["@hourly", "0 * * * *", "0 0-23 * * *", "0  */1 * * *\n", "0 0 * * * *"])
def test_a_run_that_is_overdue_is_still_made_up_for_after_an_update(harness, change, schedule):
    harness.enqueue("Record", job_name="a", schedule="@hourly", misfire="run_once")
    harness.clock.advance(5 * HOUR + 30 * MINUTE)
    before = harness.job("a")
    after = change(schedule=schedule, jitter=None, payload={"n": 1})
    assert (after.schedule, pending(after)) == (schedule, pending(before))
    assert len(harness.drain()) == 1
    assert [each.scheduled_for for each in harness.runtime.service.attempts(after.id)] == [NOON + 5 * HOUR]
    assert harness.job("a").next_run_at == NOON + 6 * HOUR


def test_a_run_that_waits_for_its_retry_keeps_its_attempts_and_its_wait_through_an_update(harness, change):
    Outcome.fails = True
    harness.enqueue("Record", job_name="a", schedule="@daily", misfire="skip")
    harness.drain(until=NOON + 12 * HOUR)
    before = harness.job("a")
    assert (before.attempt, before.next_run_at) == (1, NOON + 12 * HOUR + 10 * MINUTE)
    after = change(schedule="0 0 * * *", misfire="run_once", jitter=timedelta(minutes=5))
    assert pending(after) == pending(before)
    Outcome.fails = False
    harness.advance(HOUR)
    attempts = harness.runtime.service.attempts(after.id)
    assert [(each.run, each.attempt, each.outcome) for each in attempts] == [(1, 2, "Succeeded"), (1, 1, "Failed")]


def test_a_run_that_waits_between_its_instant_and_its_jitter_is_not_dropped_by_an_update(harness, change):
    harness.enqueue("Record", job_name="a", schedule="0 15 * * *", jitter=HOUR)
    before = harness.job("a")
    assert before.next_run_at > before.scheduled_for == NOON + 3 * HOUR
    harness.clock.move_to(before.scheduled_for + (before.next_run_at - before.scheduled_for) / 2)
    after = change(schedule="00 15 * * *", jitter=MINUTE, metadata={"a": 1})
    assert pending(after) == pending(before)
    harness.advance(HOUR)
    assert ran_at(harness) == [before.next_run_at]
    assert harness.job("a").next_run_at - NOON - 27 * HOUR <= MINUTE, "the next one draws by the new jitter"


@pytest.mark.parametrize("ends", [ValueError("not yet"), Snooze(10 * MINUTE)], ids=["a retry", "a snooze"])
def test_a_run_that_stands_for_all_that_were_missed_still_does_when_it_is_tried_again(harness, ends):
    harness.enqueue("Record", job_name="a", schedule="@hourly", misfire="run_once")
    harness.clock.advance(5 * HOUR + 30 * MINUTE)
    Outcome.fails = ends
    harness.drain()
    Outcome.fails = False
    harness.advance(15 * MINUTE)
    attempts = harness.runtime.service.attempts(harness.job("a").id)
    assert {(each.run, each.scheduled_for) for each in attempts} == {(1, NOON + 5 * HOUR)}
    assert harness.job("a").next_run_at == NOON + 6 * HOUR


def test_a_run_that_stands_for_all_that_were_missed_is_followed_by_the_next_though_it_was_changed_meanwhile(harness):
    first = harness.enqueue("Record", job_name="a", schedule="@hourly", misfire="run_once")
    harness.clock.advance(5 * HOUR + 30 * MINUTE)
    Outcome.meanwhile = lambda: harness.runtime.service.update(first.id, UpdateJob(jitter="PT1S", schedule="0 * * * *"))
    assert len(harness.drain()) == 1
    after = harness.job("a")
    assert (after.run_count, after.scheduled_for) == (1, NOON + 6 * HOUR)


# --- what is one meaning, and what is another

SAME = [
    ("@hourly", {}, {"schedule": "0 * * * *"}),
    ("@hourly", {}, {"schedule": "0 */1 * * *", "timezone": "UTC"}),
    ("@every 1h", {}, {"schedule": "@every PT60M"}),
    ("@every 90m", {}, {"schedule": "@EVERY  1h30m", "timezone": "Europe/Berlin", "dst": {"gap": "skip"}}),
    ("PT60M", {}, {"schedule": "PT1H"}),
    ("2026-06-01T15:00:00Z", {}, {"schedule": "2026-06-01T17:00:00", "timezone": "Europe/Berlin"}),
    ("30 2 * * *", {"timezone": "Asia/Calcutta"}, {"timezone": "Asia/Kolkata"}),
    ("30 2 * * MON-FRI", {"timezone": "Europe/Berlin"}, {"schedule": "0 30 2 ? * 1,2,3,4,5"}),
    ("30 2 * * 7", {}, {"schedule": "30 2 * * SUN", "dst": {"overlap": "twice"}, "day_match": "all"}),
    ("*/15 * * * *", {"timezone": "Europe/Berlin"}, {"dst": {"gap": "skip", "overlap": "twice"}}),
    ("30 2 * * *", {"start_at": NOON - DAY}, {"start_at": None}),
    ("30 2 * * *", {}, {"start_at": NOON - DAY}),
    ("@daily", {}, {"end_at": NOON + 30 * DAY, "max_runs": 5, "jitter": "PT1H", "misfire": "skip"}),
]
OTHER = [
    ("@hourly", {}, {"schedule": "1 * * * *"}),
    ("0 3 * * *", {}, {"timezone": "Europe/Berlin"}),
    ("@every 1h", {}, {"schedule": "@every 61m"}),
    ("@every 1h", {}, {"start_at": NOON - DAY}),
    ("@every 1h", {"start_at": NOON - DAY}, {"start_at": None}),
    ("PT60M", {}, {"schedule": "PT61M"}),
    ("@once", {}, {"schedule": "PT0S"}),
    ("2026-06-01T15:00:00Z", {}, {"schedule": "2026-06-01T15:00:01Z"}),
    ("30 2 * * *", {"timezone": "Europe/Berlin"}, {"dst": {"gap": "skip"}}),
    ("0 0 1-7 * 1", {}, {"day_match": "all"}),
    ("30 2 * * *", {"start_at": NOON + 30 * DAY}, {"start_at": None}),
    ("30 2 * * *", {}, {"start_at": NOON + 30 * DAY}),
    ("PT1H", {}, {"start_at": NOON + 30 * DAY}),
]


@pytest.mark.parametrize(("schedule", "options", "fields"), SAME, ids=str)
def test_what_means_the_same_leaves_the_pending_run_alone(harness, schedule, options, fields):
    before = harness.enqueue("Record", schedule=schedule, **options)
    harness.clock.advance(20 * MINUTE)
    after = harness.runtime.service.update(before.id, UpdateJob(**fields))
    assert pending(after) == pending(before)
    read = UpdateJob(**fields)
    assert all(getattr(after, name) == getattr(read, name) for name in fields), "the words are the new ones"


@pytest.mark.parametrize(("schedule", "options", "fields"), OTHER, ids=str)
def test_what_means_something_else_is_set_anew(harness, schedule, options, fields):
    before = harness.enqueue("Record", schedule=schedule, **options)
    now = harness.clock.advance(20 * MINUTE)
    after = harness.runtime.service.update(before.id, UpdateJob(**fields))
    assert (after.anchor, after.generation, after.attempt) == (now, before.generation + 1, 0)


def test_bounds_that_leave_nothing_to_run_are_refused_with_what_to_do(harness):
    first = harness.enqueue("Record", schedule="@daily", job_name="a")
    harness.advance(2 * DAY)
    service = harness.runtime.service
    with pytest.raises(InvalidInput, match=r"/end_at: nothing would run any more.*delete the job to end it"):
        service.update(first.id, UpdateJob(end_at=NOON + 2 * DAY + HOUR))
    with pytest.raises(InvalidInput, match="/max_runs: nothing would run any more, 2 runs having taken place"):
        service.update(first.id, UpdateJob(max_runs=2))
    last = service.update(first.id, UpdateJob(max_runs=3, end_at=NOON + 2 * DAY + 12 * HOUR))
    assert pending(last) == pending(harness.job("a"))
    harness.advance(5 * DAY)
    ended = harness.job("a")
    assert (ended.status, ended.run_count) == (JobStatus.COMPLETED, 3)


def test_a_file_whose_bounds_leave_nothing_to_run_is_refused_at_its_place(harness):
    harness.enqueue("Record", schedule="@daily", job_name="a")
    harness.advance(2 * DAY)
    parts = harness.runtime
    changes = ScheduleChanges(parts.service, parts.registry, parts.units, parts.lock, parts.clock)
    entry = RecurringJob(handler_name="Record", job_name="a", schedule="@daily", max_runs=2)
    with pytest.raises(InvalidInput, match="/jobs/0/max_runs: nothing would run any more"):
        changes.plan(ScheduleFile("tests", (entry,)), adopt=True)


def test_a_run_that_has_begun_goes_on_to_its_end_whatever_the_new_bounds(harness):
    Outcome.fails = True
    first = harness.enqueue("Record", schedule="@daily", job_name="a")
    harness.drain(until=NOON + 12 * HOUR)
    assert harness.job("a").attempt == 1
    harness.runtime.service.update(first.id, UpdateJob(end_at=NOON))
    Outcome.fails = False
    harness.advance(DAY)
    ended = harness.job("a")
    assert (ended.status, ended.run_count, ended.consecutive_failures) == (JobStatus.COMPLETED, 1, 0)


def test_a_late_run_keeps_its_drawn_instant_through_a_smaller_jitter_a_pause_and_a_resume(harness):
    first = harness.enqueue("Record", schedule="0 15 * * *", jitter=HOUR, misfire="skip", job_name="a")
    harness.clock.move_to(first.scheduled_for + (first.next_run_at - first.scheduled_for) / 2)
    assert harness.clock.now() - first.scheduled_for > 2 * MINUTE, "or it would not be late"
    service = harness.runtime.service
    service.update(first.id, UpdateJob(jitter=None))
    service.pause(first.id)
    service.resume(first.id)
    harness.advance(HOUR)
    assert ran_at(harness) == [first.next_run_at]


# --- the same for any schedule, at any time

RESPELLED = {
    "@hourly": ["0 * * * *", "0 0 * * * *", " 0 0-23 * * *"],
    "*/20 * * * *": ["0,20,40 * * * *", "*/20\t* * * ?"],
    "30 2 * * 1-5": ["30 2 * * MON-FRI", "0 30 02 * * 5,4,3,2,1"],
    "@every 7h": ["@every PT420M", "@every PT7H"],
    "0 14 */10 * 1-5": ["0 14 1,11,21,31 * 1-5"],
    "PT30H": ["P1DT6H"],
    "2026-06-03T15:00:00Z": ["2026-06-03T18:00:00+03:00"],
}
JITTERS = st.none() | st.sampled_from([10 * MINUTE, 3 * HOUR])


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Any], timedelta, dict[str, Any], bool]:
    """A job, how long it waits without a worker, a change that does not touch its meaning, and whether it fails."""
    schedule = draw(st.sampled_from(list(RESPELLED)))
    recurring = not schedule.startswith(("P", "2"))
    fields: dict[str, Any] = {"schedule": schedule, "jitter": draw(JITTERS)}
    fields["misfire"] = draw(st.sampled_from(["run_once", "skip"]))
    change = {
        "schedule": draw(st.sampled_from(RESPELLED[schedule])),
        "payload": draw(st.just({}) | st.just({"n": 1})),
        "max_retries": draw(st.integers(3, 9)),
    }
    wait = draw(st.timedeltas(timedelta(), 3 * DAY))
    if recurring and draw(st.booleans()):
        change |= {"end_at": NOON + 90 * DAY, "max_runs": draw(st.none() | st.integers(500, 900))}
    return fields, wait, change, draw(st.booleans())


@given(histories())
@settings(database=None, deadline=None, max_examples=examples(10))
def test_an_update_of_anything_but_the_meaning_commutes_with_the_pending_run(history):
    fields, wait, change, fails = history

    def live(update_at: int) -> list[Any]:
        """Enqueue, wait without a worker, run what is due; update at one of the steps. Give all that took place."""
        Outcome.fails = fails
        with JobsHarness([record], at=NOON) as harness:
            first = harness.enqueue("Record", **fields)

            def update(step: int) -> None:
                now = harness.job(first)
                if step == update_at and not now.status.ended:
                    after = harness.runtime.service.update(first.id, UpdateJob(**change))
                    assert pending(after) == pending(now)

            update(0)
            harness.clock.advance(wait)
            update(1)
            harness.drain()
            Outcome.fails = False
            update(2)
            harness.advance(2 * DAY)
            after = harness.job(first)
            seen = harness.runtime.service.attempts(first.id)
            told = [(each.run, each.attempt, each.scheduled_for, each.started_at, each.outcome) for each in seen]
            return [sorted(told), after.next_run_at, after.scheduled_for, after.anchor, after.run_count, after.status]

    untouched = live(-1)
    assert [live(step) for step in (0, 1, 2)] == [untouched] * 3


# --- on the real database


@pytest.fixture
def during(runtime: Runtime, registry: HandlerRegistry) -> Callable[..., Job]:
    """Run a recurring job, and change it while its handler is running; give the job as it then is."""
    changes: list[UpdateJob] = []

    def steered(args: Anything, ctx: JobContext) -> None:
        while changes:
            runtime.service.update(ctx.job_id, changes.pop(0))

    registry.add_handler("Steered", steered)

    def run(schedule: str, *updates: UpdateJob, **fields: Any) -> tuple[Job, Job]:
        first = runtime.service.enqueue(job("a", "Steered", schedule=schedule, **fields)).job
        runtime.service.run_now(first.id)
        changes.extend(updates)
        runtime.worker.drain(20)
        return first, runtime.service.get(first.id)

    return run


def test_a_change_of_the_bounds_during_a_run_holds_from_that_run_on_and_moves_nothing(during):
    first, after = during("@every 7h", UpdateJob(schedule="@every 420m", misfire="skip"))
    assert (after.run_count, after.anchor, after.scheduled_for) == (1, first.anchor, first.scheduled_for)
    assert (after.schedule, after.misfire.policy) == ("@every 420m", "skip")


def test_as_many_runs_as_were_set_during_a_run_are_all_that_take_place(during):
    _, after = during("@every 7h", UpdateJob(max_runs=1))
    assert (after.status, after.run_count) == (JobStatus.COMPLETED, 1)


def test_a_schedule_that_is_changed_and_changed_back_during_a_run_goes_on_as_before(during):
    first, after = during("0 3 * * *", UpdateJob(schedule="0 4 * * *"), UpdateJob(schedule="00 03 * * *"))
    assert (after.run_count, after.scheduled_for) == (1, first.scheduled_for)


def test_another_interval_during_a_run_is_counted_from_the_change(during, runtime):
    first, after = during("@every 7h", UpdateJob(schedule="@every 8h"), UpdateJob(misfire="skip"))
    assert after.anchor > first.anchor
    assert after.scheduled_for == after.anchor + 8 * HOUR


def test_an_update_of_the_same_meaning_sets_no_alarm_anew_and_is_in_the_audit(runtime, sql):
    first = runtime.service.enqueue(job("a", schedule="@every 1h")).job
    sql("update jobs.jobs set armed_at = now(), attempt = 2, next_run_at = now() + interval '5 minutes'")
    before = runtime.service.get(first.id)
    after = runtime.service.update(first.id, UpdateJob(schedule="@every PT3600S", jitter="PT5M", timezone="UTC"))
    assert pending(after) == pending(before)
    assert (after.schedule, after.jitter) == ("@every PT3600S", 5 * MINUTE)
    assert sql("select action, revision from jobs.job_audit") == [("update", 2)]
