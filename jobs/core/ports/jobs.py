"""Jobs as rows: insert, read, list, change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Attempt, Job
from jobs.core.ports.scheduler import Alarm
from jobs.core.queries import HistoryQuery, JobFilter, JobQuery


class NewJob(NamedTuple):
    """A row to insert. ``due_at``, ``scheduled_for`` and ``anchor`` None are now, by the database's clock.

    ``payload``, ``metadata``, ``options`` and ``retry`` are JSON text. ``options`` holds the timing's fields except
    schedule and timezone, None if all have their defaults. ``retry`` is None if the handler's policy applies. The first
    ``OWN_FIELDS`` differ from row to row; jobs that are enqueued together usually share the rest.
    """

    id: UUID
    job_name: str
    payload: str
    metadata: str
    handler_name: str
    schedule: str
    timezone: str
    options: str | None
    recurring: bool
    due_at: datetime | None
    scheduled_for: datetime | None
    anchor: datetime | None
    max_retries: int
    timeout_seconds: float | None
    created_by: str | None
    trace_parent: str | None
    payload_version: int = 1
    retry: str | None = None
    limited: bool = False
    concurrency_key: str | None = None
    parent_id: UUID | None = None


OWN_FIELDS = 4


class Inserted(NamedTuple):
    """The values that the database set on an inserted row."""

    id: UUID
    created_at: datetime
    due_at: datetime
    scheduled_for: datetime


class _Now(Enum):
    NOW = "now"


NOW = _Now.NOW
"""A value in a ``Change``: the database's current time."""

RETRY = "retry"
"""The action of a ``Change`` that starts an ended job again. The history counts these."""


@dataclass(frozen=True, slots=True)
class Change:
    """Columns to set on one job, for one named action. JSON columns are text; ``NOW`` is the database's time.

    ``reason``, and ``before``, JSON text with the fields as they were, are kept in the audit, along with the
    ``operation`` on many jobs that the change is part of.
    """

    action: str
    columns: dict[str, Any]
    new_generation: bool = False
    reason: str | None = None
    before: str | None = None
    operation: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs, newest first, and the cursor of the next page, None at the end."""

    jobs: list[Job]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """One page of a job's attempts, newest first, and the cursor of the next page, None at the end."""

    attempts: list[Attempt]
    cursor: str | None


class IdempotencyEntry(Protocol):
    """An idempotency key, held in an open transaction."""

    @property
    def response(self) -> str | None:
        """The stored response of the first request under this key; None if this is the first."""

    @property
    def connection(self) -> object:
        """The connection of that transaction; do the work in it."""

    def keep(self, response: str) -> None:
        """Store the response for repeated requests; it commits or rolls back with the work."""


class JobStore(Protocol):
    """Jobs as rows. Every method raises ``StoreUnavailable`` when the database cannot be reached in time.

    ``connection`` is the caller's own SQLAlchemy connection or session: the call joins its transaction.
    """

    def insert(self, job: NewJob, *, connection: object | None = None) -> Inserted | None:
        """Insert one row in one statement; None if an active job holds its name, or any job its id."""

    def insert_many(self, jobs: Iterable[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows, many per statement; None for each row whose name or id is taken. ``jobs`` is iterated once.

        If several rows have the same id, only the first is tried; the others return None.
        """

    def replace(
        self, holder: Job, job: NewJob, *, actor: str | None = None, connection: object | None = None
    ) -> Inserted | None:
        """Cancel ``holder`` and insert ``job`` under its name, atomically in one statement; the audit names ``actor``.

        Returns None and changes nothing if the holder has changed since it was read, or if the new id is taken.
        Raises ``JobIdTaken`` if a job with that id is inserted concurrently.
        """

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Return a job; None if there is none with that id."""

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Return the Scheduled or Running job of that name; None if there is none."""

    def find(self, query: JobQuery) -> Page:
        """Return a page of jobs, newest first; it ends early once it is large in bytes."""

    def count(self, wanted: JobFilter, limit: int) -> int:
        """Count the jobs that a filter selects, up to ``limit``."""

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return a job's history, newest first."""

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """Return a page of a job's attempts, newest first; it ends early once it is large in bytes."""

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job, with ``actor`` in the audit; None if it has changed since ``job`` was read.

        Raises ``JobNameTaken`` if the change makes the job active and another active job holds its name.
        """

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Record that the scheduler has accepted these alarms; those of an earlier generation are ignored."""

    def forget_armed(self, name: AlarmName) -> None:
        """Delete that record, so that the alarm is set again; one of an earlier generation is ignored."""

    def waiting_alarms(self, job_ids: Collection[UUID]) -> list[Alarm]:
        """Return the alarms of those of these jobs that are waiting and that no scheduler has accepted."""

    def active_among(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these jobs that are Scheduled or Running; the others have ended, or are gone."""

    def on_commit(self, connection: object, call: Callable[[], object]) -> None:
        """Call ``call`` just before the caller's transaction commits, and not at all if it is rolled back.

        The rows become visible to others slightly later, or never: the commit itself may fail.
        """

    def once(self, key: str, fingerprint: str) -> AbstractContextManager[IdempotencyEntry]:
        """Open a transaction that holds an idempotency key; it commits if the block ends without an exception.

        A concurrent request under the same key waits for the first. Raises ``IdempotencyKeyReused`` if the key
        belongs to another request.
        """
