"""What the storage queue costs and gives: ``python -m tests.benchmarks.queue``, with Azurite installed.

Enqueue and arm through the service, beside what the bare put and the bare insert would give one after the other, all
32-way in one run; the time from an enqueue to the start of its handler, and the storage transactions of a job; the
same jobs on one, two and four instances, by the queue and by the timer that asks for help; a burst of tiny jobs, by the
queue and by the timer; and alarms a month ahead, which are set as they come near. Ratios are what counts: the emulator
is slower than the service.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.adapters.schedulers.queue import QueueScheduler
from jobs.bootstrap import build_runtime
from jobs.bootstrap.schedulers import open_queues
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
from tests.e2e.queue_system import QueueSystem
from tests.support import new_job

SOON = timedelta(minutes=9)
SCALE_OUT = {
    "JOBS_SCHEDULER": "timer",
    "JOBS_SCALE_OUT": "true",
    "JOBS_POLL_BUDGET_SECONDS": "20",
    "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "0",
}
PARTS = ("latency", "spread", "burst", "enqueues", "ahead")
NEVER = {"JOBS_POLL_SCHEDULE": "0 0 0 29 2 *"}  # the timer runs on one instance at a time


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.queue", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all of them if left out")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each figure (default 3)")
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs of each round of enqueues")
    parser.add_argument("--burst", type=int, default=10_000, help="tiny jobs that are due at one second")
    parser.add_argument("--ahead", type=int, default=100_000, help="alarms a month ahead")
    options = parser.parse_args()
    with (
        migrated_database() as (folder, url, database),
        QueueSystem(url, database.engine, folder, access_log=True) as system,
    ):
        for line in _measure(system, database, url, options):
            print(line, flush=True)
    return 0


def _measure(system: QueueSystem, database: Database, url: str, options: argparse.Namespace) -> Iterator[str]:
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "latency": lambda: _latency(system),
        "spread": lambda: _spread(system, options.rounds),
        "burst": lambda: _burst(system, options.burst),
        "enqueues": lambda: _enqueues(system, database, url, options.rounds, options.jobs),
        "ahead": lambda: _ahead(system, database, options.ahead),
    }
    for name in options.parts or PARTS:
        system.stop_app()
        system.start_app()
        yield from parts[name]()


def _empty(system: QueueSystem) -> None:
    system.sql("truncate seen, jobs.jobs, jobs.job_attempts, jobs.job_audit")
    system.queue.create()
    system.queue.clear()


def _completed(system: QueueSystem, count: int) -> None:
    until = time.monotonic() + 300
    while not system.completed(count) and time.monotonic() < until:
        time.sleep(0.05)


def _latency(system: QueueSystem, jobs: int = 200) -> Iterator[str]:
    system.enqueue("warm")
    _completed(system, 1)
    _empty(system)
    before = _requests(system)
    for number in range(jobs):
        system.enqueue(f"once {number}")
        time.sleep(0.01)
    _completed(system, jobs)
    time.sleep(2)  # for the last message to be deleted
    yield time_to_handler(system)
    yield f"  {_transactions(system, before, jobs)}"
    _empty(system)
    before = _requests(system)
    system.enqueue_many([f"at once {number}" for number in range(jobs)])
    _completed(system, jobs)
    time.sleep(2)
    yield f"  {_transactions(system, before, jobs)}, where they are enqueued at once"


def _requests(system: QueueSystem) -> dict[str, int]:
    return {kind: system.requests(kind) for kind in ("POST", "GET", "DELETE")}


def _transactions(system: QueueSystem, before: dict[str, int], jobs: int) -> str:
    """How many storage transactions a job took. Each has a put, a get and a delete; other gets found nothing."""
    made = {kind: count - before[kind] for kind, count in _requests(system).items()}
    empty = made["GET"] - jobs
    each = (sum(made.values()) - empty) / jobs
    return f"{each:.2f} storage transactions a job, and {empty / jobs:.2f} polls that found nothing"


def _spread(system: QueueSystem, rounds: int, jobs: int = 96) -> Iterator[str]:
    yield f"{jobs} jobs of a second on 16 slots an instance, seconds, median of {rounds}; the least are {jobs / 16:.0f}"
    for name, settings, others in (("queue", {}, {}), ("timer + scale out", SCALE_OUT, SCALE_OUT | NEVER)):
        for instances in (1, 2, 4):
            system.stop_app()
            system.start_app(**settings)
            system.start_more(instances - 1, **others)
            took = []
            for _ in range(rounds):
                _empty(system)
                system.enqueue_many([f"job {number}" for number in range(jobs)], seconds=1.0)
                _completed(system, jobs)
                [(seconds,)] = system.sql("select extract(epoch from max(ended_at) - min(began_at)) from seen")
                took.append(float(seconds))
            shares = [count for (count,) in system.sql("select count(*) from seen group by process order by 1")]
            system.stop_more()
            yield f"  {name:<18}{instances} instances: {median(took):5.1f}  shared {shares}"


def _burst(system: QueueSystem, jobs: int) -> Iterator[str]:
    by_queue, told = _burst_once(system, jobs)
    system.stop_app()
    system.start_app(JOBS_SCHEDULER="timer", JOBS_POLL_BUDGET_SECONDS="50")
    by_timer, _ = _burst_once(system, jobs)
    yield f"{jobs} tiny jobs due at one second: {by_queue:.0f}/s by the queue, {by_timer:.0f}/s by the timer"
    yield f"  {told}"


def _burst_once(system: QueueSystem, jobs: int) -> tuple[float, str]:
    _empty(system)
    due = (datetime.now(UTC) + timedelta(seconds=max(30, jobs / 80))).isoformat()
    for first in range(0, jobs, 500):
        system.enqueue_many([f"job {number}" for number in range(first, first + 500)], schedule=due)
    connections = 0
    until = time.monotonic() + 300
    while not system.completed(jobs) and time.monotonic() < until:
        text = "select count(*) from pg_stat_activity where backend_type = 'client backend'"
        connections = max(connections, int(system.sql(text)[0][0]))
        time.sleep(0.1)
    [(seconds,)] = system.sql("select extract(epoch from max(ended_at) - min(began_at)) from seen")
    return jobs / float(seconds), f"at most {connections} database connections, the benchmark's own included"


def _enqueues(system: QueueSystem, database: Database, url: str, rounds: int, jobs: int) -> Iterator[str]:
    system.stop_app()
    settings = {"Azurite": system.azurite.connection_string}
    scheduler = QueueScheduler(*open_queues("Azurite", "jobs-enqueue", settings), lambda: datetime.now(UTC))
    queue = open_queues("Azurite", "jobs-bare", settings)[0]
    queue.create()
    runtime = build_runtime(
        Settings(database_url=url, scheduler="queue", database_pool_size=CALLERS),
        registry_of_work(),
        scheduler=scheduler,
    )

    def put(_: int) -> None:
        queue.put(f"{new_id().hex}-1", visible_in=540)

    def service(_: int) -> None:
        runtime.service.enqueue(EnqueueJob(handler_name="Work", job_name=f"service {new_id()}", schedule="PT9M"))

    ways = {"put": put, "insert": bare_insert(database, SOON), "service": service}
    yield from side_by_side(ways, "put", rounds, jobs)
    runtime.close()
    queue.close()


def _ahead(system: QueueSystem, database: Database, alarms: int) -> Iterator[str]:
    """Have the reconciler set alarms as they come within the horizon, at a pace of 200 a second."""
    system.stop_app()
    _empty(system)
    at = datetime.now(UTC) + timedelta(days=30)
    rows = (new_job(f"ahead {n}", handler_name="Work", due_at=at, scheduled_for=at) for n in range(alarms))
    PostgresJobStore(database, "jobs").insert_many(rows)
    system.sql("analyze jobs.jobs")
    system.start_app()
    time.sleep(6)  # three reconciliations
    yield f"{alarms} alarms a month ahead: {system.queue.count()} messages"
    system.sql("update jobs.jobs set next_run_at = now() + interval '599 seconds' + random() * interval '30 seconds' "
               "where id in (select id from jobs.jobs order by id limit 6000)")  # fmt: skip
    began, waiting = time.monotonic(), 6_000
    while waiting and time.monotonic() < began + 120:
        time.sleep(0.2)
        [(waiting,)] = system.sql(
            "select count(*) from jobs.jobs where armed_at is null and next_run_at < now() + interval '9 minutes'"
        )
        [(set_,)] = system.sql("select count(*) from jobs.jobs where armed_at is not null")
        waiting = 6_000 - set_
    yield f"  6000 that come near within 30 s are set within {time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
