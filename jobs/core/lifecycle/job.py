"""A job as the store returns it, a claimed run, and the outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, Self, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.waiting import WaitingFor
from jobs.core.schedules.timing import Duration, Instant, Timing

Json = Any
"""Any JSON value, as ``json.loads`` gives it, but for a number that no float is exactly: that is a ``Decimal``."""

JsonValue: TypeAlias = "Mapping[str, JsonValue] | Sequence[JsonValue] | str | int | float | Decimal | bool | None"
"""The same for type checkers."""


TIMING_OPTIONS = frozenset(Timing.model_fields) - {"schedule", "timezone"}
"""What the timing says beside schedule and timezone; the only part of a job's options that says anything."""

_OPTIONS = TIMING_OPTIONS | {"retry"}
"""What may be left out of a job, and is shown as if it were where it cannot be read."""


class JobHead(BaseModel):
    """What tells one job from another, and how it stands. A base of its own so that these fields come first."""

    id: UUID
    job_name: str
    handler_name: str
    status: JobStatus
    paused: bool = False


class Job(Timing, JobHead):
    """The row: everything about a job but its lease token. ``model_dump(mode="json")`` is its form in the HTTP API."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    payload: Json
    metadata: dict[str, Json]
    recurring: bool
    next_run_at: Instant | None = Field(description="When the job is due; null once it has ended.")
    scheduled_for: Instant | None = Field(description="The instant that the pending or running run stands for.")
    anchor: Instant = Field(description="What @every counts from, if not from start_at: when the schedule was set.")
    generation: int = Field(description="Which alarm is current; grows when the due time changes.")
    armed_at: Instant | None = Field(description="When the scheduler accepted the current alarm.")
    attempt: int = Field(description="Attempts begun of the current run.")
    max_retries: int
    retry: RetryOptions | None = Field(default=None, description="How this job waits between attempts.")
    waiting_for: WaitingFor | None = Field(default=None, description="Why a Scheduled job does not run now.")
    waiting_for_detail: str | None = Field(default=None, description="The same in a sentence.")
    timeout: Duration | None
    payload_version: int = Field(default=1, description="Of the handler's arguments that the payload was written for.")
    limited: bool = Field(
        default=False, description="Whether its handler has limits, so that it may be throttled once due."
    )
    concurrency_key: str | None = Field(default=None, description="What it is counted by, beside its handler.")
    progress: float | None = Field(default=None, description="Of the current attempt, from 0 to 1, if it tells.")
    progress_message: str | None = None
    result: Json = Field(default=None, description="What the last run that succeeded gave.")
    run_count: int = Field(description="Runs that have come to an end, well or not.")
    consecutive_failures: int
    lost_count: int = Field(default=0, description="Workers lost in a row; from the second on it is run alone.")
    last_run_at: Instant | None = Field(description="When the last attempt that has ended was claimed.")
    last_error: str | None
    handled_at: Instant | None = Field(description="When the job ended; null while it is active.")
    cancel_requested_at: Instant | None
    started_at: Instant | None = Field(description="When the current attempt was claimed.")
    lease_expires_at: Instant | None
    worker: str | None
    revision: int = Field(description="Grows with every change; the HTTP ETag.")
    created_by: str | None
    parent_id: UUID | None = Field(default=None, description="The job whose handler has enqueued this one.")
    trace_parent: str | None
    created_at: Instant
    updated_at: Instant

    @model_validator(mode="wrap")
    @classmethod
    def _as_far_as_it_can_be_read(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Pass over options that a newer release or a hand has written: one row must not take a whole page along."""
        try:
            return read(values)
        except ValidationError as error:
            unreadable = {str(fault["loc"][0]) if fault["loc"] else "" for fault in error.errors(include_url=False)}
            if not isinstance(values, dict) or not unreadable <= _OPTIONS:
                raise
            return read({name: value for name, value in values.items() if name not in unreadable})


class Attempt(BaseModel):
    """One execution of a run, from the job's history."""

    model_config = ConfigDict(frozen=True)

    run: int
    attempt: int
    scheduled_for: Instant | None
    started_at: Instant
    finished_at: Instant
    outcome: AttemptOutcome
    error: str | None
    worker: str | None
    trace_id: str | None
    result: Json = None
    traceback: str | None = Field(
        default=None, description="Of a failed attempt: the handler's own frames and the causes, bounded."
    )


class ClaimedRun(NamedTuple):
    """One attempt that this process holds the lease of.

    ``payload``, ``metadata``, ``options`` and ``retry`` are JSON text. ``claimed_at`` is the store's own time of the
    claim, by which it was due.
    """

    job_id: UUID
    token: str
    generation: int
    handler_name: str
    job_name: str
    payload: str
    metadata: str
    attempt: int
    max_retries: int
    run: int
    scheduled_for: datetime
    due_at: datetime
    claimed_at: datetime
    anchor: datetime
    timeout_seconds: float | None
    recurring: bool
    schedule: str
    timezone: str
    options: str | None
    trace_parent: str | None
    payload_version: int = 1
    retry: str | None = None
    lost_count: int = 0


class Tally(Enum):
    """What an outcome does to ``consecutive_failures``, and whether it ends the run."""

    RESET = "reset"
    INCREMENT = "increment"
    KEEP = "keep"


class RunResult(NamedTuple):
    """How a handler's execution ended, before anything is decided about the job. ``result`` is JSON text."""

    outcome: AttemptOutcome
    error: str | None = None
    retry: bool = False
    after_seconds: float | None = None
    result: str | None = None
    trace_id: str | None = None
    traceback: str | None = None


class RecordedOutcome(NamedTuple):
    """What one statement is to write for one finished attempt. Guarded by ``token`` and ``generation``.

    ``status`` Scheduled comes with the next ``due_at`` and ``scheduled_for``. A job whose cancellation was requested
    becomes Cancelled where ``status`` says Scheduled. ``attempt`` and ``lost_count`` are what the job's counters
    become. ``rescheduled`` says that the next run is the first of a schedule that was set during the run; it is not
    written.
    """

    run: ClaimedRun
    result: RunResult
    status: JobStatus
    started_at: datetime
    finished_at: datetime
    attempt: int = 0
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    tally: Tally = Tally.KEEP
    run_ended: bool = True
    last_error: str | None = None
    lost_count: int = 0
    rescheduled: bool = False


class Recorded(NamedTuple):
    """What stands after an outcome was written. ``due_at`` is None once the job has ended."""

    token: str
    status: JobStatus
    generation: int
    due_at: datetime | None


class Lease(NamedTuple):
    """The right to record one attempt's outcome."""

    job_id: UUID
    token: str
