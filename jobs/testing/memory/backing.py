"""A harness's store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError
from jobs.testing.backing import EndedAttempt, Stores
from jobs.testing.memory.audit import MemoryAuditLog
from jobs.testing.memory.database import MemoryDatabase
from jobs.testing.memory.failures import MemoryFailureLog
from jobs.testing.memory.jobs import MemoryJobStore
from jobs.testing.memory.locks import MemoryLockStore
from jobs.testing.memory.operations import MemoryOperations
from jobs.testing.memory.rows import job_of
from jobs.testing.memory.runs import MemoryRunStore
from jobs.testing.memory.transactions import MemoryTransactions
from jobs.testing.memory.upkeep.housekeeping import MemoryHousekeeping
from jobs.testing.memory.upkeep.series import MemorySeries
from jobs.testing.memory.upkeep.setbacks import MemorySetbacks
from jobs.testing.memory.workers import MemoryWorkerLog

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from jobs.core.lifecycle.job import ClaimedRun, Job
    from jobs.core.transactions.sql import Connection
    from jobs.testing.clock import FrozenClock


class MemoryBacking:
    """The ``Backing`` of a harness without a database."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.database = MemoryDatabase(clock)
        self.stores = Stores(
            MemoryJobStore(self.database),
            MemoryRunStore(self.database),
            MemoryHousekeeping(self.database),
            MemorySetbacks(self.database),
            MemoryLockStore(self.database),
            MemoryTransactions(self.database),
            MemoryAuditLog(self.database),
            MemorySeries(self.database),
            MemoryOperations(self.database),
            MemoryFailureLog(self.database),
            MemoryWorkerLog(self.database),
        )

    def jobs(self) -> list[Job]:
        """List every job."""
        return [job_of(row) for row in self.database.jobs.rows.values()]

    def job_ids(self) -> set[UUID]:
        """Return the ids of every job."""
        return set(self.database.jobs.rows)

    def next_due(self) -> datetime | None:
        """Return when the next waiting job falls due."""
        now = self.clock.now()
        waiting = (row.due_at for row in self.database.jobs.rows.values() if row.waiting)
        return min((moment for moment in waiting if moment > now), default=None)

    def ended(self, run: ClaimedRun) -> EndedAttempt | None:
        """Find an attempt in the history."""
        line = self.database.attempts.rows.get((run.job_id, run.token))
        return None if line is None else EndedAttempt(line.outcome, line.error, line.result)

    def transaction(self) -> AbstractContextManager[Connection]:
        """Raise ``ConfigurationError``."""
        raise ConfigurationError(
            "this harness keeps its jobs in memory and runs no SQL; take the fixture jobs_postgres, or "
            "JobsHarness(database_url=...)"
        )

    def close(self) -> None:
        """Hold nothing open."""
