"""One job: where it stands and why, what it did, what it was given, who changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from jobs.core.errors import JobsError
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import AuditQuery, HistoryQuery, JobQuery
from jobs.core.schedules.description import describe
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.problems import NOT_FOUND, Refusal

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import Job
    from jobs.core.schedules.recurrence import Fire

_ATTEMPTS, _CHANGES, _CHILDREN, _FIRES = 20, 20, 20, 10


def job(visit: Visit) -> View:
    """Return the page of the job whose id ends the path."""
    job_id = id_of(visit.path[-1])
    runtime = visit.runtime
    found = runtime.views.show_one(runtime.service.get(job_id))
    attempts = runtime.service.find_attempts(
        job_id, HistoryQuery(limit=_ATTEMPTS, cursor=visit.wants("attempts") or None)
    )
    changes = runtime.audit.find(AuditQuery(job_id=job_id, limit=_CHANGES))
    children = runtime.service.find(JobQuery(parent_id=job_id, payloads=False, limit=_CHILDREN))
    return View(
        "job.html",
        found.job_name,
        "recurring" if found.recurring else "jobs",
        {
            "job": found,
            "actions": actions_of(found),
            "state": state_of(found),
            "attempts": attempts.attempts,
            "more_attempts": attempts.cursor,
            "first_attempts": bool(visit.wants("attempts")),
            "changes": [runtime.views.mask(entry) for entry in changes.entries],
            "more_changes": changes.cursor is not None,
            "children": runtime.views.show(children.jobs),
            "more_children": children.cursor is not None,
            "schedule_words": schedule_in_words(found),
            "fires": next_fires(visit, found),
            "known": runtime.registry.get(found.handler_name) is not None,
        },
    )


def id_of(text: str) -> UUID:
    """Return the id in a path; raises ``Refusal``."""
    try:
        return UUID(text)
    except ValueError:
        raise Refusal(NOT_FOUND, f"{text!r} is no job id") from None


def actions_of(found: Job) -> dict[str, bool]:
    """Return which actions make sense in the job's state."""
    waits = found.status is JobStatus.SCHEDULED
    return {
        "run": waits and not found.paused,
        "pause": found.status.active and not found.paused and (waits or found.recurring),
        "resume": found.paused,
        "cancel": found.status.active,
        "retry": found.status.ended,
    }


def state_of(found: Job) -> str:
    """Return the place in the picture of states where the job stands."""
    if found.paused and found.status is JobStatus.SCHEDULED:
        return "paused"
    if found.status is JobStatus.SCHEDULED and found.attempt:
        return "retrying"
    return found.status.value.lower()


def schedule_in_words(found: Job) -> str:
    """Return what the job's schedule means; the expression itself if it can no longer be read."""
    try:
        return describe(found.parsed, found.start_at)
    except JobsError:
        return found.schedule


def next_fires(visit: Visit, found: Job) -> list[Fire]:
    """Return the next fire times of a recurring job that is still active."""
    if not found.recurring or found.status.ended:
        return []
    try:
        return list(found.recurrence(found.anchor).preview(visit.runtime.clock.now(), _FIRES))
    except (JobsError, OverflowError):
        return []
