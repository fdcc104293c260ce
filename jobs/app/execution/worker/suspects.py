"""Run suspects: one at a time, while nothing else starts in this process.

A suspect first waits for what runs already, but not for ever. One that runs long does not keep the others waiting for
ever either: after a while they start beside it, and if the worker dies then, that convicts nobody. Other instances go
on as usual meanwhile, with a suspect of their own if there are several.

A suspect that cannot be claimed in the end, since its handler's limits allow no other attempt, backs off, and with it
the other suspects of that handler: the process is not held up for them over and over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from jobs.app.execution.worker.backoffs import Backoffs
from jobs.app.execution.worker.in_hand import AlarmRun, Suspect
from jobs.app.execution.worker.pending_results import going_down
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

if TYPE_CHECKING:
    from jobs.app.execution.leases.alone import Alone, AlonePhase
    from jobs.app.execution.pipeline import RunPipeline
    from jobs.app.execution.worker.in_hand import WorkInHand
    from jobs.app.execution.worker.limits import SuspectLimits
    from jobs.app.execution.worker.pending_results import PendingResults
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.suspects")
_LOOK_SECONDS = 0.02
_SUSPECTS_AT_ONCE = 10
_LONGEST_ALONE_SECONDS = 300.0


class Suspects:
    """The suspects that this process is to run. Lives as long as the process; its thread runs while there are any."""

    def __init__(
        self, pipeline: RunPipeline, alone: Alone, work: WorkInHand, pending: PendingResults, limits: SuspectLimits
    ) -> None:
        self._pipeline = pipeline
        self._claims = pipeline.claims
        self._alone = alone
        self._in_hand = work
        self._pending = pending
        self._stopping = work.stopping
        self._others_seconds = limits.others_seconds
        self._alone_seconds = limits.alone_seconds
        self._waiting: deque[tuple[Suspect, InvocationScope]] = deque()
        self._names: set[AlarmName] = set()
        self._backoffs = Backoffs(limits.rest_seconds, limits.longest_rest_seconds)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._names)

    def poll(self, scope: InvocationScope) -> None:
        """Take suspects in hand that are due, and have them run in ``scope``. Raises ``StoreUnavailable``."""
        # As many more as back off, which would hide others.
        for name in self._claims.due_suspects(_SUSPECTS_AT_ONCE + len(self._backoffs)):
            self._in_hand.take()
            if not self.add(Suspect(name, polled=True), scope):
                self._in_hand.drop()

    def add(self, suspect: Suspect, scope: InvocationScope) -> bool:
        """Have a suspect run in ``scope`` after those before it. False if it is in hand already, or backs off.

        Where a poll has found it, its end counts as that of a polled run; else it resolves the alarm's result.
        """
        with self._lock:
            backs_off = suspect.polled and self._backoffs.on(suspect.name.job_id)
            if backs_off or suspect.name in self._names or self._stopping.is_set():
                return False
            self._names.add(suspect.name)
            self._waiting.append((suspect, scope))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="jobs-suspects", daemon=True)
                self._thread.start()
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                suspect, scope = self._waiting.popleft()
            if self._must_back_off(suspect):
                with self._lock:
                    self._names.discard(suspect.name)
                self._in_hand.finish(suspect)
                continue
            began = time.monotonic()
            phase = self._alone.begin()
            work = partial(self._run, suspect, phase)
            # A thread of its own: a suspect's handler may still run when the others start again.
            threading.Thread(target=scope, args=[work], name="jobs-suspect", daemon=True).start()
            phase.ended.wait()
            with self._lock:
                self._names.discard(suspect.name)
            # The others have at least as long for themselves as this one had.
            self._stopping.wait(min(time.monotonic() - began, self._alone_seconds))

    def _must_back_off(self, suspect: Suspect) -> bool:
        """Return whether a polled suspect must back off, since another one of its handler does."""
        if not suspect.polled or not self._backoffs:
            return False
        try:
            limited = self._claims.limited_handler(suspect.name)
        except StoreUnavailable:
            return False  # the claim that follows raises it again
        if limited is None or not self._backoffs.on(limited):
            return False
        self._backoffs.begin(suspect.name.job_id)
        return True

    def _run(self, suspect: Suspect, phase: AlonePhase) -> None:
        name = suspect.name
        try:
            if self._run_alone(suspect, phase):
                return
            if not suspect.polled:
                error = going_down() if self._stopping.is_set() else None
                self._pending.resolve(name, None if error else self._claims.explain(name), error)
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            if suspect.polled:
                log_failure(_logger, error, "the suspect %s could not be run; it is tried again", name)
            else:
                self._pending.resolve(name, error=error)
        finally:
            self._alone.end(phase)
        if suspect.polled:
            self._in_hand.finish(suspect)

    def _run_alone(self, suspect: Suspect, phase: AlonePhase) -> bool:
        self._wait_for_others()
        if self._stopping.is_set():
            return False
        run = self._claims.by_alarm(suspect.name, alone=True)
        if run is None:
            self._back_off(suspect.name)
            return False
        if suspect.polled:
            self._claims.withdraw_alarms([run])
        self._backoffs.end(run.job_id)
        self._backoffs.end(run.handler_name)
        _logger.warning(
            "job %s (%s, %s) lost its worker %d times in a row: nothing else starts beside it here, and if it is lost "
            "again it is taken to be the cause",
            run.job_id, printable(run.handler_name), printable(run.job_name), run.lost_count,
        )  # fmt: skip
        phase.token = run.token
        if self._pipeline.running():  # what began before it and goes on may be the cause as well
            self._end_alone(run, self._stopping)
        threading.Thread(target=self._let_others_start, args=[run, phase], daemon=True).start()
        self._pipeline.run(run, partial(self._finish, suspect, phase), pooled=False)
        return True

    def _back_off(self, name: AlarmName) -> None:
        limited = self._claims.limited_handler(name)
        if limited is not None:
            self._backoffs.begin(name.job_id)
            self._backoffs.begin(limited)

    def _finish(
        self,
        suspect: Suspect,
        phase: AlonePhase,
        run: ClaimedRun,
        outcome: RecordedOutcome | None,
        error: Exception | None,
    ) -> None:
        self._alone.end(phase)
        if error is None:
            self._in_hand.finish((outcome or run) if suspect.polled else AlarmRun(suspect.name, outcome))
        elif suspect.polled:
            log_failure(_logger, error, "the suspect %s could not be run; it is tried again", suspect.name)
            self._in_hand.finish(suspect)
        else:
            self._pending.resolve(suspect.name, error=error)

    def _wait_for_others(self) -> None:
        until = time.monotonic() + self._others_seconds
        while self._pipeline.running() and time.monotonic() < until and not self._stopping.is_set():
            time.sleep(_LOOK_SECONDS)

    def _let_others_start(self, run: ClaimedRun, phase: AlonePhase) -> None:
        """After a while, allow others to start beside a suspect; its row must say so first."""
        seconds = min(self._alone_seconds * 2 ** min(run.lost_count - SUSPECT_AFTER, 10), _LONGEST_ALONE_SECONDS)
        if not phase.ended.wait(seconds) and self._end_alone(run, phase.ended):
            _logger.warning("job %s has run alone for %.0f s; others start again beside it", run.job_id, seconds)
            self._alone.end(phase)

    def _end_alone(self, run: ClaimedRun, given_up: threading.Event) -> bool:
        """Note in its row that a suspect is not alone. Retries while the database is away; False if given up."""
        while not given_up.is_set():
            try:
                self._claims.end_alone(run)
            except StoreUnavailable:
                given_up.wait(1.0)
            else:
                return True
        return False
