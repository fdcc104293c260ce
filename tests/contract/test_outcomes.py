"""Outcomes on any store: one that cannot be recorded is isolated, and takes none of its batch along."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from jobs.app.execution.outcomes import Outcomes
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.job import RecordedOutcome, RunResult
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from tests.contract.stores import DAY, LEASE, NOON, Stores


@pytest.fixture
def outcomes(stores: Stores) -> Outcomes:
    return Outcomes(stores.runs, HandlerRegistry(), Random(0), LEASE)


def ended(stores: Stores, count: int) -> list[RecordedOutcome]:
    return [stores.ended(stores.running(f"job-{number}")) for number in range(count)]


@pytest.mark.parametrize("at", [{0}, {6}, {3, 4}, {1, 5, 6}], ids=str)
def test_one_outcome_that_cannot_be_recorded_takes_none_of_its_batch_along(stores, outcomes, at):
    batch = ended(stores, 7)
    batch = [each._replace(attempt=-1) if number in at else each for number, each in enumerate(batch)]
    outcomes.write(batch)
    for number, each in enumerate(batch):
        job = stores.read(each.run.job_id)
        [line] = stores.jobs.attempts(job.id)
        if number in at:
            assert (job.status, line.outcome) == (JobStatus.FAILED, AttemptOutcome.FAILED)
            assert "its attempt ended (Succeeded), but that cannot be recorded" in (line.error or "")
            assert job.last_error == line.error
        else:
            assert (job.status, line.outcome) == (JobStatus.COMPLETED, AttemptOutcome.SUCCEEDED)


def test_a_recurring_run_whose_outcome_cannot_be_recorded_is_failed_and_its_next_one_comes(stores, outcomes):
    run = stores.running(schedule="@daily", recurring=True, due_at=NOON, scheduled_for=NOON, anchor=NOON)
    outcomes.write([stores.ended(run, status=JobStatus.SCHEDULED, due_at=NOON + DAY, attempt=-1)])
    job = stores.read(run.job_id)
    assert (job.status, job.consecutive_failures, job.run_count) == (JobStatus.SCHEDULED, 1, 1)
    assert job.next_run_at == NOON + DAY / 2
    assert job.attempt == 0


def test_a_run_whose_schedule_makes_its_outcome_unrecordable_is_failed_for_good(stores, outcomes, monkeypatch):
    run = stores.running(schedule="@daily", recurring=True, due_at=NOON, scheduled_for=NOON, anchor=NOON)
    bad = stores.ended(run, status=JobStatus.SCHEDULED, due_at=NOON + DAY, attempt=-1)
    monkeypatch.setattr(outcomes, "decide", lambda *_, **__: bad)
    outcomes.write([bad])
    job = stores.read(run.job_id)
    assert (job.status, job.next_run_at, job.consecutive_failures) == (JobStatus.FAILED, None, 1)


def test_an_outcome_of_which_nothing_can_be_recorded_is_left_to_its_lease_and_the_others_are_recorded(
    stores, outcomes, monkeypatch
):
    batch = ended(stores, 4)
    poison, record = batch[2].run.token, stores.runs.record

    def refusing(written: list[RecordedOutcome], **options: Any) -> Any:
        if any(each.run.token == poison for each in written):
            raise ValueError("no")
        return record(written, **options)

    monkeypatch.setattr(stores.runs, "record", refusing)
    outcomes.write(batch)
    states = [stores.read(each.run.job_id).status for each in batch]
    assert states == [JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.RUNNING, JobStatus.COMPLETED]


def test_a_store_that_is_away_is_no_fault_of_an_outcome(stores, outcomes, monkeypatch):
    batch = ended(stores, 2)
    asked = []

    def away(written: list[RecordedOutcome], **_: Any) -> Any:
        asked.append(len(written))
        raise StoreUnavailable("away")

    monkeypatch.setattr(stores.runs, "record", away)
    outcomes._deadline_seconds = 0
    with pytest.raises(StoreUnavailable):
        outcomes.write(batch)
    assert set(asked) == {2}, "the batch is not taken apart"


def test_a_batch_of_which_one_cannot_be_kept_is_refused_whole(stores):
    good, bad = ended(stores, 2)
    with pytest.raises(Exception, match="jobs_counts_are_sane"):
        stores.runs.record([good, bad._replace(attempt=-1)])
    assert stores.read(good.run.job_id).status is JobStatus.RUNNING
    assert stores.finish(good.run, result=RunResult(AttemptOutcome.SUCCEEDED))
