"""Run suspects: one at a time, and while nothing else starts beside it in this process.

What runs already is waited for, but not for ever, and a suspect that runs long does not keep the others waiting for
ever: after a while they start beside it, and if the worker dies then, that convicts nobody. Meanwhile other instances
go on as ever, with a suspect of their own if there are several.

A suspect that has waited for the others in vain, since its handler's limits allow no other attempt, rests, and with it
the other suspects of that handler: the process is not held up for them over and over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jobs.app.execution.worker.completion_batcher import RungRun, Suspect, Within
from jobs.app.execution.worker.pending_results import going_down
from jobs.app.execution.worker.rests import Rests
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

if TYPE_CHECKING:
    from jobs.app.execution.dispatcher import Dispatcher
    from jobs.app.execution.worker.abandoned import AbandonedThreads
    from jobs.app.execution.worker.alone import AlonePhase
    from jobs.app.execution.worker.completion_batcher import Recorder
    from jobs.app.execution.worker.pending_results import Answers
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.suspects")
_LOOK_SECONDS = 0.02
_LONGEST_ALONE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SuspectLimits:
    """How long to wait for handlers that run already, and to keep others from starting: twice as long each time.

    The last two are how long to rest after a try in vain: twice as long each time, too.
    """

    others_seconds: float = 30.0
    alone_seconds: float = 60.0
    rest_seconds: float = 10.0
    longest_rest_seconds: float = 120.0


class Suspects:
    """The suspects that this process is to run; lives as long as the process. Its thread runs while there are any."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        recorder: Recorder,
        answers: Answers,
        stopping: threading.Event,
        limits: SuspectLimits,
        abandoned: AbandonedThreads,
    ) -> None:
        self._dispatcher = dispatcher
        self._abandoned = abandoned
        self._alone = dispatcher.alone
        self._recorder = recorder
        self._answers = answers
        self._stopping = stopping
        self._others_seconds = limits.others_seconds
        self._alone_seconds = limits.alone_seconds
        self._waiting: deque[tuple[Suspect, Callable[[], Within]]] = deque()
        self._names: set[AlarmName] = set()
        self._rests = Rests(limits.rest_seconds, limits.longest_rest_seconds)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._names)

    @property
    def resting(self) -> int:
        """How many of the suspects that a poll finds may rest, and would only be in the way of others there."""
        return len(self._rests)

    def add(self, suspect: Suspect, within: Callable[[], Within]) -> bool:
        """Have a suspect run, once its turn comes, within what ``within`` gives then.

        False if it is in hand already, or was found by a poll and rests.

        Its end is put into the recorder: that of a polled one as any outcome, the other as the alarm's answer.
        """
        with self._lock:
            rests = suspect.polled and self._rests.on(suspect.name.job_id)
            if rests or suspect.name in self._names or self._stopping.is_set():
                return False
            self._names.add(suspect.name)
            self._waiting.append((suspect, within))
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
                suspect, within = self._waiting.popleft()
            if self._must_rest(suspect):
                with self._lock:
                    self._names.discard(suspect.name)
                self._recorder.put(suspect)
                continue
            began = time.monotonic()
            phase = self._alone.begin()
            work = partial(self._run, suspect, phase)
            # A thread of its own, since a suspect's handler may run on when the others have been let start.
            threading.Thread(target=within(), args=[work], name="jobs-suspect", daemon=True).start()
            phase.ended.wait()
            with self._lock:
                self._names.discard(suspect.name)
            # The others have at least as long for themselves as this one had.
            self._stopping.wait(min(time.monotonic() - began, self._alone_seconds))

    def _must_rest(self, suspect: Suspect) -> bool:
        """Say whether a suspect that a poll has found is to rest, as another one of its handler does."""
        if not suspect.polled or not self._rests:
            return False
        try:
            limited = self._dispatcher.limited_handler(suspect.name)
        except StoreUnavailable:
            return False  # whatever comes next finds out and tells
        if limited is None or not self._rests.on(limited):
            return False
        self._rests.begin(suspect.name.job_id)
        return True

    def _run(self, suspect: Suspect, phase: AlonePhase) -> None:
        name = suspect.name
        try:
            if self._run_alone(suspect, phase):
                return
            if not suspect.polled:
                error = going_down() if self._stopping.is_set() else None
                self._answers.give(name, None if error else self._dispatcher.why_not(name), error)
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            if suspect.polled:
                log_failure(_logger, error, "the suspect %s could not be run; it is tried again", name)
            else:
                self._answers.give(name, error=error)
        finally:
            self._alone.end(phase)
        if suspect.polled:
            self._recorder.put(suspect)

    def _run_alone(self, suspect: Suspect, phase: AlonePhase) -> bool:
        self._wait_for_others()
        if self._stopping.is_set():
            return False
        run = self._dispatcher.claim(suspect.name, alone=True)
        if run is None:
            self._rest(suspect.name)
            return False
        if suspect.polled:
            self._dispatcher.withdraw_alarms([run])
        self._rests.end(run.job_id)
        self._rests.end(run.handler_name)
        _logger.warning(
            "job %s (%s, %s) lost its worker %d times in a row: nothing else starts beside it here, and if it is lost "
            "again it is taken to be the cause",
            run.job_id, printable(run.handler_name), printable(run.job_name), run.lost_count,
        )  # fmt: skip
        phase.token = run.token
        if self._dispatcher.running():  # what began before it and goes on may be the cause as well
            self._end_alone(run, self._stopping)
        threading.Thread(target=self._let_others_start, args=[run, phase], daemon=True).start()
        self._abandoned.execute(run, partial(self._finish, suspect, phase), pooled=False)
        return True

    def _rest(self, name: AlarmName) -> None:
        limited = self._dispatcher.limited_handler(name)
        if limited is not None:
            self._rests.begin(name.job_id)
            self._rests.begin(limited)

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
            self._recorder.put((outcome or run) if suspect.polled else RungRun(suspect.name, outcome))
        elif suspect.polled:
            log_failure(_logger, error, "the suspect %s could not be run; it is tried again", suspect.name)
            self._recorder.put(suspect)
        else:
            self._answers.give(suspect.name, error=error)

    def _wait_for_others(self) -> None:
        until = time.monotonic() + self._others_seconds
        while self._dispatcher.running() and time.monotonic() < until and not self._stopping.is_set():
            time.sleep(_LOOK_SECONDS)

    def _let_others_start(self, run: ClaimedRun, phase: AlonePhase) -> None:
        """Let others start beside a suspect that has been alone for long; its row must say so first."""
        seconds = min(self._alone_seconds * 2 ** min(run.lost_count - SUSPECT_AFTER, 10), _LONGEST_ALONE_SECONDS)
        if not phase.ended.wait(seconds) and self._end_alone(run, phase.ended):
            _logger.warning("job %s has run alone for %.0f s; others start again beside it", run.job_id, seconds)
            self._alone.end(phase)

    def _end_alone(self, run: ClaimedRun, given_up: threading.Event) -> bool:
        """Note in its row that a suspect is not alone, so that its loss convicts it no more; False if given up."""
        while not given_up.is_set():
            try:
                self._dispatcher.end_alone(run)
            except StoreUnavailable:
                given_up.wait(1.0)
            else:
                return True
        return False
