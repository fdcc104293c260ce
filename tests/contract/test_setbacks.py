"""What any store gives and takes where its clock, having been ahead, was set back."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.lifecycle.clock_setback import SetBack, WaitingJob
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.ports.jobs import Change
from jobs.core.ports.scheduler import Alarm
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores

HOUR = timedelta(hours=1)
PAUSE = Change("pause", {"paused": True})


def at(stores: Stores, name: str, hours: float, **fields: object) -> object:
    due_at = NOON + hours * HOUR
    return stores.add(name, due_at=due_at, scheduled_for=due_at, recurring=True, schedule="@hourly", **fields)


def ids(page: object) -> list[object]:
    return [job.id for job in page.jobs]


def test_waiting_jobs_come_page_by_page_the_soonest_due_first(stores: Stores):
    jobs = [at(stores, f"{hours} h", hours, limited=hours == 3) for hours in (5, 1, 3, 2, 4)]
    wanted = [job.id for job in sorted(jobs, key=lambda job: job.next_run_at)]
    first = stores.setbacks.waiting(2, None)
    second = stores.setbacks.waiting(2, first.jobs[-1])
    third = stores.setbacks.waiting(2, second.jobs[-1])
    assert [ids(first), ids(second), ids(third)] == [wanted[:2], wanted[2:4], wanted[4:]]
    assert first.now == NOON
    assert ids(stores.setbacks.waiting(2, third.jobs[-1])) == []


def test_jobs_due_at_one_instant_are_each_on_one_page(stores: Stores):
    jobs = {at(stores, f"{n}", 1).id for n in range(5)}
    seen: list[object] = []
    last: WaitingJob | None = None
    while page := stores.setbacks.waiting(2, last).jobs:
        seen += [job.id for job in page]
        last = page[-1]
    assert (len(seen), set(seen)) == (5, jobs)


def test_what_is_due_runs_is_paused_or_has_ended_does_not_wait(stores: Stores):
    stores.running("running")
    stores.add("due")
    stores.finish(stores.running("ended"))
    stores.jobs.change(at(stores, "paused", 1), PAUSE)
    job = at(stores, "waits", 2)
    assert ids(stores.setbacks.waiting(10, None)) == [job.id]


def test_a_waiting_job_is_given_with_all_that_its_times_hang_on(stores: Stores):
    job = at(stores, "waits", 2, options='{"jitter": "PT5M"}', timezone="Europe/Berlin", anchor=NOON - DAY)
    [found] = stores.setbacks.waiting(10, None).jobs
    assert found._replace(options=None) == WaitingJob(
        job.id, 1, "@hourly", "Europe/Berlin", None, True, NOON - DAY, NOON + 2 * HOUR, NOON + 2 * HOUR, 0, NOON
    )
    assert found.options == '{"jitter": "PT5M"}'


def test_a_job_is_set_back_under_a_new_generation(stores: Stores):
    job, other = at(stores, "a", 7), at(stores, "b", 7)
    stores.jobs.mark_armed([AlarmName(job.id, 1)])
    now = stores.pass_time(MINUTE)
    due_at, stands_for = now + HOUR, now + 50 * MINUTE
    alarms = stores.setbacks.set_back([SetBack(job.id, 1, due_at, stands_for, NOON - DAY, 0)])
    assert alarms == [Alarm(AlarmName(job.id, 2), due_at)]
    after = stores.read(job.id)
    assert (after.next_run_at, after.scheduled_for, after.anchor) == (due_at, stands_for, NOON - DAY)
    assert (after.generation, after.revision, after.armed_at, after.updated_at) == (2, 2, None, now)
    assert stores.read(other.id) == other


def test_a_job_that_has_changed_meanwhile_is_left_alone(stores: Stores):
    moved, paused, claimed = at(stores, "moved", 7), at(stores, "paused", 7), stores.add("claimed")
    moves = [SetBack(job.id, 1, NOON + HOUR, NOON + HOUR, NOON, 0) for job in (moved, paused, claimed)]
    stores.jobs.change(moved, Change("update", {"attempt": 0}, new_generation=True))
    stores.jobs.change(paused, PAUSE)
    stores.claim(claimed)
    before = [stores.read(move.id) for move in moves]
    assert stores.setbacks.set_back(moves) == []
    assert [stores.read(move.id) for move in moves] == before


def test_the_latest_record_is_of_a_job_an_attempt_or_a_change(stores: Stores):
    assert tuple(stores.setbacks.latest_record()) == (NOON, None)
    stores.move(NOON + HOUR)
    job = at(stores, "a", 0)
    stores.move(NOON)
    assert tuple(stores.setbacks.latest_record()) == (NOON, NOON + HOUR)
    stores.move(NOON + 2 * HOUR)
    stores.finish(stores.claim(job))
    stores.move(NOON + MINUTE)
    assert tuple(stores.setbacks.latest_record()) == (NOON + MINUTE, NOON + 2 * HOUR)
    stores.move(NOON + 3 * HOUR)
    stores.jobs.change(at(stores, "b", 9), PAUSE)
    stores.move(NOON)
    assert stores.setbacks.latest_record().written_at == NOON + 3 * HOUR


def test_only_leases_that_last_too_long_are_shortened(stores: Stores):
    fine = stores.running("fine")
    stores.move(NOON + 5 * HOUR)
    ahead = stores.running("ahead")
    stores.move(NOON + SECOND)
    assert stores.setbacks.shorten_leases(LEASE) == 1
    assert stores.read(ahead.job_id).lease_expires_at == NOON + SECOND + LEASE
    assert stores.read(fine.job_id).lease_expires_at == NOON + LEASE
    assert stores.setbacks.shorten_leases(LEASE) == 0
