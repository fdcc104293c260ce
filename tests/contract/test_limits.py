"""What any ``RunStore`` must do about handlers with limits: no more at once, of a key, or within a time than may be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.limits import LimitedClaim, LimitFlag, Limits, OutdatedLimitFlag, Rate
from jobs.core.ports.jobs import Change
from tests.contract.stores import DAY, LEASE, MINUTE, SECOND, Stores

RATE = Limits(rate=Rate(3, 10 * SECOND))
BY_KEY = Limits(concurrency_key=str, per_key=2)


def add(stores: Stores, *keys: str | None, handler_name: str = "Import") -> list[Job]:
    """Insert due jobs that wait for their turn, one a key, in the order in which they fall due."""
    jobs = []
    for key in keys:
        stores.pass_time(timedelta(microseconds=1))
        name = f"{handler_name} {new_id()}"
        jobs.append(stores.add(name, handler_name=handler_name, limited=True, concurrency_key=key))
    return jobs


def attempt(stores: Stores, limits: Limits, limit: int = 100, handler_name: str = "Import", **named) -> LimitedClaim:
    return stores.runs.claim_limited(handler_name, limits, limit, worker="me", lease=LEASE, **named)


def claim(stores: Stores, limits: Limits, limit: int = 100, **named) -> list[UUID]:
    """Claim within limits, and give the ids."""
    return [run.job_id for run in attempt(stores, limits, limit, **named).runs]


def ids(*jobs: Job) -> list[UUID]:
    return [job.id for job in jobs]


class Running:
    """Claims whose runs can be finished by their jobs."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._runs = {}

    def claim(self, limits: Limits, limit: int = 100, **named) -> list[UUID]:
        claimed = attempt(self._stores, limits, limit, **named).runs
        self._runs |= {run.job_id: run for run in claimed}
        return [run.job_id for run in claimed]

    def finish(self, *jobs: Job) -> None:
        for job in jobs:
            assert self._stores.finish(self._runs.pop(job.id))


@pytest.fixture
def running(stores: Stores) -> Running:
    return Running(stores)


def test_a_claim_takes_no_more_than_may_run_at_once(stores, running):
    jobs = add(stores, *[None] * 5)
    assert running.claim(Limits(concurrency=3)) == ids(*jobs[:3])
    assert running.claim(Limits(concurrency=3)) == []
    running.finish(jobs[1])
    assert running.claim(Limits(concurrency=3)) == [jobs[3].id]


def test_a_claimed_run_is_like_any_other(stores):
    [job] = add(stores, "a")
    [run] = attempt(stores, Limits(concurrency=1)).runs
    after = stores.read(job.id)
    assert (after.status, after.attempt, after.worker) == ("Running", 1, "me")
    assert after.lease_expires_at == stores.clock.now() + LEASE
    assert (run.job_id, run.handler_name, run.attempt, run.due_at) == (job.id, "Import", 1, job.next_run_at)
    assert stores.finish(run)


def test_the_longest_due_comes_first_and_no_more_than_asked_for(stores, running):
    jobs = add(stores, *[None] * 4)
    assert running.claim(Limits(concurrency=3), limit=1) == ids(jobs[0])
    assert running.claim(Limits(concurrency=3), limit=1) == ids(jobs[1])


def test_a_limit_that_was_lowered_lets_nothing_start_until_enough_has_ended(stores, running):
    jobs = add(stores, *[None] * 5)
    running.claim(Limits(concurrency=3))
    running.finish(jobs[0])
    assert running.claim(Limits(concurrency=2)) == []
    running.finish(jobs[1])
    assert running.claim(Limits(concurrency=2)) == ids(jobs[3])


def test_keys_are_counted_apart_and_one_that_is_full_holds_up_no_other(stores, running):
    a1, a2, a3, a4, b1 = add(stores, "a", "a", "a", "a", "b")
    assert running.claim(BY_KEY) == ids(a1, a2, b1)
    assert running.claim(BY_KEY) == []
    running.finish(a1)
    assert running.claim(BY_KEY) == ids(a3)
    running.finish(a2, a3)
    assert running.claim(BY_KEY) == ids(a4)


def test_jobs_without_a_key_are_limited_by_their_handler_alone(stores, running):
    jobs = add(stores, None, None, None, "a", "a", "a")
    assert running.claim(BY_KEY) == ids(*jobs[:5])


