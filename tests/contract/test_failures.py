"""Failures grouped by their cause: how many, since when, of which handlers, and which jobs are Failed for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jobs.core.lifecycle.failures import LOST_WORKER, fingerprint_of
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.queries import FailureQuery
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores

UNKNOWN, REFUSED = "ValueError: order %d is unknown (in send, mail.py:7)", "OSError: refused (in call, client.py:20)"


def fail(stores: Stores, name: str, error: str, handler: str = "Mail", outcome: str = "Failed", **fields: Any):
    """Fail a job for good; gives its run."""
    run = stores.running(name, handler_name=handler)
    result = RunResult(AttemptOutcome(outcome), error)
    stores.finish(run, result=result, status=JobStatus.FAILED, last_error=error, **fields)
    return run


def groups(stores: Stores, count_to: int = 100, **query: Any):
    return stores.failures.find(FailureQuery(**query), count_to).groups


def of(error: str, outcome: str = "Failed") -> str | None:
    return fingerprint_of(AttemptOutcome(outcome), error)


def test_where_nothing_has_failed_there_is_no_group(stores):
    stores.finish(stores.running("fine"))
    found = stores.failures.find(FailureQuery())
    assert (found.groups, found.more) == ([], False)


def test_many_failures_of_a_few_causes_are_as_many_groups_those_that_failed_last_first(stores):
    for number in range(5):
        fail(stores, f"unknown {number}", UNKNOWN % number, "Mail" if number % 2 else "Bill")
        stores.pass_time(SECOND)
    last = fail(stores, "refused", REFUSED)
    found = groups(stores)
    assert [(each.failure, each.count, each.first_at, each.last_at, each.handlers) for each in found] == [
        (of(REFUSED), 1, NOON + 5 * SECOND, NOON + 5 * SECOND, ("Mail",)),
        (of(UNKNOWN % 1), 5, NOON, NOON + 4 * SECOND, ("Bill", "Mail")),
    ]
    assert found[0].sample == (last.job_id, "Mail", AttemptOutcome.FAILED, REFUSED, NOON + 5 * SECOND)
    assert found[1].sample.error == UNKNOWN % 4


def test_an_attempt_that_is_tried_again_counts_and_its_job_is_not_among_the_failed(stores):
    run = stores.running("again", handler_name="Mail")
    stores.again(run, result=RunResult(AttemptOutcome.FAILED, REFUSED, retry=True), last_error=REFUSED)
    fail(stores, "for good", REFUSED)
    [group] = groups(stores)
    assert (group.count, group.still_failed) == (2, 1)


def test_a_job_that_was_retried_and_did_well_is_no_longer_of_the_group(stores):
    run = stores.running("again", handler_name="Mail")
    stores.again(run, result=RunResult(AttemptOutcome.FAILED, REFUSED, retry=True), last_error=REFUSED)
    assert stores.names(failure=of(REFUSED)) == ["again"]
    assert stores.read(run.job_id).failure == of(REFUSED)
    stores.finish(stores.claim(stores.read(run.job_id)))
    assert stores.names(failure=of(REFUSED)) == []
    assert (stores.read(run.job_id).failure, groups(stores)[0].count) == (None, 1)


def test_jobs_are_found_by_the_cause_of_their_last_error(stores):
    fail(stores, "unknown", UNKNOWN % 1)
    fail(stores, "refused", REFUSED)
    fail(stores, "also refused", REFUSED, "Bill")
    assert stores.names(failure=[of(REFUSED)]) == ["also refused", "refused"]
    assert stores.names(failure=[of(REFUSED)], handler_name="Bill", status="Failed") == ["also refused"]
    assert stores.names(failure=[of(REFUSED), of(UNKNOWN % 3)]) == ["also refused", "refused", "unknown"]
    assert stores.names(failure="0" * 16) == []


def test_only_what_failed_within_the_window_counts(stores):
    fail(stores, "old", REFUSED)
    stores.pass_time(DAY)
    assert groups(stores) == []
    fail(stores, "new", REFUSED)
    [group] = groups(stores)
    assert (group.count, group.first_at, group.still_failed) == (1, NOON + DAY, 2)
    [group] = groups(stores, window=DAY + MINUTE)
    assert (group.count, group.first_at) == (2, NOON)


def test_the_failures_of_some_handlers_can_be_asked_for(stores):
    fail(stores, "mail", REFUSED, "Mail")
    fail(stores, "bill", REFUSED, "Bill")
    fail(stores, "other", UNKNOWN % 1, "Other")
    [group] = groups(stores, handler_name=["Bill", "None"])
    assert (group.failure, group.count, group.handlers, group.still_failed) == (of(REFUSED), 1, ("Bill",), 1)
    assert groups(stores, handler_name="None") == []


def test_lost_workers_are_one_group_whatever_they_were_called(stores):
    for name in ("one", "two"):
        stores.claim(stores.add(name), worker=f"worker {name}")
    stores.pass_time(LEASE + SECOND)
    stores.housekeeping.reap(10, max_lost=3)
    [group] = groups(stores)
    assert (group.failure, group.count, group.sample.outcome) == (LOST_WORKER.fingerprint, 2, AttemptOutcome.LOST)
    assert stores.names(failure=LOST_WORKER.fingerprint) == ["one", "two"]


def test_counts_are_exact_up_to_a_bound_and_one_more_stands_for_any_number(stores):
    for number in range(4):
        fail(stores, f"job {number}", REFUSED, f"Handler{number % 2}")
    for count_to, shown in ((3, 4), (4, 4), (2, 3)):
        [group] = groups(stores, count_to)
        assert (group.count, group.still_failed) == (shown, shown)


def test_no_more_groups_than_asked_for_are_listed_and_it_is_said_that_there_are_more(stores):
    for number in range(3):
        fail(
            stores,
            f"job {number}",
            "Error of a kind: it failed",
            f"H{number}",
            ["Failed", "TimedOut", "Discarded"][number],
        )
        stores.pass_time(timedelta(milliseconds=1))
    found = stores.failures.find(FailureQuery(limit=2))
    assert ([each.handlers for each in found.groups], found.more) == ([("H2",), ("H1",)], True)
    assert not stores.failures.find(FailureQuery(limit=3)).more
