"""Queries and clean-up in memory for the reconciler and operators."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import OutdatedLimitFlag
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome, JobStatus
from jobs.core.ports.housekeeping import Failures, JobPosition, PrunedHistory, Wait
from jobs.testing.memory.database import RowLock
from jobs.testing.memory.rows import alarm_of
from jobs.testing.memory.upkeep.losses import is_convicted, is_lost, reschedule_lost
from jobs.testing.memory.upkeep.statistics import statistics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from jobs.core.lifecycle.limits import LimitFlag
    from jobs.core.ports.housekeeping import HistoryLimit
    from jobs.core.ports.scheduler import Alarm
    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction
    from jobs.testing.memory.rows import AttemptRow, JobRow


class MemoryHousekeeping:
    """The ``Housekeeping`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def reap(self, limit: int, *, max_lost: int) -> list[tuple[AlarmName, Alarm | None]]:
        """Reschedule or end runs whose lease has expired."""
        with self._database.statement() as transaction:
            now = transaction.now
            expired = (
                row
                for row in self._free(transaction)
                if is_lost(row, now) and not (row.recurring and is_convicted(row, now, max_lost))
            )
            lost = nsmallest(limit, expired, key=attrgetter("lease_expires_at"))
            reaped = reschedule_lost(transaction, lost, max_lost)
        return [(AlarmName(row.id, row.generation), alarm_of(row) if row.next_run_at else None) for row in reaped]

    def _free(self, transaction: MemoryTransaction) -> list[JobRow]:
        jobs = transaction.all(self._database.jobs)
        return [row for row in jobs if self._database.is_free(transaction, row.id)]

    def unarmed(self, limit: int, within: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that no scheduler has accepted."""
        return self._alarms(limit, after, lambda row, now: row.armed_at is None and row.due_at <= now + within)

    def overdue(self, limit: int, grace: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that were due longer than ``grace`` ago."""
        return self._alarms(limit, after, lambda row, now: not row.limited and row.due_at <= now - grace)

    def _alarms(self, limit: int, after: Alarm | None, wanted: Callable[[JobRow, datetime], bool]) -> list[Alarm]:
        with self._database.statement() as transaction:
            jobs = transaction.all(self._database.jobs)
            found = (row for row in jobs if row.waiting and wanted(row, transaction.now))
            if after is not None:
                place = (after.due_at, after.name.job_id)
                found = (row for row in found if (row.due_at, row.id) > place)
            return [alarm_of(row) for row in nsmallest(limit, found, key=attrgetter("next_run_at", "id"))]

    def outdated_limit_flags(
        self, limit: int, *, limited: Collection[str], known: Collection[str], grace: timedelta
    ) -> list[OutdatedLimitFlag]:
        """Return active jobs whose limit flag does not match the handlers of this release."""

        def outdated(row: JobRow, now: datetime) -> bool:
            if row.handler_name in limited:
                return not row.limited and (row.status is JobStatus.RUNNING or (row.waiting and row.due_at <= now))
            delay = timedelta() if row.handler_name in known else grace
            return row.limited and row.waiting and row.due_at <= now - delay

        with self._database.statement() as transaction:
            found = [row for row in transaction.all(self._database.jobs) if outdated(row, transaction.now)]
        return [OutdatedLimitFlag(row.id, row.handler_name, row.payload, row.payload_version) for row in found[:limit]]

    def set_limit_flags(self, flags: Sequence[LimitFlag]) -> int:
        """Set the limit flags of active jobs; returns how many were still active."""
        with self._database.statement() as transaction:
            transaction.lock(*{RowLock("job", flag.id) for flag in flags})
            active = [(row, flag) for flag in flags if (row := transaction.job(flag.id)) and row.status.active]
            for row, flag in active:
                changed = row._replace(limited=flag.limited, concurrency_key=flag.concurrency_key)
                transaction.put_job(changed if flag.limited else changed._replace(armed_at=None))
        return len(active)

    def longest_wait(self, limit: int) -> Wait:
        """Return the number of due jobs, up to ``limit``, and how long the longest-waiting one has been due."""
        with self._database.statement() as transaction:
            jobs, now = transaction.all(self._database.jobs), transaction.now
            due = nsmallest(
                limit, (row.due_at for row in jobs if row.waiting and not row.limited and row.due_at <= now)
            )
        return Wait(len(due), (now - due[0]).total_seconds() if due else 0.0)

    def recent_failures(self, window: timedelta) -> Failures:
        """Return how many attempts failed or lost their worker within ``window``."""
        with self._database.statement() as transaction:
            lines = transaction.all(self._database.attempts)
            outcomes = Counter(line.outcome for line in lines if line.finished_at > transaction.now - window)
        return Failures(sum(outcomes[outcome] for outcome in FAULTS), outcomes[AttemptOutcome.LOST])

    def prune(self, limit: int, retention: timedelta, *, keep: int) -> int:
        """Delete jobs that ended long ago, with their history."""
        database = self._database
        with database.statement() as transaction:
            before = transaction.now - retention
            lines = Counter(line.job_id for line in transaction.all(database.attempts))
            old = (
                row
                for row in self._free(transaction)
                if row.handled_at is not None
                and row.handled_at < before
                and row.created_at < before
                and lines[row.id] <= keep
            )
            gone = {row.id for row in nsmallest(limit, old, key=attrgetter("created_at", "id"))}
            for job_id in gone:
                transaction.put(database.jobs, job_id, None)
                transaction.put(database.operations, job_id, None)
            for line in list(transaction.all(database.attempts)):
                if line.job_id in gone:
                    transaction.put(database.attempts, (line.job_id, line.token), None)
            for noted in list(transaction.all(database.audit)):
                if noted.job_id in gone:
                    transaction.put(database.audit, (noted.job_id, noted.revision), None)
        return len(gone)

    def prune_history(
        self, limit: HistoryLimit, retention: timedelta, *, keep: int, after: JobPosition | None
    ) -> PrunedHistory:
        """Delete old attempts and audit rows of one page of jobs, the oldest first if there are more than the limit."""
        with self._database.statement() as transaction:
            before = transaction.now - retention
            jobs = (JobPosition(row.created_at, row.id) for row in transaction.all(self._database.jobs))
            page = nsmallest(
                limit.jobs, (job for job in jobs if job.created_at < before and (not after or job > after))
            )
            attempts = [
                (line.job_id, line.token)
                for job in page
                for line in self._old_attempts(transaction, job.id, before, keep)
            ][: limit.rows]
            audit = [
                (noted.job_id, noted.revision)
                for job in page
                for noted in sorted(transaction.all(self._database.audit), key=attrgetter("at"))
                if noted.job_id == job.id and noted.at < before
            ][: limit.rows]
            for attempt in attempts:
                transaction.put(self._database.attempts, attempt, None)
            for noted_key in audit:
                transaction.put(self._database.audit, noted_key, None)
        if limit.rows in (len(attempts), len(audit)):
            return PrunedHistory(len(attempts), len(audit), after, more=True)
        last = page[-1] if page else None
        return PrunedHistory(len(attempts), len(audit), last, more=len(page) == limit.jobs)

    def _old_attempts(
        self, transaction: MemoryTransaction, job_id: UUID, before: datetime, keep: int
    ) -> list[AttemptRow]:
        """Return a job's attempts that may be deleted, the oldest first."""
        lines = [line for line in transaction.all(self._database.attempts) if line.job_id == job_id]
        lines.sort(key=attrgetter("started_at"))
        if len(lines) < keep:
            return []
        kept_from = lines[-keep].started_at
        return [
            line for line in lines if max(line.started_at, line.finished_at) < before and line.started_at < kept_from
        ]

    def prune_keys(self, limit: int, retention: timedelta) -> int:
        """Delete idempotency keys older than ``retention``."""
        keys = self._database.keys
        with self._database.statement() as transaction:
            before = transaction.now - retention
            old = [key for key, row in keys.rows.items() if row.created_at < before]
            gone = [key for key in old if self._database.is_free(transaction, key, "key")][:limit]
            for key in gone:
                transaction.put(keys, key, None)
        return len(gone)

    def prune_locks(self, limit: int, retention: timedelta) -> int:
        """Delete locks that were not held within ``retention``."""
        locks = self._database.locks
        with self._database.statement() as transaction:
            before = transaction.now - retention
            old = [(row.expires_at, resource) for resource, row in locks.rows.items() if row.expires_at < before]
            gone = nsmallest(limit, old)
            for _, resource in gone:
                transaction.put(locks, resource, None)
        return len(gone)

    def stats(self, count_to: int = COUNT_TO) -> dict[str, Any]:
        """Return bounded counts of jobs, of due jobs, and of the attempts of the last five minutes."""
        with self._database.statement() as transaction:
            jobs, attempts = transaction.all(self._database.jobs), transaction.all(self._database.attempts)
            return statistics_of(list(jobs), list(attempts), transaction.now, count_to)

    def ping(self) -> None:
        """Raise ``StoreUnavailable`` if a test has made the store unavailable."""
        self._database.require_available()
