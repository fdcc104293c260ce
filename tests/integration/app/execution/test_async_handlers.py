"""Async handlers under a real worker: many threads, one event loop, one client for all of them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from jobs.app.execution.services.event_loop import EventLoops
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.marking.decorators import ProviderOptions, Scope
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, job, until


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, which is what a loop that ends would spoil

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_http_client_as_service_of_the_app_serves_forty_of_forty_async_runs(make_runtime, registry, shop):
    closed_on, loops, threads = [], set(), set()

    async def client() -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=shop) as client:
            yield client
        closed_on.append(asyncio.get_running_loop())

    async def handle(args: Anything, client: httpx.AsyncClient) -> None:
        answer = await client.get("/")
        answer.raise_for_status()
        loops.add(asyncio.get_running_loop())
        threads.add(threading.current_thread().name)

    registry.add_provider(client, ProviderOptions(Scope.APP))
    registry.add_handler("Fetch", handle)
    runtime = make_runtime(concurrency=8)
    ids = [runtime.service.enqueue(job(f"{n}", "Fetch")).id for n in range(40)]
    runtime.worker.drain(60)
    until(lambda: all(runtime.service.get(each).status.ended for each in ids))
    assert {runtime.service.get(each).status for each in ids} == {JobStatus.COMPLETED}
    assert [runtime.service.attempts(each)[0].attempt for each in ids] == [1] * 40
    assert (len(loops), threads) == (1, {"jobs-async"})
    assert closed_on == []
    runtime.close()
    assert closed_on == [*loops], "it is closed as the app ends, on the loop that opened it"


def test_handlers_that_await_run_side_by_side_on_the_one_loop(make_runtime, registry):
    meeting = []
    everyone = asyncio.Event()

    async def handle(args: Anything) -> None:
        meeting.append(1)
        if len(meeting) == 4:
            everyone.set()
        await everyone.wait()

    registry.add_handler("Meet", handle)
    runtime = make_runtime(concurrency=4)
    ids = [runtime.service.enqueue(job(f"{n}", "Meet")).id for n in range(4)]
    runtime.worker.drain(60)
    until(lambda: all(runtime.service.get(each).status is JobStatus.COMPLETED for each in ids))


def test_an_async_handler_that_blocks_the_loop_does_not_keep_later_attempts_from_running(make_runtime, registry):
    end = threading.Event()
    began = threading.Event()

    async def block(args: Anything) -> None:
        began.set()
        end.wait(300)

    async def handle(args: Anything) -> None:
        await asyncio.sleep(0)

    registry.add_handler("Block", block)
    registry.add_handler("Work", handle)
    runtime = make_runtime(concurrency=2)
    runtime.injector.loops = EventLoops(blocked_after_seconds=0.2)
    try:
        blocking = runtime.service.enqueue(job("block", "Block")).id
        answer = runtime.pool.handle_alarm(AlarmName(blocking, 1))
        began.wait(60)
        ids = [runtime.service.enqueue(job(f"{n}", "Work")).id for n in range(5)]
        until(
            lambda: (
                runtime.worker.drain(0.5)
                and all(runtime.service.get(each).status is JobStatus.COMPLETED for each in ids)
            )
        )
        assert not answer.done()
    finally:
        end.set()
    answer.result(60)
    assert runtime.service.get(blocking).status is JobStatus.COMPLETED


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_context_variable_that_an_attempt_sets_is_not_there_in_the_next_on_its_thread(make_runtime, registry, kind):
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    seen = []

    def around(ctx: JobContext, call_next: Callable[[], None]) -> None:
        seen.append(variable.get())
        variable.set("of the middleware")
        call_next()

    def handle(args: Anything) -> None:
        seen.append(variable.get())
        variable.set("of the handler")

    async def handle_async(args: Anything) -> None:
        handle(args)

    registry.add_middleware(around)
    registry.add_handler("Work", handle if kind == "sync" else handle_async)
    runtime = make_runtime(concurrency=1)
    ids = [runtime.service.enqueue(job(f"{n}", "Work")).id for n in range(3)]
    runtime.worker.drain(60)
    until(lambda: all(runtime.service.get(each).status is JobStatus.COMPLETED for each in ids))
    assert seen == ["nothing", "of the middleware"] * 3
