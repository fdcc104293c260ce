"""Repairs after the clock of the store in memory ran ahead and was set back."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

from jobs.core.lifecycle.clock_setback import LatestRecord, SetBack, WaitingJob, WaitingPage
from jobs.core.lifecycle.status import JobStatus
from jobs.testing.memory.rows import alarm_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from jobs.core.ports.scheduler import Alarm
    from jobs.testing.memory.database import MemoryDatabase
    from jobs.testing.memory.rows import JobRow


class MemorySetbacks:
    """The ``Setbacks`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def latest_record(self) -> LatestRecord:
        """Return the current time, and the latest time at which any row was written."""
        database = self._database
        with database.statement() as transaction:
            noted = [row.created_at for row in transaction.all(database.jobs)]
            finished = (line.finished_at for line in transaction.all(database.attempts))
            noted += [at for at in finished if at > transaction.now]
            noted += [line.at for line in transaction.all(database.audit)]
            return LatestRecord(transaction.now, max(noted, default=None))

    def waiting(self, limit: int, after: WaitingJob | None) -> WaitingPage:
        """Return a page of jobs that are not due yet, starting after ``after``."""
        with self._database.statement() as transaction:
            now = transaction.now
            behind = (now, None) if after is None else (after.due_at, after.id)
            found = [row for row in transaction.all(self._database.jobs) if row.waiting and row.due_at > now]
            found = [row for row in found if behind[1] is None or (row.due_at, row.id) > behind]
            return WaitingPage(now, [_waiting_job(row) for row in nsmallest(limit, found, key=_place)])

    def set_back(self, moves: Sequence[SetBack]) -> list[Alarm]:
        """Set the times of waiting jobs; returns the alarms of those that had not changed."""
        alarms = []
        with self._database.statement() as transaction:
            for move in moves:
                row = transaction.job(move.id)
                if row is None or row.generation != move.generation or not row.waiting:
                    continue
                if not self._database.is_free(transaction, row.id):
                    continue
                moved = row._replace(
                    next_run_at=move.due_at,
                    scheduled_for=move.scheduled_for,
                    anchor=move.anchor,
                    attempt=move.attempt,
                    generation=row.generation + 1,
                    armed_at=None,
                    revision=row.revision + 1,
                    updated_at=transaction.now,
                )
                alarms.append(alarm_of(transaction.put_job(moved)))
        return alarms

    def shorten_leases(self, lease: timedelta) -> int:
        """Shorten leases that last too long; returns how many."""
        with self._database.statement() as transaction:
            now = transaction.now
            found = [
                row
                for row in transaction.all(self._database.jobs)
                if row.status is JobStatus.RUNNING
                and row.lease_expires_at is not None
                and row.lease_expires_at > now + 2 * lease
                and self._database.is_free(transaction, row.id)
            ]
            for row in found:
                transaction.put_job(row._replace(lease_expires_at=now + lease))
        return len(found)


def _place(row: JobRow) -> tuple[object, object]:
    return row.due_at, row.id


def _waiting_job(row: JobRow) -> WaitingJob:
    assert row.scheduled_for is not None  # noqa: S101  true of active jobs
    return WaitingJob(
        row.id, row.generation, row.schedule, row.timezone, row.options, row.recurring, row.anchor,
        row.scheduled_for, row.due_at, row.attempt, row.updated_at,
    )  # fmt: skip
