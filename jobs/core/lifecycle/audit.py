"""The audit: who changed which job, when, and why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jobs.core.schedules.timing import Instant

MAX_REASON = 500


class AuditEntry(BaseModel):
    """One change that somebody made to a job."""

    model_config = ConfigDict(frozen=True)

    job_id: UUID = Field(description="The job that was changed.")
    job_name: str = Field(description="Its name.")
    handler_name: str = Field(description="Its handler.")
    at: Instant = Field(description="When it was changed.")
    actor: str | None = Field(description="Who changed it, with sign-in in front of the app.")
    action: str = Field(
        description="What was done: `update`, `cancel`, `request-cancel`, `pause`, `resume`, `run-now`, `retry` or "
        "`replace`."
    )
    reason: str | None = Field(description="Why, as the caller said.")
    revision: int = Field(description="The revision that it led to.")
    operation: UUID | None = Field(description="The operation on many jobs that it was part of.")
    before: dict[str, Any] | None = Field(
        description="Of an update, and of a retry with another payload: the fields that it changed, as they were."
    )
