"""Mistakes in a handler's code, which would be made again at every attempt, fail the run at once."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from jobs import EnqueueJob, HandlerRegistry, JobContext, Retry
from jobs.core.errors import HandlerMistake, UnitOfWorkError, UnknownHandler
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.testing import JobsHarness


class Nothing(BaseModel):
    pass


def ran(function):
    """Run a handler that calls ``function`` with its context, and has retries left."""

    def work(args: Nothing, ctx: JobContext) -> None:
        function(ctx)

    registry = HandlerRegistry()
    registry.add_handler("Work", work)
    with JobsHarness(registry) as jobs:
        return jobs.run_handler("Work", {})


def completing_twice(ctx):
    with ctx.unit_of_work() as uow:
        uow.complete()
        uow.complete()


def following_up_with_nobody(ctx):
    ctx.enqueue(EnqueueJob(handler_name="Wrok"))


def in_a_group(ctx):
    try:
        ctx.progress(50)
    except ValueError as error:
        raise ExceptionGroup("two", [ConnectionError("away"), error]) from None


@pytest.mark.parametrize(
    ("mistake", "kind", "says"),
    [
        (lambda ctx: ctx.progress(50), ValueError, "progress is a fraction from 0 to 1, not 50; divide"),
        (lambda ctx: setattr(ctx, "result", {1, 2}), ValueError, "a result is a JSON value"),
        (lambda ctx: setattr(ctx, "result", "x" * 65_536), ValueError, "a result has at most 65536 bytes"),
        (completing_twice, UnitOfWorkError, "call complete() once"),
        (following_up_with_nobody, UnknownHandler, "no handler is registered as 'Wrok'; registered are: Work"),
        (in_a_group, ExceptionGroup, "progress is a fraction"),
    ],
    ids=["progress", "result", "long result", "complete", "follow-up", "group"],
)
def test_a_mistake_that_no_other_attempt_can_mend_fails_the_run_at_once(mistake, kind, says):
    attempt = ran(mistake)
    assert (attempt.outcome, attempt.job.status) == (AttemptOutcome.FAILED, JobStatus.FAILED)
    assert says in attempt.error
    with pytest.raises(kind):
        attempt.check()


def test_what_may_go_better_the_next_time_is_tried_again():
    def raising(error):
        def handle(ctx):
            raise error

        return handle

    for error in (ValueError("bad answer"), UnitOfWorkError("an inner one was left by an error"), Retry(after=1)):
        assert ran(raising(error)).job.status is JobStatus.SCHEDULED


def test_a_handler_may_catch_its_own_mistake():
    def careful(ctx):
        try:
            ctx.progress(50)
        except HandlerMistake:
            ctx.progress(0.5)

    assert ran(careful).job.status is JobStatus.COMPLETED
