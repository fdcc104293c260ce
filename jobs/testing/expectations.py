"""What a test expects of jobs that were enqueued, and how one that is not so differs from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.testing.clock import in_utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.core.lifecycle.job import Job
    from jobs.core.lifecycle.status import JobStatus
    from jobs.testing.clock import FrozenClock


@dataclass(frozen=True, slots=True)
class ExpectedJob:
    """What is known of a job; what is None may be anything."""

    handler_name: str | None = None
    job_name: str | None = None
    payload: Any = None
    metadata: Any = None
    due_at: datetime | timedelta | None = None
    status: JobStatus | str | None = None

    def differences(self, job: Job, now: datetime) -> list[str]:
        """Return how ``job`` differs, in a phrase each; an empty list if it does not."""
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
        """Write it as the call that expects it."""
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name}={value!r}" for name, value in given if value is not None) or "anything"


class ExpectsJobs:
    """Assertions about enqueued jobs. ``jobs`` are all there are; ``clock`` is the time."""

    clock: FrozenClock

    @property
    def jobs(self) -> list[Job]:
        """Every job there is."""
        raise NotImplementedError

    def assert_enqueued(
        self,
        handler_name: str | None = None,
        *,
        job_name: str | None = None,
        payload: Any = None,
        metadata: Any = None,
        due_at: datetime | timedelta | None = None,
        status: JobStatus | str | None = None,
        count: int | None = None,
    ) -> list[Job]:
        """Return the jobs that were enqueued and are as expected, whatever became of them; at least one, or ``count``.

        Of ``payload`` and ``metadata`` only the keys that are given count, at every depth. ``due_at`` is an instant, or
        a ``timedelta`` from now; one that has ended is compared by when its last run was due. Raises
        ``AssertionError``, which shows what was enqueued instead and how it differs.
        """
        wanted = ExpectedJob(handler_name, job_name, payload, metadata, due_at, status)
        found = self._like(wanted)
        if len(found) == count or (count is None and found):
            return found
        how_many = "no job was" if not found else f"{len(found)} job{'s were' if len(found) > 1 else ' was'}"
        of = "" if count is None else f", not {count}"
        raise AssertionError(f"{how_many} enqueued with {wanted}{of}; {self._told(wanted)}")

    def assert_not_enqueued(
        self,
        handler_name: str | None = None,
        *,
        job_name: str | None = None,
        payload: Any = None,
        metadata: Any = None,
        due_at: datetime | timedelta | None = None,
        status: JobStatus | str | None = None,
    ) -> None:
        """Raise ``AssertionError`` if a job was enqueued that is as expected, whatever has become of it since."""
        wanted = ExpectedJob(handler_name, job_name, payload, metadata, due_at, status)
        if found := self._like(wanted):
            raise AssertionError("\n".join([f"a job was enqueued with {wanted}:", *map(tell, found)]))

    def _like(self, wanted: ExpectedJob) -> list[Job]:
        now = self.clock.now()
        return [job for job in self.jobs if not wanted.differences(job, now)]

    def _told(self, wanted: ExpectedJob) -> str:
        now, jobs = self.clock.now(), self.jobs
        if not jobs:
            return "nothing was enqueued at all"
        return "\n".join(["enqueued were:", *(tell(job, wanted.differences(job, now)) for job in jobs)])


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
