"""The caller of a command, and the result of an enqueue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.app.commands.new_job_row import job_from
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.jobs import Inserted, NewJob


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and within which trace; both are stored with the job.

    ``may_manage`` is whether the caller may end jobs that others enqueued; ``may_set_reserved`` whether it may set the
    framework's own metadata, ``jobs.*``. ``parent_id`` is the job whose handler calls. ``reason`` is kept in the audit,
    and ``operation``, the operation on many jobs that a change is part of: it changes each job once.
    """

    actor: str | None = None
    trace_parent: str | None = None
    may_manage: bool = True
    may_set_reserved: bool = False
    parent_id: UUID | None = None
    reason: str | None = None
    operation: UUID | None = None


class Enqueued:
    """The result of an enqueue; ``created`` is False if an active job of that name was returned instead."""

    __slots__ = ("_job", "_origin", "created", "id")

    def __init__(self, job_id: UUID, job: Job | None, origin: tuple[EnqueueJob, NewJob, Inserted] | None) -> None:
        self.id = job_id
        self.created = origin is not None
        self._job = job
        self._origin = origin

    @classmethod
    def new(cls, command: EnqueueJob, new_job: NewJob, row: Inserted) -> Enqueued:
        """Return the result for a job that was inserted."""
        return cls(row.id, None, (command, new_job, row))

    @classmethod
    def existing(cls, job: Job) -> Enqueued:
        """Return the result for a job that existed already."""
        return cls(job.id, job, None)

    @property
    def alarm(self) -> Alarm | None:
        """The alarm that a newly inserted job waits for; None for an existing job."""
        return None if self._origin is None else Alarm(AlarmName(self.id, 1), self._origin[2].due_at)

    @property
    def warnings(self) -> list[str]:
        """Warnings about the request's schedule; empty for an existing job."""
        if self._origin is None:
            return []
        command, _, row = self._origin
        return [] if command.schedule == "@once" else command.warnings_at(row.created_at)

    @property
    def job(self) -> Job:
        """The job as it was enqueued, built on first use: a batch may never need it."""
        if self._job is None:
            assert self._origin is not None  # noqa: S101  one of the two is always there
            self._job = job_from(*self._origin)
        return self._job


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """The response to a request under an idempotency key; ``replayed`` is whether it is an earlier request's."""

    text: str
    replayed: bool


NOBODY = Caller()
