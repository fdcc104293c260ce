"""The change that each command makes to a job, given its current state; None if there is nothing to change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.app.commands.new_job_row import first_run, options_text, retry_text
from jobs.core.commands import UpdateJob
from jobs.core.errors import Conflict, InvalidInput, InvalidSchedule
from jobs.core.handlers.arguments.sensitive import unmasked
from jobs.core.lifecycle.reserved_metadata import refuse_reserved, reserved_of
from jobs.core.lifecycle.status import JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER
from jobs.core.ports.jobs import NOW, RETRY, Change
from jobs.core.pydantic_problems import problems_of
from jobs.core.strict_json import exact_json, write_json

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.clock import Clock
    from jobs.core.schedules.timing import Timing

_JSON = frozenset({"payload", "metadata"})
_COPIED = ("max_retries", "timeout")


def update(
    job: Job,
    command: UpdateJob,
    registry: HandlerRegistry,
    clock: Clock,
    random: Random,
    *,
    may_set_reserved: bool = False,
) -> Change | None:
    """Change schedule, payload, metadata or retry settings.

    Only a schedule with a different meaning is set again, under a new generation, so that the old alarm has no effect.
    Other changes do not affect the pending run: its instant, its jitter and its attempts stay. A recurring job that is
    running continues its run; because of the new generation the job is read again when the outcome is recorded.
    """
    changes = command.changes
    if not changes:
        return None
    if job.status.ended:
        raise Conflict(f"job {job.id} has ended as {job.status}; retry it, or enqueue a new one")
    if job.status is JobStatus.RUNNING and not job.recurring:
        raise Conflict(f"job {job.id} is running and has no later run for a change to apply to; wait for its end")
    try:
        columns = _columns_of(job, changes, registry, may_set_reserved=may_set_reserved)
    except InvalidInput as error:
        if command.names_timing and (others := _timing_of(job, command).problems()):
            raise InvalidInput([*error.problems, *others]) from None
        raise
    before = _before(job, changes)
    if not command.names_timing:
        return Change("update", columns, before=before)
    timing = _timing_of(job, command)
    if problems := timing.problems():
        raise InvalidSchedule(problems)
    columns |= {"schedule": timing.schedule, "timezone": timing.timezone, "options": options_text(timing)}
    if _runs_as_before(job, timing, clock):
        _refuse_to_end(job, timing)
        # A current run was claimed with the old options; because of the new generation they are read again at its end.
        return Change("update", columns, new_generation=job.status is JobStatus.RUNNING, before=before)
    return Change("update", columns | _first_of(job, timing, clock, random), new_generation=True, before=before)


def _before(job: Job, changes: Collection[str]) -> str:
    """Return the fields that are changed as they were, as JSON text for the audit."""
    exact = {name: getattr(job, name) for name in changes if name in _JSON}
    return exact_json(json.loads(job.model_dump_json(include={*changes} - _JSON)) | exact)


def _columns_of(
    job: Job, changes: dict[str, Any], registry: HandlerRegistry, *, may_set_reserved: bool
) -> dict[str, Any]:
    """Return the changed columns except the timing; raises ``InvalidInput`` for values that cannot be stored."""
    columns: dict[str, Any] = {name: changes[name] for name in _COPIED if name in changes}
    if "payload" in changes:
        spec = registry.get(job.handler_name)
        columns["payload"] = write_json(changes["payload"], "/payload")
        if spec is not None:
            columns["payload"] = write_json(unmasked(spec.arguments, changes["payload"], job.payload), "/payload")
            arguments = spec.read_arguments(columns["payload"])
            columns["payload_version"] = spec.version
            columns["limited"] = spec.limits is not None
            columns["concurrency_key"] = spec.key_of(arguments)
    if "retry" in changes:
        columns["retry"] = retry_text(changes["retry"])
    if "metadata" in changes:
        # Reserved metadata stays: `jobs apply` finds its jobs by it, and only `jobs apply` may change it.
        if not may_set_reserved:
            refuse_reserved(changes["metadata"], job.metadata)
        columns["metadata"] = write_json(reserved_of(job.metadata) | changes["metadata"], "/metadata")
    return columns


def check_update(job: Job, command: UpdateJob, clock: Clock) -> None:
    """Raise ``InvalidInput`` as ``update`` does for a timing that leaves nothing to run; changes nothing."""
    if command.names_timing:
        timing = _timing_of(job, command)
        if _runs_as_before(job, timing, clock):
            _refuse_to_end(job, timing)


def _timing_of(job: Job, command: UpdateJob) -> Timing:
    try:
        return command.timing_of(job)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, command.changes)) from None


def _runs_as_before(job: Job, timing: Timing, clock: Clock) -> bool:
    """Whether the future runs are the same, however the schedule is written: then the pending run stays as it is.

    A delay such as PT30S that is sent again is the same delay, counted from when it was first set.
    """
    try:
        return job.runs_as(timing, scheduled_for=job.scheduled_for, now=clock.now())
    except InvalidSchedule:  # the job's own schedule is unreadable, and this update may fix it
        return False


def _first_of(job: Job, timing: Timing, clock: Clock, random: Random) -> dict[str, Any]:
    """Return the columns for a new schedule: the next run is the first of ``timing`` from now on."""
    first = first_run(timing, clock, random)
    columns: dict[str, Any] = {"recurring": first.recurring, "anchor": first.anchor}
    if job.status is JobStatus.SCHEDULED:
        columns |= {"next_run_at": first.due_at, "scheduled_for": first.scheduled_for, "attempt": 0}
    return columns


def _refuse_to_end(job: Job, timing: Timing) -> None:
    """Raise ``InvalidSchedule`` for bounds that leave a waiting job nothing to run. A run that has begun continues."""
    if job.status is not JobStatus.SCHEDULED or job.attempt or not job.recurring or job.scheduled_for is None:
        return
    if timing.end_at != job.end_at and timing.end_at is not None and timing.end_at < job.scheduled_for:
        raise InvalidSchedule.at(
            "/end_at",
            f"nothing would run any more, the next run being that of {job.scheduled_for.isoformat()}; delete the job "
            "to end it, or give a later instant",
        )
    if timing.max_runs != job.max_runs and timing.max_runs is not None and timing.max_runs <= job.run_count:
        raise InvalidSchedule.at(
            "/max_runs",
            f"nothing would run any more, {job.run_count} runs having taken place; delete the job to end it, or give a "
            "larger number",
        )


def cancel(job: Job) -> Change | None:
    """Cancel a waiting job; request the cancellation of a running one."""
    if job.status is JobStatus.SCHEDULED:
        columns = {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}
        return Change("cancel", columns, new_generation=True)
    if job.status is JobStatus.RUNNING and job.cancel_requested_at is None:
        return Change("request-cancel", {"cancel_requested_at": NOW})
    return None


def pause(job: Job) -> Change | None:
    """Pause a job, so that it is not claimed."""
    _refuse_ended(job, "paused")
    return None if job.paused else Change("pause", {"paused": True})


def resume(job: Job, clock: Clock, random: Random) -> Change | None:
    """Resume a job; the misfire policy applies to an overdue occurrence."""
    _refuse_ended(job, "resumed")
    if not job.paused:
        return None
    columns: dict[str, Any] = {"paused": False}
    if job.status is JobStatus.RUNNING or not job.recurring or job.scheduled_for is None or job.attempt:
        return Change("resume", columns, new_generation=job.status is JobStatus.SCHEDULED)
    recurrence, now = job.recurrence(job.anchor), clock.now()
    if job.next_run_at is not None and now - job.next_run_at <= recurrence.misfire_grace:
        # Not late by its due time, which includes its jitter.
        return Change("resume", columns, new_generation=True)
    occurrence = recurrence.resolve_misfire(job.scheduled_for, now, random)
    if occurrence is None:
        columns |= {"status": JobStatus.COMPLETED, "handled_at": NOW, "next_run_at": None}
    elif occurrence.scheduled_for != job.scheduled_for:
        columns |= {"next_run_at": occurrence.due_at, "scheduled_for": occurrence.scheduled_for}
    return Change("resume", columns, new_generation=True)


def run_now(job: Job) -> Change | None:
    """Make a waiting job due now. The schedule does not shift: the run after this one is the schedule's next."""
    if job.status is not JobStatus.SCHEDULED:
        raise Conflict(
            f"job {job.id} is {job.status}; only a Scheduled job can be run now, an ended one can be retried"
        )
    if job.paused:
        raise Conflict(f"job {job.id} is paused; resume it first")
    return Change("run-now", {"next_run_at": NOW, "scheduled_for": NOW}, new_generation=True)


