"""The result of enqueuing in a test: the job itself, with what ``Jobs.enqueue`` returns beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from jobs.core.lifecycle.job import Job

if TYPE_CHECKING:
    from jobs.core.handlers.enqueuing.open_jobs import EnqueuedJob


class EnqueuedInTest(Job):
    """A job as it was when it was enqueued. It equals that ``Job``, and is an ``EnqueuedJob`` as well.

    So code that takes ``jobs=`` reads ``created``, ``job`` and ``warnings`` of a harness as of ``connect()``.
    """

    _job: Job = PrivateAttr()
    _created: bool = PrivateAttr()
    _warnings: list[str] = PrivateAttr()

    @classmethod
    def of(cls, enqueued: EnqueuedJob) -> EnqueuedInTest:
        """Return the job of ``enqueued``, with the rest of it."""
        job = enqueued.job
        made = cls.model_construct(_fields_set=job.model_fields_set, **dict(job))
        made._job, made._created, made._warnings = job, enqueued.created, enqueued.warnings  # noqa: SLF001  its own class
        return made

    @property
    def job(self) -> Job:
        """The job as it was when it was enqueued."""
        return self._job

    @property
    def created(self) -> bool:
        """False if ``on_conflict`` is ``return_existing`` and an active job of that name is returned instead."""
        return self._created

    @property
    def warnings(self) -> list[str]:
        """Warnings about the schedule: what it means here, where other systems read it differently."""
        return self._warnings

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` is the same job in the same state."""
        return self._job == (other._job if isinstance(other, EnqueuedInTest) else other)

    __hash__ = Job.__hash__
