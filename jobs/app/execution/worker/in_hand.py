"""The work that this process has in hand: what waits for a thread, and what has finished and is to be recorded.

Every part of the worker pool takes this object in its constructor. It calls none of them.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.execution.attempt.abandoned import AbandonedThreads
    from jobs.app.execution.worker.pending_results import PendingResults
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.core.lifecycle.ids import AlarmName

_AFTER_THE_RATE_SECONDS = 0.001


class WaitingAlarm(NamedTuple):
    """An alarm to handle, and the invocation that it rang in."""

    name: AlarmName
    scope: InvocationScope


class Step(NamedTuple):
    """Something to do on a thread of the pool, as part of an invocation: most often to execute ``run``.

    ``withdrawn`` is called in its place if no thread is to do it any more; its run is then given back.
    """

    scope: InvocationScope
    call: Callable[[], None]
    withdrawn: Callable[[], None]
    run: ClaimedRun | None = None


class OfferedSlot(NamedTuple):
    """A concurrency slot that may be free: a thread is to claim and run a throttled job of the handler."""

    handler_name: str


class Suspect(NamedTuple):
    """A suspect to run alone. ``polled``: a poll has found it, so that no alarm waits for its end."""

    name: AlarmName
    polled: bool


@dataclass(frozen=True, slots=True)
class AlarmRun:
    """The end of a run that an alarm waits for; no outcome where its lease was lost."""

    name: AlarmName
    outcome: RecordedOutcome | None


class _Wake(NamedTuple):
    """Nothing has finished, but a slot was offered, for which a thread may have to be started."""


WAKE = _Wake()

Waiting = ClaimedRun | WaitingAlarm | OfferedSlot | Step
Finished = RecordedOutcome | AlarmRun | OfferedSlot | Suspect | ClaimedRun | _Wake
"""An outcome to record, the end of a run that an alarm waits for, or what came to nothing that is to be recorded."""


class WorkInHand:
    """Queues and counts of one worker pool. Lives as long as the process; safe between threads.

    ``claimed`` counts what was taken in hand without an alarm, and ``done`` what of that has ended; ``without_run``
    counts the slots and suspects among it that led to no run. Alarms are counted by ``pending``. ``recorded`` is set
    after each batch.
    """

    def __init__(self, concurrency: int, abandoned: AbandonedThreads, pending: PendingResults) -> None:
        self.waiting: SimpleQueue[Waiting | None] = SimpleQueue()
        self.finished: SimpleQueue[Finished | None] = SimpleQueue()
        self.finish = self.finished.put
        self.concurrency = concurrency
        self.stopping = threading.Event()
        self.recorded = threading.Event()
        self.claimed = 0
        self.done = 0
        self.without_run = 0
        self._abandoned = abandoned
        self._pending = pending
        self._offered: set[OfferedSlot] = set()
        self._timers: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How much is in hand: waiting, running, or not recorded yet."""
        return self.claimed - self.done + len(self._pending)

    @property
    def executed(self) -> int:
        """How many runs that no alarm waited for have ended."""
        return self.done - self.without_run

    @property
    def capacity(self) -> int:
        """How many handlers may run at once: fewer than configured while more threads are abandoned than replaced."""
        return max(self.concurrency - self._abandoned.unreplaced, 0)

    @property
    def backlog(self) -> bool:
        """Whether more is in hand than handlers may run at once."""
        return self.count > self.concurrency

    def take(self, count: int = 1) -> None:
        """Count what is taken in hand without an alarm; each must be finished or dropped."""
        with self._lock:
            self.claimed += count

    def drop(self) -> None:
        """Count one less: it was not taken in hand after all."""
        with self._lock:
            self.claimed -= 1

    # --- offered slots

    def offer(self, handler_name: str) -> None:
        """Have a thread look whether a throttled job of this handler may start; returns at once."""
        slot = OfferedSlot(handler_name)
        with self._lock:
            if slot in self._offered or self.stopping.is_set() or not self.capacity:
                return
            self._offered.add(slot)
            self.claimed += 1
        self.waiting.put(slot)
        self.finished.put(WAKE)

    def offer_after(self, handler_name: str, seconds: float) -> None:
        """Offer a slot of this handler after ``seconds``, once its rate allows another start."""
        with self._lock:
            if self.stopping.is_set() or handler_name in self._timers:
                return
            timer = threading.Timer(seconds + _AFTER_THE_RATE_SECONDS, self._offer_now, [handler_name])
            timer.daemon = True
            self._timers[handler_name] = timer
            timer.start()

    def _offer_now(self, handler_name: str) -> None:
        with self._lock:
            self._timers.pop(handler_name, None)
        self.offer(handler_name)

    def accept(self, slot: OfferedSlot) -> None:
        """Note that a thread looks into a slot, so that it may be offered again."""
        with self._lock:
            self._offered.discard(slot)

    def close(self) -> None:
        """Offer no slot any more."""
        with self._lock:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    # --- the end

    def withdraw(self) -> list[Waiting]:
        """Take back everything that waits for a thread."""
        withdrawn: list[Waiting] = []
        with suppress(Empty):
            while True:
                if (work := self.waiting.get_nowait()) is not None:
                    withdrawn.append(work)
        return withdrawn
