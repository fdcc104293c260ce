"""The threads that run handlers: started when needed, up to the concurrency, and one more per abandoned thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.execution.attempt.abandoned import AbandonedThreads
    from jobs.app.execution.worker.in_hand import WorkInHand


class WorkerThreads:
    """Threads that each call ``run`` once. Lives as long as the process; safe between threads.

    ``surplus`` is True while there are more threads than needed: an abandoned one has ended, and was replaced.
    """

    def __init__(self, work: WorkInHand, abandoned: AbandonedThreads, run: Callable[[], None]) -> None:
        self.surplus = False
        self.live = 0
        self._work = work
        self._abandoned = abandoned
        self._run = run
        self._started = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether another thread may start."""
        return self.live < self._most

    @property
    def _most(self) -> int:
        return self._work.concurrency + self._abandoned.replaced

    def grow(self) -> None:
        """Start a thread for each piece of work in hand, up to the concurrency; abandoned threads do not count."""
        with self._lock:
            replaced = self._abandoned.replaced
            most = self._work.concurrency + replaced
            wanted = min(self._work.count, self._work.concurrency) + replaced
            for _ in range(min(wanted, most) - self.live):
                self._started += 1
                self.live += 1
                threading.Thread(target=self._run, name=f"jobs-worker-{self._started}", daemon=True).start()
            self.surplus = self.live > most

    def leave(self) -> bool:
        """Return whether the calling thread is one too many; it must then end."""
        with self._lock:
            most = self._most
            leaves = self.live > most
            self.live -= leaves
            self.surplus = self.live > most
        return leaves
