"""The options for when a job runs: the fields of a command, stored with the job."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from jobs.core.errors import InvalidSchedule, Problem
from jobs.core.schedules.cron import DayMatch
from jobs.core.schedules.dialects.warnings import past_instant, warnings_of
from jobs.core.schedules.durations import format_duration, parse_duration
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.local_time import Dst
from jobs.core.schedules.recurrence import Recurrence
from jobs.core.schedules.schedule import Cron, Schedule

MAX_DURATION = timedelta(days=366)


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _read_instant(value: object) -> object:
    # pydantic alone would read a number, or a text such as "20261201", as seconds since 1970.
    if isinstance(value, int | float | Decimal) or (isinstance(value, str) and not _DATE.match(value)):
        raise ValueError("not an instant; write date, time and offset: 2026-12-01T09:00:00+03:00")
    return value


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant between the years 1 and 9999 in UTC is needed") from None


def _read_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _bounded(duration: timedelta) -> timedelta:
    if not timedelta() < duration <= MAX_DURATION:
        raise ValueError(f"a duration above zero and up to {format_duration(MAX_DURATION)} is needed")
    return duration


Instant = Annotated[AwareDatetime, BeforeValidator(_read_instant), AfterValidator(_to_utc)]
"""An RFC 3339 instant with its offset, kept and written in UTC with ``Z``."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    AfterValidator(_bounded),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration"}),
]
"""An ISO 8601 duration such as ``PT30S`` (a number is read as seconds): above zero, at most a year."""


Runs = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number of runs."""


class DstOptions(BaseModel):
    """The policy for a fixed local time that a change of clocks skips (gap) or repeats (overlap)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap: Literal["shift", "skip"] = Field(
        default="shift", description="A local time that clocks skip: run right after the gap, or not that day."
    )
    overlap: Literal["once", "twice"] = Field(
        default="once", description="A local time that occurs twice: run at the first, or at both."
    )


class MisfireOptions(BaseModel):
    """The policy for runs that fell due while no instance could run them. A bare policy word is accepted too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Literal["run_once", "skip", "catch_up"] = Field(
        default="run_once", description="One run for all that are late, none, or each of them."
    )
    max: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many late runs `catch_up` makes up for. Required with it, and only there.",
    )
    grace: Duration = Field(default=timedelta(seconds=60), description="After how long a run counts as late.")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of the object; of what callers send, also that of the bare word."""
        described = handler(schema)
        if handler.mode == "serialization":
            return described
        words = [*get_args(cls.model_fields["policy"].annotation)]
        word = {"type": "string", "enum": words, "description": "The policy alone, the rest being the default."}
        return {"anyOf": [described, word]}

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _max_belongs_to_catch_up(self) -> MisfireOptions:
        if (self.policy == "catch_up") != (self.max is not None):
            raise ValueError(
                "max says how many missed runs catch_up makes up for: give it with catch_up, and only there"
            )
        return self


class Timing(BaseModel):
    """When a job runs: the expression, its time zone, and its policies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: str = Field(
        default="@once",
        description="When to run: `@once`, an instant, a delay, `@every` and an interval, a word such as `@daily`, or "
        "cron with five or six fields.",
    )
    timezone: str = Field(default="UTC", description="The IANA time zone in which `schedule` is read.")
    dst: DstOptions = Field(
        default=DstOptions(), description="What happens to a local time that clocks skip or show twice."
    )
    day_match: DayMatch = Field(
        default="any", description="How day of month and weekday combine where a cron expression restricts both."
    )
    misfire: MisfireOptions = Field(
        default=MisfireOptions(), description="What happens to runs that fell due while nothing could run them."
    )
    start_at: Instant | None = Field(default=None, description="No run before this. `@every` counts from it.")
    end_at: Instant | None = Field(default=None, description="No run after this. Recurring schedules only.")
    max_runs: Runs | None = Field(
        default=None, description="The job completes after this many runs. Recurring schedules only."
    )
    jitter: Duration | None = Field(default=None, description="Each run starts up to this much later, drawn evenly.")

    @cached_property
    def parsed(self) -> Schedule:
        """The parsed schedule. Raises ``InvalidSchedule`` naming each faulty field."""
        dst = Dst(gap=self.dst.gap, overlap=self.dst.overlap)
        return parse_schedule(self.schedule, self.timezone, dst, self.day_match)

    @property
    def schedule_warnings(self) -> list[str]:
        """Warnings where the expression means something else in the systems people copy it from."""
        return warnings_of(self.parsed)

    def warnings_at(self, now: datetime) -> list[str]:
        """Return the ``schedule_warnings``, plus one if the schedule is an instant that is past."""
        return [*self.schedule_warnings, *past_instant(self.parsed, self.start_at, now)]

    def recurrence(self, anchor: datetime) -> Recurrence:
        """Join the schedule and its policies; ``@every`` counts from ``anchor`` unless there is a ``start_at``.

        Raises ``InvalidSchedule`` naming each faulty field.
        """
        if problems := self.problems():
            raise InvalidSchedule(problems)
        return Recurrence(
            schedule=self.parsed,
            anchor=anchor,
            misfire=self.misfire.policy,
            misfire_max=self.misfire.max,
            misfire_grace=self.misfire.grace,
            start_at=self.start_at,
            end_at=self.end_at,
            max_runs=self.max_runs,
            jitter=self.jitter,
        )

    def problems(self) -> list[Problem]:
        """Return the faults of the schedule and its options, none of which depends on the current time."""
        problems: list[Problem] = []
        try:
            recurring = self.parsed.recurring
        except InvalidSchedule as error:
            problems, recurring = [*error.problems], True
        if not recurring:
            problems += [
                Problem(f"/{field}", "only a recurring schedule can have this; leave it out")
                for field in ("end_at", "max_runs")
                if getattr(self, field) is not None
            ]
        if self.start_at and self.end_at and self.end_at <= self.start_at and recurring:
            problems.append(Problem("/end_at", "end_at must be later than start_at"))
        return problems

    def runs_as(self, other: Timing, *, scheduled_for: datetime | None, now: datetime) -> bool:
        """Whether ``other`` names the same runs from ``now`` on, however it is written.

        Misfire, jitter, ``end_at`` and ``max_runs`` are not compared. ``scheduled_for`` is the pending run's instant: a
        ``start_at`` before it no longer matters for a cron schedule. Raises ``InvalidSchedule`` if either is invalid.
        """
        if self.parsed.meaning != other.parsed.meaning:
            return False
        if self.start_at == other.start_at:
            return True
        if not isinstance(self.parsed, Cron) or scheduled_for is None:
            return False
        begun = min(scheduled_for, now)
        return all(start is None or start <= begun for start in (self.start_at, other.start_at))
