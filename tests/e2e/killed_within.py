"""Workers that are killed amid a unit of work: ``killed_within.py DATABASE_URL TIMES``.

Each is a fork of this process, so that it costs milliseconds, and runs the alarm of one job, named by its number, whose
handler writes a row and completes the job in one unit of work. The fork kills itself with SIGKILL at its own boundary:
just before something is sent to the database, or just after, before the answer is read. The boundaries are gone
through in turn. What became of them is printed as JSON.
"""

import json
import os
import signal
import sys
from collections import Counter
from random import Random
from typing import Any
from uuid import UUID

import pg8000.core

from jobs.adapters.postgres.connection import database
from jobs.bootstrap import build_runtime
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.settings import Settings
from tests.support import Anything, handle_alarm, note

_HOST_SETTINGS = {"concurrency": 1, "scheduler": "timer", "environment": "Development"}


def write_and_complete(args: Anything, ctx: JobContext) -> None:
    with ctx.unit_of_work() as uow:
        note(uow, ctx.job_name)
        uow.complete()


def registry() -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.add_handler("Work", write_and_complete)
    return registry


class Boundaries:
    """Counts the boundaries as they are passed, and dies at a given one."""

    def __init__(self, deadly: int | None) -> None:
        self._deadly = deadly
        self.passed = 0

    def __call__(self) -> None:
        if self.passed == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def watch(self) -> None:
        """Watch the two ways by which anything is sent: the driver's, and our own exchange of one statement."""
        flush = pg8000.core._flush

        def flush_watched(sock: Any) -> None:
            self()
            flush(sock)
            self()

        pg8000.core._flush = flush_watched
        exchange = database.exchange

        def exchange_watched(connection: Any, *args: Any, **kwargs: Any) -> Any:
            self()
            connection._usock = _Channel(connection._usock, self)
            try:
                return exchange(connection, *args, **kwargs)
            finally:
                connection._usock = connection._usock.socket

        database.exchange = exchange_watched


class _Channel:
    def __init__(self, socket: Any, boundary: Boundaries) -> None:
        self.socket, self._boundary = socket, boundary
        self.recv = socket.recv

    def sendall(self, data: bytes) -> None:
        self.socket.sendall(data)
        self._boundary()


def run_one(database_url: str, job_id: UUID, deadly: int | None) -> int:
    """Run one job in a fork; gives the boundaries that it passed, -1 if it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        runtime = build_runtime(Settings(database_url=database_url, lease_seconds=1, **_HOST_SETTINGS), registry())
        boundaries = Boundaries(deadly)
        runtime.clock.now()  # so that the connection stands before they are counted
        boundaries.watch()
        handle_alarm(runtime, AlarmName(job_id, 1))
        boundaries()
        os.write(writing, str(boundaries.passed).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    passed = os.read(reading, 100)
    os.close(reading)
    if os.WIFSIGNALED(status):
        return -1
    assert os.WEXITSTATUS(status) == 0, "the worker failed by itself"
    return int(passed)


def main(database_url: str, ids: list[UUID]) -> None:
    boundaries = run_one(database_url, ids[0], None)
    order = list(range(boundaries))
    Random(7).shuffle(order)
    ends = Counter(run_one(database_url, job_id, order[n % boundaries]) for n, job_id in enumerate(ids[1:]))
    print(json.dumps({"boundaries": boundaries, "killed": ends[-1], "survived": ends.total() - ends[-1]}))


if __name__ == "__main__":
    main(sys.argv[1], [UUID(line) for line in sys.stdin.read().split()])
