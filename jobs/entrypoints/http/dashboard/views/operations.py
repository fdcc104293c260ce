"""One operation on many jobs: what it does, and how far it has come."""

from __future__ import annotations

from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.dashboard.views.job import id_of
from jobs.entrypoints.http.dashboard.views.jobs import filter_json
from jobs.entrypoints.http.dashboard.visit import View, Visit


def operation(visit: Visit) -> View:
    """Return the page of the operation whose id ends the path."""
    found = visit.runtime.bulk.get(id_of(visit.path[-1]))
    return View(
        "operation.html",
        "Operation",
        "jobs",
        {
            "job": found.job,
            "arguments": found.arguments,
            "progress": found.progress,
            "filter": filter_json(found.arguments.filter),
            "stopping": found.job.status is JobStatus.RUNNING and found.job.cancel_requested_at is not None,
        },
    )
