"""Jobs as rows in PostgreSQL: insert, read, list, change."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.database import raise_as_ours
from jobs.adapters.postgres.faults import OutcomeUnknown, UniqueViolation
from jobs.adapters.postgres.listing import find_jobs
from jobs.adapters.postgres.rows import attempt_of, job_of
from jobs.adapters.postgres.statements import change_statement, job_statements
from jobs.core.errors import IdempotencyKeyReused, JobNameTaken
from jobs.core.ports import NOW, Inserted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from jobs.adapters.postgres.database import Database
    from jobs.core.commands import JobQuery
    from jobs.core.identifiers import AlarmName
    from jobs.core.job import Attempt, Job
    from jobs.core.ports import Change, NewJob, Page

_HISTORY_LIMIT = 1_000
_ENCODER = json.JSONEncoder(ensure_ascii=False)


class PostgresJobStore:
    """The ``JobStore`` port on PostgreSQL; lives as long as its ``Database``."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema
        self._statements = job_statements(schema)

    def insert(self, jobs: Sequence[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows in one statement. If the answer is lost on the way, reading the ids tells what happened."""
        values = {"jobs": "[" + ",".join(_row_text(job) for job in jobs) + "]"}
        try:
            rows = self._database.run(self._statements.insert, values, connection)
        except OutcomeUnknown:
            if connection is not None:
                raise
            rows = self._insert_after_doubt(jobs, values)
        found = {UUID(str(row[0])): row for row in rows}
        return [Inserted(job.id, *row[1:]) if (row := found.get(job.id)) else None for job in jobs]

    def _insert_after_doubt(self, jobs: Sequence[NewJob], values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Find the rows if the lost statement was committed, else insert them now: it was all or nothing."""
        found = self._database.run(self._statements.just_inserted, {"ids": [job.id for job in jobs]})
        return found or self._database.run(self._statements.insert, values)

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Read one job."""
        rows = self._database.run(self._statements.get, {"id": job_id}, connection)
        return job_of(rows[0]) if rows else None

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Read the active job of that name."""
        rows = self._database.run(self._statements.active_holder, {"job_name": job_name}, connection)
        return job_of(rows[0]) if rows else None

    def find(self, query: JobQuery) -> Page:
        """List jobs, newest first, by keyset: page 1,000 costs what page 1 does."""
        return find_jobs(self._database, self._schema, query)

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Read a job's history, the latest 1,000 attempts, newest first."""
        rows = self._database.run(self._statements.attempts, {"id": job_id, "limit": _HISTORY_LIMIT})
        return [attempt_of(row) for row in rows]

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job if it still is at the revision that was read."""
        plain = {name: value for name, value in change.columns.items() if value is not NOW}
        statement = change_statement(
            self._schema,
            tuple(sorted(plain)),
            tuple(sorted(change.columns.keys() - plain.keys())),
            new_generation=change.new_generation,
        )
        values = plain | {"id": job.id, "revision": job.revision, "actor": actor, "action": change.action}
        try:
            rows = self._database.run(statement, values, connection)
        except UniqueViolation:
            holder = self.active_holder(job.job_name)
            if holder is None:
                return None  # it has ended meanwhile: the caller decides anew
            raise JobNameTaken(job.job_name, holder.id) from None
        return job_of(rows[0]) if rows else None

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Note that the scheduler holds these alarms."""
        if names:
            ids, generations = zip(*((name.job_id, name.generation) for name in names), strict=True)
            self._database.run(self._statements.mark_armed, {"ids": ids, "generations": generations})

    @contextmanager
    def once(self, key: str, fingerprint: str) -> Iterator[_OnceEntry]:
        """Hold ``key`` in a transaction; a concurrent request under it waits on the unique index for this one's end."""
        run, statements = self._database.run, self._statements
        try:
            with self._database.engine.begin() as connection:
                held = run(statements.hold_key, {"key": key, "fingerprint": fingerprint}, connection)
                answer = None
                if not held:
                    [(known, answer)] = run(statements.read_key, {"key": key}, connection)
                    if known != fingerprint:
                        raise IdempotencyKeyReused
                entry = _OnceEntry(answer, connection)
                yield entry
                if entry.kept is not None:
                    run(statements.keep_answer, {"key": key, "answer": entry.kept}, connection)
        except (OSError, SQLAlchemyError) as error:
            raise_as_ours(error)


@dataclass(slots=True)
class _OnceEntry:
    answer: str | None
    connection: object
    kept: str | None = None

    def keep(self, answer: str) -> None:
        self.kept = answer


def _row_text(job: NewJob) -> str:
    """Write one row as JSON; the JSON values in it are spliced in as they are, without parsing them again."""
    fields = _ENCODER.encode(
        {
            "id": str(job.id),
            "handler_name": job.handler_name,
            "job_name": job.job_name,
            "schedule": job.schedule,
            "timezone": job.timezone,
            "recurring": job.recurring,
            "due_at": _iso(job.due_at),
            "scheduled_for": _iso(job.scheduled_for),
            "anchor": _iso(job.anchor),
            "max_retries": job.max_retries,
            "timeout": job.timeout_seconds,
            "created_by": job.created_by,
            "trace_parent": job.trace_parent,
        }
    )
    return f'{fields[:-1]},"options":{job.options or "null"},"payload":{job.payload},"metadata":{job.metadata}}}'


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
