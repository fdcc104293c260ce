"""The commands of callers, validated by pydantic. Field names are those of the HTTP API and of the Python API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.core.command_fields import OnConflict, Payload, ScheduleText
from jobs.core.errors import InvalidInput, Problem
from jobs.core.lifecycle.job import Job, Json
from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.pydantic_problems import problems_of
from jobs.core.schedules.cron import DayMatch
from jobs.core.schedules.timing import DstOptions, Duration, Instant, MisfireOptions, Runs, Timing

if TYPE_CHECKING:
    from typing import Unpack

    from jobs.core.command_fields import EnqueueFields, JobFields

MAX_NAME = 200
MAX_RETRIES = 1_000

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Metadata = dict[Annotated[str, Field(min_length=1, max_length=MAX_NAME)], Json]
Retries = Annotated[int, Field(ge=0, le=MAX_RETRIES)]


class EnqueueJob(Timing):
    """A request for a new job. ``max_retries``, ``retry`` and ``timeout`` default to the handler's own.

    ``payload`` is JSON or a pydantic model. ``schedule`` is an expression, a datetime for a one-time job at that
    instant, or a timedelta for a one-time job that long from now. The ``job_name`` of a one-time job defaults to its
    handler's name and its id. Raises pydantic's ``ValidationError`` for fields of the wrong type.
    """

    schedule: ScheduleText = Field(default="@once", description=Timing.model_fields["schedule"].description)
    handler_name: Name = Field(description="Which registered handler runs the job.")
    job_name: Name | None = Field(
        default=None, description="A name for the job, unique among jobs that are Scheduled or Running."
    )
    payload: Payload = Field(
        default_factory=dict, description="The handler's arguments, validated by its model now and at execution."
    )
    metadata: Metadata = Field(
        default_factory=dict, description="Searchable JSON of the caller's. Keys under `jobs.` are reserved."
    )
    id: UUID | None = Field(
        default=None, description="The caller's own id, else one is made. Version 8 is reserved for follow-ups."
    )
    max_retries: Retries | None = Field(
        default=None, description="How often a failed attempt is tried again; left out, as the handler says."
    )
    retry: RetryOptions | None = Field(
        default=None, description="How long to wait between attempts; left out, as the handler says."
    )
    timeout: Duration | None = Field(
        default=None,
        description="The longest an attempt may take, below `functionTimeout` in host.json; left out, as the handler "
        "says, else `JOBS_DEFAULT_TIMEOUT_SECONDS`.",
    )
    on_conflict: OnConflict = Field(
        default=OnConflict.REJECT, description="What to do when an active job holds `job_name`."
    )

    if TYPE_CHECKING:  # the accepted types, which are wider than the stored ones

        def __init__(self, *, handler_name: str, payload: object = ..., **fields: Unpack[EnqueueFields]) -> None:
            """See the class."""


class EnqueueRequest(EnqueueJob):
    """The same as an HTTP request, where ``job_name`` is required."""

    job_name: Name = Field(description=EnqueueJob.model_fields["job_name"].description)


class UpdateJob(BaseModel):
    """A request to change a job; fields that are left out stay as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: ScheduleText | None = None
    timezone: str | None = None
    dst: DstOptions | None = None
    day_match: DayMatch | None = None
    misfire: MisfireOptions | None = None
    start_at: Instant | None = None
    end_at: Instant | None = None
    max_runs: Runs | None = None
    jitter: Duration | None = None
    payload: Payload = None
    metadata: Metadata | None = None
    max_retries: Retries | None = None
    retry: RetryOptions | None = None
    timeout: Duration | None = None

    if TYPE_CHECKING:  # as for ``EnqueueJob``

        def __init__(self, *, payload: object = ..., **fields: Unpack[JobFields]) -> None:
            """See the class."""

    @property
    def changes(self) -> dict[str, Any]:
        """The given fields and their values. A null is included where it means "none".

        Raises ``InvalidInput`` for a null in a field that cannot be null.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        for name in self.model_fields_set & _NEVER_NULL:
            if given[name] is None:
                raise InvalidInput.at(f"/{name}", "cannot be null; leave the field out to keep it as it is")
        return given

    @property
    def names_timing(self) -> bool:
        """Whether a field of the timing is given, even with its current value."""
        return bool(self.model_fields_set & Timing.model_fields.keys())

    def timing_of(self, job: Job) -> Timing:
        """Return ``job``'s timing with this change applied."""
        fields = {name: getattr(job, name) for name in Timing.model_fields}
        changed = {name: value for name, value in self.changes.items() if name in Timing.model_fields}
        return Timing.model_validate(fields | changed)


_NEVER_NULL = frozenset({"schedule", "timezone", "dst", "day_match", "misfire", "metadata", "max_retries"})


class PreviewSchedule(BaseModel):
    """A request for the next fire times of an expression, for a job that is created at ``after``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: ScheduleText
    timezone: str = "UTC"
    dst: DstOptions = DstOptions()
    day_match: DayMatch = "any"
    start_at: Instant | None = None
    end_at: Instant | None = None
    max_runs: Runs | None = None
    after: Instant | None = Field(default=None, description="The runs listed are those after this; left out, now.")
    count: int = Field(default=5, ge=1, le=100, description="How many runs to list.")


Command = TypeVar("Command", bound=BaseModel)


def read_command(model: type[Command], value: object) -> Command:
    """Check ``value``, parsed JSON, against ``model``.

    Raises ``InvalidInput`` with one problem per fault, each with its JSON Pointer, including faults of the schedule.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faulty = {str(part) for fault in error.errors() for part in fault["loc"][:1]}
        raise InvalidInput([*problems_of(error, value), *_timing_problems(model, value, faulty)]) from None


def _timing_problems(model: type[BaseModel], value: object, faulty: set[str]) -> list[Problem]:
    """Return the faults of the timing in a value that was refused for other fields; none if it is unreadable."""
    if not isinstance(value, dict) or "schedule" in faulty or "schedule" not in model.model_fields:
        return []
    valid = {name: value[name] for name in Timing.model_fields if name in value.keys() - faulty}
    if model is UpdateJob and "schedule" not in valid:
        return []
    try:
        return Timing.model_validate(valid).problems()
    except ValidationError:
        return []
