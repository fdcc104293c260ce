"""The Python types of command fields: a datetime or timedelta as schedule, a pydantic model as payload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, cast

from pydantic import BaseModel, BeforeValidator

from jobs.core.json_pointer import pointer_step
from jobs.core.lifecycle.job import Json
from jobs.core.schedules.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from jobs.core.lifecycle.retry import RetryOptions
    from jobs.core.lifecycle.status import JobStatus
    from jobs.core.schedules.cron import DayMatch
    from jobs.core.schedules.timing import DstOptions, MisfireOptions

    When = str | datetime | timedelta
    """A schedule: an expression, the instant of a one-time job, or the delay of a one-time job from now."""

_PLAUSIBLE_SECONDS = 1_000_000_000
_MASK = "**********"
"""pydantic's replacement for the value of a ``SecretStr``."""


def schedule_text(schedule: object) -> object:
    """Return the expression for a datetime or timedelta; anything else as it is. A negative delay becomes zero.

    A datetime without a zone is local time in the job's ``timezone``. Raises ``ValueError`` for a number of seconds,
    and for the second of two equal local times without a zone, which no expression can name.
    """
    if isinstance(schedule, str):
        return schedule
    if isinstance(schedule, datetime):
        offset = schedule.utcoffset()
        if offset is not None and offset % timedelta(minutes=1):
            schedule = schedule.astimezone(UTC)  # RFC 3339 has no seconds in an offset
        if offset is None and schedule.fold:
            raise ValueError(
                "a datetime with fold=1 needs its zone: give it a tzinfo, such as ZoneInfo('Europe/Berlin')"
            )
        return schedule.isoformat()
    if isinstance(schedule, timedelta):
        return format_duration(max(schedule, timedelta()))
    if type(schedule) in {int, float} and 0 < cast("float", schedule) < _PLAUSIBLE_SECONDS:
        raise ValueError(f"a number has no unit; write PT{schedule}S, or in Python timedelta(seconds={schedule})")
    return schedule


def payload_json(payload: Any) -> Any:
    """Return the JSON value of a pydantic model, by its aliases; anything else as it is.

    Raises ``ValueError`` for a model with a ``SecretStr``, which would be stored as asterisks.
    """
    if not isinstance(payload, BaseModel):
        return payload
    value = payload.model_dump(mode="json", by_alias=True)
    if place := _masked(value):
        raise ValueError(
            f"{place} is a SecretStr, of which a job would keep asterisks; keep the secret in a vault, and in the "
            "payload where it is"
        )
    return value


def _masked(value: Any, place: str = "") -> str | None:
    """Return the JSON Pointer of the first masked secret in ``value``, None if there is none."""
    if value == _MASK:
        return place or "the payload"
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for key, child in children if (found := _masked(child, f"{place}/{pointer_step(key)}"))), None)


def one_or_many(value: object) -> object:
    """Return several values as they are, and one as a tuple of it."""
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)


def no_such_field(name: str, fields: Collection[str], whose: str) -> str:
    """Return the message for a field that does not exist, with the one that may be meant."""
    close = get_close_matches(name.lower(), fields, n=1)
    meant = f"is {close[0]!r} meant? " if close else ""
    return f"there is no field {name!r}; {meant}The fields of {whose} are {', '.join(fields)}"


class OnConflict(StrEnum):
    """What to do if an active job already holds the ``job_name``."""

    REJECT = "reject"
    RETURN_EXISTING = "return_existing"
    REPLACE = "replace"


ScheduleText = Annotated[str, BeforeValidator(schedule_text)]
"""A schedule's expression, which may be given as a datetime or timedelta."""

Payload = Annotated[Json, BeforeValidator(payload_json)]
"""A job's arguments as JSON, which may be given as their pydantic model."""


OneOrMany = BeforeValidator(one_or_many)
"""Of a field with alternatives, one of which must match: one value, or several; none is no condition."""


class JobFields(TypedDict, total=False):
    """The fields common to enqueuing and updating a job, except the payload. All are optional."""

    schedule: When
    timezone: str
    dst: DstOptions | Mapping[str, str]
    day_match: DayMatch
    misfire: MisfireOptions | Literal["run_once", "skip"] | Mapping[str, object]
    start_at: datetime | str | None
    end_at: datetime | str | None
    max_runs: int | None
    jitter: timedelta | str | None
    metadata: Mapping[str, object]
    max_retries: int | None
    retry: RetryOptions | Mapping[str, object] | None
    timeout: timedelta | str | None


class EnqueueFields(JobFields, total=False):
    """The fields of ``EnqueueJob``, except handler and payload."""

    job_name: str | None
    id: UUID | None
    on_conflict: OnConflict | Literal["reject", "return_existing", "replace"]


class QueryFields(TypedDict, total=False):
    """The fields of ``JobQuery``."""

    status: JobStatus | str | Collection[JobStatus | str]
    handler_name: str | Collection[str]
    job_name: str | Collection[str]
    job_name_prefix: str | Collection[str]
    parent_id: UUID | str | Collection[UUID | str]
    metadata: Mapping[str, object]
    failure: str | Collection[str]
    paused: bool | None
    recurring: bool | None
    overdue: bool | None
    created_after: datetime | str | None
    created_before: datetime | str | None
    ended_after: datetime | str | None
    ended_before: datetime | str | None
    due_after: datetime | str | None
    due_before: datetime | str | None
    payloads: bool
    limit: int
    cursor: str | None
