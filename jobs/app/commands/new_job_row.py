"""Convert a command to the row to insert, and the inserted row to the job to return."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs.core.command_fields import OnConflict
from jobs.core.errors import InvalidInput, InvalidSchedule
from jobs.core.handlers.arguments.sensitive import refuse_mask
from jobs.core.lifecycle.ids import new_id
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NewJob
from jobs.core.schedules.timing import Timing
from jobs.core.strict_json import refuse_unstorable_text, write_json

if TYPE_CHECKING:
    from random import Random
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.errors import Problem
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.retry import RetryOptions
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.jobs import Inserted

_TIMING_FIELDS = frozenset(Timing.model_fields)
_OPTION_FIELDS = _TIMING_FIELDS - {"schedule", "timezone"}
_BESIDE_SCHEDULE = _TIMING_FIELDS - {"schedule"}  # most jobs have none of these: they need no clock, so no round trip
_NAMED_AFTER = 160
"""The most characters of the handler's name in a derived ``job_name``, so that the id fits as well."""

_NEVER_RUNS = "this never runs: no fire lies between now or start_at and end_at; change the schedule or the bounds"


def new_job_row(
    command: EnqueueJob,
    spec: HandlerSpec,
    clock: Clock,
    random: Random,
    *,
    actor: str | None,
    trace_parent: str | None,
    parent_id: UUID | None = None,
) -> NewJob:
    """Validate the payload by the handler's model and the schedule by the grammar, and return the row.

    Raises ``InvalidInput`` with every fault: values that the handler refuses or the database cannot store, and a
    schedule that is invalid or never matches.
    """
    try:
        return _new_row(command, spec, clock, random, actor, trace_parent, parent_id)
    except InvalidInput as error:
        # Look for other faults only after a first one, since that takes time.
        others = [problem for problem in _problems(command, spec) if problem not in error.problems]
        if not others:
            raise
        raise InvalidInput([*error.problems, *others]) from None


def _problems(command: EnqueueJob, spec: HandlerSpec) -> list[Problem]:
    """Return every fault that does not depend on the current time."""

    def check_payload() -> None:
        spec.read_arguments(write_json(command.payload, "/payload"))

    problems: list[Problem] = []
    for check in (
        check_payload,
        lambda: write_json(command.metadata, "/metadata"),
        lambda: refuse_unstorable_text(command.job_name or "", "/job_name"),
    ):
        try:
            check()
        except InvalidInput as error:
            problems += error.problems
    return problems + command.problems()


def _new_row(
    command: EnqueueJob,
    spec: HandlerSpec,
    clock: Clock,
    random: Random,
    actor: str | None,
    trace_parent: str | None,
    parent_id: UUID | None,
) -> NewJob:
    payload = write_json(command.payload, "/payload")
    refuse_mask(spec.arguments, command.payload)
    arguments = spec.read_arguments(payload)
    refuse_unstorable_text(command.handler_name, "/handler_name")
    if command.job_name is not None:
        refuse_unstorable_text(command.job_name, "/job_name")
    if actor or trace_parent:
        refuse_unstorable_text(actor or "", "/created_by")
        refuse_unstorable_text(trace_parent or "", "/trace_parent")
    plainly_now = command.schedule == "@once" and command.model_fields_set.isdisjoint(_BESIDE_SCHEDULE)
    first = _AT_ONCE if plainly_now else first_run(command, clock, random)
    timeout = command.timeout or spec.timeout
    job_id = command.id or new_id()
    return NewJob(
        job_id,
        _derived_name(command, job_id, recurring=first.recurring) if command.job_name is None else command.job_name,
        payload,
        write_json(command.metadata, "/metadata") if command.metadata else "{}",
        command.handler_name,
        command.schedule,
        command.timezone,
        None if plainly_now else options_text(command),
        first.recurring,
        first.due_at,
        first.scheduled_for,
        first.anchor,
        spec.retry.max_retries if command.max_retries is None else command.max_retries,
        timeout.total_seconds() if timeout else None,
        actor,
        trace_parent,
        spec.version,
        retry_text(command.retry),
        spec.limits is not None,
        spec.key_of(arguments),
        parent_id,
    )


def _derived_name(command: EnqueueJob, job_id: UUID, *, recurring: bool) -> str:
    """Return a name for a job without one; raises ``InvalidInput`` if the job needs a name of its own."""
    if recurring:
        raise InvalidInput.at(
            "/job_name", "a recurring job needs a job_name: without one, each start of the program would add another"
        )
    if command.on_conflict is not OnConflict.REJECT:
        raise InvalidInput.at("/job_name", f"on_conflict {command.on_conflict} needs the job_name that it is about")
    return f"{command.handler_name[:_NAMED_AFTER]}/{job_id}"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The times of a schedule's first run. None is now, by the database's clock."""

    recurring: bool = False
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    anchor: datetime | None = None


_AT_ONCE = FirstRun()


def first_run(timing: Timing, clock: Clock, random: Random) -> FirstRun:
    """Return the first run of ``timing`` from now on; raises ``InvalidSchedule`` if there is none."""
    now = clock.now()
    recurrence = timing.recurrence(anchor=now)
    occurrence = recurrence.first(now, random)
    if occurrence is None:
        raise InvalidSchedule.at("/schedule", _NEVER_RUNS)
    return FirstRun(recurrence.schedule.recurring, occurrence.due_at, occurrence.scheduled_for, now)


def options_text(timing: Timing) -> str | None:
    """Return ``timing`` without schedule and timezone as JSON text; None if all of it is the default."""
    if not timing.model_fields_set & _OPTION_FIELDS:
        return None
    options = timing.model_dump(mode="json", include=set(_OPTION_FIELDS), exclude_defaults=True)
    return json.dumps(options) if options else None


def retry_text(retry: RetryOptions | None) -> str | None:
    """Return a job's retry options as JSON text; None if its handler's policy applies."""
    return (retry and retry.model_dump_json(exclude_none=True)) or None


def job_from(command: EnqueueJob, new_job: NewJob, row: Inserted) -> Job:
    """Return the job as it is in the database just after the insert, without reading it."""
    timing = {name: getattr(command, name) for name in Timing.model_fields}
    return Job.model_construct(
        **timing,
        id=row.id,
        handler_name=new_job.handler_name,
        job_name=new_job.job_name,
        payload=command.payload,
        metadata=command.metadata,
        status=JobStatus.SCHEDULED,
        paused=False,
        recurring=new_job.recurring,
        next_run_at=row.due_at.astimezone(UTC),
        scheduled_for=row.scheduled_for.astimezone(UTC),
        anchor=new_job.anchor or row.created_at.astimezone(UTC),
        generation=1,
        armed_at=None,
        attempt=0,
        max_retries=new_job.max_retries,
        retry=command.retry,
        waiting_for=None,
        waiting_for_detail=None,
        payload_version=new_job.payload_version,
        limited=new_job.limited,
        concurrency_key=new_job.concurrency_key,
        progress=None,
        progress_message=None,
        result=None,
        timeout=None if new_job.timeout_seconds is None else timedelta(seconds=new_job.timeout_seconds),
        run_count=0,
        consecutive_failures=0,
        last_run_at=None,
        last_error=None,
        handled_at=None,
        cancel_requested_at=None,
        started_at=None,
        lease_expires_at=None,
        worker=None,
        revision=1,
        created_by=new_job.created_by,
        parent_id=new_job.parent_id,
        trace_parent=new_job.trace_parent,
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.created_at.astimezone(UTC),
    )
