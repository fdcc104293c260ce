"""Drain what is due, in batches, with bounded concurrency, within a time budget: the timer backend's engine.

A tick that returns leaves the handlers that still run to the threads of the process; the next tick goes on with the
slots that are free. So a long handler neither holds up the due ones behind it nor makes a tick overrun.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from jobs.app.dispatcher import Dispatcher
    from jobs.core.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.worker")
_AHEAD_SECONDS = 0.25
_POLL_SECONDS = 0.25
_LINGER_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much at once: handlers running in this process, and rows per statement."""

    concurrency: int = 16
    batch: int = 500


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did."""

    executed: int
    seconds: float
    left_running: int


class Worker:
    """A bounded set of threads that run handlers; lives as long as the process. Threads start when they are needed."""

    def __init__(self, dispatcher: Dispatcher, limits: WorkerLimits) -> None:
        self._dispatcher = dispatcher
        self._limits = limits
        self._waiting: SimpleQueue[ClaimedRun | None] = SimpleQueue()
        self._finished: SimpleQueue[RecordedOutcome | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._draining = threading.Lock()
        self._counting = threading.Lock()
        self._in_hand = 0
        self._per_second = 0.0
        self._stopping = False

    def drain(self, budget_seconds: float) -> Drained:
        """Run due jobs until there are none and nothing runs, or the budget is spent.

        One drain at a time: a second call returns at once, since the first sees everything that it would.
        Raises ``StoreUnavailable`` when the database is away.
        """
        began = time.monotonic()
        if not self._draining.acquire(blocking=False):
            return Drained(0, 0.0, self._in_hand)
        try:
            executed = self._drain(began + budget_seconds)
        finally:
            self._draining.release()
        return Drained(executed, time.monotonic() - began, self._in_hand)

    def _drain(self, until: float) -> int:
        executed = 0
        look_again_at = 0.0
        began = time.monotonic()
        while not self._stopping and (now := time.monotonic()) < until:
            ahead, in_hand = self._ahead(), self._in_hand
            room = ahead - in_hand
            # A free thread is filled at once; what is claimed ahead of the threads, half of it at a time.
            if now >= look_again_at and (in_hand < self._limits.concurrency or room > ahead // 2):
                claimed = self._claim(min(room, self._limits.batch))
                look_again_at = 0.0 if claimed else now + _POLL_SECONDS
            if self._in_hand == 0:
                if look_again_at:
                    break
                continue
            executed += self._collect(wait_seconds=_POLL_SECONDS / 5)
            self._per_second = executed / max(time.monotonic() - began, 0.001)
        return executed

    def _ahead(self) -> int:
        """How many runs to hold: one a thread, and what these will finish in the next quarter of a second.

        So slow handlers leave due jobs to other instances, and fast ones are never short of work.
        """
        return self._limits.concurrency + min(int(self._per_second * _AHEAD_SECONDS), 2 * self._limits.batch)

    def _claim(self, limit: int) -> int:
        runs = self._dispatcher.claim_due(limit)
        with self._counting:
            self._in_hand += len(runs)
        for run in runs:
            self._waiting.put(run)
        for _ in range(min(self._in_hand, self._limits.concurrency) - len(self._threads)):
            thread = threading.Thread(target=self._work, name=f"jobs-worker-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return len(runs)

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None:
            outcome = None
            try:
                outcome = self._dispatcher.execute(run)
            except Exception:
                _logger.exception(
                    "job %s could not be executed; it is taken up again when its lease expires", run.job_id
                )
            self._finished.put(outcome)
            if not self._draining.locked():
                self._collect_left_over()

    def _collect(self, wait_seconds: float) -> int:
        """Record what has finished, several at once; wait a little for the first, and in bulk for a good batch."""
        try:
            finished = [self._finished.get(timeout=wait_seconds)]
        except Empty:
            return 0
        if self._in_hand > self._limits.concurrency:
            enough = min(self._in_hand, self._limits.batch) - 1
            patience = time.monotonic() + _LINGER_SECONDS
            while self._finished.qsize() < enough and time.monotonic() < patience:
                time.sleep(_LINGER_SECONDS / 5)
        while len(finished) < self._limits.batch and not self._finished.empty():
            finished.append(self._finished.get())
        outcomes = [outcome for outcome in finished if outcome is not None]
        try:
            if outcomes:
                self._dispatcher.record(outcomes)
        finally:
            with self._counting:
                self._in_hand -= len(finished)
        return len(finished)

    def _collect_left_over(self) -> None:
        """Record an outcome that came after its tick had ended."""
        try:
            self._collect(wait_seconds=0.001)
        except StoreUnavailable as error:
            _logger.warning("an outcome could not be recorded: %s", error)

    def stop(self, grace_seconds: float) -> None:
        """Begin nothing more, give back what has not begun, and wait for the rest up to ``grace_seconds``."""
        self._stopping = True
        unbegun = []
        while not self._waiting.empty():
            run = self._waiting.get()
            if run is not None:
                unbegun.append(run)
        for _ in self._threads:
            self._waiting.put(None)
        if unbegun:
            with self._counting:
                self._in_hand -= len(unbegun)
            self._dispatcher.give_back(unbegun, "the host went down before the handler began")
        self._dispatcher.stop(grace_seconds)
        while not self._finished.empty():
            self._collect(wait_seconds=0.001)
