"""What a handler's context calls: progress, heartbeats, follow-ups, units of work, locks and completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.handlers.attempt_services import AttemptServices

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from jobs.app.commands.follow_ups import FollowUps
    from jobs.app.execution.attempt.completion import Completions
    from jobs.app.execution.leases.cancellations import CancellationWatch
    from jobs.app.execution.leases.keeper import LeaseKeeper
    from jobs.app.execution.leases.progress import ProgressWriter
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork


class AttemptBackend:
    """The ``ContextBackend`` of every attempt in this process. Lives as long as the process; safe between threads."""

    def __init__(
        self,
        leases: LeaseKeeper,
        cancellations: CancellationWatch,
        progress: ProgressWriter,
        follow_ups: FollowUps,
        completions: Completions,
        units: UnitsOfWork,
        lock: DistributedLock,
    ) -> None:
        self._leases = leases
        self._cancellations = cancellations
        self._follow_ups = follow_ups
        self._completions = completions
        self._units = units
        self._lock = lock
        self.show_progress = progress.update
        self.write_progress = progress.write

    def provide(self, context: JobContext, run: ClaimedRun, started_at: datetime) -> None:
        """Enable units of work, locks and completion on the context of one attempt."""
        completion = self._completions.of(run, context, started_at)
        context.provide(AttemptServices(self._units, self._lock, completion))

    def heartbeat(self, context: JobContext) -> None:
        """Extend the context's lease now; the context learns at once of a lost lease or a requested cancellation."""
        if context.lease is not None:
            self._leases.beat(context.lease)

    def watch(self, context: JobContext) -> None:
        """Look for requests to cancel the context's job until its attempt ends."""
        self._cancellations.add(context)

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue a follow-up under an id that is the same in every execution of this run. Returns the id."""
        return self._follow_ups.enqueue(command, context)

    def close(self) -> None:
        """Stop looking for requests to cancel."""
        self._cancellations.close()
