"""What many tests share beside fixtures."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.commands import EnqueueJob
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.ports.jobs import NewJob
from jobs.core.transactions.unit_of_work import UnitOfWork
from jobs.settings import Settings

ROOT = Path(__file__).parents[1]
"""The checkout."""

MakeRuntime = Callable[..., Runtime]


class Anything(BaseModel):
    """Arguments that take whatever they are given."""

    model_config = ConfigDict(extra="allow")


def job(name: str = "job", handler_name: str = "Noop", **fields: Any) -> EnqueueJob:
    """A command with what a test does not care about filled in."""
    return EnqueueJob(handler_name=handler_name, job_name=name, **fields)


def new_job(job_name: str = "job", **fields: Any) -> NewJob:
    """A row to insert, with what a test does not care about filled in."""
    given = {
        "id": new_id(),
        "handler_name": "Noop",
        "job_name": job_name,
        "schedule": "@once",
        "timezone": "UTC",
        "options": None,
        "recurring": False,
        "payload": "{}",
        "metadata": "{}",
        "due_at": None,
        "scheduled_for": None,
        "anchor": None,
        "max_retries": 3,
        "timeout_seconds": None,
        "created_by": None,
        "trace_parent": None,
    }
    return NewJob(**(given | fields))


def handle_alarm(runtime: Runtime, name: AlarmName) -> AlarmOutcome:
    """Take a run along its whole path on this thread: what the worker pool does on several, and in batches."""
    pipeline = runtime.pipeline
    run = pipeline.claims.by_alarm(name) or pipeline.claims.by_alarm(name, alone=True)
    if run is None:
        return pipeline.claims.explain(name).outcome
    outcome = pipeline.execute(run)
    if outcome is not None:
        pipeline.record([outcome])
    return AlarmOutcome.RAN


PATIENCE_SECONDS = 240.0
"""How long a test waits for what it expects: so long that only a fault exceeds it, on however busy a machine."""


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, and return what it returned."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"this did not come to pass within {PATIENCE_SECONDS:g} s"
        time.sleep(0.01)
    return found


def most_at_once(spells: Iterable[Sequence[Any]]) -> int:
    """How many spells, each from when until when, overlap at most. One without an end was over as it began."""
    steps = sorted(step for began, ended in spells for step in ((began, 1), (ended or began, -1)))
    return max(itertools.accumulate(step for _, step in steps), default=0)


def instant(text: str) -> datetime:
    """An instant of an HTTP answer. Its text has a fraction only where there is one, so that texts do not compare."""
    return datetime.fromisoformat(text)


def start_children_with_default_signals() -> None:
    """Handle each signal that this process was started to ignore, by doing nothing.

    A child inherits what is ignored but not what is handled. So a child heeds a hangup or Ctrl-C also where the tests
    run under ``nohup`` or in the background of a script.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def options_for(url: str, **options: Any) -> DatabaseOptions:
    """How to reach a test's database, which may be through PgBouncer."""
    return DatabaseOptions(url, pgbouncer=Settings().database_pgbouncer, **options)


def note(uow: UnitOfWork, text: str) -> None:
    """Write what the ``notes`` fixture reads: an effect of a handler on the database."""
    uow.connection.execute(sa.text("insert into effects (note) values (:note)"), {"note": text})
