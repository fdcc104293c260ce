"""The app as a process of its own, for tests that kill it: ``system_app.py PORT``, set up by its environment.

Its handlers write when they began and ended into the table ``seen``.
"""

import logging
import os
import signal
import sys
import threading
import time

import sqlalchemy as sa
from pydantic import BaseModel

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.bootstrap.schedulers import open_queues
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.limits import Limits
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.devhost.host.queue_settings import read_queue_settings
from jobs.entrypoints.devhost.signals import wait_for
from jobs.entrypoints.functions import build_app
from jobs.settings import Settings
from tests.support import ROOT

BEGAN = sa.text(
    "insert into seen (job_id, run, attempt, due_at, process) values (:job_id, :run, :attempt, :due_at, :process) "
    "returning id"
)
ENDED = sa.text("update seen set ended_at = clock_timestamp() where id = :id")


DEATH = 86


class Work(BaseModel):
    seconds: float = 0.0


def main(port: int) -> None:
    settings = Settings.read()
    database = Database(database_options(settings))

    def handle(args: Work, ctx: JobContext) -> None:
        values = {"run": ctx.run, "attempt": ctx.attempt, "due_at": ctx.scheduled_for, "process": os.getpid()}
        with database.engine.begin() as connection:
            [(row,)] = connection.execute(BEGAN, values | {"job_id": ctx.job_id})
        time.sleep(args.seconds)
        with database.engine.begin() as connection:
            connection.execute(ENDED, {"id": row})

    def poison(args: Work) -> None:
        time.sleep(args.seconds)
        os._exit(DEATH)

    registry = HandlerRegistry()
    registry.add_handler("Poison", poison)
    registry.add_handler("Work", handle)
    registry.add_handler("TwoAtOnce", handle, limits=Limits(concurrency=2))
    runtime = build_runtime(settings, registry)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    host = DevHost(
        build_app(lambda: runtime, settings),
        port=port,
        route_prefix="",
        threads=64,
        open_queues=open_queues,
        queue_settings=read_queue_settings(ROOT / "host.json"),
    )
    with host:
        wait_for(stop)
        host.stop(2)
        runtime.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    main(int(sys.argv[1]))
