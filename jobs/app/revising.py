"""What each command changes on a job, given the job as it stands; None where it already is as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.app.drafting import first_run, options_text, retry_text
from jobs.core.commands import UpdateJob, problems_of
from jobs.core.errors import Conflict, InvalidInput
from jobs.core.ports import NOW, Change
from jobs.core.reserved import refuse_reserved, reserved_of
from jobs.core.status import JobStatus
from jobs.core.strict_json import write_json

if TYPE_CHECKING:
    from random import Random

    from jobs.core.job import Job
    from jobs.core.ports import Clock
    from jobs.core.registry import HandlerRegistry

_COPIED = ("max_retries", "timeout")


def update(
    job: Job,
    command: UpdateJob,
    registry: HandlerRegistry,
    clock: Clock,
    random: Random,
    *,
    may_mark: bool = False,
) -> Change | None:
    """Change schedule, payload, metadata or retry settings.

    The next run of a waiting job is computed anew under a new generation, so the old alarm does nothing when it rings.
    A recurring job that is running keeps its run; the new generation makes its outcome look at the new schedule.
    """
    changes = command.changes
    if not changes:
        return None
    if job.status.ended:
        raise Conflict(f"job {job.id} has ended as {job.status}; replay it, or enqueue a new one")
    if job.status is JobStatus.RUNNING and not job.recurring:
        raise Conflict(f"job {job.id} is running and has no later run for a change to apply to; wait for its end")
    columns: dict[str, Any] = {name: changes[name] for name in _COPIED if name in changes}
    if "payload" in changes:
        columns["payload"] = write_json(changes["payload"], "/payload")
        spec = registry.get(job.handler_name)
        if spec is not None:
            arguments = spec.read_arguments(columns["payload"])
            columns["payload_version"] = spec.version
            columns["limited"] = spec.limits is not None
            columns["concurrency_key"] = spec.key_of(arguments)
    if "retry" in changes:
        columns["retry"] = retry_text(changes["retry"])
    if "metadata" in changes:
        # What the framework has noted stays: `jobs apply` finds its jobs by it, and alone says otherwise.
        if not may_mark:
            refuse_reserved(changes["metadata"], job.metadata)
        columns["metadata"] = write_json(reserved_of(job.metadata) | changes["metadata"], "/metadata")
    if command.retimes:
        columns |= _retimed(job, command, clock, random)
    return Change("update", columns, new_generation=command.retimes)


def _retimed(job: Job, command: UpdateJob, clock: Clock, random: Random) -> dict[str, Any]:
    try:
        timing = command.timing_of(job)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, command.changes)) from None
    first = first_run(timing, clock, random)
    columns: dict[str, Any] = {
        "schedule": timing.schedule,
        "timezone": timing.timezone,
        "options": options_text(timing),
        "recurring": first.recurring,
        "anchor": first.anchor,
    }
    if job.status is JobStatus.SCHEDULED:
        columns |= {"next_run_at": first.due_at, "scheduled_for": first.scheduled_for, "attempt": 0}
    return columns


def cancel(job: Job) -> Change | None:
    """End a waiting job; ask a running one to end."""
    if job.status is JobStatus.SCHEDULED:
        columns = {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}
        return Change("delete", columns, new_generation=True)
    if job.status is JobStatus.RUNNING and job.cancel_requested_at is None:
        return Change("request-cancel", {"cancel_requested_at": NOW})
    return None


def pause(job: Job) -> Change | None:
    """Keep a job from being claimed."""
    _refuse_ended(job, "paused")
    return None if job.paused else Change("pause", {"paused": True})


def resume(job: Job, clock: Clock, random: Random) -> Change | None:
    """Let a job be claimed again; an overdue occurrence is settled by the misfire policy."""
    _refuse_ended(job, "resumed")
    if not job.paused:
        return None
    columns: dict[str, Any] = {"paused": False}
    if job.status is JobStatus.RUNNING or not job.recurring or job.scheduled_for is None or job.attempt:
        return Change("resume", columns, new_generation=job.status is JobStatus.SCHEDULED)
    occurrence = job.recurrence(job.anchor).settle(job.scheduled_for, clock.now(), random)
    if occurrence is None:
        columns |= {"status": JobStatus.COMPLETED, "handled_at": NOW, "next_run_at": None}
    elif occurrence.scheduled_for != job.scheduled_for:
        columns |= {"next_run_at": occurrence.due_at, "scheduled_for": occurrence.scheduled_for}
    return Change("resume", columns, new_generation=True)


def run_now(job: Job) -> Change | None:
    """Make a waiting job due now. The schedule does not move: the run after this one is the schedule's next."""
    if job.status is not JobStatus.SCHEDULED:
        raise Conflict(
            f"job {job.id} is {job.status}; only a Scheduled job can be run now, an ended one can be replayed"
        )
    if job.paused:
        raise Conflict(f"job {job.id} is paused; resume it first")
    return Change("run-now", {"next_run_at": NOW, "scheduled_for": NOW}, new_generation=True)


def replay(job: Job, clock: Clock, random: Random) -> Change | None:
    """Start an ended job again: a one-time one now, a recurring one at its next occurrence."""
    if not job.status.ended:
        raise Conflict(f"job {job.id} is {job.status}; only a job that has ended can be replayed")
    columns: dict[str, Any] = {
        "status": JobStatus.SCHEDULED,
        "handled_at": None,
        "cancel_requested_at": None,
        "attempt": 0,
        "lost_count": 0,
        "paused": False,
        "next_run_at": NOW,
        "scheduled_for": NOW,
    }
    if job.status is JobStatus.FAILED and not job.recurring and job.consecutive_failures:
        # The same run once more: its idempotency key stays, so what its first attempts did elsewhere is not done again.
        # Unless the last run that was counted has succeeded: its number is used up.
        columns["run_count"] = max(job.run_count - 1, 0)
    if job.recurring and job.status is JobStatus.CANCELLED:
        first = first_run(job, clock, random)
        columns |= {"next_run_at": first.due_at, "scheduled_for": first.scheduled_for, "anchor": first.anchor}
    return Change("replay", columns, new_generation=True)


def _refuse_ended(job: Job, verb: str) -> None:
    if job.status.ended:
        raise Conflict(f"job {job.id} has ended as {job.status}; it cannot be {verb}")
