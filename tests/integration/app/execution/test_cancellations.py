"""A running handler learns that its job is to be cancelled, long before its lease's next heartbeat."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from jobs import JobContext
from jobs.app.execution.leases import cancellations
from jobs.app.execution.leases.cancellations import CancellationWatch
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.job import Lease
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.runs import Heartbeat
from tests.support import Anything, job, until

HOUR = 3600  # a lease whose heartbeats come every twenty minutes


def asking(args: Anything, ctx: JobContext) -> None:
    while not threading.Event().wait(0.01):
        ctx.raise_if_cancelled()


def showing_progress(args: Anything, ctx: JobContext) -> None:
    while not threading.Event().wait(0.01):
        ctx.progress(0.5)


async def asking_async(args: Anything, ctx: JobContext) -> None:
    while True:
        await asyncio.sleep(0.01)
        ctx.raise_if_cancelled()


def seldom_asking(args: Anything, ctx: JobContext) -> None:
    ctx.raise_if_cancelled()
    until(lambda: ctx.cancel_signalled)
    ctx.raise_if_cancelled()


@pytest.mark.parametrize("handle", [asking, showing_progress, asking_async, seldom_asking])
def test_a_request_to_cancel_reaches_a_handler_that_asks_without_a_heartbeat(make_runtime, handle):
    runtime = make_runtime(lease_seconds=HOUR)
    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    drain = threading.Thread(target=runtime.worker.drain, args=[60])
    drain.start()
    until(lambda: runtime.service.get(job_id).status is JobStatus.RUNNING)
    assert runtime.service.cancel(job_id).status is JobStatus.RUNNING
    until(lambda: runtime.service.get(job_id).status is JobStatus.CANCELLED)
    drain.join(60)


def test_a_look_every_other_second_is_soon_enough():
    assert cancellations._SECONDS_BETWEEN_LOOKS < 2


class Context:
    def __init__(self, token):
        self.lease = Lease(token, token)
        self.cancel_signalled = False

    def signal_cancelled(self):
        self.cancel_signalled = True


def test_all_that_ask_are_looked_after_in_one_statement_and_those_that_ended_no_more():
    held, cancelled, looks = {"a", "b", "c"}, set(), []

    def look(leases):
        looks.append(sorted(lease.token for lease in leases))
        return Heartbeat(frozenset(held), frozenset(cancelled))

    watch = CancellationWatch(look, lambda token: token in held, seconds_between_looks=0.01)
    a, b, c = (Context(token) for token in "abc")
    for context in (a, b, c):
        watch.add(context)
    until(lambda: ["a", "b", "c"] in looks)
    held.discard("b")
    until(lambda: ["a", "c"] in looks)
    cancelled.add("a")
    until(lambda: a.cancel_signalled)
    until(lambda: ["c"] in looks)
    held.clear()
    until(lambda: watch._thread is None)
    assert (b.cancel_signalled, c.cancel_signalled) == (False, False)
    held.add("c")
    watch.add(c)
    count = len(looks)
    until(lambda: len(looks) > count)
    watch.close()
    assert not watch._thread.is_alive()


def test_nothing_is_looked_for_while_no_handler_asks(make_runtime, monkeypatch):
    runtime = make_runtime()
    runtime.registry.add_handler("Work", lambda_handler)
    runtime.service.enqueue(job("job", "Work"))
    runtime.worker.drain(60)
    assert runtime.pipeline._executor._backend._cancellations._thread is None


def lambda_handler(args: Anything, ctx: JobContext) -> None:
    ctx.logger.info("no question")


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), LookupError("a bug")])
def test_a_look_that_fails_is_followed_by_the_next(fault):
    outcomes = iter([fault, fault])
    context = Context("a")

    def look(_):
        if (error := next(outcomes, None)) is not None:
            raise error
        return Heartbeat(frozenset("a"), frozenset("a"))

    watch = CancellationWatch(look, lambda _: True, seconds_between_looks=0.01)
    watch.add(context)
    watch.add(SimpleNamespace(lease=None))
    until(lambda: context.cancel_signalled)
    watch.close()
