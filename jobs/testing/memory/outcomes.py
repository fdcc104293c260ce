"""The effect of recording an outcome: the changed job row, and the new row of the history."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from jobs.core.lifecycle.job import Tally
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.strict_json import MAX_TRACEBACK, storable
from jobs.testing.memory.jsonb import as_stored
from jobs.testing.memory.rows import AttemptRow

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.core.lifecycle.job import RecordedOutcome
    from jobs.testing.memory.rows import JobRow


def ended(row: JobRow, outcome: RecordedOutcome, now: datetime) -> JobRow:
    """Return the row with its attempt ended. A requested cancellation changes Scheduled to Cancelled."""
    continues = outcome.status is JobStatus.SCHEDULED
    cancelled = continues and row.cancel_requested_at is not None
    waits = continues and not cancelled
    failures = {Tally.RESET: 0, Tally.INCREMENT: row.consecutive_failures + 1, Tally.KEEP: row.consecutive_failures}
    result = None if outcome.result.result is None else as_stored(outcome.result.result)
    return row._replace(
        status=JobStatus.CANCELLED if cancelled else outcome.status,
        handled_at=None if waits else now,
        next_run_at=utc(outcome.due_at) if waits else None,
        scheduled_for=utc(outcome.scheduled_for) or row.scheduled_for,
        generation=row.generation + continues,
        armed_at=None,
        attempt=outcome.attempt,
        lost_count=outcome.lost_count,
        lease_token=None,
        lease_expires_at=None,
        run_count=row.run_count + outcome.run_ended,
        consecutive_failures=failures[outcome.tally],
        last_run_at=row.started_at,
        last_error=storable(outcome.last_error),
        failure=None if outcome.last_error is None else outcome.failure,
        result=result if outcome.result.outcome is AttemptOutcome.SUCCEEDED else row.result,
        revision=row.revision + 1,
        updated_at=now,
    )


def attempt_row(after: JobRow, outcome: RecordedOutcome) -> AttemptRow:
    """Return the attempt's row of the history; ``after`` is the job's row with the attempt ended."""
    run, result = outcome.run, outcome.result
    began = max(outcome.started_at, after.started_at or outcome.started_at)
    own_instant = run.recurring or outcome.due_at is not None
    return AttemptRow(
        job_id=run.job_id,
        token=run.token,
        run=after.run_count + (not outcome.run_ended),
        attempt=run.attempt,
        scheduled_for=utc(run.scheduled_for) if own_instant else after.scheduled_for,
        started_at=began.astimezone(UTC),
        finished_at=max(outcome.finished_at, began).astimezone(UTC),
        outcome=result.outcome,
        error=storable(result.error),
        worker=after.worker,
        trace_id=result.trace_id,
        result=None if result.result is None else as_stored(result.result),
        traceback=storable(result.traceback, MAX_TRACEBACK),
        failure=outcome.failure,
        handler_name=None if outcome.failure is None else after.handler_name,
    )


def utc(moment: datetime | None) -> datetime | None:
    """Return the same instant in UTC."""
    return None if moment is None else moment.astimezone(UTC)