def test_both_limits_hold_together(stores, running):
    a1, _, b1, _, _ = add(stores, "a", "a", "b", "c", "d")
    assert running.claim(Limits(concurrency=2, concurrency_key=str)) == ids(a1, b1)


def test_the_same_key_of_another_handler_does_not_count(stores, running):
    add(stores, "a")
    [other] = add(stores, "a", handler_name="Export")
    limits = Limits(concurrency=1, concurrency_key=str)
    running.claim(limits)
    assert running.claim(limits, handler_name="Export") == ids(other)


def test_a_job_that_its_alarm_names_goes_before_others_that_wait_but_not_beyond_the_limits(stores, running):
    first, second, third = add(stores, None, None, None)
    one = Limits(concurrency=1)
    assert running.claim(one, alarm=AlarmName(second.id, 1)) == ids(second)
    assert running.claim(one, alarm=AlarmName(third.id, 1)) == []
    running.finish(second)
    assert running.claim(one, alarm=AlarmName(third.id, 2)) == [], "an alarm of another generation"
    assert running.claim(one) == ids(first)


def test_paused_and_future_jobs_are_passed_over(stores, running):
    paused, future, due = add(stores, None, None, None)
    stores.jobs.change(paused, Change("pause", {"paused": True}))
    stores.jobs.change(future, Change("update", {"next_run_at": stores.clock.now() + DAY}))
    assert running.claim(Limits(concurrency=3)) == ids(due)


def test_the_other_claims_pass_over_what_waits_for_its_turn(stores):
    [waiting] = add(stores, None)
    unmarked = stores.add("unmarked", handler_name="Import")
    due = {"worker": "me", "lease": LEASE, "limited": ["Import"]}
    assert stores.runs.claim_due(10, **due) == []
    assert stores.runs.claim(AlarmName(waiting.id, 1), **due) is None
    assert stores.runs.claim(AlarmName(unmarked.id, 1), **due) is None
    assert [run.job_id for run in stores.claim_due()] == ids(unmarked)


@pytest.mark.parametrize("limits", [Limits(concurrency=7), Limits(rate=Rate(7, DAY))], ids=["at once", "by rate"])
def test_twenty_claims_at_the_same_time_share_the_turns_that_there_are(stores, limits):
    add(stores, *[None] * 40)
    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(lambda _: claim(stores, limits, limit=2), range(20)))
    assert sum(map(len, claims)) == 7


def test_a_rate_counts_starts_in_a_window_that_slides(stores):
    add(stores, *[None] * 6)
    assert len(claim(stores, RATE, limit=2)) == 2
    stores.pass_time(6 * SECOND)
    assert len(claim(stores, RATE)) == 1
    stores.pass_time(1 * SECOND)
    assert attempt(stores, RATE) == LimitedClaim([], 3), "the first two are ten seconds old then"
    stores.pass_time(2.999999 * SECOND)
    assert claim(stores, RATE) == []
    stores.pass_time(0.000001 * SECOND)
    assert len(claim(stores, RATE)) == 2
    assert attempt(stores, RATE).wait_seconds == 6
    stores.pass_time(MINUTE)
    last = attempt(stores, RATE)
    assert (len(last.runs), last.wait_seconds) == (1, None), "nothing waits"


def test_a_claim_that_uses_up_the_rate_says_when_there_is_more(stores):
    add(stores, *[None] * 4)
    assert attempt(stores, RATE).wait_seconds == 10


def test_a_run_that_was_lost_keeps_its_turn_until_it_is_taken_back(stores):
    add(stores, None, None)
    one = Limits(concurrency=1)
    claim(stores, one)
    stores.pass_time(LEASE + SECOND)
    assert claim(stores, one) == []
    stores.housekeeping.reap(10, max_lost=5)
    assert len(claim(stores, one)) == 1


def test_the_handlers_that_have_jobs_waiting_for_a_turn(stores, running):
    def waiting() -> list[str]:
        return sorted(stores.runs.throttled_handlers(["Import", "Export", "Other"]))

    assert waiting() == []
    [one] = add(stores, "a")
    add(stores, "a", handler_name="Unasked")
    [later] = add(stores, None, handler_name="Export")
    stores.jobs.change(later, Change("update", {"next_run_at": stores.clock.now() + MINUTE}))
    stores.add("unmarked", handler_name="Other")
    assert waiting() == ["Import"]
    stores.pass_time(MINUTE)
    assert waiting() == ["Export", "Import"]
    running.claim(Limits(concurrency=1))
    running.finish(one)
    assert waiting() == ["Export"]


