"""The bodies of answers, as pydantic models: what functions return, and what the OpenAPI document says of it."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.core.commands import EnqueueRequest
from jobs.core.lifecycle.audit import AuditEntry
from jobs.core.lifecycle.job import Attempt, Job
from jobs.core.schedules.timing import Duration, Instant

ABSENT: JsonDict = {"x-absent": True}
"""Of a field that an answer lacks, rather than having null, where there is nothing to say."""
Next = Field(description="The relative URL of the next page; null on the last one.")


class Answer(BaseModel):
    """A body that is made once and sent."""

    model_config = ConfigDict(frozen=True)


class JobAnswer(Job):
    """A job, and what belongs to this call alone."""

    payload: Any = Field(description=Job.model_fields["payload"].description, json_schema_extra=ABSENT)
    follow_ups: str = Field(description="The relative URL that lists the jobs that its handler enqueued.")
    warnings: list[str] = Field(
        default=[],
        description="Why the schedule may not mean what its author has in mind; not stored.",
        json_schema_extra=ABSENT,
    )


class JobPage(Answer):
    """A page of jobs, newest first."""

    jobs: list[JobAnswer] = Field(description="The jobs, newest first.")
    next: str | None = Next


class SearchPage(Answer):
    """A page of the jobs that a search has found, newest first."""

    jobs: list[JobAnswer] = Field(description="The jobs, newest first.")
    cursor: str | None = Field(
        description="What to send as `cursor`, with the same body, for the next page; null on the last one."
    )


class AttemptPage(Answer):
    """A page of a job's attempts, newest first."""

    attempts: list[Attempt] = Field(description="The attempts, newest first.")
    next: str | None = Next


class AuditPage(Answer):
    """A page of the changes that were made to jobs, newest first."""

    audit: list[AuditEntry] = Field(description="The changes, newest first.")
    next: str | None = Next


class Fault(Answer):
    """One fault in a request."""

    pointer: str = Field(description="A JSON Pointer into the request; empty for the whole of it.")
    detail: str = Field(description="What is wrong there, and what to do.")


class ProblemDetails(Answer):
    """An error, by RFC 9457. Rely on ``type``, not on ``title`` or ``detail``."""

    type: str = Field(description="The kind of problem: `urn:jobs:problem:` and a stable word.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong, and what to do.")
    errors: list[Fault] = Field(default=[], description="With `invalid-request`: each fault.", json_schema_extra=ABSENT)
    holder: UUID | None = Field(
        default=None, description="With `job-name-taken`: the job that holds the name.", json_schema_extra=ABSENT
    )
    trace_id: str | None = Field(
        default=None, description="The call's trace. The log has more under it.", json_schema_extra=ABSENT
    )


class BatchRequest(BaseModel):
    """Jobs to enqueue. What is valid is enqueued; each job has its own result in its own place."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[EnqueueRequest] = Field(description="The jobs, each as for a single enqueue.", min_length=1)


class BatchCounts(Answer):
    """What became of a batch."""

    created: int = Field(description="Jobs that were enqueued.")
    existing: int = Field(description="Jobs in whose place `on_conflict` returned an existing one.")
    refused: int = Field(description="Jobs that were refused.")


class BatchResult(Answer):
    """What became of one job of a batch: ``job`` or ``problem``."""

    status: int = Field(description="The HTTP status that an enqueue of this job alone would have had.")
    job: JobAnswer | None = Field(default=None, description="The job.", json_schema_extra=ABSENT)
    problem: ProblemDetails | None = Field(default=None, description="Why it was refused.", json_schema_extra=ABSENT)


class BatchAnswer(Answer):
    """What became of a batch."""

    counts: BatchCounts = Field(description="How many of each.")
    results: list[BatchResult] = Field(description="One result for each job, in the order of the request.")


class RateAnswer(Answer):
    """How many attempts of a handler may start within a period."""

    count: int = Field(description="How many may start.")
    per: Duration = Field(description="Within how long.")


class LimitsAnswer(Answer):
    """The limits of a handler, over all instances."""

    concurrency: int | None = Field(description="How many run at once; null is any number.")
    per_key: int | None = Field(description="How many of one key run at once; null without a key.")
    rate: RateAnswer | None = Field(description="How many start within a period; null is any number.")


class DurationsAnswer(Answer):
    """How long attempts took whose handler ran to its end, right to a tenth or so."""

    p50_seconds: float = Field(description="Half of them took no longer.")
    p95_seconds: float = Field(description="95 of 100 took no longer.")
    p99_seconds: float = Field(description="99 of 100 took no longer.")


class HandlerUse(Answer):
    """How much of a handler's limits is in use."""

    running: int = Field(description="Attempts that run now.")
    most_of_one_key: int = Field(description="Of these, those of the key that has most.")
    started: int | None = Field(description="Attempts that started within the period of its rate; null without one.")


