"""Run what is due: claim → prepare → call the handler → next_state → record → set the next alarm.

No transaction and no connection is held while a handler runs. Every outcome is fenced by the token of its claim, so an
attempt that outlived its lease changes nothing, however late it comes back.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from jobs.app.commands.follow_ups import FollowUps
from jobs.app.execution.attempt.cancellations import CancellationWatch
from jobs.app.execution.attempt.completion import Completions
from jobs.app.execution.attempt.executor import Executor, too_early
from jobs.app.execution.attempt.log import log_end
from jobs.app.execution.attempt.services import AttemptBench
from jobs.app.execution.outcomes import Outcomes, spoiled
from jobs.app.execution.worker.alone import Alone
from jobs.app.execution.worker.leases import LeaseKeeper
from jobs.app.execution.worker.slots import Turns
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import ClaimedRun, Lease, RunResult
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER
from jobs.core.lifecycle.transitions import resolve_misfire, skip, unknown_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from jobs.app.alarms.arming import Alarms
    from jobs.app.commands.follow_ups import Enqueue
    from jobs.app.execution.services.injection import Injector
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Job, RecordedOutcome
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.jobs import JobStore
    from jobs.core.ports.runs import RunStore
    from jobs.core.schedules.recurrence import Occurrence
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork

_logger = logging.getLogger("jobs.dispatcher")

WAIT_SECONDS = 10.0
"""An alarm that rings early by less, as a scheduler's clock may be ahead of the database's, is to be waited with."""


class Ring(StrEnum):
    """What an alarm led to: a run, or why it did not."""

    RAN = "ran"
    NOT_DUE = "not-due"
    ALREADY_RUNNING = "already-running"
    PAUSED = "paused"
    STALE = "stale"
    UNKNOWN = "unknown"
    WAITING = "waiting-for-turn"
    SUSPECT = "waiting-to-run-alone"


class Rung(NamedTuple):
    """The answer to an alarm; of one that rang too early, how long before it is due."""

    outcome: Ring
    due_in_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which process this is, for people, and for how long a claim holds without a heartbeat."""

    name: str
    lease: timedelta
    default_timeout: timedelta | None = None


