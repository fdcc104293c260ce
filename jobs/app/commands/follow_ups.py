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
        """As ``JobService.enqueue``."""

        def __call__(self, command: EnqueueJob, *, connection: object | None, caller: Caller) -> Enqueued:
            """Enqueue a job."""

    class Find(Protocol):
        """As ``JobStore.get``."""

        def __call__(self, job_id: UUID, *, connection: object | None) -> Job | None:
            """Read a job."""


_logger = logging.getLogger("jobs.handler")


class FollowUps:
    """Enqueues follow-ups; lives as long as the process, and may be called from many threads."""

    def __init__(self, enqueue: Enqueue, find: Find) -> None:
        self._enqueue = enqueue
        self._find = find

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue ``command`` in the unit of work around, if there is one. Returns the id of what stands afterwards.

        Raises ``InvalidInput`` where this attempt has enqueued something else under the same name, ``JobNameTaken``
        where an active job that is no follow-up of this run holds the name, ``JobIdTaken`` for an id of another's.
        """
        caller = Caller(f"job {context.job_id}", context.trace_parent, parent_id=context.job_id)
        around = current_unit_of_work()
        connection = None if around is None else around.connection
        wanted = identified(command, context)
        try:
            try:
                enqueued = self._enqueue(wanted, connection=connection, caller=caller)
            except JobNameTaken:
                if command.job_name is not None:
                    raise
                # Somebody's job is called as ours would be. What it is called is of no matter: it is known by its id.
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
        """Check that the job with that id is this run's follow-up, and the one that is wanted."""
        job = self._find(taken.job_id, connection=connection)
        if job is None:
            return  # it has ended and was pruned just now
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
