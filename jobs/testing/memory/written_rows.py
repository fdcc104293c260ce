"""What an insert and a change make of a job's row, and which text neither may write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NOW, Change, Inserted
from jobs.core.strict_json import refuse_unstorable_text
from jobs.testing.memory.jsonb import as_stored
from jobs.testing.memory.rows import JobRow

if TYPE_CHECKING:
    from jobs.core.ports.jobs import NewJob
    from jobs.testing.memory.database import MemoryTransaction

_JSON = frozenset({"payload", "metadata", "options", "retry"})


def inserted_row(transaction: MemoryTransaction, job: NewJob) -> Inserted | None:
    """Insert a job's row; returns None where its id or its name is taken."""
    if transaction.job(job.id) is not None or transaction.holder_of(job.job_name) is not None:
        return None
    now = transaction.now
    values: dict[str, Any] = {name: _stored(name, value, now) for name, value in job._asdict().items()}
    seconds, due_at = values.pop("timeout_seconds"), values.pop("due_at") or now
    row = JobRow(
        **values
        | {
            "status": JobStatus.SCHEDULED,
            "next_run_at": due_at,
            "scheduled_for": values["scheduled_for"] or now,
            "anchor": values["anchor"] or now,
            "timeout": None if seconds is None else timedelta(seconds=seconds),
            "created_at": now,
            "updated_at": now,
        }
    )
    transaction.put_job(row)
    return Inserted(job.id, now, job.due_at or now, job.scheduled_for or now)


def changed_row(row: JobRow, change: Change, now: datetime) -> JobRow:
    """Return a job's row as a change leaves it, of the next revision."""
    columns = {name: _stored(name, value, now) for name, value in change.columns.items()}
    if "status" in columns:
        columns["status"] = JobStatus(columns["status"])
    if change.new_generation:
        columns |= {"generation": row.generation + 1, "armed_at": None}
    return row._replace(**columns | {"revision": row.revision + 1, "updated_at": now})


def _stored(name: str, value: Any, now: datetime) -> Any:
    """Return a column's value as it is read back."""
    if value is NOW:
        return now
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return as_stored(value) if name in _JSON and value is not None else value


def refuse_unstorable(*values: Any) -> None:
    """Raise ``InvalidInput`` for text that PostgreSQL cannot store, before the statement begins."""
    for value in values:
        if isinstance(value, str):
            refuse_unstorable_text(value, "")