# --- marks


def outdated_limit_flags(stores: Stores, limited=(), known=(), grace: timedelta = MINUTE) -> list[UUID]:
    found = stores.housekeeping.outdated_limit_flags(10, limited=limited, known=known, grace=grace)
    return sorted(job.id for job in found)


def test_jobs_that_are_due_or_run_must_be_marked_once_their_handler_has_limits(stores):
    due = stores.add("due", handler_name="Import", payload='{"shop": "a"}', payload_version=2)
    running = stores.running("running", handler_name="Import")
    stores.add("later", handler_name="Import", due_at=stores.clock.now() + DAY)
    stores.jobs.change(stores.add("paused", handler_name="Import"), Change("pause", {"paused": True}))
    stores.finish(stores.running("ended", handler_name="Import"))
    stores.add("another", handler_name="Export")
    add(stores, "a")
    assert outdated_limit_flags(stores, limited=["Import"], known=["Import", "Export"]) == sorted(
        [due.id, running.job_id]
    )
    [found] = [
        job
        for job in stores.housekeeping.outdated_limit_flags(10, limited=["Import"], known=["Import"], grace=MINUTE)
        if job.id == due.id
    ]
    assert found == OutdatedLimitFlag(due.id, "Import", '{"shop": "a"}', 2)
    assert len(stores.housekeeping.outdated_limit_flags(1, limited=["Import"], known=["Import"], grace=MINUTE)) == 1


def test_marks_must_go_where_a_known_handler_has_no_limits_any_more(stores):
    [job] = add(stores, "a")
    assert outdated_limit_flags(stores, known=["Import"]) == ids(job)
    assert outdated_limit_flags(stores, limited=["Import"], known=["Import"]) == []


def test_a_mark_of_a_handler_that_nobody_knows_is_left_for_a_while(stores):
    [job] = add(stores, "a")
    assert outdated_limit_flags(stores, known=["Other"]) == []
    stores.pass_time(MINUTE)
    assert outdated_limit_flags(stores, known=["Other"]) == ids(job)


def test_marking_changes_what_a_claim_goes_by_and_no_revision(stores, running):
    unmarked = stores.add("unmarked", handler_name="Import")
    [marked] = add(stores, "a", handler_name="Export")
    stores.jobs.mark_armed([AlarmName(unmarked.id, 1), AlarmName(marked.id, 1)])
    ended = stores.running("ended")
    stores.finish(ended)
    labels = [LimitFlag(unmarked.id, True, "b"), LimitFlag(marked.id, False, None), LimitFlag(ended.job_id, True, "c")]
    assert stores.housekeeping.set_limit_flags(labels) == 2
    assert stores.read(unmarked.id) == unmarked.model_copy(
        update={"limited": True, "concurrency_key": "b", "armed_at": stores.clock.now()}
    )
    assert stores.read(marked.id) == marked.model_copy(update={"limited": False, "concurrency_key": None})
    assert not stores.read(ended.job_id).limited
    assert [run.job_id for run in stores.claim_due()] == ids(marked)
    assert running.claim(Limits(concurrency=1)) == ids(unmarked)


HOUR = timedelta(hours=1)


def test_usage_counts_what_runs_and_what_was_started_of_the_handlers_asked_for(stores: Stores):
    for number, key in enumerate(["a", "a", None]):
        stores.add(f"mail-{number}", handler_name="Mail", limited=True, concurrency_key=key)
    stores.add("noop", limited=True)
    limits = Limits(rate=Rate(10, per=HOUR))
    assert len(stores.runs.claim_limited("Mail", limits, 3, worker="w", lease=LEASE).runs) == 3
    assert len(stores.runs.claim_limited("Noop", limits, 3, worker="w", lease=LEASE).runs) == 1
    usage = stores.runs.limit_usage({"Mail": HOUR, "Other": HOUR})
    assert (dict(usage.running), dict(usage.running_by_key), dict(usage.started)) == (
        {"Mail": 3}, {("Mail", "a"): 2}, {"Mail": 3}
    )  # fmt: skip
    stores.pass_time(HOUR)
    assert dict(stores.runs.limit_usage({"Mail": HOUR}).started) == {}
    assert dict(stores.runs.limit_usage({"Mail": 2 * HOUR, "Noop": HOUR}).started) == {"Mail": 3}
