"""A store and all that belongs to it, in memory or on PostgreSQL, on a clock that stands still until it is moved.

PostgreSQL's clock is stopped too: its database looks for ``now()`` in a schema of ours before its own, so that both
stores can be held to the very same instants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.stores.audit import PostgresAuditLog
from jobs.adapters.postgres.stores.failures import PostgresFailureLog
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.adapters.postgres.stores.locks import PostgresLockStore
from jobs.adapters.postgres.stores.operations import PostgresOperations
from jobs.adapters.postgres.stores.runs import PostgresRunStore
from jobs.adapters.postgres.stores.transactions import PostgresTransactions
from jobs.adapters.postgres.stores.upkeep.housekeeping import PostgresHousekeeping
from jobs.adapters.postgres.stores.upkeep.series import PostgresSeries
from jobs.adapters.postgres.stores.upkeep.setbacks import PostgresSetbacks
from jobs.adapters.postgres.stores.workers import PostgresWorkerLog
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import ClaimedRun, Job, Lease, Recorded, RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.ports.audit import AuditLog
from jobs.core.ports.clock import Clock
from jobs.core.ports.failures import FailureLog
from jobs.core.ports.housekeeping import Housekeeping
from jobs.core.ports.jobs import JobStore
from jobs.core.ports.locks import LockStore
from jobs.core.ports.operations import OperationStore
from jobs.core.ports.runs import RunStore
from jobs.core.ports.series import SeriesStore
from jobs.core.ports.setbacks import Setbacks
from jobs.core.ports.transactions import Transactions
from jobs.core.ports.workers import WorkerLog
from jobs.core.queries import JobQuery
from jobs.testing import FrozenClock
from jobs.testing.memory.audit import MemoryAuditLog
from jobs.testing.memory.database import MemoryDatabase
from jobs.testing.memory.failures import MemoryFailureLog
from jobs.testing.memory.jobs import MemoryJobStore
from jobs.testing.memory.locks import MemoryLockStore
from jobs.testing.memory.operations import MemoryOperations
from jobs.testing.memory.runs import MemoryRunStore
from jobs.testing.memory.transactions import MemoryTransactions
from jobs.testing.memory.upkeep.housekeeping import MemoryHousekeeping
from jobs.testing.memory.upkeep.series import MemorySeries
from jobs.testing.memory.upkeep.setbacks import MemorySetbacks
from jobs.testing.memory.workers import MemoryWorkerLog
from tests.support import new_job

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass
class Stores:
    """Everything that the ports ask of a database; ``audit`` lists what was noted of changes, oldest first."""

    jobs: JobStore
    runs: RunStore
    housekeeping: Housekeeping
    transactions: Transactions
    locks: LockStore
    setbacks: Setbacks
    clock: Clock
    move: Callable[[datetime], object]
    audit: Callable[[], list[tuple[Any, ...]]]
    audit_log: AuditLog
    series: SeriesStore
    operations: OperationStore
    failures: FailureLog
    workers: WorkerLog
    impatient: Stores | None = None  # the same store, by a client that does not wait for locks

    def pass_time(self, by: timedelta) -> datetime:
        """Let time pass; gives the instant that is now."""
        self.move(self.clock.now() + by)
        return self.clock.now()

    def add(self, job_name: str = "job", **fields: Any) -> Job:
        """Insert a job and read it."""
        new = new_job(job_name, **fields)
        assert self.jobs.insert(new) is not None
        return self.read(new.id)

    def read(self, job_id: Any) -> Job:
        found = self.jobs.get(job_id)
        assert found is not None
        return found

    def names(self, **query: Any) -> list[str]:
        return sorted(job.job_name for job in self.jobs.find(JobQuery(**query)).jobs)

    def claim(self, job: Job, worker: str = "worker") -> ClaimedRun:
        """Claim a job that is due."""
        run = self.runs.claim(AlarmName(job.id, job.generation), worker=worker, lease=LEASE)
        assert run is not None
        return run

    def running(self, job_name: str = "job", **fields: Any) -> ClaimedRun:
        return self.claim(self.add(job_name, **fields))

    def claim_due(self, limit: int = 10) -> list[ClaimedRun]:
        return self.runs.claim_due(limit, worker="worker", lease=LEASE)

    def finish(self, run: ClaimedRun, connection: object | None = None, **fields: Any) -> list[Recorded]:
        """Record a plain success, or what ``fields`` say instead."""
        return self.runs.record([self.ended(run, **fields)], connection=connection)

    def ended(self, run: ClaimedRun, result: RunResult | None = None, **fields: Any) -> RecordedOutcome:
        now = self.clock.now()
        known = {"attempt": run.attempt, "tally": Tally.RESET} | fields
        succeeded = RunResult(AttemptOutcome.SUCCEEDED)
        return RecordedOutcome(run, result or succeeded, known.pop("status", JobStatus.COMPLETED), now, now, **known)

    def again(self, run: ClaimedRun, in_: timedelta = timedelta(), **fields: Any) -> list[Recorded]:
        """Record a failure that is to be tried again."""
        failed = RunResult(AttemptOutcome.FAILED, "it failed", retry=True)
        known = {"result": failed, "tally": Tally.KEEP, "run_ended": False, "last_error": "it failed"} | fields
        return self.finish(run, status=JobStatus.SCHEDULED, due_at=self.clock.now() + in_, **known)


def lease_of(run: ClaimedRun) -> Lease:
    return Lease(run.job_id, run.token)


def memory_stores() -> Stores:
    clock = FrozenClock(NOON)
    database = MemoryDatabase(clock)
    return Stores(
        MemoryJobStore(database),
        MemoryRunStore(database),
        MemoryHousekeeping(database),
        MemoryTransactions(database),
        MemoryLockStore(database),
        MemorySetbacks(database),
        clock,
        clock.move_to,
        lambda: [tuple(row)[:5] for row in database.audit.rows.values()],
        MemoryAuditLog(database),
        MemorySeries(database),
        MemoryOperations(database),
        MemoryFailureLog(database),
        MemoryWorkerLog(database),
    )


_STOP_THE_CLOCK = """
create schema stopped;
create table stopped.clock (at timestamptz not null);
insert into stopped.clock values ('2026-06-01T12:00:00Z');
create function stopped.now() returns timestamptz stable language sql as 'select at from stopped.clock';
create function stopped.clock_timestamp() returns timestamptz stable language sql as 'select at from stopped.clock';
alter table jobs.jobs alter column created_at set default stopped.now();
alter table jobs.jobs alter column updated_at set default stopped.now();
alter table jobs.job_audit alter column at set default stopped.now();
alter table jobs.idempotency_keys alter column created_at set default stopped.now();
"""


def stop_clock(database: Database, admin: sa.Engine) -> None:
    """Put our ``now()`` before PostgreSQL's in the search path of every connection from now on."""
    with database.engine.begin() as connection:
        for statement in filter(str.strip, _STOP_THE_CLOCK.split(";\n")):
            connection.execute(sa.text(statement))
        name = connection.scalar(sa.text("select current_database()"))
        connection.execute(sa.text(f"alter database {name} set search_path = stopped, pg_catalog, public"))
    database.close()
    with admin.connect() as connection:  # those that PgBouncer holds open know nothing of it
        connection.execute(
            sa.text("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = :name"),
            {"name": name},
        )


