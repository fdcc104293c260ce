"""Enqueue a handler's follow-ups: once per run, however often that run is executed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from jobs.app.commands.callers import Caller
from jobs.core.errors import InvalidInput, JobIdTaken, JobNameTaken
from jobs.core.handlers.follow_ups import identified
from jobs.core.strict_json import same_json
from jobs.core.transactions.unit_of_work import current_unit_of_work

if TYPE_CHECKING:
    from typing import Protocol

    from jobs.app.commands.callers import Enqueued
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import Job

    class Enqueue(Protocol):
        """The signature of ``JobService.enqueue``."""

        def __call__(self, command: EnqueueJob, *, connection: object | None, caller: Caller) -> Enqueued:
            """Enqueue a job."""

    class Find(Protocol):
        """The signature of ``JobStore.get``."""

        def __call__(self, job_id: UUID, *, connection: object | None) -> Job | None:
            """Return a job; None if there is none with that id."""


_logger = logging.getLogger("jobs.handler")


class FollowUps:
    """Enqueues follow-ups. Lives as long as the process; safe to share between threads."""

    def __init__(self, enqueue: Enqueue, find: Find) -> None:
        self._enqueue = enqueue
        self._find = find

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue ``command``, in the enclosing unit of work if there is one. Returns the follow-up's id.

        The id is that of the existing follow-up if an earlier execution of this run enqueued it. Raises
        ``InvalidInput`` if this attempt enqueued something else under the same name, ``JobNameTaken`` if an active job
        that is not a follow-up of this run holds the name, ``JobIdTaken`` if another job has the id.
        """
        caller = Caller(f"job {context.job_id}", context.trace_parent, parent_id=context.job_id)
        outer = current_unit_of_work()
        connection = None if outer is None else outer.connection
        wanted = identified(command, context)
        try:
            try:
                enqueued = self._enqueue(wanted, connection=connection, caller=caller)
            except JobNameTaken:
                if command.job_name is not None:
                    raise
                # Another job has the derived name. Use a different one: the follow-up is identified by its id anyway.
                wanted = wanted.model_copy(update={"job_name": f"{wanted.job_name}/{uuid4().hex}"})
                enqueued = self._enqueue(wanted, connection=connection, caller=caller)
        except JobIdTaken as taken:
            self._require_same(wanted, taken, context, connection)
            return taken.job_id
        context.enqueued_here.add(enqueued.id)
        return enqueued.id

    def _require_same(
        self, wanted: EnqueueJob, taken: JobIdTaken, context: JobContext, connection: object | None
    ) -> None:
        """Raise unless the job with that id is this run's follow-up and has the same handler and payload."""
        job = self._find(taken.job_id, connection=connection)
        if job is None:
            return  # it has ended and was pruned in the meantime
        if job.parent_id != context.job_id and job.created_by != f"job {context.job_id}":
            raise taken
        if job.handler_name == wanted.handler_name and same_json(job.payload, wanted.payload):
            return
        if taken.job_id in context.enqueued_here:
            raise InvalidInput.at(
                "/job_name",
                f"this run has a follow-up {wanted.job_name!r} already, job {job.id}, with another payload; give each "
                "a job_name of its own, or leave job_name out",
            )
        _logger.warning(
            "an earlier attempt of job %s run %d has enqueued its follow-up %r with another payload, job %s, which "
            "stands; give follow-ups that may differ from attempt to attempt names by what they are about",
            context.job_id, context.run, wanted.job_name, job.id,
        )  # fmt: skip
