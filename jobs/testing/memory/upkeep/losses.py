"""Lost runs in memory: rescheduling and conviction. See ``jobs.core.lifecycle.suspects``."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from jobs.core.lifecycle.failures import LOST_WORKER
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.suspects import convicted, wait_milliseconds
from jobs.testing.memory.rows import AttemptRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.testing.memory.database import MemoryTransaction
    from jobs.testing.memory.rows import JobRow


def is_lost(row: JobRow, now: datetime) -> bool:
    """Whether the row's lease has expired."""
    return row.status is JobStatus.RUNNING and row.lease_expires_at is not None and row.lease_expires_at < now


def is_convicted(row: JobRow, now: datetime, max_lost: int) -> bool:
    """Whether the row is lost, and the cause of its worker's death."""
    return is_lost(row, now) and row.cancel_requested_at is None and _is_cause(row, max_lost)


def _is_cause(row: JobRow, max_lost: int) -> bool:
    return convicted(row.lost_count, max_lost, alone=row.alone)


def error_of(row: JobRow, *, convicted: bool) -> str:
    """Return the error text of a lost run."""
    assert row.lease_expires_at is not None  # noqa: S101  true of running jobs
    error = f"the worker {row.worker} was lost: its lease expired at {_as_text(row.lease_expires_at)}"
    if not convicted:
        return error
    alone = ", at last while nothing else started beside it" if row.alone else ""
    times = row.lost_count + 1
    return f"{error}; it was lost {times} times in a row{alone}, so this run is taken to be what ends its workers"


def reschedule_lost(transaction: MemoryTransaction, rows: Sequence[JobRow], max_lost: int) -> list[JobRow]:
    """Make lost runs due again, those of one worker spread over time; fail one-time jobs that are the cause."""
    lost_together = Counter(row.worker for row in rows)
    places = {worker: count() for worker in lost_together}
    rows = sorted(rows, key=lambda row: (row.lease_expires_at, row.id))
    return [
        _reschedule(transaction, row, max_lost, next(places[row.worker]), lost_together[row.worker]) for row in rows
    ]


def _reschedule(transaction: MemoryTransaction, row: JobRow, max_lost: int, place: int, lost_together: int) -> JobRow:
    now = transaction.now
    failed = row.cancel_requested_at is None and _is_cause(row, max_lost)
    ended = JobStatus.CANCELLED if row.cancel_requested_at else JobStatus.FAILED if failed else None
    wait = timedelta(milliseconds=wait_milliseconds(row.lost_count, place, lost_together))
    assert row.lease_token is not None  # noqa: S101  true of running jobs
    assert row.started_at is not None  # noqa: S101
    error = error_of(row, convicted=failed)
    attempt = AttemptRow(
        row.id, row.lease_token, row.run_count + 1, row.attempt, row.scheduled_for, row.started_at,
        max(now, row.started_at),
        AttemptOutcome.LOST, error, row.worker, failure=LOST_WORKER.fingerprint, handler_name=row.handler_name,
    )  # fmt: skip
    transaction.put(transaction.database.attempts, (row.id, row.lease_token), attempt)
    return transaction.put_job(
        row._replace(
            status=ended or JobStatus.SCHEDULED,
            handled_at=now if ended else None,
            next_run_at=None if ended else now + wait,
            generation=row.generation + 1,
            armed_at=None,
            attempt=max(row.attempt - 1, 0),
            lost_count=row.lost_count + 1,
            alone=False,
            run_count=row.run_count + failed,
            consecutive_failures=row.consecutive_failures + failed,
            lease_token=None,
            lease_expires_at=None,
            last_error=error,
            failure=LOST_WORKER.fingerprint,
            last_run_at=row.started_at,
            revision=row.revision + 1,
            updated_at=now,
        )
    )


def _as_text(moment: datetime) -> str:
    """Return an instant in UTC as PostgreSQL writes it."""
    whole, _, fraction = moment.strftime("%Y-%m-%d %H:%M:%S.%f").partition(".")
    return f"{whole}.{fraction}".rstrip("0").rstrip(".") + "+00" if int(fraction) else f"{whole}+00"
