"""What Dapr costs: ``python -m tests.benchmarks.dapr``, with scheduler and daprd installed.

Enqueue and arm through the service, beside what the SDK's bare call and the bare insert would give one after the other,
all 32-way in one run; the same over HTTP; and the time from an enqueue to the start of its handler.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.core.commands import EnqueueJob
from jobs.core.lifecycle.ids import new_id
from jobs.settings import Settings
from tests.benchmarks.enqueuing import (
    CALLERS,
    bare_insert,
    migrated_database,
    registry_of_work,
    side_by_side,
    time_to_handler,
)
from tests.e2e.dapr_system import DaprSystem

TOMORROW = timedelta(days=1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dapr", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--jobs", type=int, default=2_000, help="jobs of each round")
    options = parser.parse_args()
    with migrated_database() as (folder, url, database), DaprSystem(url, database.engine, folder) as system:
        for line in _measure(system, database, url, options.rounds, options.jobs):
            print(line, flush=True)
    return 0


def _measure(system: DaprSystem, database: Database, url: str, rounds: int, jobs: int) -> Iterator[str]:
    os.environ.update(system.dapr.environment)  # read by the SDK when it is imported, which is now
    from dapr.clients.grpc._jobs import ConstantFailurePolicy, Job
    from dapr.clients.grpc.client import DaprGrpcClient

    settings = Settings(database_url=url, scheduler="dapr", database_pool_size=CALLERS)
    runtime = build_runtime(settings, registry_of_work())
    client = DaprGrpcClient()
    policy = ConstantFailurePolicy(max_retries=None, interval_seconds=5)
    due = (datetime.now(UTC) + TOMORROW).replace(tzinfo=None).isoformat() + "Z"
    http = httpx.Client(base_url=system.client.base_url, timeout=30, limits=httpx.Limits(max_connections=CALLERS))

    def sdk(_: int) -> None:
        client.schedule_job(Job(name=f"{new_id().hex}-1", due_time=due, failure_policy=policy))

    def service(_: int) -> None:
        runtime.service.enqueue(EnqueueJob(handler_name="Work", job_name=f"service {new_id()}", schedule="P1D"))

    def over_http(_: int) -> None:
        body = {"handler_name": "Work", "job_name": f"http {new_id()}", "schedule": "P1D"}
        assert http.post("/api/jobs", json=body).status_code == 201

    ways = {"sdk": sdk, "insert": bare_insert(database, TOMORROW), "service": service, "http": over_http}
    yield from side_by_side(ways, "sdk", rounds, jobs)
    runtime.close()
    client.close()
    http.close()
    yield _latency(system)


def _latency(system: DaprSystem, jobs: int = 200) -> str:
    for number in range(jobs):
        system.enqueue(f"once {number}")
        time.sleep(0.01)
    until = time.monotonic() + 30
    while system.sql("select count(*) from seen") != [(jobs,)] and time.monotonic() < until:
        time.sleep(0.1)
    return time_to_handler(system)


if __name__ == "__main__":
    sys.exit(main())
