"""The threads of this process that run handlers, and the work that waits for them.

Longer than other files because what a piece of work goes through, from the queue to its end, is read here in one go.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from jobs.app.execution.alarm_result import AlarmOutcome, AlarmResult
from jobs.app.execution.worker.completion_batcher import CompletionBatcher
from jobs.app.execution.worker.in_hand import AlarmRun, OfferedSlot, Step, Suspect, WaitingAlarm
from jobs.app.execution.worker.pending_results import going_down
from jobs.app.execution.worker.scope import CurrentScope, no_scope
from jobs.app.execution.worker.suspects import Suspects
from jobs.app.execution.worker.threads import WorkerThreads
from jobs.app.execution.worker.unbegun import BEFORE_IT_BEGAN, Unbegun
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import Unavailable
from jobs.core.lifecycle.job import ClaimedRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from jobs.app.execution.leases.alone import Alone
    from jobs.app.execution.pipeline import RunPipeline
    from jobs.app.execution.worker.in_hand import WorkInHand
    from jobs.app.execution.worker.limits import WorkerLimits
    from jobs.app.execution.worker.pending_results import PendingResults
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import RecordedOutcome

_logger = logging.getLogger("jobs.worker")
_WAIT_FOR_SUSPECT_SECONDS = 0.25


def _nothing() -> None:
    pass


class WorkerPool:
    """A bounded set of threads that run handlers. Lives as long as the process; safe between threads.

    Claiming, running and recording go on side by side: the caller's thread claims what is due, the pool's threads
    claim what alarms and slots name and run handlers, and one thread records what they finish, many at once. Threads
    start when they are needed.
    """

    def __init__(
        self, pipeline: RunPipeline, work: WorkInHand, pending: PendingResults, alone: Alone, limits: WorkerLimits
    ) -> None:
        self.pipeline = pipeline
        self.abandoned = pipeline.abandoned
        self.alone = alone
        self.in_hand = work
        self.stopping = work.stopping
        self._pending = pending
        self._scope = CurrentScope()
        self._threads = WorkerThreads(work, self.abandoned, self._work)
        self._batcher = CompletionBatcher(work, pipeline, pending, self._scope, self._threads, limits.batch)
        self._unbegun = Unbegun(work, pending, pipeline)
        self._suspects = Suspects(pipeline, alone, work, pending, limits.suspects)
        self._recording: threading.Thread | None = None
        self._lock = threading.Lock()

    # --- add work, from any thread

    def run_in_scope(self, scope: InvocationScope) -> None:
        """Run polled jobs in this invocation scope from now on; the most recent caller wins."""
        self._scope.use(scope)

    def handle_alarm(self, name: AlarmName, scope: InvocationScope = no_scope) -> Future[AlarmResult]:
        """Handle an alarm on one of the threads; its job is claimed only once a thread is free.

        The result is set once the outcome is recorded; the same alarm ringing again meanwhile has the same future. The
        future raises ``Unavailable`` when the database is away or the host goes down: the alarm should ring again.
        """
        future, new = self._pending.future(name)
        if new and self.stopping.is_set():
            self._pending.resolve(name, error=going_down())
        elif new:
            self.in_hand.waiting.put(WaitingAlarm(name, scope))
            self.start_threads()
            self._drop_waiting_without_threads()
        return future

    def submit(self, runs: Sequence[ClaimedRun]) -> None:
        """Run what was claimed by a poll, in this order."""
        self.in_hand.take(len(runs))
        for run in runs:
            self.in_hand.waiting.put(run)
        self.start_threads()
        self._drop_waiting_without_threads()

    def do(self, steps: Sequence[Step]) -> None:
        """Do these steps on the threads that there are, in this order."""
        self.in_hand.take(sum(step.run is not None for step in steps))
        for step in steps:
            self.in_hand.waiting.put(step)
        self._drop_waiting_without_threads()
        if self.stopping.is_set():
            self._unbegun.give_back(going_down())

    def run_claimed(self, run: ClaimedRun, then: Callable[[], None]) -> None:
        """Execute a claimed run on this thread of the pool. ``then`` is called as soon as it no longer counts.

        That is once its outcome is handed over, by another thread if it is abandoned at its timeout.
        """
        if not self.pipeline.run(run, partial(self._finish_claimed, then)):
            self._replace_threads()

    def offer_slots(self) -> None:
        """Offer a slot to every handler with limits that has due jobs. Raises ``StoreUnavailable``."""
        self.pipeline.slots.offer_all()
        self.start_threads()

    def offer_suspects(self) -> None:
        """Have suspects run that are due, one after the other; returns at once. Raises ``StoreUnavailable``."""
        self._suspects.poll(self._scope.run)
        self.start_threads()

    def start_threads(self) -> None:
        """Start the threads that the work in hand needs."""
        if (self._recording is not None and not self._threads.free) or not self.in_hand.count:
            return
        with self._lock:
            if self._recording is None:
                self._recording = threading.Thread(target=self._batcher.run, name="jobs-recorder", daemon=True)
                self._recording.start()
        self._threads.grow()

    # --- do the work, on the pool's threads

    def _work(self) -> None:
        waiting = self.in_hand.waiting
        while (work := waiting.get()) is not None:
            if isinstance(work, ClaimedRun):
                self._scope.run(partial(self._run_polled, work))
            elif isinstance(work, OfferedSlot):
                self._scope.run(partial(self._run_throttled, work))
            elif isinstance(work, Step):
                work.scope(work.call)
            else:
                work.scope(partial(self._run_alarm, work))
            if self._threads.surplus and self._threads.leave():
                return

    def _run_polled(self, run: ClaimedRun) -> None:
        self.run_claimed(run, _nothing)

    def _finish_claimed(
        self, then: Callable[[], None], run: ClaimedRun, outcome: RecordedOutcome | None, error: Exception | None
    ) -> None:
        self._replace_abandoned()
        self.in_hand.finish(outcome or run)
        if error is not None:
            what = "job %s could not be executed; it is taken up again when its lease expires"
            log_failure(_logger, error, what, run.job_id)
        then()

    def _run_throttled(self, slot: OfferedSlot) -> None:
        run = self._claim_throttled(slot)
        if run is None:
            self.in_hand.finish(slot)
        else:
            self._run_polled(run)

    def _claim_throttled(self, slot: OfferedSlot) -> ClaimedRun | None:
        """Claim a throttled job; where there was one there may be another, so the slot is offered again."""
        self.in_hand.accept(slot)
        self._wait_for_suspect()
        if self.stopping.is_set():
            return None
        try:
            run = self.pipeline.claims.throttled(slot.handler_name)
        except Exception as error:  # noqa: BLE001  the next poll or reconciliation offers it again
            log_failure(_logger, error, "no waiting job of %s could be claimed", slot.handler_name)
            return None
        if run is not None:
            self.in_hand.offer(slot.handler_name)
        return run

    def _run_alarm(self, alarm: WaitingAlarm) -> None:
        name = alarm.name
        try:
            self._wait_for_suspect()
            run = self.pipeline.claims.by_alarm(name)
            if run is None:
                self._resolve_unclaimed(alarm)
            elif not self.pipeline.run(run, partial(self._finish_alarm, name)):
                self._replace_threads()
        except Exception as error:  # noqa: BLE001  it is raised where the alarm's result is waited for
            self._pending.resolve(name, error=error)

    def _resolve_unclaimed(self, alarm: WaitingAlarm) -> None:
        """Resolve an alarm that claimed nothing; the alarm of a suspect is resolved once that has run alone."""
        name = alarm.name
        result = self.pipeline.claims.explain(name)
        if result.outcome is not AlarmOutcome.SUSPECT:
            self._pending.resolve(name, result)
        elif not self._suspects.add(Suspect(name, polled=False), alarm.scope):
            error = going_down() if self.stopping.is_set() else None
            self._pending.resolve(name, AlarmResult(AlarmOutcome.ALREADY_RUNNING), error)

    def _finish_alarm(
        self, name: AlarmName, _: ClaimedRun, outcome: RecordedOutcome | None, error: Exception | None
    ) -> None:
        self._replace_abandoned()
        if error is None:
            self.in_hand.finish(AlarmRun(name, outcome))
        else:
            self._pending.resolve(name, error=error)

    def _wait_for_suspect(self) -> None:
        """Wait while a suspect has this process to itself: what is claimed then could not start."""
        while not self.alone.wait(_WAIT_FOR_SUSPECT_SECONDS) and not self.stopping.is_set():
            pass

    # --- when threads are abandoned, and at the end

    def _replace_abandoned(self) -> None:
        """Put threads in the place of abandoned ones, before the run of one of them is handed over.

        Until then the run counts as work, for which there is a thread. Afterwards nothing may be in hand but the next
        step of a wake, which waits for a thread and starts none.
        """
        if self.abandoned:
            self._replace_threads()

    def _replace_threads(self) -> None:
        """Put threads in the place of abandoned ones, and end those that are not needed any more."""
        if not self.stopping.is_set():
            self._threads.grow()
            self._drop_waiting_without_threads()

    def _drop_waiting_without_threads(self) -> None:
        """Once every thread is abandoned, leave what waits for one to other instances, or to later."""
        if self.in_hand.capacity or self.stopping.is_set():
            return
        why = "handlers that ignore their timeout keep every thread of the instance"
        self._unbegun.give_back(Unavailable(self.abandoned.fault() or "no thread is free"), why)

    def start_nothing_more(self) -> None:
        """Claim nothing from now on, and give back what has not started; what runs goes on.

        Raises ``StoreUnavailable`` where runs cannot be given back; their leases expire instead.
        """
        self.stopping.set()
        unbegun = self._unbegun.withdraw(going_down())
        for _ in range(self._threads.live):
            self.in_hand.waiting.put(None)
        self.pipeline.give_back(unbegun, BEFORE_IT_BEGAN)

    def stop(self, grace_seconds: float) -> None:
        """Start nothing more, and wait for what runs up to ``grace_seconds``; then give it back.

        Raises ``StoreUnavailable`` where runs cannot be given back; their leases expire instead.
        """
        self.start_nothing_more()
        self.pipeline.stop(grace_seconds)
        self._batcher.close()
        if self._recording is not None:
            self._recording.join(timeout=max(grace_seconds, 5.0))
