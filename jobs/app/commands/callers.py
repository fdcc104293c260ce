"""The caller of a command, and the answer to an enqueue."""

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
    """Who calls, and within which trace; both are kept with the job.

    ``may_manage`` is whether the caller may end jobs that others have enqueued, ``may_mark`` whether the framework
    itself asks, which keeps its own metadata under ``jobs.*``. ``parent_id`` is the job whose handler asks.
    """

    actor: str | None = None
    trace_parent: str | None = None
    may_manage: bool = True
    may_mark: bool = False
    parent_id: UUID | None = None


class Enqueued:
    """The job that stands for a request; ``created`` is False where an active one of that name was given instead."""

    __slots__ = ("_job", "_origin", "created", "id")

    def __init__(self, job_id: UUID, job: Job | None, origin: tuple[EnqueueJob, NewJob, Inserted] | None) -> None:
        self.id = job_id
        self.created = origin is not None
        self._job = job
        self._origin = origin

    @classmethod
    def new(cls, command: EnqueueJob, new_job: NewJob, row: Inserted) -> Enqueued:
        """Stand for a job that was inserted."""
        return cls(row.id, None, (command, new_job, row))

    @classmethod
    def existing(cls, job: Job) -> Enqueued:
        """Stand for a job that was there already."""
        return cls(job.id, job, None)

    @property
    def alarm(self) -> Alarm | None:
        """The wake-up that a job which was inserted just now waits for."""
        return None if self._origin is None else Alarm(AlarmName(self.id, 1), self._origin[2].due_at)

    @property
    def warnings(self) -> list[str]:
        """Warnings about the request's schedule; none where an existing job was returned."""
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
class OnceAnswer:
    """What a request under an idempotency key is answered; ``replayed`` says that an earlier one was answered so."""

    text: str
    replayed: bool


NOBODY = Caller()
