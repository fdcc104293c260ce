"""The bodies of changes: a command of the core, and the reason for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jobs.core.command_fields import Payload
from jobs.core.commands import UpdateJob
from jobs.core.lifecycle.audit import MAX_REASON

Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
_WHY = Field(default=None, description="Why; kept in the audit.")


class ChangeRequest(BaseModel):
    """Why a job is changed. The body may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason | None = _WHY


class RetryRequest(ChangeRequest):
    """Why an ended job is started again, and with which payload. The body may be left out."""

    payload: Payload = Field(
        default=None,
        description="Another payload, which makes it a new run; left out, the job's own. The old one is kept in the "
        "audit, and a masked value stays as it is.",
    )


class UpdateRequest(UpdateJob):
    """What to change of a job, and why."""

    reason: Reason | None = _WHY
