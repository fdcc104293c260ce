"""Workers and the versions of the app, on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from jobs.adapters.postgres.statements.workers import worker_statements
from jobs.core.ports.workers import MOST_WORKERS, AppVersion, KnownWorker, WorkerState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.adapters.postgres.connection.database import Database

_STATE = len(WorkerState._fields)


class PostgresWorkerLog:
    """The ``WorkerLog`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str, *, reports: Database | None = None) -> None:
        """``reports`` is the pool for reports, which must not wait for others; ``database`` by default."""
        self._run = database.run
        self._run_report = (reports or database).run
        self._statements = worker_statements(schema)

    def report(self, state: WorkerState, handlers: Mapping[str, int] | None = None) -> None:
        """Write a worker's state, and with ``handlers`` the version of its app."""
        named = None if handlers is None else json.dumps(dict(handlers))
        self._run_report(self._statements.report, state._asdict() | {"handlers": named})

    def leave(self, name: str) -> None:
        """Forget a worker that ends in order."""
        self._run_report(self._statements.leave, {"name": name})

    def find(self, limit: int = MOST_WORKERS) -> list[KnownWorker]:
        """Return up to ``limit`` workers, with the leases that they hold."""
        return [_worker(row) for row in self._run(self._statements.find, {"limit": limit})]

    def versions(self) -> list[AppVersion]:
        """Return the versions of the app that are remembered, the newest first."""
        rows = self._run(self._statements.versions, {})
        return [AppVersion(row[0], row[1].astimezone(UTC), json.loads(row[2]), row[3]) for row in rows]

    def prune(self, lost_for: timedelta) -> int:
        """Forget workers that have been silent for long, and old versions."""
        [(count,)] = self._run(self._statements.prune, {"lost_for": lost_for})
        return int(count)


def _worker(row: Sequence[Any]) -> KnownWorker:
    name, app_version, lease, *rest = row[:_STATE]
    started_at, seen_at, lost, leases, oldest, handlers = row[_STATE:]
    return KnownWorker(
        WorkerState(name, app_version, timedelta(seconds=lease), *rest),
        started_at.astimezone(UTC),
        seen_at.astimezone(UTC),
        lost,
        leases,
        None if oldest is None else oldest.astimezone(UTC),
        json.loads(handlers or "{}"),
    )
