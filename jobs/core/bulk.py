"""One action on every job that a filter selects."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.audit import MAX_REASON
from jobs.core.lifecycle.status import ENDED, JobStatus
from jobs.core.queries import JobFilter
from jobs.core.schedules.timing import Instant

BULK_HANDLER = "jobs.bulk"
"""The framework's own handler that runs operations. Its jobs are never part of one."""


class BulkAction(StrEnum):
    """What is done to each job."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RUN = "run"
    RETRY = "retry"


_ACTIVE = frozenset(JobStatus) - ENDED
_STATES: dict[BulkAction, tuple[frozenset[JobStatus], bool | None]] = {
    BulkAction.CANCEL: (_ACTIVE, None),
    BulkAction.PAUSE: (_ACTIVE, False),
    BulkAction.RESUME: (_ACTIVE, True),
    BulkAction.RUN: (frozenset({JobStatus.SCHEDULED}), False),
    BulkAction.RETRY: (ENDED, None),
}
"""The states in which an action changes a job, and whether it must be paused."""


class BulkRequest(BaseModel):
    """An action on every job that a filter selects; with ``preview`` it is only said which these would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: BulkAction = Field(description="What to do to each job.")
    filter: JobFilter = Field(
        default=JobFilter(),
        description="Which jobs, as in a search. Those that the action does not apply to are left out.",
    )
    all: bool = Field(default=False, description="Must be true for a filter without a condition.")
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)] | None = Field(
        default=None, description="Why; kept in the audit of each job."
    )
    preview: bool = Field(
        default=False, description="Change nothing: answer how many jobs there are, and some of them."
    )
    id: UUID | None = Field(
        default=None, description="The caller's own id of the operation, so that a repeated call starts no second one."
    )

    def require_condition(self) -> None:
        """Raise ``InvalidInput`` for a filter that selects every job without saying so."""
        if not self.all and not any(value not in ((), {}, None) for _, value in self.filter):
            raise InvalidInput.at(
                "/filter", 'this would be every job there is; give a condition, or "all": true if it is meant'
            )


class BulkArguments(BaseModel):
    """The arguments of the job that runs an operation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: BulkAction
    filter: JobFilter
    reason: str | None = None
    actor: str | None = None
    started_at: Instant
    matched: int
    more: bool


def applicable(action: BulkAction, wanted: JobFilter, until: datetime | None = None) -> JobFilter | None:
    """Return ``wanted`` without the jobs that the action does not change; None if that leaves none.

    ``until`` leaves out jobs that were created since, so that an operation has an end.
    """
    states, paused = _STATES[action]
    status = tuple(sorted(states & {*wanted.status} if wanted.status else states))
    if not status or (paused is not None and wanted.paused not in {None, paused}):
        return None
    changes: dict[str, object] = {"status": status}
    if paused is not None:
        changes["paused"] = paused
    if until is not None and (wanted.created_before is None or wanted.created_before > until):
        changes["created_before"] = until
    return wanted.model_copy(update=changes)
