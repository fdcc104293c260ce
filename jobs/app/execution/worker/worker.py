"""Run what is due with bounded concurrency: what alarms ask for, and in batches what a drain finds.

A tick stays while handlers run, and goes on looking for due jobs meanwhile, so a long handler holds up none behind it.
One that must return leaves what still runs to the threads of the process; the next one goes on with the free slots.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jobs.app.execution.dispatcher import Ring, Rung
from jobs.app.execution.worker.abandoned import AbandonedThreads
from jobs.app.execution.worker.completion_batcher import Recorder, RungRun, Suspect, Within, by_itself
from jobs.app.execution.worker.drain_budget import DrainBudget
from jobs.app.execution.worker.pending_results import Answers, going_down
from jobs.app.execution.worker.slots import Turn
from jobs.app.execution.worker.suspects import SuspectLimits, Suspects
from jobs.app.execution.worker.threads import WorkerThreads
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import Unavailable
from jobs.core.lifecycle.ids import AlarmName

if TYPE_CHECKING:
    from concurrent.futures import Future

    from jobs.app.execution.dispatcher import Dispatcher
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.worker")
_AHEAD_SECONDS = 0.25
_POLL_SECONDS = 0.25
_CAREFUL_SECONDS = 10.0
_SUSPECTS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much at once: handlers running in this process, and rows per statement."""

    concurrency: int = 16
    batch: int = 500
    suspects: SuspectLimits = field(default_factory=SuspectLimits)
    abandoned: int | None = None
    """Threads that handlers may keep past their timeout before the instance is not ready; None is ``concurrency``."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did."""

    executed: int
    seconds: float
    left_running: int


class Reaps(Protocol):
    """As ``Reaper``, which is upkeep's: whoever drains gives it its turn now and then."""

    interval: float
    """In seconds, how often it looks."""

    def tick(self) -> None:
        """Take back what lost workers left, if it is time to look again. Never raises."""


class _Alarmed(NamedTuple):
    """An alarm to answer, and what its caller is within."""

    name: AlarmName
    within: Within


