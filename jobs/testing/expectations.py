"""Assertions about enqueued jobs, with the differences from what was expected."""

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
    """The expected fields of a job; None matches anything."""

    handler_name: str | None = None
    job_name: str | None = None
    payload: Any = None
    metadata: Any = None
    due_at: datetime | timedelta | None = None
    status: JobStatus | str | None = None

    def differences(self, job: Job, now: datetime) -> list[str]:
        """Return a phrase for each difference of ``job``; empty if it matches."""
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
                found += _missing(wanted, getattr(job, name), name)
        return found

    def __str__(self) -> str:
        """Return the arguments of the call that expects it."""
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name}={value!r}" for name, value in given if value is not None) or "anything"


class ExpectsJobs:
    """A base class with assertions about ``jobs``, at the time of ``clock``."""

    clock: FrozenClock

    @property
    def jobs(self) -> list[Job]:
        """All jobs."""
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
        """Return the enqueued jobs that match, in whatever state they are; there must be at least one, or ``count``.

        Of ``payload`` and ``metadata`` only the given keys are compared, at every depth. ``due_at`` is an instant, or
        a ``timedelta`` from now; for an ended job it is compared with when its last run was due. Raises
        ``AssertionError`` with the enqueued jobs and their differences.
        """
        wanted = ExpectedJob(handler_name, job_name, payload, metadata, due_at, status)
        found = self._like(wanted)
        if len(found) == count or (count is None and found):
            return found
        how_many = "no job was" if not found else f"{len(found)} job{'s were' if len(found) > 1 else ' was'}"
        of = "" if count is None else f", not {count}"
        raise AssertionError(f"{how_many} enqueued with {wanted}{of}; {self._listing(wanted)}")

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
        """Raise ``AssertionError`` if an enqueued job matches, in whatever state it is."""
        wanted = ExpectedJob(handler_name, job_name, payload, metadata, due_at, status)
        if found := self._like(wanted):
            raise AssertionError("\n".join([f"a job was enqueued with {wanted}:", *map(describe_job, found)]))

    def _like(self, wanted: ExpectedJob) -> list[Job]:
        now = self.clock.now()
        return [job for job in self.jobs if not wanted.differences(job, now)]

    def _listing(self, wanted: ExpectedJob) -> str:
        now, jobs = self.clock.now(), self.jobs
        if not jobs:
            return "nothing was enqueued at all"
        return "\n".join(["enqueued were:", *(describe_job(job, wanted.differences(job, now)) for job in jobs)])


def describe_job(job: Job, differences: Iterable[str] = ()) -> str:
    """Return a line that describes a job, and a second one with its differences if there are any."""
    due = f"due {_at(job.next_run_at)}, " if job.next_run_at else ""
    line = f"  {job.handler_name} {job.job_name!r} {job.status}, {due}payload={job.payload!r}"
    line += f", metadata={job.metadata!r}" if job.metadata else ""
    why = "; ".join(differences)
    return f"{line}\n    {why}" if why else line


def _missing(wanted: Any, found: Any, place: str) -> list[str]:
    """Return a phrase for each part of ``wanted`` that ``found`` lacks or has with another value."""
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        same = type(wanted) is type(found) or (not isinstance(wanted, bool) and not isinstance(found, bool))
        return [] if same and wanted == found else [f"{place} is {found!r}, not {wanted!r}"]
    differences = []
    for key, value in wanted.items():
        if key in found:
            differences += _missing(value, found[key], f"{place}/{key}")
        else:
            differences.append(f"{place} has no {key!r}")
    return differences


def _at(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat().replace("+00:00", "Z")