class StoppedClock:
    """The time that a database tells which ``stop_clock`` was called on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = NOON
        self.move_to(NOON)

    def now(self) -> datetime:
        return self._now

    def move_to(self, instant: datetime) -> None:
        with self._database.engine.begin() as connection:
            connection.execute(sa.text("update stopped.clock set at = :at"), {"at": instant})
        self._now = instant


def postgres_stores(database: Database, lent: Database) -> Stores:
    clock = StoppedClock(database)

    def audit() -> list[tuple[Any, ...]]:
        with database.engine.begin() as connection:
            rows = connection.execute(
                sa.text("select job_id, at, actor, action, revision from jobs.job_audit order by id")
            )
            return [tuple(row) for row in rows]

    return Stores(
        PostgresJobStore(database, "jobs"),
        PostgresRunStore(database, "jobs"),
        PostgresHousekeeping(database, "jobs"),
        PostgresTransactions(lent),
        PostgresLockStore(database, "jobs"),
        PostgresSetbacks(database, "jobs"),
        clock,
        clock.move_to,
        audit,
        PostgresAuditLog(database, "jobs"),
        PostgresSeries(database, "jobs"),
        PostgresOperations(database, "jobs"),
        PostgresFailureLog(database, "jobs"),
        PostgresWorkerLog(database, "jobs"),
    )
