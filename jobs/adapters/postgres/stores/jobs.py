"""Jobs as rows in PostgreSQL: insert, read, list, change."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.connection.database import raise_translated
from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown, RolledBack, UniqueViolation
from jobs.adapters.postgres.statements.changes import change_statement
from jobs.adapters.postgres.statements.jobs import job_statements
from jobs.adapters.postgres.stores.after_commit import on_commit
from jobs.adapters.postgres.stores.batches import batch_values, batched, inserted_at, read_batches
from jobs.adapters.postgres.stores.history import find_attempts, latest_attempts
from jobs.adapters.postgres.stores.idempotency import HeldKey, invalidated_on_error
from jobs.adapters.postgres.stores.listing import count_jobs, find_jobs
from jobs.adapters.postgres.stores.rows import alarm_of, job_of
from jobs.core.errors import IdempotencyKeyReused, JobIdTaken, JobNameTaken
from jobs.core.ports.jobs import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import Attempt, Job
    from jobs.core.ports.jobs import AttemptPage, Change, Inserted, NewJob, Page
    from jobs.core.ports.scheduler import Alarm
    from jobs.core.queries import HistoryQuery, JobFilter, JobQuery

_HISTORY_LIMIT = 1_000
_BATCH = 250
_TRANSACTION = 1_000
_INSERT_RETRIES = 2


class PostgresJobStore:
    """The ``JobStore`` port on PostgreSQL; lives as long as its ``Database``."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema
        self._statements = job_statements(schema)

    def insert(self, job: NewJob, *, connection: object | None = None) -> Inserted | None:
        """Insert one row. If the response is lost, the id is read to find out whether the row was inserted."""
        values = job._asdict()
        try:
            rows = self._database.run(self._statements.insert, values, connection)
        except OutcomeUnknown:
            if connection is not None:
                raise
            known = self._just_inserted([job])
            if job.id in known:
                return inserted_at(job, known[job.id])
            rows = self._database.run(self._statements.insert, values)
            if not rows:  # the lost request may have arrived late, and have caused this conflict
                known = self._just_inserted([job])
                return inserted_at(job, known[job.id]) if job.id in known else None
        return inserted_at(job, rows[0][0]) if rows else None

    def insert_many(self, jobs: Iterable[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows, up to 1,000 per transaction, building the next batch while the server works on the current."""
        repeated: list[int] = []
        rest = _each_id_once(jobs, repeated)
        results: list[Inserted | None] = []
        if connection is not None:
            whole = list(rest)
            rows = self._database.run(self._statements.insert_many, batch_values(whole), connection) if whole else []
            results += read_batches(whole, rows, len(whole) or 1)
        else:
            while group := self._insert_group(islice(rest, _TRANSACTION), _INSERT_RETRIES):
                results += group
        for place in repeated:
            results.insert(place, None)
        return results

    def _insert_group(self, jobs: Iterator[NewJob], retries: int) -> list[Inserted | None]:
        """Insert rows in one transaction; an empty result means that ``jobs`` was empty.

        If the response is lost, the missing rows are inserted again, up to ``retries`` times.
        """
        made: list[NewJob] = []

        def batches() -> Iterator[dict[str, Any]]:
            for batch in batched(jobs, _BATCH):
                made.extend(batch)
                yield batch_values(batch)

        try:
            rows = self._database.run_all(self._statements.insert_many, batches())
        except RolledBack:
            # Two calls with the same names in different batches deadlock; one statement inserts them in order.
            made += jobs
            return read_batches(made, self._database.run(self._statements.insert_many, batch_values(made)), len(made))
        except OutcomeUnknown:
            if not retries:
                raise
            made += jobs
            return self._insert_missing(made, retries - 1)
        return read_batches(made, rows, _BATCH)

    def _insert_missing(self, jobs: list[NewJob], retries: int) -> list[Inserted | None]:
        """Read which rows were committed before the response was lost, and insert the others."""
        known = self._just_inserted(jobs)
        missing = self._insert_group(iter([job for job in jobs if job.id not in known]), retries)
        again = {row.id: row for row in missing if row is not None}
        late = [job for job in jobs if job.id not in known and job.id not in again]
        known |= self._just_inserted(late) if late else {}
        return [inserted_at(job, known[job.id]) if job.id in known else again.get(job.id) for job in jobs]

    def _just_inserted(self, jobs: Sequence[NewJob]) -> dict[UUID, datetime]:
        rows = self._database.run(self._statements.just_inserted, {"ids": [job.id for job in jobs]})
        names = {job.id: job.job_name for job in jobs}
        return {job_id: row[1] for row in rows if names[job_id := UUID(row[0])] == row[2]}

    def replace(
        self, holder: Job, job: NewJob, *, actor: str | None = None, connection: object | None = None
    ) -> Inserted | None:
        """Cancel ``holder`` and insert ``job`` under its name. If the response is lost, the new id is looked up."""
        values = job._asdict() | {"holder_id": holder.id, "holder_revision": holder.revision, "actor": actor}
        try:
            rows = self._database.run(self._statements.replace, values, connection)
            return inserted_at(job, rows[0][0]) if rows else None
        except UniqueViolation:
            raise JobIdTaken(job.id) from None
        except OutcomeUnknown:
            if connection is not None:
                raise
        known = self._just_inserted([job])
        if job.id not in known:
            rows = self._database.run(self._statements.replace, values)
            # Without a row, the lost request may have arrived late and have changed the holder.
            known = {job.id: rows[0][0]} if rows else self._just_inserted([job])
        return inserted_at(job, known[job.id]) if job.id in known else None

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Return a job; None if there is none with that id."""
        rows = self._database.run(self._statements.get, {"id": job_id}, connection)
        return job_of(rows[0]) if rows else None

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Return the active job of that name; None if there is none."""
        rows = self._database.run(self._statements.active_holder, {"job_name": job_name}, connection)
        return job_of(rows[0]) if rows else None

    def find(self, query: JobQuery) -> Page:
        """Return a page of jobs, newest first, by keyset pagination: page 1,000 costs as much as page 1."""
        return find_jobs(self._database, self._schema, query)

    def count(self, wanted: JobFilter, limit: int) -> int:
        """Count the jobs that a filter selects, up to ``limit``."""
        return count_jobs(self._database, self._schema, wanted, limit)

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return a job's latest 1,000 attempts, newest first."""
        return latest_attempts(self._database, self._statements.attempts, job_id, _HISTORY_LIMIT)

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """Return a page of a job's attempts, newest first."""
        return find_attempts(self._database, self._statements.attempts, job_id, query)

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job if its revision is still the one that was read; None if not."""
        plain = {name: value for name, value in change.columns.items() if value is not NOW}
        statement = change_statement(
            self._schema,
            tuple(sorted(plain)),
            tuple(sorted(change.columns.keys() - plain.keys())),
            new_generation=change.new_generation,
        )
        values = plain | {"id": job.id, "revision": job.revision, "actor": actor}
        values |= {"action": change.action, "reason": change.reason, "before": change.before}
        values["operation"] = change.operation
        # Looked up before for the caller's own transaction, which answers nothing more after a failed statement.
        own = self.active_holder(job.job_name, connection=connection) if connection and job.status.ended else None
        try:
            rows = self._database.run(statement, values, connection)
        except UniqueViolation:
            holder = own or self.active_holder(job.job_name)
            if holder is None:
                return None  # it has ended in the meantime, so the caller reads the job again
            raise JobNameTaken(job.job_name, holder.id) from None
        return job_of(rows[0]) if rows else None

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Record that the scheduler has accepted these alarms."""
        if names:
            ids, generations = zip(*((name.job_id, name.generation) for name in names), strict=True)
            self._database.run(self._statements.mark_armed, {"ids": ids, "generations": generations})

    def forget_armed(self, name: AlarmName) -> None:
        """Delete the record that the scheduler has accepted this alarm."""
        self._database.run(self._statements.forget_armed, {"id": name.job_id, "generation": name.generation})

    def waiting_alarms(self, job_ids: Collection[UUID]) -> list[Alarm]:
        """Return the alarms of these jobs that no scheduler has accepted."""
        return [alarm_of(row) for row in self._database.run(self._statements.waiting_alarms, {"ids": list(job_ids)})]

    def active_among(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these jobs that are Scheduled or Running."""
        return {UUID(job_id) for (job_id,) in self._database.run(self._statements.active, {"ids": list(job_ids)})}

    def on_commit(self, connection: object, call: Callable[[], object]) -> None:
        """Call ``call`` just before the transaction of ``connection`` commits."""
        on_commit(connection, call)

    @contextmanager
    def once(self, key: str, fingerprint: str) -> Iterator[HeldKey]:
        """Hold ``key`` in a transaction; a concurrent request waits on the unique index until this one ends."""
        run, statements = self._database.run, self._statements
        try:
            with self._database.engine.begin() as connection, invalidated_on_error(connection):
                held = run(statements.hold_key, {"key": key, "fingerprint": fingerprint}, connection)
                response = None
                if not held:
                    [(known, response)] = run(statements.read_key, {"key": key}, connection)
                    if known != fingerprint:
                        raise IdempotencyKeyReused
                entry = HeldKey(response, connection)
                yield entry
                if entry.kept is not None:
                    run(statements.keep_response, {"key": key, "response": entry.kept}, connection)
        except (OSError, SQLAlchemyError) as error:
            raise_translated(error)


def _each_id_once(jobs: Iterable[NewJob], repeated: list[int]) -> Iterator[NewJob]:
    """Yield the rows without repeated ids, and add the positions of the repeated ones to ``repeated``.

    The statement's result lists ids, so it cannot distinguish rows of the same id.
    """
    seen: set[UUID] = set()
    for place, job in enumerate(jobs):
        if job.id in seen:
            repeated.append(place)
        else:
            seen.add(job.id)
            yield job