class HandlerVersion(Answer):
    """A version of a handler's arguments that workers ran."""

    version: int = Field(description="The version.")
    first_seen_at: Instant = Field(description="When a worker first had it.")
    workers: int = Field(description="How many have it now.")


class HandlerFigures(Answer):
    """How a handler fared of late."""

    window: Duration = Field(description="How far back it goes, in whole hours.")
    started: int = Field(description="Attempts that began.")
    succeeded: int = Field(description="Attempts that succeeded.")
    failed: int = Field(description="Attempts that failed, those that are retried or lost their worker included.")
    late: int = Field(
        description="Runs whose first attempt began later than `JOBS_OVERDUE_GRACE_SECONDS` after they were due."
    )
    success_rate: float | None = Field(
        description="What share of the attempts that succeeded or failed succeeded; null where there is none."
    )
    durations: DurationsAnswer | None = Field(description="How long they took; null where none was timed.")
    use: HandlerUse | None = Field(description="How much of its limits is in use; null without any.")
    versions: list[HandlerVersion] = Field(description="The versions of its arguments that workers ran, newest first.")


class HandlerAnswer(Answer):
    """A handler of the release that answers."""

    name: str = Field(description="What jobs name as `handler_name`.")
    description: str | None = Field(description="The first line of its docstring.")
    version: int = Field(description="The version of its arguments.")
    max_retries: int = Field(description="How often a failed attempt is tried again, unless the job says otherwise.")
    timeout: Duration | None = Field(
        description="In effect unless the job says otherwise: the handler's, else `JOBS_DEFAULT_TIMEOUT_SECONDS`."
    )
    limits: LimitsAnswer | None = Field(description="Its limits; null without any.")
    arguments: dict[str, Any] = Field(description="The JSON Schema of its payload.")
    figures: HandlerFigures | None = Field(
        default=None, description="How it fared; only with `include=figures`.", json_schema_extra=ABSENT
    )


class HandlersAnswer(Answer):
    """The handlers of the release that answers."""

    handlers: list[HandlerAnswer] = Field(description="The handlers, by name.")


class FireTime(Answer):
    """A time at which a schedule fires."""

    at: Instant = Field(description="When it fires, in UTC.")
    local: str = Field(description="The same in the schedule's time zone, with its offset.")
    note: Literal["gap", "overlap"] | None = Field(
        description="`gap` where clocks skip the time asked for, `overlap` where it occurs twice."
    )


class PreviewAnswer(Answer):
    """What a schedule means, and when it fires."""

    kind: Literal["one-time", "recurring"] = Field(description="Whether it fires once or again and again.")
    description: str = Field(description="What it means, in words.")
    warnings: list[str] = Field(description="Why it may not mean what its author has in mind.")
    runs: list[FireTime] = Field(description="The next times at which it fires.")


class AlarmAnswer(Answer):
    """What became of an alarm."""

    outcome: AlarmOutcome = Field(description="What became of it. Each of these means: do not call again.")
