"""The Python types of command fields: a datetime or timedelta as schedule, a pydantic model as payload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, cast

from pydantic import BaseModel, BeforeValidator

from jobs.core.lifecycle.job import Json
from jobs.core.schedules.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from jobs.core.lifecycle.retry import RetryOptions
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
    return next((found for key, child in children if (found := _masked(child, f"{place}/{key}"))), None)


class OnConflict(StrEnum):
    """What to do if an active job already holds the ``job_name``."""

    REJECT = "reject"
    RETURN_EXISTING = "return_existing"
    REPLACE = "replace"


ScheduleText = Annotated[str, BeforeValidator(schedule_text)]
"""A schedule's expression, which may be given as a datetime or timedelta."""

Payload = Annotated[Json, BeforeValidator(payload_json)]
"""A job's arguments as JSON, which may be given as their pydantic model."""


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
