"""Preview, start, look at and cancel operations on many jobs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs.core.bulk import BULK_HANDLER, BulkArguments, BulkRequest, applicable
from jobs.core.commands import EnqueueJob
from jobs.core.errors import JobNotFound
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.ids import new_id
from jobs.core.queries import JobQuery

if TYPE_CHECKING:
    from uuid import UUID

    from jobs.app.commands.callers import Caller
    from jobs.app.commands.service import JobService
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.operations import OperationStore, Progress

_SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """How many jobs an operation would be about, ``more`` if that is a lower bound, and the newest of them."""

    matched: int
    more: bool
    sample: list[Job]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: the job that runs it, what it does, and how far it has come."""

    job: Job
    arguments: BulkArguments
    progress: Progress


class BulkOperations:
    """Lives as long as the process; safe to share between threads."""

    def __init__(self, service: JobService, store: OperationStore, clock: Clock) -> None:
        self._service = service
        self._store = store
        self._clock = clock

    def preview(self, request: BulkRequest) -> Preview:
        """Return which jobs an operation would change now. Raises ``InvalidInput`` for a filter without a condition."""
        request.require_condition()
        wanted = applicable(request.action, request.filter)
        if wanted is None:
            return Preview(0, more=False, sample=[])
        matched = self._service.count(wanted, COUNT_TO + 1)
        query = JobQuery(**dict(wanted), payloads=False, limit=_SAMPLE)
        sample = self._service.find(query).jobs if matched else []
        return Preview(min(matched, COUNT_TO), matched > COUNT_TO, sample)

    def start(self, request: BulkRequest, caller: Caller) -> Operation:
        """Start an operation: it is durable once this returns. Raises ``InvalidInput``, ``JobIdTaken``."""
        preview = self.preview(request)
        arguments = BulkArguments(
            action=request.action,
            filter=request.filter,
            reason=request.reason,
            actor=caller.actor,
            started_at=self._clock.now(),
            matched=preview.matched,
            more=preview.more,
        )
        operation = request.id or new_id()
        command = EnqueueJob(
            id=operation, handler_name=BULK_HANDLER, job_name=f"{BULK_HANDLER}/{operation}", payload=arguments
        )
        enqueued = self._service.enqueue(command, caller=replace(caller, may_set_reserved=True))
        return Operation(enqueued.job, arguments, self._store.progress(operation))

    def get(self, operation: UUID) -> Operation:
        """Return an operation; raises ``JobNotFound``, also for a job that is none."""
        job = self._service.get(operation)
        if job.handler_name != BULK_HANDLER:
            raise JobNotFound(operation)
        return Operation(job, BulkArguments.model_validate(job.payload), self._store.progress(operation))

    def cancel(self, operation: UUID, caller: Caller) -> Operation:
        """Stop an operation: what it has done stays done. Raises ``JobNotFound``."""
        self.get(operation)
        self._service.cancel(operation, caller=caller)
        return self.get(operation)
