"""An application that enqueues in its own transaction and is killed: ``enqueue_and_die.py DATABASE_URL WHEN``.

``WHEN`` is ``amid the transaction``, ``as it commits`` or ``before arming``: the death comes before COMMIT is sent, as
the framework hears that it is about to be, or between the commit and the alarm, by SIGKILL.
"""

import os
import signal
import sys
from typing import Any, NoReturn

import sqlalchemy as sa

from jobs import bootstrap
from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings
from jobs.testing import MemoryScheduler
from tests.support import Anything, job


def die(*_: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DeadlyScheduler(MemoryScheduler):
    """Kills its process when it is asked for an alarm: what was committed stands, and nothing else."""

    arm_many = die


def ignore(args: Anything) -> None:
    pass


def main(database_url: str, when: str) -> None:
    registry = HandlerRegistry()
    registry.add_handler("Noop", ignore)
    settings = Settings(database_url=database_url, environment="Development")
    runtime = build_runtime(settings, registry, scheduler=DeadlyScheduler())
    application = Database(database_options(settings)).engine
    with application.begin() as connection:
        connection.execute(sa.text("insert into effects (note) values (:when)"), {"when": when})
        runtime.service.enqueue(job(when), connection=connection)
        if when == "amid the transaction":
            die()
        if when == "as it commits":
            runtime.alarms._store.on_commit(connection, die)
    signal.pause()  # the alarm is set by another thread


if __name__ == "__main__":
    bootstrap._logger.setLevel("ERROR")
    main(sys.argv[1], sys.argv[2])
