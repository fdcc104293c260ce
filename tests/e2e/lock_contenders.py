"""Contenders for one lock, each a process of its own: ``lock_contenders.py DATABASE_URL NUMBER SECONDS TTL``.

Each is a fork of this process. It takes the lock again and again for so many seconds, and while it holds it notes in
the table ``holdings`` from when until when, by the database's clock, within a transaction of its own each. Half of them
die of SIGKILL the second time that they hold the lock, and a new contender takes the place of each.
"""

import os
import signal
import sys
import time
from datetime import timedelta

import sqlalchemy as sa

from jobs.adapters.postgres.database import Database
from jobs.bootstrap import build_runtime, database_options
from jobs.core.registry import HandlerRegistry
from jobs.settings import Settings

RESOURCE = "the one printer"
WORK_SECONDS = 0.01


def contend(database_url: str, seconds: float, ttl: timedelta, deadly: int) -> None:
    settings = Settings(database_url=database_url, database_pool_size=1, scheduler="timer", environment="Development")
    database = Database(database_options(settings))
    lock = build_runtime(settings, HandlerRegistry(), database).lock
    until = time.monotonic() + seconds
    times = 0
    while time.monotonic() < until:
        with lock.acquire(RESOURCE, ttl, timedelta(seconds=60)) as handle:
            with database.engine.begin() as connection:
                connection.execute(
                    sa.text("insert into holdings (fence, pid, began) values (:fence, :pid, clock_timestamp())"),
                    {"fence": handle.fencing_token, "pid": os.getpid()},
                )
            time.sleep(WORK_SECONDS)
            times += 1
            if times == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            with database.engine.begin() as connection:
                connection.execute(
                    sa.text("update holdings set ended = clock_timestamp() where fence = :fence"),
                    {"fence": handle.fencing_token},
                )
    database.close()


def main(database_url: str, number: int, seconds: float, ttl: timedelta) -> None:
    until = time.monotonic() + seconds
    alive: set[int] = set()
    born = 0
    while alive or time.monotonic() < until:
        while len(alive) < number and time.monotonic() < until:
            born += 1
            child = os.fork()
            if child == 0:
                try:
                    contend(database_url, until - time.monotonic(), ttl, deadly=2 if born % 2 == 0 else 0)
                except BaseException:  # noqa: BLE001  a fork must not go on as its parent
                    os._exit(1)
                os._exit(0)
            alive.add(child)
        child, status = os.wait()
        alive.remove(child)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a contender failed by itself"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), timedelta(seconds=float(sys.argv[4])))
