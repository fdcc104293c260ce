"""The rows of the tables, and their conversion to the core's types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import TIMING_OPTIONS, Attempt, ClaimedRun, Job, Recorded
from jobs.core.lifecycle.status import JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER
from jobs.core.ports.scheduler import Alarm
from jobs.core.schedules.timing import MAX_DURATION
from jobs.core.strict_json import read_json


class JobRow(NamedTuple):
    """A job. ``payload``, ``metadata``, ``options``, ``retry`` and ``result`` are JSON text, instants are in UTC."""

    id: UUID
    handler_name: str
    job_name: str
    schedule: str
    timezone: str
    options: str | None
    recurring: bool
    payload: str
    metadata: str
    status: JobStatus
    next_run_at: datetime | None
    scheduled_for: datetime | None
    anchor: datetime
    max_retries: int
    timeout: timedelta | None
    created_by: str | None
    trace_parent: str | None
    payload_version: int
    retry: str | None
    created_at: datetime
    updated_at: datetime
    paused: bool = False
    generation: int = 1
    armed_at: datetime | None = None
    attempt: int = 0
    lease_token: str | None = None
    lease_expires_at: datetime | None = None
    started_at: datetime | None = None
    worker: str | None = None
    lost_count: int = 0
    run_count: int = 0
    consecutive_failures: int = 0
    last_run_at: datetime | None = None
    last_error: str | None = None
    handled_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    revision: int = 1
    progress: float | None = None
    progress_message: str | None = None
    result: str | None = None
    limited: bool = False
    concurrency_key: str | None = None
    parent_id: UUID | None = None
    alone: bool = False
    failure: str | None = None

    @property
    def waiting(self) -> bool:
        """Whether the job can be claimed once it is due."""
        return self.status is JobStatus.SCHEDULED and not self.paused

    @property
    def kept_paused(self) -> bool:
        """Whether the job is paused; an ended job is not, though it was paused when it ended."""
        return self.paused and not self.status.ended

    def is_due(self, now: datetime) -> bool:
        """Whether the job is due and can be claimed."""
        return self.waiting and self.due_at <= now

    @property
    def due_at(self) -> datetime:
        """When the job is due; only for active jobs."""
        assert self.next_run_at is not None  # noqa: S101  see require_whole
        return self.next_run_at

    @property
    def suspect(self) -> bool:
        """Whether the job is a suspect, which is claimed only to run alone."""
        return self.lost_count >= SUSPECT_AFTER

    def held_under(self, token: str) -> bool:
        """Whether the job is running under this lease."""
        return self.status is JobStatus.RUNNING and self.lease_token == token


class AttemptRow(NamedTuple):
    """An attempt in a job's history. ``result`` is JSON text."""

    job_id: UUID
    token: str
    run: int
    attempt: int
    scheduled_for: datetime | None
    started_at: datetime
    finished_at: datetime
    outcome: str
    error: str | None
    worker: str | None
    trace_id: str | None = None
    result: str | None = None
    traceback: str | None = None
    failure: str | None = None
    handler_name: str | None = None


class AuditRow(NamedTuple):
    """Who changed what, and when."""

    job_id: UUID
    at: datetime
    actor: str | None
    action: str
    revision: int
    reason: str | None = None
    before: str | None = None
    operation: UUID | None = None


class SeriesRow(NamedTuple):
    """How many attempts began, succeeded, failed and began late within one step."""

    started: int
    succeeded: int
    failed: int
    late: int
    durations: Mapping[int, int]


class KeyRow(NamedTuple):
    """An idempotency key, with the response to the first request under it."""

    fingerprint: str
    answer: str | None
    created_at: datetime


class StartRow(NamedTuple):
    """The number of attempts that one claim within a rate limit started at an instant."""

    number: int
    handler_name: str
    started_at: datetime
    attempts: int


class LockRow(NamedTuple):
    """A lock, held or expired."""

    token: str
    holder: str
    acquired_at: datetime
    expires_at: datetime


def require_whole(row: JobRow) -> JobRow:
    """Return ``row``; raises ``ValueError`` if it violates one of PostgreSQL's check constraints."""
    ended, running = row.status.ended, row.status is JobStatus.RUNNING
    leased = (row.lease_token is not None, row.lease_expires_at is not None)
    if (row.handled_at is None) is ended or (row.next_run_at is None) is not ended or leased != (running, running):
        raise ValueError(f"job {row.id} would be between two states, which the check jobs_state_is_whole forbids")
    if row.attempt < 0 or row.max_retries < 0 or row.generation <= 0:
        raise ValueError(f"job {row.id} would have a count that the check jobs_counts_are_sane forbids")
    timeout_fits = row.timeout is None or timedelta() < row.timeout <= MAX_DURATION
    progress_fits = row.progress is None or 0 <= row.progress <= 1
    if not timeout_fits or not progress_fits or not (row.options or "{").startswith("{"):
        raise ValueError(f"job {row.id} would have a value that the check jobs_values_can_be_read forbids")
    return row


_INTERNAL_COLUMNS = frozenset({"lease_token", "alone", "options"})


def job_of(row: JobRow) -> Job:
    """Return the job of a row."""
    values: dict[str, Any] = {name: value for name, value in row._asdict().items() if name not in _INTERNAL_COLUMNS}
    for name in ("payload", "metadata", "retry", "result"):
        values[name] = None if values[name] is None else read_json(values[name])
    options = read_json(row.options or "{}")
    return Job.model_validate(values | {name: options[name] for name in TIMING_OPTIONS.intersection(options)})


def alarm_of(row: JobRow) -> Alarm:
    """Return the alarm that a job waits for."""
    return Alarm(AlarmName(row.id, row.generation), row.due_at)


def run_of(row: JobRow) -> ClaimedRun:
    """Return the run of a claimed job."""
    assert row.lease_token is not None  # noqa: S101  see require_whole
    assert row.scheduled_for is not None  # noqa: S101  true of active jobs
    assert row.started_at is not None  # noqa: S101  true of running jobs
    return ClaimedRun(
        job_id=row.id,
        token=row.lease_token,
        generation=row.generation,
        handler_name=row.handler_name,
        job_name=row.job_name,
        payload=row.payload,
        metadata=row.metadata,
        attempt=row.attempt,
        max_retries=row.max_retries,
        run=row.run_count + 1,
        scheduled_for=row.scheduled_for,
        due_at=row.due_at,
        claimed_at=row.started_at,
        anchor=row.anchor,
        timeout_seconds=None if row.timeout is None else row.timeout.total_seconds(),
        recurring=row.recurring,
        schedule=row.schedule,
        timezone=row.timezone,
        options=row.options,
        trace_parent=row.trace_parent,
        payload_version=row.payload_version,
        retry=row.retry,
        lost_count=row.lost_count,
    )


def attempt_of(row: AttemptRow, retries: Iterable[datetime]) -> Attempt:
    """Return the attempt of a row; ``retries`` is when its job was retried."""
    values = {name: value for name, value in row._asdict().items() if name in Attempt.model_fields}
    values["retried"] = sum(at <= row.started_at for at in retries)
    return Attempt.model_validate(values | {"result": None if row.result is None else read_json(row.result)})


def recorded_of(token: str, row: JobRow) -> Recorded:
    """Return the job's state after an outcome was written."""
    return Recorded(token, row.status, row.generation, row.next_run_at)
