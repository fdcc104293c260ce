"""Claims, leases and outcomes in memory."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import LimitedClaim
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.waiting import LimitUsage
from jobs.core.ports.runs import Conviction, Heartbeat
from jobs.core.strict_json import storable
from jobs.testing.memory.database import RowLock
from jobs.testing.memory.limits import HandlerSlots
from jobs.testing.memory.listing import place_in_history
from jobs.testing.memory.outcomes import attempt_row, ended
from jobs.testing.memory.rows import recorded_of, run_of
from jobs.testing.memory.upkeep.losses import error_of, is_convicted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from jobs.core.lifecycle.job import ClaimedRun, Lease, Recorded, RecordedOutcome
    from jobs.core.lifecycle.limits import Limits
    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction
    from jobs.testing.memory.rows import AttemptRow, JobRow


class MemoryRunStore:
    """The ``RunStore`` port in memory; lives as long as its ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def claim(
        self, alarm: AlarmName, *, worker: str, lease: timedelta, limited: Collection[str] = (), alone: bool = False
    ) -> ClaimedRun | None:
        """Claim one job; None if it is not due, paused, a suspect, or of another generation."""
        with self._database.statement() as transaction:
            row = transaction.job(alarm.job_id, lock=True)
            if row is None or row.generation != alarm.generation or not _due(row, transaction.now, limited):
                return None
            if row.suspect and not alone:
                return None
            return self._claim_row(transaction, row, worker, lease, alone=alone)

    def claim_due(
        self, limit: int, *, worker: str, lease: timedelta, limited: Collection[str] = ()
    ) -> list[ClaimedRun]:
        """Claim up to ``limit`` due jobs, the longest due first."""
        with self._database.statement() as transaction:
            now = transaction.now
            due = (
                row
                for row in transaction.all(self._database.jobs)
                if _due(row, now, limited) and not row.suspect and self._database.is_free(transaction, row.id)
            )
            rows = nsmallest(limit, due, key=attrgetter("next_run_at", "id"))
            return [self._claim_row(transaction, row, worker, lease, alone=False) for row in rows]

    def claim_limited(
        self,
        handler_name: str,
        limits: Limits[Any],
        limit: int,
        *,
        worker: str,
        lease: timedelta,
        alarm: AlarmName | None = None,
        alone: bool = False,
    ) -> LimitedClaim:
        """Claim due jobs of one handler within its limits."""
        with self._database.statement() as transaction:
            slots = HandlerSlots(transaction, handler_name, limits, self._database.clock.now(), alone=alone)
            chosen = slots.claimable(limit, lambda row: alarm is None or alarm == AlarmName(row.id, row.generation))
            runs = [self._claim_row(transaction, row, worker, lease, alone=alone) for row in chosen]
            slots.record_starts(len(chosen))
            return LimitedClaim(runs, slots.wait_seconds(chosen))

    def due_in(self, alarm: AlarmName) -> float | None:
        """Return the seconds until the job is due by the database's clock."""
        with self._database.statement() as transaction:
            row = transaction.job(alarm.job_id)
            if row is None or row.generation != alarm.generation or row.status is not JobStatus.SCHEDULED:
                return None
            return (row.due_at - self._database.clock.now()).total_seconds()

    def throttled_handlers(self, handler_names: Collection[str]) -> list[str]:
        """Return the handlers that have at least one due throttled job."""
        with self._database.statement() as transaction:
            jobs = transaction.all(self._database.jobs)
            due = {row.handler_name for row in jobs if row.limited and not row.suspect and row.is_due(transaction.now)}
        return sorted(due.intersection(handler_names))

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """Return the alarms of due suspects."""
        with self._database.statement() as transaction:
            jobs = transaction.all(self._database.jobs)
            due = [row for row in jobs if row.suspect and row.is_due(transaction.now)]
        return [AlarmName(row.id, row.generation) for row in nsmallest(limit, due, key=attrgetter("next_run_at", "id"))]

    def end_alone(self, lease: Lease) -> bool:
        """Record that a suspect no longer runs alone."""
        with self._database.statement() as transaction:
            row = transaction.job(lease.job_id, lock=True)
            if row is None or not row.held_under(lease.token):
                return False
            transaction.put_job(row._replace(alone=False))
        return True

    def claim_convicted(self, limit: int, *, max_lost: int, lease: timedelta) -> list[Conviction]:
        """Claim lost runs of recurring jobs that caused their workers' deaths."""
        with self._database.statement() as transaction:
            now = transaction.now
            jobs = transaction.all(self._database.jobs)
            convicted = (
                row
                for row in jobs
                if row.recurring and is_convicted(row, now, max_lost) and self._database.is_free(transaction, row.id)
            )
            found = []
            for row in nsmallest(limit, convicted, key=attrgetter("lease_expires_at")):
                taken = row._replace(lease_token=str(uuid4()), lease_expires_at=now + lease)
                found.append(Conviction(run_of(transaction.put_job(taken)), error_of(row, convicted=True)))
        return found

    def _claim_row(
        self, transaction: MemoryTransaction, row: JobRow, worker: str, lease: timedelta, *, alone: bool
    ) -> ClaimedRun:
        taken = row._replace(
            status=JobStatus.RUNNING,
            alone=alone,
            attempt=row.attempt + 1,
            lease_token=str(uuid4()),
            lease_expires_at=transaction.now + lease,
            started_at=self._database.clock.now(),
            worker=worker,
            last_run_at=row.last_run_at and min(row.last_run_at, transaction.now),
            progress=None,
            progress_message=None,
            revision=row.revision + 1,
            updated_at=transaction.now,
        )
        return run_of(transaction.put_job(taken))

    def limit_usage(self, periods: Mapping[str, timedelta]) -> LimitUsage:
        """Return the usage of limits, counted in the rows."""
        with self._database.statement() as transaction:
            jobs, now = list(transaction.all(self._database.jobs)), self._database.clock.now()
            starts = [row for row in transaction.all(self._database.starts) if row.handler_name in periods]
        running = [
            row for row in jobs if row.status is JobStatus.RUNNING and row.limited and row.handler_name in periods
        ]
        started: Counter[str] = Counter()
        for start in starts:
            if start.started_at > now - periods[start.handler_name]:
                started[start.handler_name] += start.attempts
        keys = [(row.handler_name, row.concurrency_key) for row in running if row.concurrency_key is not None]
        return LimitUsage(Counter(row.handler_name for row in running), Counter(keys), started)

    def reread(self, run: ClaimedRun, *, connection: object | None = None) -> ClaimedRun | None:
        """Read the run again if its lease is still held."""
        with self._database.statement(connection) as transaction:
            row = transaction.job(run.job_id)
        return run_of(row) if row is not None and row.held_under(run.token) else None

    def extend(self, leases: Collection[Lease], lease: timedelta) -> Heartbeat:
        """Extend leases. A row locked by a transaction is not extended, but its lease still counts as held."""
        held: dict[str, bool] = {}
        with self._database.statement() as transaction:
            for each in leases:
                row = transaction.job(each.job_id)
                if row is None or not row.held_under(each.token):
                    continue
                held[each.token] = row.cancel_requested_at is not None
                if self._database.is_free(transaction, row.id):
                    transaction.put_job(row._replace(lease_expires_at=transaction.now + lease))
        return Heartbeat(frozenset(held), frozenset(token for token, cancel in held.items() if cancel))

    def check_leases(self, leases: Collection[Lease]) -> Heartbeat:
        """Return which leases are held and whose jobs are to be cancelled."""
        with self._database.statement() as transaction:
            rows = [(lease.token, transaction.job(lease.job_id)) for lease in leases]
        held = {token: row for token, row in rows if row is not None and row.held_under(token)}
        cancelled = {token for token, row in held.items() if row.cancel_requested_at is not None}
        return Heartbeat(frozenset(held), frozenset(cancelled))

    def report_progress(self, lease: Lease, fraction: float, message: str | None) -> bool:
        """Write an attempt's progress if its lease is held; never waits for a row lock."""
        with self._database.statement() as transaction:
            row = transaction.job(lease.job_id)
            if row is None or not row.held_under(lease.token):
                return False
            if not self._database.is_free(transaction, lease.job_id):
                raise StoreUnavailable(
                    f"progress of job {lease.job_id} was not noted: a transaction is writing its row"
                )
            transaction.put_job(row._replace(progress=fraction, progress_message=storable(message)))
        return True

    def record(self, outcomes: Sequence[RecordedOutcome], *, connection: object | None = None) -> list[Recorded]:
        """Write outcomes in one statement."""
        written = []
        with self._database.statement(connection) as transaction:
            transaction.lock(*{RowLock("job", outcome.run.job_id) for outcome in outcomes})
            for outcome in outcomes:
                run, row = outcome.run, transaction.job(outcome.run.job_id)
                if row is not None and row.held_under(run.token) and row.generation == run.generation:
                    after = transaction.put_job(ended(row, outcome, transaction.now))
                    attempt = attempt_row(after, outcome)
                    if (before := self._repeated(transaction, attempt)) is not None:
                        transaction.put(self._database.attempts, (row.id, before.token), None)
                    transaction.put(self._database.attempts, (row.id, run.token), attempt)
                    written.append(recorded_of(run.token, after))
        return written

    def _repeated(self, transaction: MemoryTransaction, attempt: AttemptRow) -> AttemptRow | None:
        """Return the latest line of the job's history if this one repeats what it says of a missing handler."""
        if attempt.outcome != AttemptOutcome.UNKNOWN_HANDLER:
            return None
        lines = [each for each in transaction.all(self._database.attempts) if each.job_id == attempt.job_id]
        latest = max(lines, key=place_in_history, default=None)
        same = attrgetter("outcome", "run", "error")
        return latest if latest is not None and same(latest) == same(attempt) else None

    def recorded(self, run: ClaimedRun) -> Recorded | None:
        """Return the recorded outcome from the history, after waiting for any transaction that has locked the row."""
        with self._database.statement() as transaction:
            row = transaction.job(run.job_id, lock=True)
            line = transaction.get(self._database.attempts, (run.job_id, run.token))
        if row is None or line is None or line.outcome == AttemptOutcome.LOST:
            return None
        return recorded_of(run.token, row)


def _due(row: JobRow, now: datetime, limited: Collection[str]) -> bool:
    return row.is_due(now) and not row.limited and row.handler_name not in limited
