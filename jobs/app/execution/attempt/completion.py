"""Record an attempt's success inside its handler's unit of work, by the statement that records every outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.app.execution.attempt.log import log_end
from jobs.core.errors import LeaseLost, MisusedUnitOfWork
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.lifecycle.transitions import is_rescheduled
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.leases.keeper import LeaseKeeper
    from jobs.app.execution.outcomes import Outcomes
    from jobs.app.execution.slots import ConcurrencySlots
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import ClaimedRun, Recorded, RecordedOutcome
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.runs import RunStore

_TRIES = 5  # one is enough, unless the job is changed in that very moment


class Completions:
    """Makes the ``Completion`` of every attempt in this process. Lives as long as the process."""

    def __init__(
        self,
        runs: RunStore,
        leases: LeaseKeeper,
        alarms: Alarms,
        clock: Clock,
        outcomes: Outcomes,
        slots: ConcurrencySlots,
    ) -> None:
        self.runs = runs
        self.leases = leases
        self.alarms = alarms
        self.clock = clock
        self.outcomes = outcomes
        self.slots = slots

    def of(self, run: ClaimedRun, context: JobContext, started_at: datetime) -> AttemptCompletion:
        """Return what completes one attempt from inside its handler."""
        return AttemptCompletion(self, run, context, started_at)


class AttemptCompletion:
    """The ``Completion`` of one attempt."""

    __slots__ = ("_context", "_outcome", "_recorded", "_run", "_shared", "_started_at")

    def __init__(self, shared: Completions, run: ClaimedRun, context: JobContext, started_at: datetime) -> None:
        self._shared = shared
        self._run = run
        self._context = context
        self._started_at = started_at
        self._recorded: Recorded | None = None
        self._outcome: RecordedOutcome | None = None

    def write(self, connection: object) -> None:
        """Write the success in the handler's transaction: fenced by the token, against the schedule as it stands.

        Raises ``MisusedUnitOfWork`` at the second call in an attempt, and ``LeaseLost`` where the lease is gone.
        """
        if self._context.completed:
            raise MisusedUnitOfWork("the job was completed by an earlier unit of work; call complete() once an attempt")
        if self._context.lease_lost:
            raise LeaseLost(self._run.job_id, self._run.run)
        runs, finished_at = self._shared.runs, max(self._shared.clock.now(), self._started_at)
        run, rescheduled = self._run, False
        context = self._context
        result = RunResult(AttemptOutcome.SUCCEEDED, result=context.result_text, trace_id=context.trace_id)
        context.progress_pending = False  # its write would wait for this transaction
        for _ in range(_TRIES):
            outcome = self._shared.outcomes.decide(run, result, self._started_at, finished_at, rescheduled=rescheduled)
            written = runs.record([outcome], connection=connection)
            if written:
                [self._recorded] = written
                self._outcome = outcome
                return
            fresh = runs.reread(self._run, connection=connection)
            if fresh is None:
                break
            rescheduled = rescheduled or is_rescheduled(run, fresh, finished_at)
            run = fresh._replace(scheduled_for=run.scheduled_for)  # which may stand for later ones too
        raise LeaseLost(self._run.job_id, self._run.run)

    def committing(self) -> AbstractContextManager[None]:
        """Release the lease for the time of the commit, so that no timeout is recorded meanwhile."""
        return self._shared.leases.completing(self._run)

    def is_recorded(self) -> bool:
        """Read by the token whether the success is committed; waits for a commit that is under way."""
        found = self._shared.outcomes.retry_while_unavailable(lambda: self._shared.runs.recorded(self._run))
        self._recorded = found or self._recorded
        return found is not None

    def committed(self) -> None:
        """Mark the context as completed, set the next alarm, and release the concurrency slot."""
        self._context.signal_completed()
        log_end(self._run, RunResult(AttemptOutcome.SUCCEEDED), self._outcome)
        recorded = self._recorded
        if recorded is not None and recorded.due_at is not None:
            self._shared.alarms.arm([Alarm(AlarmName(self._run.job_id, recorded.generation), recorded.due_at)])
        self._shared.slots.release([self._run.handler_name])