class Dispatcher:
    """Executes runs; lives as long as the process, and may be called from many threads.

    ``on_overdue`` is called with a run whose time is over and whose handler may go on, once that is recorded, or with
    the error that it could not be.
    """

    def __init__(
        self,
        store: JobStore,
        runs: RunStore,
        registry: HandlerRegistry,
        injector: Injector,
        alarms: Alarms,
        clock: Clock,
        random: Random,
        identity: WorkerIdentity,
        units: UnitsOfWork,
        lock: DistributedLock,
        enqueue: Enqueue,
    ) -> None:
        self.turns = Turns(runs, registry, identity.name, identity.lease)
        self._store = store
        self._runs = runs
        self._registry = registry
        self._alarms = alarms
        self._clock = clock
        self._random = random
        self._identity = identity
        self.outcomes = Outcomes(runs, registry, alarms, random, self.turns, identity.lease)
        self._cancellations = CancellationWatch(runs.look, self._holds)
        bench = AttemptBench(runs, FollowUps(enqueue, store.get), self._beat, self._cancellations)
        self.alone = Alone()
        self.on_overdue: Callable[[ClaimedRun, Exception | None], None] = lambda *_: None
        self._leases = LeaseKeeper(
            runs,
            identity.lease,
            self._record_timeout,
            bench.write_progress,
            self.alone,
            lambda run: self.on_overdue(run, None),
        )
        completions = Completions(runs, self._leases, alarms, clock, self.outcomes, self.turns)
        self._executor = Executor(
            registry, injector, self._leases, bench, identity.default_timeout, units, lock, completions
        )

    def _holds(self, token: str) -> bool:
        return self._leases.holds(token)

    def _beat(self, lease: Lease) -> None:
        self._leases.beat(lease)

    def ring(self, name: AlarmName) -> Ring:
        """Answer an alarm: run the job it names if it is due, unpaused and of that generation; else do nothing.

        Raises ``StoreUnavailable`` when the database is away; the alarm should then ring again.
        """
        run = self.claim(name) or self.claim(name, alone=True)
        if run is None:
            return self.why_not(name).outcome
        outcome = self.execute(run)
        if outcome is not None:
            self.outcomes.record([outcome])
        return Ring.RAN

    def claim(self, name: AlarmName, *, alone: bool = False) -> ClaimedRun | None:
        """Claim the run of an alarm, if there is one; it must be given to ``execute``.

        A suspect is claimed only if it is to be ``alone``, which the caller sees to.
        """
        worker, lease = self._identity.name, self._identity.lease
        run = self._runs.claim(name, worker=worker, lease=lease, limited=self.turns.handlers, alone=alone)
        if run is None and self.turns.handlers:
            job = self._store.get(name.job_id)
            if job is not None and job.limited:
                run = self.turns.claim(job.handler_name, name, alone=alone)
        return self._held(run)

    def limited_handler(self, name: AlarmName) -> str | None:
        """Give the handler of an alarm's job if that has limits, None if not. Raises ``StoreUnavailable``."""
        job = self._store.get(name.job_id) if self.turns.handlers else None
        return job.handler_name if job is not None and job.handler_name in self.turns.handlers else None

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """List suspects that are due; each is to be claimed alone."""
        return self._runs.due_suspects(limit)

    def claim_turn(self, handler_name: str) -> ClaimedRun | None:
        """Claim a waiting job of a handler with limits, if these allow; it must be given to ``execute``.

        Its alarm, if that has not rung here, is of no use any more and is withdrawn.
        """
        run = self._held(self.turns.claim(handler_name))
        if run is not None:
            self.withdraw_alarms([run])
        return run

    def withdraw_alarms(self, runs: Sequence[ClaimedRun]) -> None:
        """Withdraw the alarms of runs that were claimed without them."""
        if self._alarms.needed:
            self._alarms.withdraw_soon([AlarmName(run.job_id, run.generation) for run in runs])

    def _held(self, run: ClaimedRun | None) -> ClaimedRun | None:
        if run is not None:
            self._leases.hold([run])
        return run

    def why_not(self, name: AlarmName) -> Rung:
        """Say why an alarm found nothing to claim. One that rang long before its time is set anew by the reconciler."""
        rung = self._why_not(name)
        if rung.outcome is not Ring.NOT_DUE:
            self._alarms.rang(name)
        return rung

    def _why_not(self, name: AlarmName) -> Rung:
        job = self._store.get(name.job_id)
        if job is None:
            return Rung(Ring.UNKNOWN)
        if job.generation != name.generation or job.next_run_at is None or job.status.ended:
            return Rung(Ring.STALE)
        if job.status is JobStatus.RUNNING:
            return Rung(Ring.ALREADY_RUNNING)
        if job.paused:
            return Rung(Ring.PAUSED)
        early = self._runs.due_in(name) or 0.0
        if early <= 0:
            return Rung(self._why_not_yet(job))
        if early > WAIT_SECONDS:
            self._alarms.forget(name)
        return Rung(Ring.NOT_DUE, max(early, 0.0))

    def _why_not_yet(self, job: Job) -> Ring:
        if job.lost_count >= SUSPECT_AFTER:
            return Ring.SUSPECT
        return Ring.WAITING if job.limited or job.handler_name in self.turns.handlers else Ring.NOT_DUE

    def claim_due(self, limit: int) -> list[ClaimedRun]:
        """Claim up to ``limit`` due runs of handlers without limits; each must be given to ``execute``."""
        worker, lease = self._identity.name, self._identity.lease
        runs = self._runs.claim_due(limit, worker=worker, lease=lease, limited=self.turns.handlers)
        if runs:
            self._leases.hold(runs)
            self.withdraw_alarms(runs)
        return runs

    def running(self) -> int:
        """Count the handlers that run in this process."""
        return self._leases.begun()

    def end_alone(self, run: ClaimedRun) -> None:
        """Note that others start beside a suspect, whose loss convicts it no more. Raises ``StoreUnavailable``."""
        self._runs.end_alone(Lease(run.job_id, run.token))

    def execute(self, run: ClaimedRun) -> RecordedOutcome | None:
        """Run one attempt to its end; gives what to record.

        None if nothing is to be: the lease was lost on the way, or the handler has completed its job itself.
        """
        try:
            return self._execute(run)
        except StoreUnavailable:
            self._leases.let_go(run)  # it runs out, and the run is taken up again
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the job ends and the others go on
            log_failure(_logger, error, "job %s cannot be executed", run.job_id)
            if not self._leases.let_go(run):
                return None
            return spoiled(run, error, self._now(run))

    def _execute(self, run: ClaimedRun) -> RecordedOutcome | None:
        if run.recurring:
            try:
                settled = resolve_misfire(run, self._random)
            except ValidationError as error:
                if (unknown := unknown_options(error)) is None:
                    raise
                return self._put_off(run, f"this version of the app does not know the job's options: {unknown}")
            if settled is None or settled.due_at > run.claimed_at:
                return self._skipped(run, settled)
            run = run._replace(scheduled_for=settled.scheduled_for)
        started_at = self._now(run)
        result = self._executor.attempt(run, started_at)
        if not self._leases.let_go(run):
            return None
        log_end(run, result)
        return self.outcomes.decided(run, result, started_at, max(self._clock.now(), started_at))

    def _now(self, run: ClaimedRun) -> datetime:
        """The present; never before the claim, which the database's own clock has dated."""
        return max(self._clock.now(), run.claimed_at)

    def _skipped(self, run: ClaimedRun, instead: Occurrence | None) -> RecordedOutcome | None:
        """Pass over a run that fell due while nothing could run it, as its misfire policy wants."""
        if not self._leases.let_go(run):
            return None
        return skip(run, instead)

    def _put_off(self, run: ClaimedRun, why: str) -> RecordedOutcome | None:
        """Leave a run to a newer release, a while later."""
        if not self._leases.let_go(run):
            return None
        result, now = too_early(printable(why)), self._now(run)
        log_end(run, result)
        return self.outcomes.decided(run, result, now, now)

    def _record_timeout(self, run: ClaimedRun, thread: int) -> None:
        now = self._now(run)
        seconds = self._executor.timeout_of(run) or 0.0
        stack = self._executor.stack_in(thread)
        result = RunResult(AttemptOutcome.TIMED_OUT, f"timed out after {seconds:g} s", retry=True, traceback=stack)
        log_end(run, result)
        failure: Exception | None = None
        try:
            started_at = max(now - timedelta(seconds=seconds), run.claimed_at)
            self.outcomes.record([self.outcomes.decided(run, result, started_at, now)])
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            failure = error
            what = "the time-out of job %s could not be recorded; it will be taken up again"
            log_failure(_logger, error, what, run.job_id)
        self.on_overdue(run, failure)

    def give_back(self, runs: Sequence[ClaimedRun], why: str) -> None:
        """Return runs that were claimed and not begun, or that the host's end interrupts: due again at once."""
        result = RunResult(AttemptOutcome.RELEASED, why)
        mine = [(run, self._now(run)) for run in runs if self._leases.let_go(run)]
        if mine:
            self.outcomes.record([self.outcomes.decided(run, result, now, now) for run, now in mine])

    def stop(self, grace_seconds: float) -> None:
        """Tell the handlers, wait for them up to ``grace_seconds``, and give back what is still running."""
        self.turns.close()
        self._leases.announce_shutdown()
        until = time.monotonic() + grace_seconds
        while self._leases.held() and time.monotonic() < until:
            time.sleep(0.02)
        left = self._leases.held()
        if left:
            self.give_back(left, "the host went down while the handler was running")
        self._cancellations.close()
        self._leases.close()
