"""Jobs as rows in memory: insert, read, list, change."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from jobs.core.errors import IdempotencyKeyReused, JobNameTaken
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NOW, RETRY, Change
from jobs.testing.memory.database import MemoryConnection, RowLock
from jobs.testing.memory.listing import find_attempts, find_jobs, selected
from jobs.testing.memory.rows import AuditRow, KeyRow, alarm_of, attempt_of, job_of
from jobs.testing.memory.transactions import OpenTransaction
from jobs.testing.memory.written_rows import changed_row, inserted_row, refuse_unstorable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import Attempt, Job
    from jobs.core.ports.jobs import AttemptPage, Inserted, NewJob, Page
    from jobs.core.ports.scheduler import Alarm
    from jobs.core.queries import HistoryQuery, JobFilter, JobQuery
    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction

_HISTORY_LIMIT = 1_000
_REPLACED = Change(
    "replace", {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}, new_generation=True
)


class MemoryJobStore:
    """The ``JobStore`` port in memory; lives as long as its ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def insert(self, job: NewJob, *, connection: object | None = None) -> Inserted | None:
        """Insert one row."""
        [inserted] = self.insert_many([job], connection=connection)
        return inserted

    def insert_many(self, jobs: Iterable[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows, all in one statement."""
        new = list(jobs)
        refuse_unstorable(*(value for job in new for value in job))
        if not new:
            return []
        with self._database.statement(connection) as transaction:
            transaction.lock(*{RowLock("job", job.id) for job in new}, *{RowLock("name", job.job_name) for job in new})
            tried: dict[UUID, Inserted | None] = {}
            for job in new:
                if job.id not in tried:
                    tried[job.id] = inserted_row(transaction, job)
            return [tried.pop(job.id, None) for job in new]

    def replace(
        self, holder: Job, job: NewJob, *, actor: str | None = None, connection: object | None = None
    ) -> Inserted | None:
        """Cancel ``holder`` and insert ``job`` under its name; None if the holder has changed or the id is taken."""
        refuse_unstorable(actor, *job)
        with self._database.statement(connection) as transaction:
            transaction.lock(RowLock("job", holder.id), RowLock("job", job.id), RowLock("name", job.job_name))
            row = transaction.job(holder.id)
            if row is None or row.revision != holder.revision or row.status is not JobStatus.SCHEDULED:
                return None
            if row.job_name != job.job_name or transaction.job(job.id) is not None:
                return None
            ended = changed_row(row, _REPLACED, transaction.now)
            transaction.put_job(ended)
            noted = AuditRow(row.id, transaction.now, actor, _REPLACED.action, ended.revision)
            transaction.put(self._database.audit, (row.id, ended.revision), noted)
            return inserted_row(transaction, job)

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Return a job; None if there is none with that id."""
        with self._database.statement(connection) as transaction:
            row = transaction.job(job_id)
        return None if row is None else job_of(row)

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Return the active job of that name; None if there is none."""
        refuse_unstorable(job_name)
        with self._database.statement(connection) as transaction:
            row = transaction.holder_of(job_name)
        return None if row is None else job_of(row)

    def find(self, query: JobQuery) -> Page:
        """Return a page of jobs, newest first."""
        with self._database.statement() as transaction:
            rows, now = list(transaction.all(self._database.jobs)), transaction.now
            lines = list(transaction.all(self._database.attempts))
        return find_jobs(rows, lines, query, now)

    def count(self, wanted: JobFilter, limit: int) -> int:
        """Count the jobs that a filter selects, up to ``limit``."""
        with self._database.statement() as transaction:
            rows, lines = transaction.all(self._database.jobs), transaction.all(self._database.attempts)
            return min(sum(1 for _ in selected(rows, lines, wanted, transaction.now)), limit)

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return a job's latest 1,000 attempts, newest first."""
        with self._database.statement() as transaction:
            rows = [row for row in transaction.all(self._database.attempts) if row.job_id == job_id]
            retries = self._retries(transaction, job_id)
        rows.sort(key=attrgetter("started_at", "finished_at", "token"), reverse=True)
        return [attempt_of(row, retries) for row in rows[:_HISTORY_LIMIT]]

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """Return a page of a job's attempts, newest first."""
        with self._database.statement() as transaction:
            rows = [row for row in transaction.all(self._database.attempts) if row.job_id == job_id]
            retries = self._retries(transaction, job_id)
        return find_attempts(rows, retries, query)

    def _retries(self, transaction: MemoryTransaction, job_id: UUID) -> list[datetime]:
        noted = transaction.all(self._database.audit)
        return [line.at for line in noted if line.job_id == job_id and line.action == RETRY]

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job if its revision is still the one that was read; None if not."""
        refuse_unstorable(actor, change.action, change.reason, *change.columns.values())
        with self._database.statement(connection) as transaction:
            row = transaction.job(job.id, lock=True)
            if row is None or row.revision != job.revision:
                return None
            changed = changed_row(row, change, transaction.now)
            if changed.status.active is not row.status.active:
                transaction.lock(RowLock("name", row.job_name))
            holder = transaction.holder_of(row.job_name)
            if changed.status.active and holder is not None and holder.id != row.id:
                raise JobNameTaken(row.job_name, holder.id)
            transaction.put_job(changed)
            noted = AuditRow(
                row.id, transaction.now, actor, change.action, changed.revision, change.reason, change.before,
                change.operation,
            )  # fmt: skip
            transaction.put(self._database.audit, (row.id, changed.revision), noted)
        return job_of(changed)

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Record that the scheduler has accepted these alarms."""
        with self._database.statement() as transaction:
            transaction.lock(*{RowLock("job", name.job_id) for name in names})
            for name in names:
                row = transaction.job(name.job_id)
                if row and row.generation == name.generation and row.status is JobStatus.SCHEDULED:
                    transaction.put_job(row._replace(armed_at=transaction.now))

    def forget_armed(self, name: AlarmName) -> None:
        """Delete the record that the scheduler has accepted this alarm."""
        with self._database.statement() as transaction:
            row = transaction.job(name.job_id, lock=True)
            if row and row.generation == name.generation and row.status is JobStatus.SCHEDULED:
                transaction.put_job(row._replace(armed_at=None))

    def waiting_alarms(self, job_ids: Collection[UUID]) -> list[Alarm]:
        """Return the alarms of these jobs that no scheduler has accepted."""
        with self._database.statement() as transaction:
            rows = [transaction.job(job_id) for job_id in set(job_ids)]
        return [alarm_of(row) for row in rows if row and row.waiting and row.armed_at is None]

    def active_among(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these jobs that are Scheduled or Running."""
        with self._database.statement() as transaction:
            rows = [transaction.job(job_id) for job_id in set(job_ids)]
        return {row.id for row in rows if row is not None and row.status.active}

    def on_commit(self, connection: object, call: Callable[[], object]) -> None:
        """Call ``call`` just before the transaction of ``connection`` commits."""
        with self._database.statement(connection) as transaction:
            transaction.calls.append(call)

    @contextmanager
    def once(self, key: str, fingerprint: str) -> Iterator[_HeldKey]:
        """Hold ``key`` in a transaction; a concurrent request under it waits until this one ends."""
        refuse_unstorable(key, fingerprint)
        database, opened = self._database, OpenTransaction(self._database)
        connection = opened.connection
        try:
            with database.statement(connection) as transaction:
                transaction.lock(RowLock("key", key))
                known = transaction.get(database.keys, key)
                if known is None:
                    known = KeyRow(fingerprint, None, transaction.now)
                    transaction.put(database.keys, key, known)
                elif known.fingerprint != fingerprint:
                    raise IdempotencyKeyReused
            entry = _HeldKey(known.answer, connection)
            yield entry
            if entry.kept is not None:
                refuse_unstorable(entry.kept)
                with database.statement(connection) as transaction:
                    transaction.put(database.keys, key, known._replace(answer=entry.kept))
            opened.commit()
        finally:
            opened.close()


@dataclass(slots=True)
class _HeldKey:
    response: str | None
    connection: MemoryConnection
    kept: str | None = None

    def keep(self, response: str) -> None:
        self.kept = response
