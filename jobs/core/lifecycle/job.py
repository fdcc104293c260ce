"""A job as the store returns it, a claimed run, and the outcome of an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from jobs.core.lifecycle.failures import fingerprint_of
from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.waiting import WaitingFor
from jobs.core.schedules.timing import Duration, Instant, Timing

Json = Any
"""Any JSON value, as ``json.loads`` returns it, but a ``Decimal`` for a number that a float cannot represent."""

JsonValue: TypeAlias = "Mapping[str, JsonValue] | Sequence[JsonValue] | str | int | float | Decimal | bool | None"
"""The same for type checkers."""

if TYPE_CHECKING:
    StoredJson = JsonValue
else:
    StoredJson = Json  # it was checked when it was stored
"""A field with a JSON value, as its reader sees it."""

TIMING_OPTIONS = frozenset(Timing.model_fields) - {"schedule", "timezone"}
"""The fields of the timing except schedule and timezone: the ones in a job's ``options`` column."""

_OPTIONS = TIMING_OPTIONS | {"retry"}
"""The fields that a job may lack. An unreadable one is shown as missing."""


class JobHead(BaseModel):
    """A job's identity and state. A base class of its own so that these fields come first in JSON."""

    id: UUID = Field(description="Time-ordered. Never used again.")
    job_name: str = Field(description="The caller's name for it; free again once the job has ended.")
    handler_name: str = Field(description="Which handler runs it.")
    status: JobStatus = Field(description="Its state. `Scheduled` waits, also for a retry; the last three are ends.")
    paused: bool = Field(default=False, description="Whether it is kept from running; false once it has ended.")

    @field_validator("paused")
    @classmethod
    def _until_it_ends(cls, paused: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  as pydantic calls it
        """Return whether the job is paused; the row of a job that ended while it was paused still says so."""
        status = info.data.get("status")
        return paused and not (isinstance(status, JobStatus) and status.ended)


class Job(Timing, JobHead):
    """A job's row without the lease token. ``model_dump(mode="json")`` is its form in the HTTP API.

    The HTTP API also fills in what the app that answers knows of its handler: why the job waits, and the timeout and
    the ``retry`` in effect. From Python, ``waiting_for`` is None, and the others are those that the job itself has.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    payload: StoredJson = Field(description="The handler's arguments. Lists have them only with `include=payload`.")
    metadata: dict[str, StoredJson] = Field(description="The caller's, and the framework's own keys under `jobs.`.")
    recurring: bool = Field(description="Whether the schedule recurs.")
    next_run_at: Instant | None = Field(description="When the job is due; null once it has ended.")
    scheduled_for: Instant | None = Field(description="The scheduled instant of the pending or running run.")
    anchor: Instant = Field(description="What @every counts from, if not from start_at: when the schedule was set.")
    generation: int = Field(description="Of the current alarm; grows when the due time changes.")
    armed_at: Instant | None = Field(description="When the scheduler accepted the current alarm.")
    attempt: int = Field(description="Attempts of the current run that have started.")
    max_retries: int = Field(description="In effect: how often a failed attempt is tried again.")
    retry: RetryOptions | None = Field(default=None, description="How this job waits between attempts.")
    waiting_for: WaitingFor | None = Field(default=None, description="Why a Scheduled job does not run now.")
    waiting_for_detail: str | None = Field(default=None, description="The same in a sentence.")
    timeout: Duration | None = Field(description="In effect: the longest an attempt may take; null is unlimited.")
    payload_version: int = Field(default=1, description="The version of the handler's arguments in payload.")
    limited: bool = Field(
        default=False, description="Whether its handler has limits, so that it may be throttled once due."
    )
    concurrency_key: str | None = Field(
        default=None, description="The key that limits count it by, beside its handler."
    )
    progress: float | None = Field(default=None, description="Of the current attempt, from 0 to 1, if reported.")
    progress_message: str | None = Field(default=None, description="What the handler reported with its progress.")
    result: StoredJson = Field(default=None, description="The result of the last run that succeeded.")
    run_count: int = Field(description="Runs that have ended, successfully or not.")
    consecutive_failures: int = Field(description="Runs that failed in a row.")
    lost_count: int = Field(default=0, description="Workers lost in a row; from the second on it runs alone.")
    last_run_at: Instant | None = Field(description="When the last attempt that has ended was claimed.")
    last_error: str | None = Field(description="One line; the history has the traceback.")
    failure: str | None = Field(
        default=None, description="The cause of that error, the same for all of one cause: see `GET /api/failures`."
    )
    handled_at: Instant | None = Field(description="When the job ended; null while it is active.")
    cancel_requested_at: Instant | None = Field(description="When somebody cancelled it while it ran.")
    started_at: Instant | None = Field(description="When the current attempt was claimed.")
    lease_expires_at: Instant | None = Field(description="Until when the worker holds the run.")
    worker: str | None = Field(description="Instance and process that hold or last held the run.")
    revision: int = Field(description="Grows with every change; the HTTP ETag.")
    created_by: str | None = Field(description="Who enqueued it, with sign-in in front of the app.")
    parent_id: UUID | None = Field(default=None, description="The job whose handler enqueued this one.")
    trace_parent: str | None = Field(description="The W3C trace context of the enqueue.")
    created_at: Instant = Field(description="When the job was inserted.")
    updated_at: Instant = Field(description="When it last changed.")

    @model_validator(mode="wrap")
    @classmethod
    def _ignore_unreadable_options(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Ignore options that a newer release or a person has written: one bad row must not break a whole page."""
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

    run: int = Field(description="The job's due occurrences, counted from 1.")
    attempt: int = Field(description="Executions of this run, counted from 1.")
    scheduled_for: Instant | None = Field(description="The scheduled instant of the run.")
    started_at: Instant = Field(description="When it was claimed.")
    finished_at: Instant = Field(description="When it ended.")
    outcome: AttemptOutcome = Field(description="How it ended.")
    error: str | None = Field(description="One line that names the innermost frame of the handler's code.")
    worker: str | None = Field(description="Instance and process.")
    trace_id: str | None = Field(description="The attempt's own trace, with `JOBS_OPENTELEMETRY`.")
    result: StoredJson = Field(default=None, description="What it set as its result.")
    traceback: str | None = Field(
        default=None, description="Of a failed attempt: the handler's own frames and the causes, bounded."
    )
    retried: int = Field(
        default=0, description="How often `retry` had started the job again by then; the same run then counts anew."
    )


class ClaimedRun(NamedTuple):
    """An attempt whose lease this process holds.

    ``payload``, ``metadata``, ``options`` and ``retry`` are JSON text. ``claimed_at`` is the time of the claim by the
    store's clock.
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
    """The effect of an outcome on ``consecutive_failures``."""

    RESET = "reset"
    INCREMENT = "increment"
    KEEP = "keep"


class RunResult(NamedTuple):
    """How a handler's execution ended, before the job's next state is computed. ``result`` is JSON text."""

    outcome: AttemptOutcome
    error: str | None = None
    retry: bool = False
    after_seconds: float | None = None
    result: str | None = None
    trace_id: str | None = None
    traceback: str | None = None


class RecordedOutcome(NamedTuple):
    """The values to write for one finished attempt, fenced by ``token`` and ``generation``.

    ``status`` Scheduled comes with the next ``due_at`` and ``scheduled_for``; a job whose cancellation was requested
    becomes Cancelled instead. ``attempt`` and ``lost_count`` are the job's new counters. ``rescheduled`` is whether the
    next run is the first of a schedule that was set during the run; it is not written.
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

    @property
    def failure(self) -> str | None:
        """The fingerprint of the attempt's cause; None if it did not fail, or there is no word of why."""
        result = self.result
        return None if result.error is None else fingerprint_of(result.outcome, result.error)


class Recorded(NamedTuple):
    """The job's state after an outcome was written. ``due_at`` is None if the job has ended."""

    token: str
    status: JobStatus
    generation: int
    due_at: datetime | None


class Lease(NamedTuple):
    """The right to record one attempt's outcome."""

    job_id: UUID
    token: str
