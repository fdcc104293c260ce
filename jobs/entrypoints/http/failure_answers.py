"""The bodies of answers about failures."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.schedules.timing import Duration, Instant
from jobs.entrypoints.http.answers import Answer


class FailureSampleAnswer(Answer):
    """The attempt of a group that failed last."""

    job_id: UUID = Field(description="Its job.")
    handler_name: str = Field(description="Its handler.")
    outcome: AttemptOutcome = Field(description="How it ended.")
    error: str | None = Field(description="Its error, as in the history.")
    finished_at: Instant = Field(description="When it ended.")


class FailureAnswer(Answer):
    """Failed attempts of one cause: of the same kind, at the same place, with a message of the same shape."""

    failure: str = Field(description="The fingerprint of the cause: the `failure` of a list's filter, and of a job.")
    kind: str = Field(description="The error's type, or the outcome where no error of the handler was the cause.")
    message: str = Field(description="The shape of the message: quoted texts, paths, numbers and ids are `*`.")
    place: str | None = Field(
        description="Function and file of the innermost frame of the handler's code; null where there is none."
    )
    count: int = Field(description="Attempts that failed within the window.")
    first_at: Instant = Field(description="When the first of them ended.")
    last_at: Instant = Field(description="When the last of them ended.")
    handlers: list[str] = Field(description="Their handlers.")
    jobs_failed: int = Field(
        description="Jobs that are Failed now with this as their last error, whenever that was: what a retry would be "
        "about."
    )
    sample: FailureSampleAnswer = Field(description="The attempt that failed last.")


class FailuresAnswer(Answer):
    """Failures grouped by their cause. It takes as long however often each cause was met."""

    window: Duration = Field(description="How far back it goes.")
    failures: list[FailureAnswer] = Field(description="The groups, those that failed last first.")
    more: bool = Field(description="Whether there may be other groups.")
    count_to: int = Field(description="Up to how many is counted. A figure that is more is this, and in `at_least`.")
    at_least: list[str] = Field(description="JSON Pointers to the figures of this answer that are lower bounds.")
