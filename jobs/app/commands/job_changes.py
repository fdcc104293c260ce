"""What each command changes on a job, given the job as it stands; None where it already is as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.app.commands.new_job_row import first_run, options_text, retry_text
from jobs.core.commands import UpdateJob, problems_of
from jobs.core.errors import Conflict, InvalidInput, InvalidSchedule
from jobs.core.lifecycle.reserved_metadata import refuse_reserved, reserved_of
from jobs.core.lifecycle.status import JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER
from jobs.core.ports.jobs import NOW, Change
from jobs.core.strict_json import write_json

if TYPE_CHECKING:
    from random import Random

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.clock import Clock
    from jobs.core.schedules.timing import Timing

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

    Only a schedule that means something else is set again, under a new generation, so that the old alarm does nothing
    when it rings. Whatever else changes leaves the pending run alone: its instant, its jitter and its attempts.
    A recurring job that is running keeps its run; the new generation makes its outcome look at the job as it is then.
    """
    changes = command.changes
    if not changes:
        return None
    if job.status.ended:
        raise Conflict(f"job {job.id} has ended as {job.status}; retry it, or enqueue a new one")
    if job.status is JobStatus.RUNNING and not job.recurring:
        raise Conflict(f"job {job.id} is running and has no later run for a change to apply to; wait for its end")
    try:
        columns = _columns_of(job, changes, registry, may_mark=may_mark)
    except InvalidInput as error:
        if command.names_timing and (others := _timing_of(job, command).problems()):
            raise InvalidInput([*error.problems, *others]) from None
        raise
    if not command.names_timing:
        return Change("update", columns)
    timing = _timing_of(job, command)
    if problems := timing.problems():
        raise InvalidSchedule(problems)
    columns |= {"schedule": timing.schedule, "timezone": timing.timezone, "options": options_text(timing)}
    if _runs_as_before(job, timing, clock):
        _refuse_to_end(job, timing)
        # A run that is under way was claimed with the options of before; a new generation makes it look at these.
        return Change("update", columns, new_generation=job.status is JobStatus.RUNNING)
    return Change("update", columns | _first_of(job, timing, clock, random), new_generation=True)


def _columns_of(job: Job, changes: dict[str, Any], registry: HandlerRegistry, *, may_mark: bool) -> dict[str, Any]:
    """Write what changes beside the timing; raises ``InvalidInput`` for what cannot be kept."""
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
    return columns


def check_update(job: Job, command: UpdateJob, clock: Clock) -> None:
    """Raise ``InvalidInput`` as ``update`` would for a timing that leaves nothing to run; changes nothing."""
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
    """Whether the runs to come are those of before, whatever the words: then the pending one stays as it is.

    Sent again, a delay such as PT30S is the same delay, counted from when it was first set.
    """
    try:
        return job.runs_as(timing, scheduled_for=job.scheduled_for, now=clock.now())
    except InvalidSchedule:  # of the job, which an update may be about to mend
        return False


def _first_of(job: Job, timing: Timing, clock: Clock, random: Random) -> dict[str, Any]:
    """Set ``job`` again: its next run is the first of ``timing`` from now on."""
    first = first_run(timing, clock, random)
    columns: dict[str, Any] = {"recurring": first.recurring, "anchor": first.anchor}
    if job.status is JobStatus.SCHEDULED:
        columns |= {"next_run_at": first.due_at, "scheduled_for": first.scheduled_for, "attempt": 0}
    return columns


def _refuse_to_end(job: Job, timing: Timing) -> None:
    """Refuse bounds that leave nothing of a waiting job to run. A run that has begun goes on to its end."""
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
        return Change("delete", columns, new_generation=True)
    if job.status is JobStatus.RUNNING and job.cancel_requested_at is None:
        return Change("request-cancel", {"cancel_requested_at": NOW})
    return None


def pause(job: Job) -> Change | None:
    """Keep a job from being claimed."""
    _refuse_ended(job, "paused")
    return None if job.paused else Change("pause", {"paused": True})


def resume(job: Job, clock: Clock, random: Random) -> Change | None:
    """Resume a job; the misfire policy decides about an overdue occurrence."""
    _refuse_ended(job, "resumed")
    if not job.paused:
        return None
    columns: dict[str, Any] = {"paused": False}
    if job.status is JobStatus.RUNNING or not job.recurring or job.scheduled_for is None or job.attempt:
        return Change("resume", columns, new_generation=job.status is JobStatus.SCHEDULED)
    recurrence, now = job.recurrence(job.anchor), clock.now()
    if job.next_run_at is not None and now - job.next_run_at <= recurrence.misfire_grace:
        # Not late by what it was to wait for, whatever its jitter has become meanwhile.
        return Change("resume", columns, new_generation=True)
    occurrence = recurrence.resolve_misfire(job.scheduled_for, now, random)
    if occurrence is None:
        columns |= {"status": JobStatus.COMPLETED, "handled_at": NOW, "next_run_at": None}
    elif occurrence.scheduled_for != job.scheduled_for:
        columns |= {"next_run_at": occurrence.due_at, "scheduled_for": occurrence.scheduled_for}
    return Change("resume", columns, new_generation=True)


def run_now(job: Job) -> Change | None:
    """Make a waiting job due now. The schedule does not move: the run after this one is the schedule's next."""
    if job.status is not JobStatus.SCHEDULED:
        raise Conflict(
            f"job {job.id} is {job.status}; only a Scheduled job can be run now, an ended one can be retried"
        )
    if job.paused:
        raise Conflict(f"job {job.id} is paused; resume it first")
    return Change("run-now", {"next_run_at": NOW, "scheduled_for": NOW}, new_generation=True)


def replay(job: Job, clock: Clock, random: Random) -> Change | None:
    """Start an ended job again: a one-time one now, a recurring one at its next occurrence."""
    if not job.status.ended:
        raise Conflict(f"job {job.id} is {job.status}; only a job that has ended can be retried")
    columns: dict[str, Any] = {
        "status": JobStatus.SCHEDULED,
        "handled_at": None,
        "cancel_requested_at": None,
        "attempt": 0,
        # One that was failed as what ends its workers runs alone at once: if it still does, that costs one, not three.
        "lost_count": min(job.lost_count, SUSPECT_AFTER),
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
