"""What a handler enqueues: once for a run, known by its parent, and in nobody else's hands."""

from __future__ import annotations

import logging
from contextlib import suppress
from uuid import UUID

import pytest

from jobs import JobContext, Retry
from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput, JobIdTaken
from jobs.core.handlers.follow_ups import follow_up_id
from jobs.core.lifecycle.ids import new_id
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, job, until


def unnamed(**payload):
    return EnqueueJob(handler_name="Noop", payload=payload, schedule="P1D")


@pytest.fixture
def run(runtime):
    """Run a job of ``handle`` to its end; gives it as it then stands."""

    def run(handle, name="parent", **fields):
        runtime.registry.add_handler("Work", handle)
        job_id = runtime.service.enqueue(job(name, "Work", **fields)).id

        def ended():
            runtime.worker.drain(60)
            return (found := runtime.service.get(job_id)).status.ended and found

        return until(ended)

    return run


def test_follow_ups_without_a_name_are_called_after_the_run_and_their_position_and_know_their_parent(run, runtime):
    ids = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ids.extend([ctx.enqueue(unnamed(n=1)), ctx.enqueue(unnamed(n=1)), ctx.enqueue(unnamed(n=2))])

    parent = run(handle)
    children = [runtime.service.get(each) for each in ids]
    assert [child.job_name for child in children] == [f"{parent.id}/1/{place}" for place in (1, 2, 3)]
    assert [child.parent_id for child in children] == [parent.id] * 3
    assert parent.parent_id is None


def test_each_attempt_of_a_run_arrives_at_the_same_follow_ups(run, runtime, sql):
    ids = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ids.append([ctx.enqueue(unnamed(n=1)), ctx.enqueue(job("named", schedule="P1D")), ctx.enqueue(unnamed(n=2))])
        if ctx.attempt < 3:
            raise Retry(after=0)

    assert run(handle).status is JobStatus.COMPLETED
    assert len(ids) == 3
    assert ids[0] == ids[1] == ids[2]
    assert sql("select count(*) from jobs.jobs") == [(4,)]


def test_the_same_name_with_another_payload_is_refused_within_an_attempt_with_the_mend(run, runtime, sql):
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        first = ctx.enqueue(job("report", payload={"n": 1}, schedule="P1D"))
        assert ctx.enqueue(job("report", payload={"n": 1.0}, schedule="P1D")) == first
        with pytest.raises(InvalidInput, match=r"'report'.*another payload; give each a job_name of its own") as caught:
            ctx.enqueue(job("report", payload={"n": 2}, schedule="P1D"))
        seen.append(caught.value.problems[0].pointer)

    assert run(handle).status is JobStatus.COMPLETED
    assert seen == ["/job_name"]
    assert sql("select payload from jobs.jobs where job_name = 'report'") == [({"n": 1},)]


def test_what_an_earlier_attempt_has_enqueued_stands_and_another_payload_is_warned_of(run, sql, caplog):
    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.enqueue(job("report", payload={"attempt": ctx.attempt}, schedule="P1D"))
        if ctx.attempt == 1:
            raise Retry(after=0)

    with caplog.at_level(logging.WARNING, logger="jobs.handler"):
        assert run(handle).status is JobStatus.COMPLETED
    assert sql("select payload from jobs.jobs where job_name = 'report'") == [({"attempt": 1},)]
    assert "has enqueued its follow-up 'report' with another payload" in caplog.text


def test_what_was_rolled_back_may_be_enqueued_anew_with_another_payload(run, sql):
    def handle(args: Anything, ctx: JobContext) -> None:
        with suppress(LookupError), ctx.unit_of_work():
            ctx.enqueue(job("report", payload={"n": 1}, schedule="P1D"))
            raise LookupError
        ctx.enqueue(job("report", payload={"n": 2}, schedule="P1D"))

    assert run(handle).status is JobStatus.COMPLETED
    assert sql("select payload from jobs.jobs where job_name = 'report'") == [({"n": 2},)]


def test_no_caller_can_take_the_id_of_a_follow_up_that_is_yet_to_come(run, runtime):
    own = new_id()
    coming = [follow_up_id(own, 1, which) for which in ("name:report", "position:1")]
    for each in [*coming, UUID("ffffffff-ffff-8fff-bfff-ffffffffffff")]:
        with pytest.raises(InvalidInput, match="version 8") as caught:
            runtime.service.enqueue(job("squatter", id=each))
        assert caught.value.problems[0].pointer == "/id"
        [result] = runtime.service.enqueue_many([job("squatter", id=each)])
        assert isinstance(result, InvalidInput)
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.extend([ctx.enqueue(job("report", schedule="P1D")), ctx.enqueue(unnamed())])
        with pytest.raises(InvalidInput, match="version 8"):
            ctx.enqueue(job("other", id=coming[0]))

    assert run(handle, id=own).status is JobStatus.COMPLETED
    assert seen == coming


def test_a_caller_who_takes_the_name_of_an_unnamed_follow_up_keeps_nothing_from_being_enqueued(run, runtime):
    own = new_id()
    runtime.service.enqueue(job(f"{own}/1/1", schedule="P1D"))
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.append(ctx.enqueue(unnamed()))
        if ctx.attempt == 1:
            raise Retry(after=0)

    run(handle, id=own)
    assert len(set(seen)) == 1
    child = runtime.service.get(seen[0])
    assert child.job_name.startswith(f"{own}/1/1/")
    assert child.parent_id == own


def test_a_follow_up_with_an_id_that_another_job_has_is_refused_to_the_handler(run, runtime):
    taken = runtime.service.enqueue(job("somebody's", schedule="P1D")).id
    own, seen = new_id(), []

    def handle(args: Anything, ctx: JobContext) -> None:
        with pytest.raises(JobIdTaken):
            ctx.enqueue(job("mine", id=taken))
        seen.extend([ctx.enqueue(job("named", id=own)), ctx.enqueue(job("named", id=own))])

    assert run(handle).status is JobStatus.COMPLETED
    assert seen == [own, own]