def retry(
    job: Job, clock: Clock, random: Random, registry: HandlerRegistry, *, edit: UpdateJob | None = None
) -> Change | None:
    """Start an ended job again: a one-time one now, a recurring one at its next occurrence.

    ``edit`` may have another payload, which ``registry`` checks.
    """
    if not job.status.ended:
        raise Conflict(f"job {job.id} is {job.status}; only a job that has ended can be retried")
    columns: dict[str, Any] = {
        "status": JobStatus.SCHEDULED,
        "handled_at": None,
        "cancel_requested_at": None,
        "attempt": 0,
        # A job that was convicted stays a suspect and runs alone: if it kills a worker again, that costs only one.
        "lost_count": min(job.lost_count, SUSPECT_AFTER),
        "paused": False,
        "next_run_at": NOW,
        "scheduled_for": NOW,
    }
    edited = edit.changes if edit is not None else {}
    if edited:
        columns |= _columns_of(job, edited, registry, may_set_reserved=False)
    elif job.status is JobStatus.FAILED and not job.recurring and job.consecutive_failures:
        # Repeat the same run: its idempotency key stays, so effects of its first attempts elsewhere are not repeated.
        # Not if the last counted run succeeded: its number is used up.
        columns["run_count"] = max(job.run_count - 1, 0)
    if job.recurring and job.status is JobStatus.CANCELLED:
        first = first_run(job, clock, random)
        columns |= {"next_run_at": first.due_at, "scheduled_for": first.scheduled_for, "anchor": first.anchor}
    return Change(RETRY, columns, new_generation=True, before=_before(job, edited) if edited else None)


def _refuse_ended(job: Job, verb: str) -> None:
    if job.status.ended:
        raise Conflict(f"job {job.id} has ended as {job.status}; it cannot be {verb}")
