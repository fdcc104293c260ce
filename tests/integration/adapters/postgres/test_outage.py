"""A database that goes away and comes back under a runtime at work: what the log says of it, from all of its loops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from jobs.adapters.postgres.connection.database import Database
from jobs.app.runtime import Runtime
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.diagnostics.outage import OutageLog
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http import operations
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from jobs.settings import Settings
from tests.support import Anything, handle_alarm, job, until
from tests.way import Way

pytestmark = pytest.mark.direct
TOKENS = CallbackTokens((), open_without_token=True)


@pytest.fixture
def way(server, database_url) -> Iterator[Way]:
    way = Way(server, database_url)
    yield way
    with suppress(FileNotFoundError):
        (way.folder / ".s.PGSQL.5432").unlink()
    way.folder.rmdir()


class Hours:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def runtime(way, registry, hours) -> Iterator[Runtime]:
    settings = Settings(database_url=way.url, concurrency=4, lease_seconds=1.5, shutdown_grace_seconds=0)
    runtime = build_runtime(settings, registry, Database(database_options(settings), OutageLog(hours)))
    yield runtime
    runtime.close()


def lines(caplog) -> list[str]:
    """What an operator sees of it."""
    return [f"{each.name}: {each.getMessage()}" for each in caplog.records if each.levelno >= logging.WARNING]


def test_an_outage_logs_its_beginning_each_minute_and_its_end_whoever_runs_into_it(
    runtime, registry, way, hours, caplog
):
    began, go_on = threading.Semaphore(0), threading.Event()

    def handle(args: Anything) -> None:
        began.release()
        go_on.wait(300)

    registry.add_handler("Work", handle)
    jobs = [runtime.service.enqueue(job(f"{n}", "Work")).job for n in range(4)]
    rung = [runtime.pool.handle_alarm(AlarmName(each.id, each.generation)) for each in jobs]
    for _ in jobs:
        began.acquire(timeout=60)
    caplog.clear()

    way.close()

    def run_into_it() -> None:
        """Do what timers, alarms and probes do."""
        tries: list[Callable[[], Any]] = [
            lambda: runtime.worker.drain(5),
            runtime.reconciler.run,
            lambda: handle_alarm(runtime, AlarmName(jobs[0].id, 2)),
            lambda: operations.ready(lambda: runtime, TOKENS),
        ]
        for each in tries:
            with suppress(StoreUnavailable):
                each()

    for _ in range(5):
        run_into_it()
    go_on.set()  # and none of the outcomes can be recorded, as none of the leases could be extended
    for each in rung:
        assert isinstance(each.exception(120), StoreUnavailable)
    assert len(lines(caplog)) == 1, lines(caplog)
    assert lines(caplog)[0].startswith("jobs.store: the database is away, what needs it is tried again: ")

    hours.now += 61
    run_into_it()
    assert len(lines(caplog)) == 2, lines(caplog)
    assert "the database has been away for 61 s" in lines(caplog)[1]

    way.open()
    hours.now += 1
    until(lambda: operations.ready(lambda: runtime, TOKENS).status_code == 200)
    until(lambda: len(lines(caplog)) == 3)
    assert "the database is back after 62.0 s" in lines(caplog)[2]

    def done() -> bool:
        runtime.reconciler.run()
        runtime.worker.drain(5)
        return {runtime.service.get(each.id).status for each in jobs} == {JobStatus.COMPLETED}

    until(done)
