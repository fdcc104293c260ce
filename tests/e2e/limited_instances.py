"""Instances that run handlers with limits: ``limited_instances.py DATABASE_URL INSTANCES DEATHS``.

Each is a fork of this process. They drain and reconcile until every job has ended; meanwhile so many of them are
killed. A handler notes in the table ``work`` from when until when it was at work, by the database's clock, within a
transaction of its own each.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from pydantic import BaseModel

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.limits import Limits, Rate
from jobs.settings import Settings

CONCURRENCY = 3
PER_KEY = 2
RATE = Rate(40, timedelta(seconds=0.5))
WORK_SECONDS = 0.005
LEASE_SECONDS = 20  # so long that a stalled instance keeps it: limits count leases, and hold no handler back
LIMITS = {
    "AtOnce": Limits(concurrency=CONCURRENCY),
    "ByKey": Limits(concurrency_key=lambda args: args.key, per_key=PER_KEY),
    "ByRate": Limits(rate=RATE),
}


class Args(BaseModel):
    key: str = ""


def registry_on(database: Database | None) -> HandlerRegistry:
    """The handlers, writing to ``database``; without one they can only be enqueued for."""

    def handle(args: Args, ctx: JobContext) -> None:
        assert database is not None
        values = {"job": ctx.job_id, "handler": ctx.handler_name, "key": args.key, "attempt": ctx.attempt}
        with database.engine.begin() as connection:
            [began] = connection.execute(
                sa.text(
                    "insert into work (job, handler, key, began) values (:job, :handler, :key, clock_timestamp()) "
                    "returning id"
                ),
                values,
            ).one()
        time.sleep(WORK_SECONDS)
        with database.engine.begin() as connection:
            connection.execute(sa.text("update work set ended = clock_timestamp() where id = :id"), {"id": began})

    registry = HandlerRegistry()
    for name, limits in LIMITS.items():
        registry.add_handler(name, handle, limits=limits)
    return registry


def work(database_url: str) -> None:
    settings = Settings(
        database_url=database_url,
        database_pool_size=4,  # 80 in all; the server has a hundred
        concurrency=6,
        lease_seconds=LEASE_SECONDS,
        environment="Development",
    )
    database = Database(replace(database_options(settings), pool_timeout_seconds=60))
    runtime = build_runtime(settings, registry_on(database), database)
    try:
        going_on = True
        while going_on:
            with suppress(StoreUnavailable):  # as a timer's tick ends where the database is away: the next one goes on
                runtime.worker.drain(0.5)
                runtime.reconciler.run()
                stands = runtime.housekeeping.stats()["jobs"]
                going_on = bool(stands.get("Scheduled") or stands.get("Running"))
            time.sleep(0.05)
    finally:
        runtime.close()


def main(database_url: str, instances: int, deaths: int) -> None:
    randomly = random.Random(2026)
    alive = set()
    for _ in range(instances):
        child = os.fork()
        if child == 0:
            try:
                work(database_url)
            except BaseException as error:  # noqa: BLE001  a fork must not go on as its parent
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        alive.add(child)
    for _ in range(deaths):
        time.sleep(randomly.uniform(0.3, 0.6))
        victim = randomly.choice(sorted(alive))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        alive.remove(victim)
    for child in alive:
        _, status = os.waitpid(child, 0)
        assert os.WEXITSTATUS(status) == 0, "an instance failed by itself"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
