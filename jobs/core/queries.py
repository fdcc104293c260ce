"""The queries of callers, validated by pydantic: which jobs, attempts and changes to list."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from jobs.core.command_fields import OneOrMany, no_such_field
from jobs.core.errors import InvalidInput, Problem
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.job import Json
from jobs.core.lifecycle.status import JobStatus
from jobs.core.pydantic_problems import problems_of
from jobs.core.schedules.timing import Duration, Instant

if TYPE_CHECKING:
    from typing import Unpack

    from jobs.core.command_fields import QueryFields

MAX_PAGE = 500
MAX_GROUPS = 200


AnyOf = Annotated[tuple[str, ...], OneOrMany]

Limit = Annotated[int, Field(ge=1, le=MAX_PAGE, description="How many a page has at most; it ends early at 1 MiB.")]
Cursor = Annotated[str | None, Field(description="The place from which to go on, from the page before.")]


class JobFilter(BaseModel):
    """Which jobs. Every given condition must match; of several values of one, any may match.

    ``…_after`` includes its instant, ``…_before`` does not, so that one day's ``before`` is the next one's ``after``.
    ``ended_…`` compares when the job ended, ``due_…`` when it is due. ``overdue`` jobs are Scheduled, not paused, and
    due; or their due run is put off until there is a release with its handler.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Annotated[tuple[JobStatus, ...], OneOrMany] = Field(default=(), description="Any of these states.")
    handler_name: AnyOf = Field(default=(), description="Any of these handlers.")
    job_name: AnyOf = Field(default=(), description="Any of these names.")
    job_name_prefix: AnyOf = Field(default=(), description="Any name that begins with one of these.")
    parent_id: Annotated[tuple[UUID, ...], OneOrMany] = Field(
        default=(), description="Follow-ups of one of these jobs."
    )
    metadata: dict[str, Annotated[tuple[Json, ...], OneOrMany]] = Field(
        default_factory=dict, description="By key: any of these values in the metadata; an object matches a part."
    )
    failure: AnyOf = Field(
        default=(),
        description="The last error is of any of these causes, by the fingerprint that `GET /api/failures` has.",
    )
    paused: bool | None = Field(default=None, description="Whether the job is paused.")
    recurring: bool | None = Field(default=None, description="Whether its schedule recurs.")
    overdue: bool | None = Field(
        default=None,
        description="Whether it waits, not paused, and is due by now, or put off until its handler is there.",
    )
    created_after: Instant | None = Field(default=None, description="Created at or after an instant.")
    created_before: Instant | None = Field(default=None, description="Created before an instant.")
    ended_after: Instant | None = Field(default=None, description="Ended at or after an instant.")
    ended_before: Instant | None = Field(default=None, description="Ended before an instant.")
    due_after: Instant | None = Field(default=None, description="The next run is at or after an instant.")
    due_before: Instant | None = Field(default=None, description="The next run is before an instant.")


class JobQuery(JobFilter):
    """Which jobs to list, newest first. With ``payloads=False`` the payloads are None, which saves reading them.

    Raises ``InvalidInput`` for a field that does not exist or has a wrong value.
    """

    payloads: bool = Field(default=True, description="Whether to read the payloads too.")
    limit: Limit = 50
    cursor: Cursor = None

    if TYPE_CHECKING:  # the accepted types, which are wider than the stored ones

        def __init__(self, **fields: Unpack[QueryFields]) -> None:
            """See the class."""

    @model_validator(mode="wrap")
    @classmethod
    def _readably(cls, given: Any, validate: ModelWrapValidatorHandler[JobQuery]) -> JobQuery:
        try:
            return validate(given)
        except ValidationError as error:
            raise InvalidInput([_query_problem(each) for each in problems_of(error, given)]) from None


def _query_problem(problem: Problem) -> Problem:
    if problem.detail != "Extra inputs are not permitted":
        return problem
    return Problem(problem.pointer, no_such_field(problem.pointer[1:], tuple(JobQuery.model_fields), "a query"))


class JobSearch(JobQuery):
    """The same in the body of a request. It says what a query string cannot: values by their exact type, and many."""

    payloads: bool = Field(default=False, description="Whether to answer with the payloads too.")


INSTANT_FILTERS = {"created": "created_at", "ended": "handled_at", "due": "next_run_at"}
"""The field that ``…_after`` and ``…_before`` compare."""


class AuditQuery(BaseModel):
    """Which changes of jobs to list, newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: UUID | None = Field(default=None, description="Changes of one job.")
    actor: AnyOf = Field(default=(), description="Made by any of these.")
    action: AnyOf = Field(default=(), description="Any of these actions.")
    after: Instant | None = Field(default=None, description="Made at or after an instant.")
    before: Instant | None = Field(default=None, description="Made before an instant.")
    limit: Limit = 50
    cursor: Cursor = None


class HandlerQuery(BaseModel):
    """What to return of handlers beside what they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: Literal["figures"] | None = Field(
        default=None, description="`figures`: also how they fared within a day, which the database is asked for."
    )


class FailureQuery(BaseModel):
    """Which groups of failures to list: those of the last ``window``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Duration = Field(default=timedelta(days=1), description="How far back to look.")
    handler_name: AnyOf = Field(default=(), description="Failures of any of these handlers.")
    limit: Annotated[int, Field(ge=1, le=MAX_GROUPS)] = Field(
        default=50, description="How many groups to return: those that failed last."
    )


class SeriesQuery(BaseModel):
    """Which time series to read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: Step = Field(default=Step.MINUTE, description="By minute for three hours, or by hour for seven days.")
    handler_name: AnyOf = Field(
        default=(), description="The handlers to have series of their own, `*` for all that this release has."
    )


class HistoryQuery(BaseModel):
    """Which of a job's attempts or changes to list, newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Limit = 50
    cursor: Cursor = None
