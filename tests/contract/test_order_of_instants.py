"""Whatever a worker's clock says: last_run_at ≤ started_at ≤ finished_at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.lifecycle.job import RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from tests.contract.stores import LEASE, NOON, SECOND, Stores, memory_stores
from tests.sizes import examples

HOUR = timedelta(hours=1)
OFFSETS = [timedelta(), -SECOND, SECOND, -HOUR, HOUR, timedelta(microseconds=-1), timedelta(microseconds=1)]


def attempt_once(stores: Stores, job, began, ended, *, due_at=None):
    run = stores.claim(stores.read(job.id))
    stores.pass_time(SECOND)
    now = stores.clock.now()
    outcome = RecordedOutcome(
        run,
        RunResult(AttemptOutcome.SUCCEEDED),
        JobStatus.SCHEDULED,
        now + began,
        now + ended,
        due_at=due_at or now,
        scheduled_for=now,
        tally=Tally.RESET,
    )
    assert len(stores.runs.record([outcome])) == 1
    require_order(stores, job)


def require_order(stores: Stores, job):
    found, history = stores.read(job.id), stores.jobs.attempts(job.id)
    assert found.last_run_at <= found.started_at
    for attempt in history:
        assert attempt.started_at <= attempt.finished_at
    assert found.last_run_at <= history[0].started_at


@pytest.mark.parametrize("began", OFFSETS, ids=str)
def test_an_attempt_begins_after_its_claim_and_ends_after_it_began(stores: Stores, began):
    job = stores.add(recurring=True, schedule="@every 1h")
    attempt_once(stores, job, began, began - SECOND)
    run = stores.claim(stores.read(job.id))
    running = stores.read(job.id)
    assert running.last_run_at <= running.started_at, "while the next run is under way, too"
    stores.pass_time(LEASE + SECOND)
    stores.housekeeping.reap(10, max_lost=5)
    require_order(stores, job)
    assert run.job_id == job.id


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.timedeltas(-HOUR, HOUR), st.timedeltas(-HOUR, HOUR)), min_size=1, max_size=5))
def test_the_order_holds_for_whatever_clocks_say(steps):
    stores = memory_stores()
    job = stores.add(recurring=True, schedule="@every 1h")
    for began, ended in steps:
        attempt_once(stores, job, began, ended)


def test_the_order_holds_when_the_stores_own_clock_was_set_back(stores: Stores):
    job = stores.add(recurring=True, schedule="@every 1h")
    stores.move(NOON + HOUR)
    attempt_once(stores, job, timedelta(), timedelta(), due_at=NOON)
    stores.move(NOON + SECOND)
    stores.claim(stores.read(job.id))
    running = stores.read(job.id)
    assert running.last_run_at <= running.started_at
