"""Jobs as rows: insert, read, list, change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from jobs.core.commands import HistoryQuery, JobQuery
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Attempt, Job
from jobs.core.ports.scheduler import Alarm


class NewJob(NamedTuple):
    """A row to insert. ``due_at``, ``scheduled_for`` and ``anchor`` None are now, by the database's clock.

    ``payload``, ``metadata``, ``options`` and ``retry`` are JSON text; ``options`` holds what the timing has beside
    schedule and timezone, None when all of it is the default; ``retry`` is None where the handler's policy holds. The
    first ``OWN_FIELDS`` differ from row to row; jobs that are enqueued together mostly have the rest in common.
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
    """What the database decided about an inserted row."""

    id: UUID
    created_at: datetime
    due_at: datetime
    scheduled_for: datetime


class _Now(Enum):
    NOW = "now"


NOW = _Now.NOW
"""Stands in a ``Change`` for the database's present time."""


@dataclass(frozen=True, slots=True)
class Change:
    """Columns to set on one job, for one named action. Values are plain, JSON values text; ``NOW`` is the present."""

    action: str
    columns: dict[str, Any]
    new_generation: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and the cursor of the next page, None at the end."""

    jobs: list[Job]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """Some of a job's attempts, newest first, and the cursor of the next page, None at the end."""

    attempts: list[Attempt]
    cursor: str | None


class OnceEntry(Protocol):
    """An idempotency key, held in an open transaction."""

    @property
    def answer(self) -> str | None:
        """The answer kept for the first request under this key, None if this is the first."""

    @property
    def connection(self) -> object:
        """The transaction to do the work in."""

    def keep(self, answer: str) -> None:
        """Keep the answer for repeats; it commits or rolls back with the work."""


class JobStore(Protocol):
    """Jobs as rows. Every method raises ``StoreUnavailable`` when the database cannot be reached in time.

    ``connection`` is the caller's own SQLAlchemy connection or session: the call joins its transaction.
    """

    def insert(self, job: NewJob, *, connection: object | None = None) -> Inserted | None:
        """Insert one row in one statement; None where an active job holds its name, or a job its id."""

    def insert_many(self, jobs: Iterable[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows, many a statement, each on its own merit. ``jobs`` may be lazy; it is read once.

        Of rows with one id only the first is tried; for the others None is given.
        """

    def replace(
        self, holder: Job, job: NewJob, *, actor: str | None = None, connection: object | None = None
    ) -> Inserted | None:
        """Cancel ``holder``, noting who did it, and insert ``job`` under its name: both, or neither, in one statement.

        None, with nothing changed, where the holder has changed since it was read or a job has the new one's id.
        Raises ``JobIdTaken`` where such a job appears in that very moment.
        """

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Read one job."""

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Read the Scheduled or Running job of that name."""

    def find(self, query: JobQuery) -> Page:
        """List jobs, newest first; the page ends early once it is large."""

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Read a job's history, newest first."""

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """List a job's attempts, newest first; the page ends early once it is large."""

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job and note who did it; None when it has changed since ``job`` was read.

        Raises ``JobNameTaken`` when the change would make it hold a name that another active job holds.
        """

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Note that the scheduler holds these alarms; those of a past generation are passed over."""

    def forget_armed(self, name: AlarmName) -> None:
        """Take that note back, so that the alarm is set again; nothing happens to one of a past generation."""

    def waiting_alarms(self, job_ids: Collection[UUID]) -> list[Alarm]:
        """List the alarms that these jobs wait for and no scheduler has accepted; jobs that do not exist have none."""

    def on_commit(self, connection: object, call: Callable[[], object]) -> None:
        """Have ``call`` called as the caller's transaction is about to commit, and not at all if it is rolled back.

        The rows may become visible to others a moment later, or never: the commit itself may fail.
        """

    def once(self, key: str, fingerprint: str) -> AbstractContextManager[OnceEntry]:
        """Open a transaction that holds an idempotency key; it commits when the block ends well.

        A concurrent request under the same key waits for the first. Raises ``IdempotencyKeyReused`` if the key
        belongs to another request.
        """
