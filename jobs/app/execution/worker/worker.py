"""Poll for due jobs, and submit them to the worker pool as fast as it runs them.

A drain stays while handlers run, and goes on looking for due jobs meanwhile, so a long handler holds up none behind it.
One that must return leaves what still runs to the pool; the next drain goes on with the free threads.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from jobs.app.execution.worker.drain_budget import DrainBudget

if TYPE_CHECKING:
    from jobs.app.execution.claims import Claims
    from jobs.app.execution.worker.pool import WorkerPool

_AHEAD_SECONDS = 0.25
_POLL_SECONDS = 0.25
_WAIT_SECONDS = 0.05
_CAREFUL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did."""

    executed: int
    seconds: float
    left_running: int


class Reaps(Protocol):
    """What takes back the runs of lost workers; ``Reaper``, which is upkeep's, does."""

    interval: float
    """Seconds between two looks."""

    def tick(self) -> None:
        """Take back what lost workers left, if it is time to look again. Never raises."""


class Worker:
    """Looks for due jobs in place of alarms. Lives as long as the process; one drain at a time."""

    def __init__(self, claims: Claims, pool: WorkerPool, reaper: Reaps, batch: int) -> None:
        self._claims = claims
        self.pool = pool
        self._in_hand = pool.in_hand
        self._reaper = reaper
        self._batch = batch
        self._draining = threading.Lock()
        self._per_second = 0.0
        self._careful_until = 0.0

    def watch(self) -> None:
        """Take back runs of lost workers every few seconds, on a thread of its own, until the pool stops."""

        def keep_watch() -> None:
            while not self.pool.stopping.wait(self._reaper.interval):
                self._reaper.tick()
                self.pool.start_threads()  # what was taken back may have freed slots

        threading.Thread(target=keep_watch, name="jobs-reaper", daemon=True).start()

    def drain(self, budget_seconds: float, stay_seconds: float = 0.0, *, after_others: bool = False) -> Drained:
        """Run due jobs until there are none and nothing runs, or the budget is spent.

        If a handler runs by then, and ``stay_seconds`` have not passed yet, it goes on: see ``DrainBudget``.
        A second call meanwhile returns at once, since the first sees everything that it would; with ``after_others`` it
        first waits for the end of that one, in its own time: both together last no longer than one.
        Raises ``StoreUnavailable`` when the database is away.
        """
        most, asked = max(budget_seconds, stay_seconds), time.monotonic()
        if not self._draining.acquire(timeout=most if after_others else 0.0):
            return Drained(0, 0.0, self._in_hand.count)
        began = time.monotonic()
        stay_seconds = most - (began - asked)
        budget_seconds = min(budget_seconds, stay_seconds)
        try:
            executed = self._drain(began, DrainBudget(began, budget_seconds, stay_seconds))
        finally:
            self._draining.release()
        return Drained(executed, time.monotonic() - began, self._in_hand.count)

    def _drain(self, began: float, budget: DrainBudget) -> int:
        work, pool = self._in_hand, self.pool
        executed_before = executed_when_looked = work.executed
        look_again_at = suspects_at = 0.0
        while not work.stopping.is_set() and budget.lasts(now := time.monotonic(), work.count):
            self._per_second = (work.executed - executed_before) / max(now - began, 0.001)
            self._reaper.tick()
            if now >= suspects_at and not budget.holds_back:
                pool.offer_suspects()
                suspects_at = now + self._reaper.interval
            room = self._room()
            if room and now >= look_again_at and not (budget.holds_back or pool.alone.on):
                executed_when_looked = work.executed
                pool.offer_slots()
                if self._claim(room):
                    look_again_at = 0.0
                    continue
                look_again_at = now + _POLL_SECONDS
            capacity = work.capacity
            if work.claimed == work.done and (look_again_at or not capacity):
                if work.executed == executed_when_looked or not capacity:
                    break
                look_again_at = 0.0  # what has ended since may have made its job due again: a missed run, a retry
                continue
            work.recorded.wait(_WAIT_SECONDS)
            work.recorded.clear()
        return work.executed - executed_before

    def _room(self) -> int:
        """Return how many runs to claim now, 0 if it is better to wait.

        A free thread is filled at once; what is claimed ahead of the threads, a batch or half of it at a time.
        """
        ahead, in_hand = self._ahead(), self._in_hand.count
        room = min(ahead - in_hand, self._batch)
        least = 1 if in_hand < self._in_hand.concurrency else max(1, min(self._batch, ahead // 2))
        return room if room >= least else 0

    def _ahead(self) -> int:
        """Return how many runs to hold: one a thread, and what these will finish in the next quarter of a second.

        So slow handlers leave due jobs to other instances, and fast ones are never short of work. Where runs were lost
        before, which may end this process and with it all that it holds, nothing is held that has not begun.
        """
        capacity = self._in_hand.capacity
        if not capacity or time.monotonic() < self._careful_until:
            return capacity
        return capacity + min(int(self._per_second * _AHEAD_SECONDS), 3 * self._batch)

    def _claim(self, limit: int) -> int:
        runs = self._claims.due(limit)
        if any(run.lost_count for run in runs):
            self._careful_until = time.monotonic() + _CAREFUL_SECONDS
            runs.sort(key=attrgetter("lost_count"))  # so that the others have begun before them
        if runs:
            self.pool.submit(runs)
        return len(runs)
