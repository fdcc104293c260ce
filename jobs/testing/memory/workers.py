"""Workers and the versions of the app, in memory."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING

from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.workers import KEPT_VERSIONS, MOST_WORKERS, AppVersion, KnownWorker
from jobs.testing.memory.worker_rows import VersionRow, WorkerRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from jobs.core.ports.workers import WorkerState
    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction


class MemoryWorkerLog:
    """The ``WorkerLog`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def report(self, state: WorkerState, handlers: Mapping[str, int] | None = None) -> None:
        """Write a worker's state, and with ``handlers`` the version of its app."""
        workers, versions = self._database.workers, self._database.app_versions
        with self._database.statement() as transaction:
            now, known = transaction.now, transaction.get(workers, state.name)
            transaction.put(workers, state.name, WorkerRow(state, known.started_at if known else now, now))
            if handlers is not None:
                before = transaction.get(versions, state.app_version)
                first_seen_at = before.first_seen_at if before else now
                transaction.put(versions, state.app_version, VersionRow(state.app_version, first_seen_at, {**handlers}))

    def leave(self, name: str) -> None:
        """Forget a worker that ends in order."""
        with self._database.statement() as transaction:
            transaction.put(self._database.workers, name, None)

    def find(self, limit: int = MOST_WORKERS) -> list[KnownWorker]:
        """Return up to ``limit`` workers, with the leases that they hold."""
        with self._database.statement() as transaction:
            jobs = [job for job in transaction.all(self._database.jobs) if job.status is JobStatus.RUNNING]
            running = nsmallest(COUNT_TO, jobs, key=attrgetter("id"))
            found = []
            for row in transaction.all(self._database.workers):
                held = [job for job in running if job.worker == row.state.name]
                oldest = min((job.started_at for job in held if job.started_at), default=None)
                handlers = Counter(job.handler_name for job in held)
                lost = _is_lost(row, transaction.now)
                found.append(KnownWorker(row.state, row.started_at, row.seen_at, lost, len(held), oldest, {**handlers}))
        return nsmallest(limit, found, key=lambda each: (each.lost, each.state.name))

    def versions(self) -> list[AppVersion]:
        """Return the versions of the app that are remembered, the newest first."""
        with self._database.statement() as transaction:
            workers, now = list(transaction.all(self._database.workers)), transaction.now
            versions = self._newest_first(transaction)
        running = Counter(row.state.app_version for row in workers if not _is_lost(row, now))
        return [AppVersion(*row, running[row.version]) for row in versions[: KEPT_VERSIONS + MOST_WORKERS]]

    def prune(self, lost_for: timedelta) -> int:
        """Forget workers that have been silent for long, and old versions."""
        with self._database.statement() as transaction:
            workers = list(transaction.all(self._database.workers))
            gone = [row for row in workers if row.seen_at < transaction.now - lost_for]
            for row in gone:
                transaction.put(self._database.workers, row.state.name, None)
            running = {row.state.app_version for row in workers}
            for old in self._newest_first(transaction)[KEPT_VERSIONS:]:
                if old.version not in running:
                    transaction.put(self._database.app_versions, old.version, None)
        return len(gone)

    def _newest_first(self, transaction: MemoryTransaction) -> list[VersionRow]:
        rows = transaction.all(self._database.app_versions)
        return sorted(rows, key=lambda row: (row.first_seen_at, row.version), reverse=True)


def _is_lost(row: WorkerRow, now: datetime) -> bool:
    return row.seen_at < now - 2 * row.state.lease
