"""Async handlers and services share one lasting event loop, which a handler that blocks it does not stop for good."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from jobs import Discard, HandlerRegistry, JobContext, RetryPolicy, provider
from jobs.app.execution.services.event_loop import EventLoop, EventLoops
from jobs.app.execution.services.injection import Injector
from jobs.core.lifecycle.handler_outcomes import ShutdownRequested
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.testing import JobsHarness
from tests.support import until


class Nothing(BaseModel):
    """No arguments."""


class Client:
    """As an HTTP client is: good on the loop that opened it, and to be closed there."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened_by = asyncio.current_task()
        self.closed_by: Any = None

    async def get(self) -> int:
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        return 200


made: list[Client] = []


@provider(scope="app", ping=lambda client: client.get())
async def client() -> AsyncIterator[Client]:
    """A client for the whole app."""
    client = Client()
    made.append(client)
    try:
        yield client
    finally:
        client.closed_by = (asyncio.current_task(), asyncio.get_running_loop())


@pytest.fixture
def registry() -> HandlerRegistry:
    made.clear()
    registry = HandlerRegistry()
    registry.add_provider(client)
    return registry


def ran(registry: HandlerRegistry, *targets: Callable[..., Any], **options: Any) -> list[Any]:
    """Run handlers one after the other in one harness."""
    for number, target in enumerate(targets):
        registry.add_handler(f"Work{number}", target, **options)
    with JobsHarness(registry) as harness:
        return [harness.run_handler(f"Work{number}") for number in range(len(targets))]


def test_an_async_service_of_the_app_serves_every_attempt_and_is_closed_on_its_loop(registry):
    async def handle(args: Nothing, client: Client) -> None:
        await client.get()

    registry.add_handler("Work", handle)
    with JobsHarness(registry) as harness:
        outcomes = {harness.run_handler("Work").check().outcome for _ in range(40)}
        assert harness.runtime.injector.faults() == {}
        assert made[0].closed_by is None
    assert outcomes == {AttemptOutcome.SUCCEEDED}
    assert len(made) == 1
    assert made[0].closed_by == (made[0].opened_by, made[0].loop), "the task that opened it closes it"


def test_an_async_ping_that_fails_makes_the_app_not_ready():
    @provider(scope="app", ping=lambda service: service.get())
    async def broken() -> Client:
        service = Client()
        service.loop = None
        return service

    registry = HandlerRegistry()
    registry.add_provider(broken)
    injector = Injector(registry)
    try:
        assert injector.faults() == {"Client": "AssertionError"}
    finally:
        injector.close()


class Session:
    """A service of one attempt."""


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [None, ValueError("no"), Discard("no"), SystemExit(1), asyncio.CancelledError()])
def test_an_async_provider_of_one_attempt_is_told_how_it_ended(kind, error):
    seen = []

    async def session() -> AsyncIterator[Session]:
        seen.append("made")
        try:
            yield Session()
        except BaseException as raised:
            seen.append(raised)
            raise
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    def handle(args: Nothing, session: Session) -> None:
        if error is not None:
            raise error

    async def handle_async(args: Nothing, session: Session) -> None:
        handle(args, session)

    registry = HandlerRegistry()
    registry.add_provider(session)
    [attempt] = ran(registry, handle if kind == "sync" else handle_async)
    assert seen == ["made", *([] if error is None else [error]), "closed"]
    assert attempt.exception is error


def test_what_an_async_provider_raises_as_it_opens_or_closes_fails_the_attempt():
    async def never_opens() -> AsyncIterator[Session]:
        raise OSError("no route")
        yield Session()

    async def cannot_close() -> AsyncIterator[Session]:
        yield Session()
        raise OSError("could not commit")

    async def handle(args: Nothing, session: Session) -> None:
        pass

    for session, says in ((never_opens, "no route"), (cannot_close, "could not commit")):
        registry = HandlerRegistry()
        registry.add_provider(session)
        [attempt] = ran(registry, handle)
        assert attempt.outcome is AttemptOutcome.FAILED
        assert says in attempt.error


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
def test_whatever_an_async_handler_raises_the_loop_goes_on(registry, error):
    async def handle(args: Nothing) -> None:
        raise error

    async def good(args: Nothing, client: Client) -> None:
        await client.get()

    bad, after = ran(registry, handle, good)
    assert bad.outcome is AttemptOutcome.FAILED
    assert bad.exception is error
    assert after.outcome is AttemptOutcome.SUCCEEDED


def test_a_task_that_nobody_awaits_does_not_end_the_loop(registry, caplog):
    async def quitter() -> None:
        raise SystemExit(3)

    async def handle(args: Nothing) -> None:
        task = asyncio.ensure_future(quitter())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()

    async def good(args: Nothing, client: Client) -> None:
        await client.get()

    _, after = ran(registry, handle, good)
    assert after.outcome is AttemptOutcome.SUCCEEDED
    assert "a task ended the event loop" in caplog.text