class Worker:
    """A bounded set of threads that run handlers; lives as long as the process. Threads start when they are needed.

    Claiming, running and recording go on side by side: the calling thread claims, some threads run handlers, and one
    records what they finished, several outcomes a statement.
    """

    def __init__(self, dispatcher: Dispatcher, limits: WorkerLimits, reaper: Reaps) -> None:
        self._dispatcher = dispatcher
        self._reaper = reaper
        self._limits = limits
        self._waiting: SimpleQueue[ClaimedRun | _Alarmed | Turn | None] = SimpleQueue()
        self._answers = Answers()
        self._recorder = Recorder(dispatcher.outcomes, self._answers, limits.batch, self._pressed)
        self.abandoned = AbandonedThreads(limits.abandoned or limits.concurrency, dispatcher)
        self.abandoned.on_change = self._replace_threads
        dispatcher.on_overdue = self.abandoned.abandon
        self._threads = WorkerThreads(limits.concurrency, lambda: self.abandoned.replaced, self._work)
        self._recording: threading.Thread | None = None
        self._draining = threading.Lock()
        self._claimed = 0
        self._offered: set[Turn] = set()
        self._per_second = 0.0
        self._careful_until = 0.0
        self.stopping = threading.Event()
        self._suspects = Suspects(
            dispatcher, self._recorder, self._answers, self.stopping, limits.suspects, self.abandoned
        )
        self._within: Within = by_itself
        self._lock = threading.Lock()
        dispatcher.turns.offer = self.offer_turn

    @property
    def _in_hand(self) -> int:
        return self._claimed - self._recorder.done + len(self._answers)

    @property
    def _executed(self) -> int:
        return self._recorder.done - self._recorder.in_vain

    def _pressed(self) -> bool:
        return self._in_hand > self._limits.concurrency

    @property
    def _slots(self) -> int:
        """How many handlers may run at once: fewer than were asked for once more threads are kept than are replaced."""
        return max(self._limits.concurrency - self.abandoned.unreplaced, 0)

    def work_within(self, within: Within) -> None:
        """Have threads run what no alarm waits for within this, the latest caller's, from now on."""
        self._within = self._recorder.within = within

    def ring(self, name: AlarmName, within: Within = by_itself) -> Future[Rung]:
        """Answer an alarm on one of the threads, as soon as one is free; only then is its job claimed.

        The result comes once the outcome is recorded. It raises ``Unavailable`` when the database is away or the host
        goes down, and the alarm should ring again. The same alarm ringing again meanwhile gets the same answer.
        """
        answer, first = self._answers.to(name)
        if not first:
            return answer
        if self.stopping.is_set():
            self._answers.give(name, error=going_down())
            return answer
        self._waiting.put(_Alarmed(name, within))
        self._start_threads()
        self._hold_nothing_back()
        return answer

    def offer_turn(self, handler_name: str) -> None:
        """Have a thread look whether a waiting job of a handler with limits may start; returns at once."""
        turn = Turn(handler_name)
        with self._lock:
            if turn in self._offered or self.stopping.is_set() or not self._slots:
                return
            self._offered.add(turn)
            self._claimed += 1
        self._waiting.put(turn)
        self._start_threads()

    def offer_turns(self) -> None:
        """Offer a turn to every handler with limits that has due jobs. Raises ``StoreUnavailable``."""
        for handler_name in self._dispatcher.turns.waiting():
            self._dispatcher.turns.offer(handler_name)

    def offer_suspects(self) -> None:
        """Have suspects run that are due, one after the other; returns at once. Raises ``StoreUnavailable``."""
        for name in self._dispatcher.due_suspects(_SUSPECTS_AT_ONCE + self._suspects.resting):
            with self._lock:
                self._claimed += 1
            if self._suspects.add(Suspect(name, polled=True), lambda: self._within):
                self._start_threads()
            else:
                with self._lock:
                    self._claimed -= 1

    def drain(self, budget_seconds: float, stay_seconds: float = 0.0) -> Drained:
        """Run due jobs until there are none and nothing runs, or the budget is spent.

        If a handler runs by then, and ``stay_seconds`` have not passed yet, it goes on: see ``DrainBudget``.
        One drain at a time: a second call returns at once, since the first sees everything that it would.
        Raises ``StoreUnavailable`` when the database is away.
        """
        began = time.monotonic()
        if not self._draining.acquire(blocking=False):
            return Drained(0, 0.0, self._in_hand)
        try:
            executed = self._drain(began, DrainBudget(began, budget_seconds, stay_seconds))
        finally:
            self._draining.release()
        return Drained(executed, time.monotonic() - began, self._in_hand)

    def _drain(self, began: float, budget: DrainBudget) -> int:
        done_before = done_when_looked = self._executed
        look_again_at = suspects_at = 0.0
        while not self.stopping.is_set() and budget.lasts(now := time.monotonic(), self._in_hand):
            self._per_second = (self._executed - done_before) / max(now - began, 0.001)
            self._reaper.tick()
            if now >= suspects_at and not budget.holds_back:
                self.offer_suspects()
                suspects_at = now + self._reaper.interval
            ahead, in_hand = self._ahead(), self._in_hand
            room = min(ahead - in_hand, self._limits.batch)
            # A free thread is filled at once; what is claimed ahead of the threads, a batch or half of it at a time.
            if (
                not (budget.holds_back or self._dispatcher.alone.on)
                and now >= look_again_at
                and room > 0
                and (in_hand < self._limits.concurrency or room >= max(1, min(self._limits.batch, ahead // 2)))
            ):
                done_when_looked = self._executed
                self.offer_turns()
                if self._claim(room):
                    look_again_at = 0.0
                    continue
                look_again_at = now + _POLL_SECONDS
            slots = self._slots
            if self._claimed == self._recorder.done and (look_again_at or not slots):
                if self._executed == done_when_looked or not slots:
                    break
                look_again_at = 0.0  # what has ended since may have made its job due again: a missed run, a retry
                continue
            self._recorder.recorded.wait(_POLL_SECONDS / 5)
            self._recorder.recorded.clear()
        return self._executed - done_before

    def _ahead(self) -> int:
        """How many runs to hold: one a thread, and what these will finish in the next quarter of a second.

        So slow handlers leave due jobs to other instances, and fast ones are never short of work. Where runs were lost
        before, which may end this process and with it all that it holds, nothing is held that has not begun.
        """
        slots = self._slots
        if not slots or time.monotonic() < self._careful_until:
            return slots
        return slots + min(int(self._per_second * _AHEAD_SECONDS), 3 * self._limits.batch)

    def _claim(self, limit: int) -> int:
        runs = self._dispatcher.claim_due(limit)
        with self._lock:
            self._claimed += len(runs)
        if any(run.lost_count for run in runs):
            self._careful_until = time.monotonic() + _CAREFUL_SECONDS
            runs.sort(key=attrgetter("lost_count"))  # so that the others have begun before them
        for run in runs:
            self._waiting.put(run)
        if runs:
            self._start_threads()
            self._hold_nothing_back()
        return len(runs)

    def _start_threads(self) -> None:
        if not self._threads.free and self._recording is not None:
            return
        with self._lock:
            if self._recording is None:
                self._recording = threading.Thread(target=self._recorder.work, name="jobs-recorder", daemon=True)
                self._recording.start()
        self._threads.start(min(self._in_hand, self._limits.concurrency))

    def _replace_threads(self) -> None:
        if not self.stopping.is_set():
            self._threads.start(min(self._in_hand, self._limits.concurrency))
            self._hold_nothing_back()

    def _hold_nothing_back(self) -> None:
        """Once abandoned attempts keep every thread, leave what waits for one to other instances, or to later."""
        if self._slots or self.stopping.is_set():
            return
        unbegun = []
        with suppress(Empty):
            while True:
                work = self._waiting.get_nowait()
                if isinstance(work, _Alarmed):
                    self._answers.give(work.name, error=Unavailable(self.abandoned.fault() or "no thread is free"))
                elif isinstance(work, Turn):
                    with self._lock:
                        self._offered.discard(work)
                    self._recorder.put(work)
                elif work is not None:
                    unbegun.append(work)
        if not unbegun:
            return
        try:
            self._dispatcher.give_back(unbegun, "handlers that ignore their timeout keep every thread of the instance")
        except Exception as error:  # noqa: BLE001  their leases run out instead
            log_failure(_logger, error, "%d runs that had not begun could not be given back", len(unbegun))
        for run in unbegun:
            self._recorder.put(run)

    def _work(self) -> None:
        waiting = self._waiting
        while (work := waiting.get()) is not None:
            if isinstance(work, _Alarmed):
                work.within(partial(self._run_rung, work))
            elif isinstance(work, Turn):
                self._within(partial(self._take_turn, work))
            else:
                self._within(partial(self._run_claimed, work))
            if self._threads.surplus and self._threads.leave():
                return

    def _run_claimed(self, run: ClaimedRun) -> None:
        self.abandoned.execute(run, self._finish_polled)

    def _finish_polled(self, run: ClaimedRun, outcome: RecordedOutcome | None, error: Exception | None) -> None:
        self._recorder.put(outcome or run)
        if error is not None:
            what = "job %s could not be executed; it is taken up again when its lease expires"
            log_failure(_logger, error, what, run.job_id)

    def _take_turn(self, turn: Turn) -> None:
        run = self._claim_turn(turn)
        if run is None:
            self._recorder.put(turn)
        else:
            self._run_claimed(run)

    def _claim_turn(self, turn: Turn) -> ClaimedRun | None:
        """Claim a job that waited for its turn; where there was one there may be another, for another thread."""
        with self._lock:
            self._offered.discard(turn)
        self._wait_for_suspect()
        if self.stopping.is_set():
            return None
        try:
            run = self._dispatcher.claim_turn(turn.handler_name)
        except Exception as error:  # noqa: BLE001  the next poll or reconciliation offers it again
            log_failure(_logger, error, "no waiting job of %s could be claimed", turn.handler_name)
            return None
        if run is not None:
            self.offer_turn(turn.handler_name)
        return run

    def _wait_for_suspect(self) -> None:
        """Wait while a suspect has this process to itself: what is claimed then could not start."""
        while not self._dispatcher.alone.wait(_POLL_SECONDS) and not self.stopping.is_set():
            pass

    def _run_rung(self, alarmed: _Alarmed) -> None:
        name = alarmed.name
        try:
            self._wait_for_suspect()
            run = self._dispatcher.claim(name)
            if run is None:
                rung = self._dispatcher.why_not(name)
                if rung.outcome is not Ring.SUSPECT:
                    self._answers.give(name, rung)
                elif not self._suspects.add(Suspect(name, polled=False), lambda: alarmed.within):
                    error = going_down() if self.stopping.is_set() else None
                    self._answers.give(name, Rung(Ring.ALREADY_RUNNING), error)
            else:
                self.abandoned.execute(run, partial(self._finish_rung, name))
        except Exception as error:  # noqa: BLE001  it is the caller's, who waits for an answer
            self._answers.give(name, error=error)

    def _finish_rung(
        self, name: AlarmName, _: ClaimedRun, outcome: RecordedOutcome | None, error: Exception | None
    ) -> None:
        if error is None:
            self._recorder.put(RungRun(name, outcome))
        else:
            self._answers.give(name, error=error)

    def start_nothing_more(self) -> None:
        """Claim nothing from now on, and give back what has not begun; what runs goes on."""
        self.stopping.set()
        unbegun = []
        while not self._waiting.empty():
            work = self._waiting.get()
            if isinstance(work, _Alarmed):
                self._answers.give(work.name, error=going_down())
            elif work is not None and not isinstance(work, Turn):
                unbegun.append(work)
        for _ in range(self._threads.live):
            self._waiting.put(None)
        if unbegun:
            self._dispatcher.give_back(unbegun, "the host went down before the handler began")

    def stop(self, grace_seconds: float) -> None:
        """Begin nothing more, give back what has not begun, and wait for the rest up to ``grace_seconds``."""
        self.start_nothing_more()
        self._dispatcher.stop(grace_seconds)
        self._recorder.close()
        if self._recording is not None:
            self._recording.join(timeout=max(grace_seconds, 5.0))
