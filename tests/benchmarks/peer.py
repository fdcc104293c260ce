"""pgqueuer, at the best that its documentation and a search at the start of the run find for it.

As its performance guide advises: asyncpg, ``pgq autovac`` applied, a connection of its own for the queue manager. As
``pgq run`` does: uvloop. Tables are durable, its default. The drain is timed from its first dequeue to the end of its
last log statement, so neither its check of the schema nor its shutdown counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from statistics import median
from typing import Any

import asyncpg
import uvloop
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from tests.benchmarks.rounds import BATCH, Miscount, spans
from tests.benchmarks.server import Maintenance

_TABLES = ("pgqueuer", "pgqueuer_log", "pgqueuer_statistics")
_ENTRYPOINT = "noop"
_POOL = 5


@dataclass(frozen=True)
class Setup:
    """How to drain: rows per statement, queue managers side by side, and a pool or one connection for each."""

    batch: int
    managers: int = 1
    pool: bool = False

    def __str__(self) -> str:
        return f"{self.managers} x {'pool' if self.pool else 'connection'}, batch_size {self.batch}"


_TRIES = 5
SETUPS = (
    Setup(500),
    Setup(1000),
    Setup(2000),
    Setup(500, managers=2),
    Setup(2000, pool=True),
    Setup(1000, managers=2, pool=True),
)


@dataclass
class _TimedQueries(Queries):
    began: float = 0.0
    ended: float = 0.0

    async def dequeue(self, *args: Any, **named: Any) -> list[Job]:
        self.began = self.began or time.perf_counter()
        return await super().dequeue(*args, **named)

    async def log_jobs(self, job_status: list[Any]) -> None:
        await super().log_jobs(job_status)
        self.ended = time.perf_counter()


async def _noop(job: Job) -> None:
    pass


class Peer:
    name = "pgqueuer"

    def __init__(self, url: str) -> None:
        logging.getLogger("pgqueuer").setLevel(logging.WARNING)
        self._url = url
        self._maintenance = Maintenance(url)
        self._loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._connection: asyncpg.Connection = self._loop.run(asyncpg.connect(url))
        self._queries = Queries(AsyncpgDriver(self._connection))
        self._loop.run(self._queries.install())
        self._loop.run(self._queries.optimize_autovacuum())
        self._setup = SETUPS[0]
        self._tuned = False
        self.versions = f"pgqueuer {version('pgqueuer')} on asyncpg {version('asyncpg')}, uvloop {version('uvloop')}"

    @property
    def configuration(self) -> str:
        drain = f"drains with {self._setup}, the best of those below; " if self._tuned else ""
        return f"{drain}`pgq autovac` applied, durable tables, its log as by default"

    def tune(self, jobs: int, drain_once: Callable[[], float]) -> list[str]:
        """Drain several times with every setup, in turn, and keep the one with the fastest median, as in the table."""
        seconds: dict[Setup, list[float]] = {setup: [] for setup in SETUPS}
        for self._setup in SETUPS * _TRIES:
            seconds[self._setup].append(drain_once())
        medians = {setup: median(times) for setup, times in seconds.items()}
        self._setup = min(medians, key=lambda setup: medians[setup])
        self._tuned = True
        return [f"pgqueuer with {setup}: {jobs / found:,.0f} jobs/s" for setup, found in medians.items()]

    def empty(self) -> None:
        self._maintenance.empty(*_TABLES)

    def fill(self, jobs: int) -> None:
        self.bulk(jobs)
        self._maintenance.analyze(*_TABLES)

    def drain(self, jobs: int) -> float:
        return self._loop.run(self._drain())

    async def _drain(self) -> float:
        async with AsyncExitStack() as stack:
            timed = [await self._open(stack) for _ in range(self._setup.managers)]
            await asyncio.gather(*(self._manage(queries) for queries in timed))
        return max(queries.ended for queries in timed) - min(queries.began for queries in timed)

    async def _open(self, stack: AsyncExitStack) -> _TimedQueries:
        """Connect, and have each connection learn the types and statements that a long-lived one would know."""
        if self._setup.pool:
            pool = await stack.enter_async_context(
                asyncpg.create_pool(self._url, min_size=_POOL, max_size=_POOL, init=_warm)
            )
            return _TimedQueries(AsyncpgPoolDriver(pool))
        connection = await asyncpg.connect(self._url)
        stack.push_async_callback(connection.close)
        await _warm(connection)
        return _TimedQueries(AsyncpgDriver(connection))

    async def _manage(self, queries: _TimedQueries) -> None:
        manager = QueueManager(queries)
        manager.entrypoint(_ENTRYPOINT)(_noop)
        await manager.run(
            batch_size=self._setup.batch,
            mode=QueueExecutionMode.drain,
            dequeue_timeout=timedelta(seconds=0.1),
        )

    def single(self, jobs: int) -> float:
        async def enqueue_all() -> None:
            enqueue = self._queries.enqueue
            for n in range(jobs):
                await enqueue(_ENTRYPOINT, _payload(n))

        return self._loop.run(_timed(enqueue_all))

    def bulk(self, jobs: int) -> float:
        async def enqueue_all() -> None:
            enqueue = self._queries.enqueue
            for numbers in spans(jobs, BATCH):
                await enqueue(*_batch(numbers))

        return self._loop.run(_timed(enqueue_all))

    def bulk_built(self, jobs: int) -> float:
        batches = [_batch(numbers) for numbers in spans(jobs, BATCH)]

        async def enqueue_all() -> None:
            enqueue = self._queries.enqueue
            for batch in batches:
                await enqueue(*batch)

        return self._loop.run(_timed(enqueue_all))

    def check_enqueued(self, jobs: int) -> None:
        self._expect({"queued": jobs}, {"queued": jobs})

    def check_drained(self, jobs: int) -> None:
        self._expect({}, {"queued": jobs, "picked": jobs, "successful": jobs})

    def _expect(self, in_queue: dict[str, int], in_log: dict[str, int]) -> None:
        queue = self._maintenance.counts("select status, count(*) from pgqueuer group by 1")
        log = self._maintenance.counts("select status, count(*) from pgqueuer_log group by 1")
        if (queue, log) != (in_queue, in_log):
            raise Miscount(f"pgqueuer: expected {in_queue} and the log {in_log}, found {queue} and {log}")

    def close(self) -> None:
        self._loop.run(self._connection.close())
        self._loop.close()
        self._maintenance.close()


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _warm(connection: asyncpg.Connection) -> None:
    """Dequeue and log nothing, so that no timed statement waits for asyncpg to look up the queue's types."""
    queries = Queries(AsyncpgDriver(connection))
    manager = QueueManager(queries)
    await queries.dequeue(1, {}, manager.queue_manager_id, None, timedelta(seconds=30))
    await queries.log_jobs([])


def _payload(n: int) -> bytes:
    return f'{{"n": {n}}}'.encode()


def _batch(numbers: range) -> tuple[list[str], list[bytes | None], list[int]]:
    return [_ENTRYPOINT] * len(numbers), [_payload(n) for n in numbers], [0] * len(numbers)
