"""Claim runs: by an alarm, by a poll, or by a concurrency slot. A claimed run's lease is kept until it is released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.app.execution.alarm_result import WAIT_SECONDS, AlarmOutcome, AlarmResult
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Lease
from jobs.core.lifecycle.status import JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.identity import WorkerIdentity
    from jobs.app.execution.leases.keeper import LeaseKeeper
    from jobs.app.execution.slots import ConcurrencySlots
    from jobs.core.lifecycle.job import ClaimedRun, Job
    from jobs.core.ports.jobs import JobStore
    from jobs.core.ports.runs import RunStore


class Claims:
    """Claims runs for this process. Lives as long as the process; safe between threads.

    Whoever claims a run must execute it or give it back. Every method raises ``StoreUnavailable`` when the database is
    away.
    """

    def __init__(
        self,
        store: JobStore,
        runs: RunStore,
        slots: ConcurrencySlots,
        leases: LeaseKeeper,
        alarms: Alarms,
        identity: WorkerIdentity,
    ) -> None:
        self._store = store
        self._runs = runs
        self._slots = slots
        self._leases = leases
        self._alarms = alarms
        self._identity = identity

    def by_alarm(self, name: AlarmName, *, alone: bool = False) -> ClaimedRun | None:
        """Claim the run of an alarm; None if there is none to claim, see ``explain``.

        A suspect is claimed only with ``alone``: the caller then keeps other runs from starting beside it.
        """
        worker, lease = self._identity.name, self._identity.lease
        run = self._runs.claim(name, worker=worker, lease=lease, limited=self._slots.handlers, alone=alone)
        if run is None and self._slots.handlers:
            job = self._store.get(name.job_id)
            if job is not None and job.limited:
                run = self._slots.acquire(job.handler_name, name, alone=alone)
        return self._tracked(run)

    def due(self, limit: int) -> list[ClaimedRun]:
        """Claim up to ``limit`` due runs of handlers without limits, the longest due first."""
        worker, lease = self._identity.name, self._identity.lease
        runs = self._runs.claim_due(limit, worker=worker, lease=lease, limited=self._slots.handlers)
        if runs:
            self._leases.track(runs)
            self.withdraw_alarms(runs)
        return runs

    def throttled(self, handler_name: str) -> ClaimedRun | None:
        """Claim the throttled job of a handler that is due longest, if the handler's limits allow."""
        run = self._tracked(self._slots.acquire(handler_name))
        if run is not None:
            self.withdraw_alarms([run])
        return run

    def withdraw_alarms(self, runs: Sequence[ClaimedRun]) -> None:
        """Withdraw the alarms of runs that were claimed without them."""
        if self._alarms.needed:
            self._alarms.withdraw_soon([AlarmName(run.job_id, run.generation) for run in runs])

    def _tracked(self, run: ClaimedRun | None) -> ClaimedRun | None:
        if run is not None:
            self._leases.track([run])
        return run

    # --- suspects

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """List suspects that are due; each must be claimed ``alone``."""
        return self._runs.due_suspects(limit)

    def limited_handler(self, name: AlarmName) -> str | None:
        """Return the handler of an alarm's job if it has limits, else None."""
        job = self._store.get(name.job_id) if self._slots.handlers else None
        return job.handler_name if job is not None and job.handler_name in self._slots.handlers else None

    def end_alone(self, run: ClaimedRun) -> None:
        """Note in a suspect's row that other runs start beside it, so that its loss no longer convicts it."""
        self._runs.end_alone(Lease(run.job_id, run.token))

    # --- alarms that claimed nothing

    def explain(self, name: AlarmName) -> AlarmResult:
        """Return why an alarm found nothing to claim. The reconciler sets an alarm again that was far too early."""
        result = self._explain(name)
        if result.outcome is not AlarmOutcome.NOT_DUE:
            self._alarms.rang(name)
        return result

    def _explain(self, name: AlarmName) -> AlarmResult:
        job = self._store.get(name.job_id)
        if job is None:
            return AlarmResult(AlarmOutcome.UNKNOWN)
        if job.generation != name.generation or job.next_run_at is None or job.status.ended:
            return AlarmResult(AlarmOutcome.STALE)
        if job.status is JobStatus.RUNNING:
            return AlarmResult(AlarmOutcome.ALREADY_RUNNING)
        if job.paused:
            return AlarmResult(AlarmOutcome.PAUSED)
        early = self._runs.due_in(name) or 0.0
        if early <= 0:
            return AlarmResult(self._why_due_but_unclaimed(job))
        if early > WAIT_SECONDS:
            self._alarms.forget(name)
        return AlarmResult(AlarmOutcome.NOT_DUE, early)

    def _why_due_but_unclaimed(self, job: Job) -> AlarmOutcome:
        if job.lost_count >= SUSPECT_AFTER:
            return AlarmOutcome.SUSPECT
        if job.limited or job.handler_name in self._slots.handlers:
            return AlarmOutcome.THROTTLED
        return AlarmOutcome.NOT_DUE
