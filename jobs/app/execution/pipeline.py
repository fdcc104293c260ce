"""The path of one run: claim → execute → decide → record → arm. Read this file from top to bottom.

No transaction and no connection is held while a handler runs. Every outcome is fenced by the token of its claim, so an
attempt that outlived its lease changes nothing, however late it ends.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from jobs.app.execution.attempt.executor import too_early
from jobs.app.execution.attempt.log import log_end, log_given_back
from jobs.app.execution.outcomes import unreadable
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.lifecycle.transitions import skip, unknown_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.attempt.abandoned import AbandonedThreads, Finish
    from jobs.app.execution.attempt.executor import Executor
    from jobs.app.execution.claims import Claims
    from jobs.app.execution.leases.keeper import LeaseKeeper
    from jobs.app.execution.outcomes import Outcomes
    from jobs.app.execution.slots import ConcurrencySlots
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome
    from jobs.core.ports.clock import Clock

_logger = logging.getLogger("jobs.dispatcher")
_HAND_OVER_SECONDS = 1.0


class RunPipeline:
    """Takes runs from their claim to their recorded outcome, on the calling thread. Safe between threads.

    Lives as long as the process. The worker pool calls its steps on several threads, and records in batches.
    """

    def __init__(
        self,
        claims: Claims,
        executor: Executor,
        outcomes: Outcomes,
        leases: LeaseKeeper,
        slots: ConcurrencySlots,
        alarms: Alarms,
        clock: Clock,
        abandoned: AbandonedThreads,
    ) -> None:
        self.claims = claims
        self.outcomes = outcomes
        self.slots = slots
        self.abandoned = abandoned
        self._executor = executor
        self._leases = leases
        self._alarms = alarms
        self._clock = clock

    # --- execute

    def run(self, run: ClaimedRun, finish: Finish, *, pooled: bool = True) -> bool:
        """Execute a claimed run and call ``finish`` with its outcome; False if that was called before, at its timeout.

        ``pooled`` says whether it takes a thread of the worker pool, which is replaced if the attempt is abandoned.
        """
        self.abandoned.begin(run, finish, pooled=pooled)
        outcome = error = None
        try:
            outcome = self.execute(run)
        except Exception as raised:  # noqa: BLE001  ``finish`` judges it
            error = raised
        if outcome is None and self._leases.timed_out(run):
            self.abandoned.end_after_timeout(run)
            return False
        return self.abandoned.end(run, outcome, error)

    def execute(self, run: ClaimedRun) -> RecordedOutcome | None:
        """Execute one attempt of a claimed run to its end. Returns the outcome to record.

        None where there is none to record: the lease was lost meanwhile, or the handler has completed its job itself.
        Raises ``StoreUnavailable`` when the database is away; the lease then expires, and the run is taken up again.
        """
        try:
            return self._execute(run)
        except StoreUnavailable:
            self._leases.release(run)
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the job ends and the others go on
            log_failure(_logger, error, "job %s cannot be executed", run.job_id)
            return unreadable(run, error, self._now(run)) if self._leases.release(run) else None

    def _execute(self, run: ClaimedRun) -> RecordedOutcome | None:
        if run.recurring:
            try:
                occurrence = self.outcomes.resolve_misfire(run)
            except ValidationError as error:
                if (unknown := unknown_options(error)) is None:
                    raise
                why = f"this version of the app does not know the job's options: {unknown}"
                return self._decide(run, too_early(printable(why)), self._now(run))
            if occurrence is None or occurrence.due_at > run.claimed_at:
                return skip(run, occurrence) if self._leases.release(run) else None
            run = run._replace(scheduled_for=occurrence.scheduled_for)
        started_at = self._now(run)
        return self._decide(run, self._executor.attempt(run, started_at, self._time_out), started_at)

    # --- decide

    def _decide(self, run: ClaimedRun, result: RunResult, started_at: datetime) -> RecordedOutcome | None:
        """Release the lease and return what the attempt's result means for its job; None if the lease was lost."""
        if not self._leases.release(run):
            return None
        outcome = None
        try:
            outcome = self.outcomes.decide(run, result, started_at, max(self._clock.now(), started_at))
        finally:  # the log says how the attempt ended even if nothing can be decided
            log_end(run, result, outcome)
        return outcome

    def _now(self, run: ClaimedRun) -> datetime:
        """Return the present time, and never a time before the claim, which the database's own clock dates."""
        return max(self._clock.now(), run.claimed_at)

    # --- record and arm

    def record(self, outcomes: Sequence[RecordedOutcome]) -> None:
        """Write outcomes, set the alarms of what comes next, and release the concurrency slots.

        While the database is away it retries for as long as a lease lasts, then raises ``StoreUnavailable``: the runs
        are then taken up again elsewhere, as at-least-once execution allows.
        """
        written = self.outcomes.write(outcomes)
        self._alarms.arm(written.alarms)
        self.slots.release(outcome.run.handler_name for outcome in outcomes)
        for outcome in written.fenced:
            self._record_again(outcome)

    def _record_again(self, outcome: RecordedOutcome) -> None:
        """Record an outcome that hit no row, from what the job says now: its schedule may have changed meanwhile."""
        try:
            if (decided := self.outcomes.decide_again(outcome)) is not None:
                self.record([decided])
        except (StoreUnavailable, ConfigurationError):
            raise  # the other outcomes of the batch would fail the same way
        except Exception as error:  # noqa: BLE001  what its row says now cannot be used; the others go on
            what = "what comes next for job %s cannot be worked out; it is taken up again when its lease expires"
            log_failure(_logger, error, what, outcome.run.job_id)

    # --- what may end a run otherwise: its timeout, and the end of the process

    def _time_out(self, run: ClaimedRun, *, thread: int, held: bool) -> None:
        """Record that an attempt has timed out whose handler goes on, and abandon its thread."""
        failure: Exception | None = None
        if held:
            try:
                self._record_timeout(run, thread)
            except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
                failure = error
                what = "the time-out of job %s could not be recorded; it will be taken up again"
                log_failure(_logger, error, what, run.job_id)
        self.abandoned.abandon(run, failure)

    def _record_timeout(self, run: ClaimedRun, thread: int) -> None:
        now, seconds = self._now(run), self._executor.timeout_of(run) or 0.0
        stack = self._executor.stack_in(thread)
        result = RunResult(AttemptOutcome.TIMED_OUT, f"timed out after {seconds:g} s", retry=True, traceback=stack)
        started_at = max(now - timedelta(seconds=seconds), run.claimed_at)
        outcome = None
        try:
            outcome = self.outcomes.decide(run, result, started_at, now)
        finally:
            log_end(run, result, outcome)
        self.record([outcome])

    def give_back(self, runs: Sequence[ClaimedRun], why: str) -> None:
        """Return claimed runs that have not started, or that the host's end interrupts: they are due again at once."""
        result = RunResult(AttemptOutcome.RELEASED, why)
        if mine := [run for run in runs if self._leases.release(run)]:
            outcomes = [self.outcomes.decide(run, result, run.claimed_at, self._now(run)) for run in mine]
            self.record(outcomes)
            log_given_back([each.run for each in outcomes if each.due_at is not None], why)

    def running(self) -> int:
        """Count the handlers that run in this process."""
        return self._leases.started()

    def stop(self, grace_seconds: float) -> None:
        """Signal the handlers to stop, wait for them up to ``grace_seconds``, and give back what still runs."""
        self.slots.close()
        self._leases.announce_shutdown()
        until = time.monotonic() + grace_seconds
        while self._leases.held() and time.monotonic() < until:
            time.sleep(0.02)
        left = self._leases.held()
        if left:
            self.give_back(left, "this instance of the app was stopped, as by a reload, while the handler was running")
        # An attempt that has just released its lease hands its outcome over a moment later.
        until = time.monotonic() + _HAND_OVER_SECONDS
        while self.abandoned.under_way > len(left) and time.monotonic() < until:
            time.sleep(0.005)
        self._executor.close()
        self._leases.close()
