"""What a test expects of jobs that were enqueued, and how one that is not so differs from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.testing.clock import in_utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.core.job import Job
    from jobs.core.status import JobStatus


@dataclass(frozen=True, slots=True)
class ExpectedJob:
    """What is known of a job; what is None may be anything.

    Of ``payload`` and ``metadata`` only the keys that are given count, at every depth. ``due_at`` may be a
    ``timedelta`` from now; a job that has ended is compared by when its last run was due.
    """

    handler_name: str | None = None
    job_name: str | None = None
    payload: Any = None
    metadata: Any = None
    due_at: datetime | timedelta | None = None
    status: JobStatus | str | None = None

    def differences(self, job: Job, now: datetime) -> list[str]:
        """Say how ``job`` differs, in a phrase each; an empty list if it does not."""
        found = [
            f"{name} is {str(getattr(job, name))!r}, not {str(wanted)!r}"
            for name in ("handler_name", "job_name", "status")
            if (wanted := getattr(self, name)) is not None and getattr(job, name) != wanted
        ]
        if self.due_at is not None:
            wanted_at = now + self.due_at if isinstance(self.due_at, timedelta) else in_utc(self.due_at)
            due_at = job.next_run_at or job.scheduled_for
            if due_at != wanted_at:
                found.append(f"due_at is {_at(due_at)}, not {_at(wanted_at)}")
        for name in ("payload", "metadata"):
            if (wanted := getattr(self, name)) is not None:
                found += _beyond(wanted, getattr(job, name), name)
        return found

    def __str__(self) -> str:
        """Tell it as the call that expects it."""
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name}={value!r}" for name, value in given if value is not None) or "anything"


def tell(job: Job, differences: Iterable[str] = ()) -> str:
    """Show a job in a line, and how it differs from what was expected."""
    due = f"due {_at(job.next_run_at)}, " if job.next_run_at else ""
    told = f"  {job.handler_name} {job.job_name!r} {job.status}, {due}payload={job.payload!r}"
    told += f", metadata={job.metadata!r}" if job.metadata else ""
    why = "; ".join(differences)
    return f"{told}\n    {why}" if why else told


def _beyond(wanted: Any, found: Any, place: str) -> list[str]:
    """Say where ``found`` lacks something of ``wanted``."""
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        same = type(wanted) is type(found) or (not isinstance(wanted, bool) and not isinstance(found, bool))
        return [] if same and wanted == found else [f"{place} is {found!r}, not {wanted!r}"]
    differences = []
    for key, value in wanted.items():
        if key in found:
            differences += _beyond(value, found[key], f"{place}/{key}")
        else:
            differences.append(f"{place} has no {key!r}")
    return differences


def _at(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat().replace("+00:00", "Z")
