"""Contenders for one lock, each a process of its own: ``lock_contenders.py DATABASE_URL NUMBER SECONDS DEATHS TTL``.

Each is a fork of this process. It takes the lock again and again, and while it holds it notes in the table ``holdings``
from when until when, by the database's clock, within a transaction of its own each. Half of them die of SIGKILL the
second time that they hold the lock, and a new contender takes the place of each. It ends after so many seconds, or once
so many have died, whichever is later: a busy machine needs longer for them.
"""

import mmap
import os
import signal
import sys
import time
from datetime import timedelta

import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings

RESOURCE = "the one printer"
WORK_SECONDS = 0.01


def contend(database_url: str, ended: mmap.mmap, ttl: timedelta, deadly: int) -> None:
    settings = Settings(database_url=database_url, database_pool_size=4, scheduler="timer", environment="Development")
    database = Database(database_options(settings))
    lock = build_runtime(settings, HandlerRegistry(), database).lock
    times = 0
    while not ended[0]:
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


def main(database_url: str, number: int, seconds: float, deaths: int, ttl: timedelta) -> None:
    until = time.monotonic() + seconds
    ended = mmap.mmap(-1, 1)  # shared by all forks: zero while they shall go on
    alive: set[int] = set()
    born = died = 0
    while alive or not ended[0]:
        while len(alive) < number and not ended[0]:
            born += 1
            child = os.fork()
            if child == 0:
                try:
                    contend(database_url, ended, ttl, deadly=2 if born % 2 == 0 else 0)
                except BaseException:  # noqa: BLE001  a fork must not go on as its parent
                    os._exit(1)
                os._exit(0)
            alive.add(child)
        if died >= deaths and time.monotonic() >= until:
            ended[0] = 1
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(WORK_SECONDS)
            continue
        alive.remove(child)
        died += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a contender failed by itself"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), timedelta(seconds=float(sys.argv[5])))
