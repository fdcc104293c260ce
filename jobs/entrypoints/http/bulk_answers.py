"""The bodies of answers about operations on many jobs."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from jobs.core.bulk import BulkAction
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobFilter
from jobs.core.schedules.timing import Instant
from jobs.entrypoints.http.answers import Answer, JobAnswer


class OperationCounts(Answer):
    """What became of the jobs so far."""

    changed: int = Field(description="Jobs that were changed, each once.")
    unchanged: int = Field(description="Jobs that were in another state by the time that it was their turn.")
    refused: int = Field(description="Jobs that may not be changed, such as one whose name another job has by now.")


class OperationAnswer(Answer):
    """An operation on many jobs. A job of the framework's own runs it."""

    id: UUID = Field(description="Of the operation, and of the job that runs it.")
    status: JobStatus = Field(description="Of that job: `Scheduled` and `Running` while it is under way.")
    action: BulkAction = Field(description="What is done to each job.")
    filter: JobFilter = Field(description="Which jobs.")
    reason: str | None = Field(description="Why.")
    created_by: str | None = Field(description="Who started it, with sign-in in front of the app.")
    created_at: Instant = Field(description="When it was started. Jobs that were created later are not part of it.")
    ended_at: Instant | None = Field(description="When it ended.")
    matched: int = Field(description="Jobs that it was about when it was started.")
    more: bool = Field(description="Whether `matched` is a lower bound.")
    counts: OperationCounts = Field(description="What became of the jobs so far.")
    cancelling: bool = Field(description="Whether it was asked to stop and has not done so yet.")
    last_error: str | None = Field(description="Why it does not go on, or did not end well.")


class PreviewOfBulk(Answer):
    """What an operation would be about."""

    matched: int = Field(description="Jobs that an operation would change now.")
    more: bool = Field(description="Whether `matched` is a lower bound.")
    sample: list[JobAnswer] = Field(description="The newest of them, without payloads.")
