"""How far operations on many jobs have come, and which jobs they have changed."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.lifecycle.ids import new_id
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import Change
from jobs.core.ports.operations import Progress
from jobs.core.queries import AuditQuery, JobFilter
from tests.contract.stores import MINUTE, Stores


def pause(stores: Stores, job, operation):
    change = Change("pause", {"paused": True}, reason="it floods", operation=operation)
    assert stores.jobs.change(stores.read(job.id), change, actor="ann") is not None


def test_an_operation_begins_with_nothing_done(stores):
    assert stores.operations.progress(new_id()) == Progress()


def test_what_it_has_changed_is_counted_in_the_audit(stores):
    operation, other = new_id(), new_id()
    jobs = [stores.add(f"job {number}") for number in range(3)]
    pause(stores, jobs[0], operation)
    pause(stores, jobs[1], operation)
    pause(stores, jobs[2], other)
    assert stores.operations.progress(operation).changed == 2
    assert [stores.operations.was_changed(operation, job.id) for job in jobs] == [True, True, False]
    assert [entry.operation for entry in stores.audit_log.find(AuditQuery()).entries].count(operation) == 2


def test_it_goes_on_from_where_the_last_page_ended(stores):
    operation = new_id()
    first = Progress(unchanged=1, cursor="a")
    assert stores.operations.advance(operation, Progress(), first)
    assert stores.operations.progress(operation) == first
    second = Progress(unchanged=1, refused=2, cursor="b")
    assert stores.operations.advance(operation, first, second)
    assert stores.operations.progress(operation) == second


def test_an_attempt_that_is_behind_changes_nothing(stores):
    operation = new_id()
    first = Progress(cursor="a")
    assert stores.operations.advance(operation, Progress(), first)
    assert not stores.operations.advance(operation, Progress(), Progress(refused=9, cursor="b"))
    assert stores.operations.progress(operation) == first


def test_nothing_goes_on_after_the_end(stores):
    operation = new_id()
    assert stores.operations.advance(operation, Progress(), Progress(finished=True))
    assert not stores.operations.advance(operation, Progress(), Progress(refused=1))
    assert stores.operations.progress(operation) == Progress(finished=True)


def test_it_is_pruned_with_the_job_that_runs_it(stores):
    run = stores.running("operation")
    stores.operations.advance(run.job_id, Progress(), Progress(refused=1, finished=True))
    stores.finish(run)
    stores.pass_time(2 * MINUTE)
    assert stores.housekeeping.prune(10, MINUTE, keep=20) == 1
    assert stores.operations.progress(run.job_id) == Progress()


def test_jobs_are_counted_up_to_a_limit(stores):
    for number in range(4):
        stores.add(f"job {number}", handler_name="Mail", metadata=f'{{"n": {number % 2}}}')
    stores.finish(stores.running("done", handler_name="Mail"))

    def count(limit=10, **conditions):
        return stores.jobs.count(JobFilter(**conditions), limit)

    assert count() == 5
    assert count(3) == 3
    assert count(status=(JobStatus.SCHEDULED,)) == 4
    assert count(metadata={"n": (1,)}) == 2
    assert count(handler_name="None") == 0
    assert count(created_before=stores.clock.now() - timedelta(days=1)) == 0
