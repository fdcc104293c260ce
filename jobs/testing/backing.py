"""What a harness runs on: the ports of a store, and what a test looks at beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from jobs.core.lifecycle.job import ClaimedRun, Job
    from jobs.core.ports.audit import AuditLog
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
    from jobs.core.transactions.sql import Connection
    from jobs.testing.clock import FrozenClock


class Stores(NamedTuple):
    """The ports of one database."""

    jobs: JobStore
    runs: RunStore
    housekeeping: Housekeeping
    setbacks: Setbacks
    locks: LockStore
    transactions: Transactions
    audit: AuditLog
    series: SeriesStore
    operations: OperationStore
    failures: FailureLog
    workers: WorkerLog


class EndedAttempt(NamedTuple):
    """An attempt as the history has it; ``result`` is JSON text."""

    outcome: str
    error: str | None
    result: str | None


class Backing(Protocol):
    """A database for one harness, whose time is that of ``clock``."""

    @property
    def clock(self) -> FrozenClock:
        """The clock, which decides what is due."""

    @property
    def stores(self) -> Stores:
        """The ports."""

    def jobs(self) -> list[Job]:
        """List every job, ended ones included, in the order in which they were enqueued."""

    def job_ids(self) -> set[UUID]:
        """Return the ids of every job."""

    def next_due(self) -> datetime | None:
        """Return the first instant to come at which a waiting job falls due."""

    def ended(self, run: ClaimedRun) -> EndedAttempt | None:
        """Find an attempt in the history; None until it is there."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Open a transaction for the test's own SQL, which commits as the block ends well."""

    def close(self) -> None:
        """Close what is open."""