def test_an_async_handler_is_cancelled_at_its_time_out_on_the_shared_loop(registry):
    seen = []

    async def slow(args: Nothing) -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    [attempt] = ran(registry, slow, timeout=timedelta(seconds=0.05))
    assert (attempt.outcome, seen) == (AttemptOutcome.TIMED_OUT, ["cleaned up"])


# --- context variables

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_attempt_runs_in_a_fresh_context_that_its_middleware_shares(kind):
    seen = []

    def around(ctx: JobContext, call_next: Callable[[], None]) -> None:
        seen.append(variable.get())
        variable.set("of the middleware")
        call_next()

    def handle(args: Nothing) -> None:
        seen.append(variable.get())
        variable.set("of the handler")

    async def handle_async(args: Nothing) -> None:
        handle(args)

    registry = HandlerRegistry()
    registry.add_middleware(around)
    target = handle if kind == "sync" else handle_async
    variable.set("of the test")
    ran(registry, target, target)
    assert seen == ["nothing", "of the middleware"] * 2
    assert variable.get() == "of the test"


# --- a handler that blocks the loop


@pytest.fixture
def loops():
    loops = EventLoops(blocked_after_seconds=0.2)
    yield loops
    loops.close()


def test_while_a_handler_blocks_the_loop_later_attempts_run_on_another(loops, caplog):
    began, end = threading.Event(), threading.Event()

    async def block() -> None:
        began.set()
        end.wait(60)

    async def quick() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    main = loops.pick()
    usual = main.run(quick())
    with ThreadPoolExecutor() as pool:
        blocking = pool.submit(main.run, block())
        began.wait(60)
        stand_in = loops.pick()
        assert stand_in.run(quick()) is not usual
        assert loops.pick() is stand_in
        end.set()
        blocking.result(60)
    until(lambda: loops.pick() is main)
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "asyncio.to_thread" in warning.getMessage()
    assert "in block" in warning.getMessage(), "it tells where the loop is"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a task's context is not to be had before")
def test_the_handler_and_the_job_that_block_the_loop_are_named_also_where_a_task_of_the_handler_does(caplog):
    began, end = threading.Event(), threading.Event()

    async def handle(args: Nothing) -> None:
        async def block() -> None:
            began.set()
            end.wait(60)

        await asyncio.gather(asyncio.sleep(0), block())

    registry = HandlerRegistry()
    registry.add_handler("Block", handle)
    with JobsHarness(registry) as harness, ThreadPoolExecutor() as pool:
        loops = harness.runtime.injector.loops = EventLoops(blocked_after_seconds=0.2)
        blocking = pool.submit(harness.run_handler, "Block", job_name="nightly")
        began.wait(60)
        loops.pick()
        end.set()
        job = blocking.result(60).check().job
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"for 0.2 s: the handler Block of job {job.id} (nightly) blocks it" in warning


def test_on_the_stand_in_the_apps_async_services_are_made_anew(registry):
    injector = Injector(registry)
    injector.loops = EventLoops(blocked_after_seconds=0.2)
    began, end = threading.Event(), threading.Event()

    async def handle(args: Nothing, client: Client) -> None: ...

    async def block() -> None:
        began.set()
        end.wait(60)

    spec = registry.add_handler("Work", handle)

    def use() -> Client:
        loop = injector.loops.pick()
        with injector.provide(spec, loop) as (services, _):
            assert loop.run(services["client"].get()) == 200
            found: Client = services["client"]
            return found

    try:
        usual = use()
        with ThreadPoolExecutor() as pool:
            blocking = pool.submit(injector.loops.main.run, block())
            began.wait(60)
            other = use()
            assert use() is other is not usual
            end.set()
            blocking.result(60)
        until(lambda: use() is usual)
    finally:
        end.set()
        injector.close()
    assert [each.closed_by[1] for each in (usual, other)] == [usual.loop, other.loop]


# --- its end


def test_closing_cancels_what_runs_and_refuses_what_comes():
    loop = EventLoop()
    seen = []

    async def wait() -> None:
        try:
            seen.append("began")
            await asyncio.sleep(600)
        finally:
            seen.append("cleaned up")

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(loop.run, wait())
        until(lambda: seen)
        loop.close()
        assert isinstance(waiting.exception(60), asyncio.CancelledError)
    assert seen == ["began", "cleaned up"]
    with pytest.raises(ShutdownRequested):
        loop.run(wait())


def test_waiting_for_the_loop_on_its_own_thread_is_refused_with_the_mend():
    loop = EventLoop()

    async def other() -> None: ...

    async def handle() -> None:
        loop.run(other())

    try:
        with pytest.raises(RuntimeError, match="await the work instead"):
            loop.run(handle())
    finally:
        loop.close()


def test_a_never_list_works_through_a_task_group(registry):
    async def fail() -> None:
        raise KeyError("gone")

    async def handle(args: Nothing) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(600))

    [attempt] = ran(registry, handle, retry=RetryPolicy(never=(KeyError,)))
    assert attempt.job.status == "Failed"
    assert "KeyError: 'gone' (in fail, test_event_loop.py:" in attempt.error
