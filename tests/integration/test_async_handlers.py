"""Async handlers under a real worker: many threads, one event loop, one client for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from jobs.core.decorators import ProviderOptions, Scope
from jobs.core.status import JobStatus
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
