"""A harness's store on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.pools import Pools
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
from jobs.core.errors import ConfigurationError
from jobs.core.queries import MAX_PAGE, JobQuery
from jobs.testing.backing import EndedAttempt, Stores
from jobs.testing.postgres.clock import PostgresClock, clock_settings, install_clock, new_clock_id

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy.engine import Connection, Engine

    from jobs.core.lifecycle.job import ClaimedRun, Job

_SCHEMA = "jobs"
_MIGRATED = "select to_regclass('jobs.schema_version') is not null"
_ACTIVE = "select count(*) from jobs.jobs where status in ('Scheduled', 'Running')"
_NEXT_DUE = """
select min(next_run_at) from jobs.jobs where status = 'Scheduled' and not paused and next_run_at > :now
"""
_ENDED = """
select outcome, error, cast(result as text) from jobs.job_attempts where job_id = :job_id and token = :token
"""


class PostgresBacking:
    """The ``Backing`` of a harness on a database of the test's own, which it migrates where that is needed.

    Raises ``ConfigurationError`` for a database with active jobs: a harness runs whatever is due.
    """

    def __init__(self, url: str, at: datetime) -> None:
        clock_id = new_clock_id()
        options = DatabaseOptions(url, statement_timeout_seconds=60, lock_timeout_seconds=30)
        self._pools = Pools.of(replace(options, session_settings=tuple(clock_settings(clock_id).items())))
        try:
            self._prepare()
            self.clock = PostgresClock(at, self.engine, clock_id)
        except BaseException:
            self._pools.close()
            raise
        database = self._pools.application
        self.stores = Stores(
            PostgresJobStore(database, _SCHEMA),
            PostgresRunStore(database, _SCHEMA, outcomes=self._pools.outcomes, heartbeats=self._pools.heartbeats),
            PostgresHousekeeping(database, _SCHEMA),
            PostgresSetbacks(database, _SCHEMA),
            PostgresLockStore(database, _SCHEMA),
            PostgresTransactions(self._pools.units),
            PostgresAuditLog(database, _SCHEMA),
            PostgresSeries(database, _SCHEMA),
            PostgresOperations(database, _SCHEMA),
            PostgresFailureLog(database, _SCHEMA),
            PostgresWorkerLog(database, _SCHEMA),
        )

    @property
    def engine(self) -> Engine:
        """What the test's own SQL runs on."""
        return self._pools.application.engine

    def _prepare(self) -> None:
        with self.engine.begin() as connection:
            migrated = bool(connection.execute(sa.text(_MIGRATED)).scalar())
        if not migrated:
            from jobs.adapters.postgres.schema.migrate import upgrade  # noqa: PLC0415  Alembic, for a new database only

            upgrade(self.engine, _SCHEMA)
        with self.engine.begin() as connection:
            install_clock(connection, _SCHEMA)
            if active := connection.execute(sa.text(_ACTIVE)).scalar_one():
                raise ConfigurationError(
                    f"the database has {active} active jobs, and a harness runs whatever is due; give each test a "
                    "database of its own, as the fixture jobs_postgres does"
                )

    def jobs(self) -> list[Job]:
        """List every job."""
        found: list[Job] = []
        query: JobQuery | None = JobQuery(limit=MAX_PAGE)
        while query is not None:
            page = self.stores.jobs.find(query)
            found += page.jobs
            query = JobQuery(limit=MAX_PAGE, cursor=page.cursor) if page.cursor else None
        return found[::-1]

    def job_ids(self) -> set[UUID]:
        """Return the ids of every job."""
        with self.engine.begin() as connection:
            return {UUID(str(job_id)) for (job_id,) in connection.execute(sa.text("select id from jobs.jobs"))}

    def next_due(self) -> datetime | None:
        """Return when the next waiting job falls due."""
        with self.engine.begin() as connection:
            found: datetime | None = connection.execute(sa.text(_NEXT_DUE), {"now": self.clock.now()}).scalar()
            return found

    def ended(self, run: ClaimedRun) -> EndedAttempt | None:
        """Find an attempt in the history."""
        with self.engine.begin() as connection:
            row = connection.execute(sa.text(_ENDED), {"job_id": run.job_id, "token": run.token}).first()
        return None if row is None else EndedAttempt(*row)

    def transaction(self) -> AbstractContextManager[Connection]:
        """Open a transaction that commits as the block ends well."""
        return self.engine.begin()

    def close(self) -> None:
        """Take the clock out of the database, and close the connections."""
        try:
            self.clock.remove()
        finally:
            self._pools.close()
