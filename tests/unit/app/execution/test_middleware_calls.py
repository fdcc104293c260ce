"""A middleware calls the handler once: what happens to an attempt where it does not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from pydantic import BaseModel

from jobs import Discard, HandlerRegistry, JobContext
from jobs.core.errors import HandlerRegistrationError, MiddlewareFault
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.testing import JobsHarness


class Nothing(BaseModel):
    pass


def ran_within(middleware):
    """Run a handler within ``middleware`` and, next to it, an innocent one; gives the attempt and the calls."""
    calls = []

    def work(args: Nothing) -> None:
        calls.append("handler")

    def innocent(ctx: JobContext, call_next) -> None:
        call_next()

    def also_innocent(ctx: JobContext, call_next) -> None:
        call_next()

    registry = HandlerRegistry()
    registry.add_handler("Work", work)
    registry.add_middleware(innocent, order=-1)
    registry.add_middleware(middleware)
    registry.add_middleware(also_innocent, order=1)
    with JobsHarness(registry) as jobs:
        return jobs.run_handler("Work", {}), calls


def forgetful(ctx: JobContext, call_next) -> None:
    pass


def naming_it(ctx: JobContext, call_next) -> None:
    call_next  # noqa: B018  the brackets are forgotten


def passing_the_context(ctx: JobContext, call_next) -> None:
    call_next(ctx)


def calling_twice(ctx: JobContext, call_next) -> None:
    call_next()
    call_next()


def calling_twice_and_hiding_it(ctx: JobContext, call_next) -> None:
    call_next()
    with suppress(Exception):
        call_next()


class Instance:
    def __call__(self, ctx, call_next):
        pass


@pytest.mark.parametrize(
    ("middleware", "name", "mend", "handler_calls"),
    [
        (forgetful, "forgetful", r"without calling call_next\(\), so the handler did not run; call it, or raise", 0),
        (naming_it, "naming_it", "so the handler did not run", 0),
        (Instance(), "Instance", "so the handler did not run", 0),
        (passing_the_context, "passing_the_context", r"takes none; write call_next\(\)", 0),
        (calling_twice, "calling_twice", r"called call_next\(\) twice.*call it once", 1),
        (calling_twice_and_hiding_it, "calling_twice_and_hiding_it", "twice", 1),
    ],
)
def test_a_middleware_that_does_not_call_the_handler_once_fails_the_attempt_and_is_named(
    middleware, name, mend, handler_calls
):
    ran, calls = ran_within(middleware)
    assert (ran.outcome, len(calls)) == (AttemptOutcome.FAILED, handler_calls)
    with pytest.raises(MiddlewareFault, match=rf"the middleware {__name__}\.{name} .*{mend}"):
        ran.check()
    assert f"{__name__}.{name} " in ran.error
    assert "innocent" not in ran.error
    assert ran.job.status is JobStatus.SCHEDULED  # to be tried again, as after any failure


def test_a_middleware_may_end_the_attempt_by_what_it_raises_without_calling_the_handler():
    def closed(ctx, call_next):
        raise Discard("closed today")

    ran, calls = ran_within(closed)
    assert (ran.outcome, ran.error, calls) == (AttemptOutcome.DISCARDED, "closed today", [])


def test_a_middleware_that_yields_is_refused_when_it_is_registered():
    def yielding(ctx, call_next):
        yield

    with pytest.raises(HandlerRegistrationError, match=r"yields is never run; have it call call_next\(\)"):
        HandlerRegistry().add_middleware(yielding)
